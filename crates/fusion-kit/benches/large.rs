//! A run of very many steps: `cargo bench -p fusion-kit --bench large`, or `-- STEPS` for another size.
//!
//! Each step needs five earlier ones and is one answer of the scripted provider, without a delay. The
//! whole program is measured from outside: its check of the file, a run to its end, and a run that is
//! killed in the middle and taken up again. Nothing is asserted but that all steps end well.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(
    clippy::disallowed_methods,
    reason = "it measures whole processes and starts them itself"
)]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a broken benchmark should stop with a trace"
)]

use std::fmt::Write as _;
use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_fusion-kit");

/// Steps without an argument; each but the first needs five others.
const STEPS: usize = 10_000;
const NEEDS: usize = 5;

/// How far back a step reaches for what it needs: the graph is about so wide.
const REACH: usize = 400;

/// Agents that do the steps.
const AGENTS: usize = 32;

/// Syncs of the yardstick.
const SYNCS: usize = 300;

fn main() {
    let steps = std::env::args().skip(1).find_map(|it| it.parse().ok());
    let steps: usize = steps.unwrap_or(STEPS);
    let dir = TempDir::new().unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o711)).unwrap();
    let edges = write_files(dir.path(), steps);
    println!("{steps} steps, {edges} edges, {AGENTS} agents, SQLite at synchronous=FULL\n");

    let began = Instant::now();
    let checked = kit(dir.path(), &["workflow", "validate", "large.yaml"]).output();
    assert!(checked.unwrap().status.success());
    println!("checked in              {:>9.2?}", began.elapsed());

    let whole = run_whole(dir.path(), steps);
    run_killed(dir.path(), steps, whole / 2);
    println!("one bare fsync          {:>9.2?}", fsync(dir.path()));
}

/// The workflow and its script; gives the number of edges.
fn write_files(dir: &Path, steps: usize) -> usize {
    let mut flow = format!(
        "version: 1\nname: large\nagents:\n  a: {{ provider: scripted, model: large.script.yaml, count: {AGENTS} }}\nsteps:\n"
    );
    let mut script = String::from("version: 1\nsteps:\n");
    let mut edges = 0;
    for step in 0..steps {
        let mut needs: Vec<usize> = (0..NEEDS)
            .filter_map(|number| step.checked_sub(1 + (step * 31 + number * 83) % REACH))
            .collect();
        needs.sort_unstable();
        needs.dedup();
        edges += needs.len();
        let needs: Vec<String> = needs.iter().map(|need| format!("s{need}")).collect();
        let needs = needs.join(", ");
        writeln!(
            flow,
            "  - {{ id: s{step}, agent: a, prompt: Go, needs: [{needs}] }}"
        )
        .unwrap();
        writeln!(script, "  s{step}: [{{ text: done }}]").unwrap();
    }
    fs::write(dir.join("large.yaml"), flow).unwrap();
    fs::write(dir.join("large.script.yaml"), script).unwrap();
    edges
}

fn kit(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command
        .args(arguments)
        .current_dir(dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

/// Runs it to its end; gives how long its steps took.
fn run_whole(dir: &Path, steps: usize) -> Duration {
    let arguments = ["run", "large.yaml", "--json", "--data-dir", "whole"];
    let asked = Utc::now();
    let child = kit(dir, &arguments).spawn().unwrap();
    let (output, peak) = finish(child);
    let times = Times::of(&output, steps);
    let took = (times.ended - times.first).to_std().unwrap();
    println!(
        "first step begun after  {:>9.2?}",
        since(times.first - asked)
    );
    println!(
        "steps in a second       {:>9.0}",
        steps as f64 / took.as_secs_f64()
    );
    println!("most memory             {peak:>6.0} MiB");
    took
}

/// Kills a run after so long and takes it up again.
fn run_killed(dir: &Path, steps: usize, after: Duration) {
    let arguments = ["run", "large.yaml", "--json", "--data-dir", "killed"];
    let mut child = kit(dir, &arguments).spawn().unwrap();
    sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
    let asked = Utc::now();
    let again = ["resume", "--json", "--data-dir", "killed"];
    let (output, _) = finish(kit(dir, &again).spawn().unwrap());
    let times = Times::of(&output, steps);
    let next = times.begun.iter().filter(|begun| **begun > asked).min();
    println!(
        "goes on after a kill in {:>9.2?}",
        since(*next.unwrap() - asked)
    );
}

/// Waits for a process and looks at its memory; gives what it printed and the most it had, in MiB.
fn finish(child: Child) -> (Output, f64) {
    let status = format!("/proc/{}/status", child.id());
    let waiting = std::thread::spawn(move || child.wait_with_output().unwrap());
    let mut peak = 0.0_f64;
    while !waiting.is_finished() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
        peak = peak.max(kib.unwrap_or_default() / 1_024.0);
        sleep(Duration::from_millis(20));
    }
    (waiting.join().unwrap(), peak)
}

/// When the steps of a run began, and when the last one ended.
struct Times {
    begun: Vec<DateTime<Utc>>,
    first: DateTime<Utc>,
    ended: DateTime<Utc>,
}

impl Times {
    /// Of a run that ended well.
    fn of(output: &Output, steps: usize) -> Self {
        assert!(output.status.success(), "the run failed");
        let run: Value = serde_json::from_slice(&output.stdout).unwrap();
        let of_steps = |key: &str| -> Vec<DateTime<Utc>> {
            let steps = run["steps"].as_array().unwrap().iter();
            steps
                .map(|step| step[key].as_str().unwrap().parse().unwrap())
                .collect()
        };
        let begun = of_steps("started_at");
        assert_eq!(begun.len(), steps);
        Self {
            first: *begun.iter().min().unwrap(),
            ended: *of_steps("completed_at").iter().max().unwrap(),
            begun,
        }
    }
}

fn since(time: TimeDelta) -> Duration {
    time.to_std().unwrap_or_default()
}

/// One page appended and synced, as a commit does at least.
fn fsync(dir: &Path) -> Duration {
    let mut file = File::create(dir.join("yardstick")).unwrap();
    let mut syncs: Vec<Duration> = (0..SYNCS)
        .map(|_| {
            let began = Instant::now();
            file.write_all(&[7; 4096]).unwrap();
            file.sync_data().unwrap();
            began.elapsed()
        })
        .collect();
    syncs.sort_unstable();
    syncs[SYNCS / 2]
}
