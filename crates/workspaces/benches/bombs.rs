//! What commands that take all they can get do to others: `cargo bench -p fusion-workspaces --bench
//! bombs`. An agent runs short commands all the time, first alone, then beside another that starts
//! the same bomb again and again; told are how and when bombs ended, what this process grew by, and
//! how much the first got done. The first row is no bomb but short commands of the other too.
//! Nothing is asserted.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use fusion_workspaces::{Command, Exit, Launcher, Limits, Owners, Program, Scratch, Usage};
use tokio_util::sync::CancellationToken;

/// How long each agent works, and one bomb may go on.
const WINDOW: Duration = Duration::from_secs(5);
/// The user ids of commands when this is started as root.
const UIDS: std::ops::RangeInclusive<u32> = 231_000..=231_099;
const MIB: u64 = 1024 * 1024;

/// What the other agent's commands are: one shows what their start costs, one what they get of the
/// processors.
const OTHERS: [(&str, &str); 2] = [
    ("do nothing", "true"),
    ("compute", "head -c 16000000 /dev/zero | sha256sum"),
];

const BOMBS: [(&str, &str); 9] = [
    ("none, but true", "true"),
    (
        "computing",
        "for i in 1 2 3 4 5 6 7 8; do (while :; do :; done) & done; wait",
    ),
    (
        "sessions",
        "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do
            setsid sh -c 'while :; do :; done' & done; wait",
    ),
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
    let mut alone = Vec::new();
    for (name, script) in OTHERS {
        let rate = throughput(&launcher, &other, script).await?;
        println!("alone: {rate:.1} commands a second that {name}");
        alone.push(rate);
    }
    for (name, script) in BOMBS {
        let before = peak();
        let mut bomber = Bomber::new(&owners);
        let mut shares = Vec::new();
        for ((_, others), alone) in OTHERS.iter().zip(&alone) {
            let bombs = bomber.go_on(&launcher, script);
            let (beside, ()) = tokio::try_join!(throughput(&launcher, &other, others), bombs)?;
            shares.push(format!("{:.0} %", 100.0 * beside / alone));
        }
        println!(
            "{name:<14} {:>4} x {:<24} after {:>5.2} s at the most; this process grew by {} KiB; the \
             other did {}",
            bomber.count,
            bomber.last.map(ending).unwrap_or_default(),
            bomber.longest.as_secs_f64(),
            peak().saturating_sub(before),
            shares.join(", ")
        );
    }
    Ok(())
}

/// An agent that starts the same bomb again and again, each in a workspace of its own.
struct Bomber<'a> {
    owners: &'a Owners,
    /// They stay until the end: their removal is not what is measured.
    places: Vec<Scratch>,
    count: u32,
    longest: Duration,
    last: Option<Exit>,
}

impl<'a> Bomber<'a> {
    const fn new(owners: &'a Owners) -> Self {
        Self {
            owners,
            places: Vec::new(),
            count: 0,
            longest: Duration::ZERO,
            last: None,
        }
    }

    /// For the whole window; a bomb that works at its end goes on to its own.
    async fn go_on(&mut self, launcher: &Launcher, script: &str) -> fusion_workspaces::Result<()> {
        let began = Instant::now();
        while began.elapsed() < WINDOW {
            let place = Scratch::new(self.owners, 1)?;
            let quota = Usage {
                bytes: 256 * MIB,
                files: 20_000,
            };
            let dir = place.dir().clone().with_quota(quota);
            let (command, cancel) = (shell(script, WINDOW), CancellationToken::new());
            let finished = launcher.run(&dir, &command, &cancel).await?;
            self.count += 1;
            self.longest = self.longest.max(finished.duration);
            self.last = Some(finished.exit);
            self.places.push(place);
        }
        Ok(())
    }
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

/// Commands of the other agent a second, one after the other for the whole window.
async fn throughput(
    launcher: &Launcher,
    other: &Scratch,
    script: &str,
) -> fusion_workspaces::Result<f64> {
    let began = Instant::now();
    let mut done = 0_u32;
    while began.elapsed() < WINDOW {
        let (command, cancel) = (shell(script, WINDOW), CancellationToken::new());
        launcher.run(other.dir(), &command, &cancel).await?;
        done += 1;
    }
    Ok(f64::from(done) / began.elapsed().as_secs_f64())
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
