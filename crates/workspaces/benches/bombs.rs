//! What commands that take all they can get do to others: `cargo bench -p fusion-workspaces --bench
//! bombs`. Another agent runs short commands all the time, first alone, then beside each bomb; told
//! are how and when the bomb ended, what this process grew by, and how much the other got done.
//! Nothing is asserted.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use fusion_workspaces::{Command, Exit, Launcher, Limits, Owners, Program, Scratch, Usage};
use tokio_util::sync::CancellationToken;

/// How long the other agent works alone, and a bomb may go on.
const WINDOW: Duration = Duration::from_secs(5);
/// The user ids of commands when this is started as root.
const UIDS: std::ops::RangeInclusive<u32> = 231_000..=231_099;
const MIB: u64 = 1024 * 1024;

const BOMBS: [(&str, &str); 6] = [
    ("forks", "f() { f & f & sleep 1; }; f; while :; do f; done"),
    (
        "memory",
        "for i in 1 2 3 4 5 6 7 8; do
            perl -e '$x .= \"a\" x (1 << 20) while length $x < 200 << 20; sleep 1000' & done; wait",
    ),
    (
        "disk",
        "i=0; while :; do i=$((i + 1)); head -c 4000000 /dev/zero > projects/$i; done",
    ),
    (
        "files",
        "cd projects; i=0; while :; do i=$((i + 1)); : > $i; done",
    ),
    ("output", "yes"),
    (
        "hanging child",
        "trap '' TERM HUP; (setsid sleep 1000 &); sleep 1000",
    ),
];

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let owners = Owners::of_this_process(UIDS);
    let other = Scratch::new(&owners, 0)?;
    let launcher = Launcher::new(vec![env!("CARGO_BIN_EXE_fusion-exec-helper").into()]);
    let launcher = launcher.with_limits(Limits {
        memory: 512 * MIB,
        processes: 64,
        ..Limits::default()
    });
    let alone = throughput(&launcher, &other, Box::pin(std::future::pending())).await?;
    println!("alone: {alone:.1} commands a second");
    for (number, (name, script)) in (1..).zip(BOMBS) {
        let scratch = Scratch::new(&owners, number)?;
        let quota = Usage {
            bytes: 256 * MIB,
            files: 20_000,
        };
        let dir = scratch.dir().clone().with_quota(quota);
        std::fs::create_dir(dir.projects_path()).ok();
        if let Some(uid) = dir.uid() {
            std::os::unix::fs::chown(dir.projects_path(), Some(uid), Some(uid))?;
        }
        let before = peak();
        let bomb = async {
            let (command, cancel) = (shell(script, WINDOW), CancellationToken::new());
            launcher.run(&dir, &command, &cancel).await
        };
        let ended = tokio::sync::Mutex::new(None);
        let bomb = Box::pin(async {
            *ended.lock().await = Some(bomb.await);
        });
        let beside = throughput(&launcher, &other, bomb).await?;
        let grown = peak().saturating_sub(before);
        let Some(finished) = ended.into_inner().transpose()? else {
            println!("{name}: not over when the window was");
            continue;
        };
        println!(
            "{name:<14} {:<24} after {:>5.2} s; this process grew by {grown} KiB; the other did {:.0} %",
            ending(finished.exit),
            finished.duration.as_secs_f64(),
            100.0 * beside / alone
        );
    }
    Ok(())
}

fn ending(exit: Exit) -> String {
    match exit {
        Exit::OverLimit(resource) => {
            let resource = resource.to_string();
            let brief = resource.split(" (").next().unwrap_or_default();
            format!("ended for {brief}")
        }
        Exit::TimedOut => "ended for its time".to_owned(),
        Exit::Code(_) | Exit::Signal(_) | Exit::Cancelled => format!("{exit:?}"),
    }
}

/// Commands of the other agent a second, until something is over or for the whole window.
async fn throughput(
    launcher: &Launcher,
    other: &Scratch,
    mut until: Pin<Box<dyn Future<Output = ()> + Send + '_>>,
) -> fusion_workspaces::Result<f64> {
    let began = Instant::now();
    let done = AtomicU32::new(0);
    let work = async {
        while began.elapsed() < WINDOW {
            let (command, cancel) = (shell("true", WINDOW), CancellationToken::new());
            launcher.run(other.dir(), &command, &cancel).await?;
            done.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    };
    let mut work = Box::pin(work);
    let is_over = tokio::select! {
        worked = &mut work => { worked?; false }
        () = &mut until => true,
    };
    let took = began.elapsed();
    drop(work);
    if !is_over {
        // The bomb may be a moment later than the other.
        tokio::time::timeout(WINDOW, until).await.ok();
    }
    Ok(f64::from(done.into_inner()) / took.as_secs_f64())
}

fn shell(script: &str, timeout: Duration) -> Command {
    Command {
        program: Program::Shell(script.to_owned()),
        env: BTreeMap::new(),
        stdin: String::new(),
        timeout,
        output_limit: 10_000,
        output_file: None,
    }
}

/// The most memory that this process had so far, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|peak| peak.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or_default()
}
