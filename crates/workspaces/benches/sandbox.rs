//! How long a command takes to start and end, bare and at each level of the sandbox, in turns in
//! the same run: `cargo bench -p fusion-workspaces --bench sandbox`. Nothing is asserted.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::{Duration, Instant};

use fusion_workspaces::{Command, Launcher, LayerName, Owners, Program, Sandbox, Scratch};
use tokio_util::sync::CancellationToken;

/// Repeats of each figure.
const ROUNDS: usize = 200;

/// The user ids of commands when this is started as root.
const UIDS: std::ops::RangeInclusive<u32> = 230_000..=230_099;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let owners = Owners::of_this_process(UIDS);
    let scratch = Scratch::new(&owners, 0)?;
    let launcher = Launcher::new(vec![env!("CARGO_BIN_EXE_fusion-exec-helper").into()]);
    let looked = launcher.look(scratch.dir()).await?;
    let mut levels = vec![
        (
            "helper, sandbox off",
            launcher.clone().with_sandbox(Sandbox::Off),
        ),
        (
            "without namespaces",
            launcher.clone().without_namespaces("measured without"),
        ),
    ];
    if looked.has(LayerName::Namespaces) {
        levels.push(("with namespaces", launcher));
    }
    let mut bare = Vec::new();
    let mut held: Vec<Vec<Duration>> = vec![Vec::new(); levels.len()];
    for _ in 0..ROUNDS {
        bare.push(spawn()?);
        for ((_, launcher), times) in levels.iter().zip(&mut held) {
            times.push(run(launcher, &scratch).await?);
        }
    }
    row("bare process", &mut bare);
    for ((name, _), times) in levels.iter().zip(&mut held) {
        row(name, times);
    }
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the yardstick is a process that nothing holds"
)]
fn spawn() -> std::io::Result<Duration> {
    let began = Instant::now();
    std::process::Command::new("/bin/true")
        .stdin(Stdio::null())
        .output()?;
    Ok(began.elapsed())
}

async fn run(launcher: &Launcher, scratch: &Scratch) -> fusion_workspaces::Result<Duration> {
    let command = Command {
        program: Program::Argv(vec!["/bin/true".to_owned()]),
        env: BTreeMap::new(),
        stdin: String::new(),
        timeout: Duration::from_secs(60),
        output_limit: 1000,
        output_file: None,
    };
    let cancel = CancellationToken::new();
    let began = Instant::now();
    launcher.run(scratch.dir(), &command, &cancel).await?;
    Ok(began.elapsed())
}

fn row(name: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let at = |share: usize| {
        let time = times.get(times.len() * share / 100);
        time.copied().unwrap_or_default().as_secs_f64() * 1000.0
    };
    println!(
        "{name:<22} median {:>6.2} ms  p99 {:>6.2} ms",
        at(50),
        at(99)
    );
}
