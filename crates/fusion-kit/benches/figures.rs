//! The figures of docs/benchmarks.md: `cargo bench -p fusion-kit --bench figures`.
//!
//! Each figure stands beside a yardstick measured in the same run, because machines differ and
//! are noisy: a bare process start, a bare fsync. Nothing is asserted.

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

use std::fs::{self, File, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::Value;
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_fusion-kit");

/// Repeats of each whole-process figure.
const ROUNDS: usize = 21;

/// Turns of the long step; each has one tool call beside it.
const TURNS: usize = 150;

fn main() {
    println!(
        "medians; {ROUNDS} rounds of whole processes, {TURNS} turns for the journalled step\n"
    );
    println!(
        "{:<44} {:>10} {:>12} {:>7}",
        "figure", "ours", "yardstick", "ratio"
    );
    let bare = median(
        (0..ROUNDS)
            .map(|_| time(&mut Command::new("/bin/true")))
            .collect(),
    );
    let help = median(
        (0..ROUNDS)
            .map(|_| time(Command::new(BINARY).arg("--help")))
            .collect(),
    );
    row("--help / start of a bare process", help, bare);
    let first = median((0..ROUNDS).map(|_| first_call()).collect());
    row("start to first model call / bare process", first, bare);
    let (step, fsync) = journalled_step();
    row("one journalled step / one bare fsync", step, fsync);
    println!(
        "{:<44} {:>7.1} MiB",
        "peak memory of the example",
        example_memory()
    );
}

fn row(what: &str, ours: Duration, yardstick: Duration) {
    let ratio = ours.as_secs_f64() / yardstick.as_secs_f64();
    println!(
        "{what:<44} {:>7.3} ms {:>9.3} ms {ratio:>7.2}",
        millis(ours),
        millis(yardstick)
    );
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn time(command: &mut Command) -> Duration {
    let began = Instant::now();
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    began.elapsed()
}

/// A folder that agents' own users can reach when this runs as root.
fn folder() -> TempDir {
    let dir = TempDir::new().unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o711)).unwrap();
    dir
}

/// From the start of the process to the moment its first model call arrives at the server.
fn first_call() -> Duration {
    const FLOW: &str = "version: 1\nname: one\nagents:\n  a: { provider: openai-compatible, model: m }\n\
                        steps:\n  - { id: s, agent: a, prompt: Hello }\n";
    let dir = folder();
    fs::write(dir.path().join("flow.yaml"), FLOW).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let (arrived, arrival) = channel();
    std::thread::spawn(move || serve(&listener, &arrived));
    let began = Instant::now();
    let mut child = Command::new(BINARY)
        .args(["run", "flow.yaml", "--quiet"])
        .current_dir(dir.path())
        .env("FUSION_BASE_URL", url)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let first = arrival.recv().unwrap() - began;
    assert!(child.wait().unwrap().success());
    first
}

/// A chat-completions server that answers every call alike.
fn serve(listener: &TcpListener, arrived: &Sender<Instant>) {
    for connection in listener.incoming() {
        let (connection, arrived) = (connection.unwrap(), arrived.clone());
        std::thread::spawn(move || while answer(&connection, &arrived).is_some() {});
    }
}

fn answer(connection: &TcpStream, arrived: &Sender<Instant>) -> Option<()> {
    let mut reader = BufReader::new(connection);
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let is_call = line.starts_with("POST");
    if is_call {
        arrived.send(Instant::now()).ok();
    }
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        if let Some(value) = header.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if header.trim().is_empty() {
            break;
        }
    }
    reader.read_exact(&mut vec![0; length]).ok()?;
    let body = if is_call {
        r#"{"id":"1","model":"m","choices":[{"message":{"role":"assistant","content":"Hi."},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":2}}"#
    } else {
        r#"{"data":[{"id":"m"}]}"#
    };
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    (&*connection)
        .write_all(format!("{head}{body}").as_bytes())
        .ok()
}

/// The time from one journal entry to the next in a long step, and one fsync on the same disk.
fn journalled_step() -> (Duration, Duration) {
    let dir = folder();
    fs::write(
        dir.path().join("flow.yaml"),
        "version: 1\nname: long\nagents:\n  a: { provider: scripted, model: script.yaml, tools: [files], max_turns: 200 }\n\
         steps:\n  - { id: s, agent: a, prompt: Go }\n",
    )
    .unwrap();
    let turn = "    - tool_calls: [ { name: list_files, arguments: {} } ]\n".repeat(TURNS);
    fs::write(
        dir.path().join("script.yaml"),
        format!("version: 1\nsteps:\n  s:\n{turn}    - text: Done.\n"),
    )
    .unwrap();
    let run = |arguments: &[&str]| {
        Command::new(BINARY)
            .args(arguments)
            .current_dir(dir.path())
            .stderr(Stdio::null())
            .output()
            .unwrap()
    };
    assert!(run(&["run", "flow.yaml", "--quiet"]).status.success());
    let shown: Value = serde_json::from_slice(&run(&["run", "show", "--json"]).stdout).unwrap();
    let begun: Vec<DateTime<Utc>> = shown["steps"][0]["journal"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["started_at"].as_str().unwrap().parse().unwrap())
        .collect();
    let steps = begun
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).to_std().unwrap())
        .collect();
    (median(steps), fsync(dir.path()))
}

/// One page appended and synced, as a commit does at least.
fn fsync(dir: &Path) -> Duration {
    let mut file = File::create(dir.join("yardstick")).unwrap();
    let syncs = (0..2 * TURNS).map(|_| {
        let began = Instant::now();
        file.write_all(&[7; 4096]).unwrap();
        file.sync_data().unwrap();
        began.elapsed()
    });
    median(syncs.collect())
}

/// The most memory that the main example ever had resident, in MiB.
fn example_memory() -> f64 {
    let dir = folder();
    let example =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/plan-implement-review.yaml");
    let mut child = Command::new(BINARY)
        .arg("run")
        .arg(example)
        .arg("--quiet")
        .current_dir(dir.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0.0_f64;
    while child.try_wait().unwrap().is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib: Option<f64> =
            line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        peak = peak.max(kib.unwrap_or_default() / 1_024.0);
        std::thread::sleep(Duration::from_millis(5));
    }
    peak
}
