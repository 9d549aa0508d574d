//! What it costs to remember a workspace before a command: `cargo bench -p fusion-workspaces --bench
//! snapshot`. Nothing is asserted.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::time::{Duration, Instant};

use fusion_workspaces::{Owners, Scratch, Snapshot};

/// Repeats of each figure.
const ROUNDS: usize = 300;

/// The user ids of commands when this is started as root.
const UIDS: std::ops::RangeInclusive<u32> = 230_000..=230_099;

/// Files of a workspace, and bytes of each.
const SIZES: [(usize, usize); 4] = [(0, 0), (20, 2_000), (200, 5_000), (3_000, 5_000)];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let owners = Owners::of_this_process(UIDS);
    let folder = tempfile::tempdir()?;
    for (number, (files, bytes)) in (0_u128..).zip(SIZES) {
        let scratch = Scratch::new(&owners, number)?;
        let dir = scratch.dir();
        let text = "x".repeat(bytes);
        for file in 0..files {
            dir.write_file(
                &format!("projects/{}/file-{file}", file / 50),
                text.as_bytes(),
            )?;
        }
        let (mut still, mut one) = (Vec::new(), Vec::new());
        let snapshot = Snapshot::new(folder.path(), &format!("{number}"), None);
        let began = Instant::now();
        snapshot.take(dir, "first")?;
        println!(
            "{files:>5} files, all new        {:>8.2} ms",
            ms(began.elapsed())
        );
        for round in 0..ROUNDS {
            let began = Instant::now();
            snapshot.take(dir, "next")?;
            still.push(began.elapsed());
            dir.write_file("projects/changed", format!("{round}").as_bytes())?;
            let began = Instant::now();
            snapshot.take(dir, "next")?;
            one.push(began.elapsed());
        }
        row(files, "nothing changed", &mut still);
        row(files, "one changed", &mut one);
    }
    Ok(())
}

fn row(files: usize, what: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let at = |share: usize| {
        let time = times.get(times.len() * share / 100);
        ms(time.copied().unwrap_or_default())
    };
    println!(
        "{files:>5} files, {what:<15} median {:>6.2} ms  p99 {:>6.2} ms",
        at(50),
        at(99)
    );
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
