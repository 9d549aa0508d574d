//! kill -9 of a server whose agents have commands that do what they can to stay: when it is started
//! again, none of their processes is left and no command is begun again.
//!
//! A few kills in each run of the tests; `FUSION_STORM=full` makes it a hundred with fifty agents.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::api::client::Serving;
use crate::support::{Project, wait_for};

/// How long processes of a dead server may still be there after the next one is up.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long it may take until all agents have their commands, on a machine that is busy.
const SLOWEST: Duration = Duration::from_mins(10);

/// What a command writes when it begins, and then what it leaves: children that take no signal they
/// can refuse, each forked twice, in sessions of their own. It never ends by itself.
const STAYS: &str = r#"echo NUMBER >> projects/ledger
stay='trap "" TERM HUP INT; while :; do sleep 1000; done'
(setsid sh -c "$stay" &)
(setsid sh -c "(sh -c '$stay' &) ; $stay" >/dev/null 2>&1 </dev/null &)
trap "" TERM
while :; do sleep 1000; done"#;

/// Processes that work in the workspace of an agent whose command has left all that it leaves; it has
/// some more that not everybody can see.
const EACH: usize = 7;

struct Size {
    agents: usize,
    kills: usize,
}

impl Size {
    #[expect(
        clippy::disallowed_methods,
        reason = "whoever starts this test picks its size"
    )]
    fn wanted() -> Self {
        if std::env::var_os("FUSION_STORM").is_some_and(|size| size == "full") {
            Self {
                agents: 50,
                kills: 100,
            }
        } else {
            Self {
                agents: 6,
                kills: 4,
            }
        }
    }
}

/// Turn by turn a command that stays, each with a number of its own.
fn script(turns: usize) -> String {
    let turn = |number: usize| {
        let command = STAYS.replace("NUMBER", &number.to_string());
        let arguments = json!({ "command": command, "timeout_seconds": 1_000 });
        json!({ "tool_calls": [{ "name": "run_command", "arguments": arguments }] })
    };
    let turns: Vec<Value> = (1..=turns).map(turn).collect();
    // What is JSON is YAML.
    json!({ "version": 1, "steps": { "task": turns } }).to_string()
}

/// The numbers that the commands of each agent wrote down when they began.
fn ledgers(project: &Project) -> BTreeMap<String, Vec<usize>> {
    let workspaces = fs::read_dir(project.data_dir().join("workspaces")).unwrap();
    let of_agent = |path: PathBuf| {
        let text = fs::read_to_string(path.join("projects/ledger")).unwrap_or_default();
        let lines = text.lines().map(|line| line.parse().unwrap()).collect();
        (path.display().to_string(), lines)
    };
    workspaces
        .map(|entry| of_agent(entry.unwrap().path()))
        .collect()
}

/// A process, by its id and the time when it began: ids are used again.
type Process = (u32, String);

/// Everything that works in the project's workspaces, by where that is.
fn processes(project: &Project) -> BTreeMap<PathBuf, BTreeSet<Process>> {
    let workspaces = project.data_dir().join("workspaces");
    let mut found: BTreeMap<PathBuf, BTreeSet<Process>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let Ok(pid) = name.parse() else { continue };
        let Ok(place) = fs::read_link(path.join("cwd")) else {
            continue;
        };
        if place.starts_with(&workspaces)
            && let Some(began) = began(pid)
        {
            found.entry(place).or_default().insert((pid, began));
        }
    }
    found
}

/// When a process that lives began.
fn began(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    let is_dead = matches!(fields[0], "Z" | "X");
    (!is_dead).then(|| fields[19].to_owned())
}

fn left_of(old: &BTreeSet<Process>) -> BTreeSet<&Process> {
    let lives = |process: &&Process| began(process.0).as_ref() == Some(&process.1);
    old.iter().filter(lives).collect()
}

/// Waits until so many agents have a command with all that it leaves; says what runs then.
async fn at_work(project: &Project, wanted: usize) -> BTreeSet<Process> {
    let begun = Instant::now();
    loop {
        let found = processes(project);
        let is_whole = |of: &&BTreeSet<Process>| of.len() >= EACH;
        let there = found.values().filter(is_whole).count();
        if there >= wanted {
            return found.into_values().flatten().collect();
        }
        assert!(
            begun.elapsed() < SLOWEST,
            "{there} of {wanted} have their commands"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_kills_leaves_no_process_and_begins_no_command_twice() {
    let Size { agents, kills } = Size::wanted();
    let mut project = Project::with("", &script(kills + 1));
    project.set("FUSION_AGENTS_AT_ONCE", "100");
    // Healthy steps are under way in servers that die, again and again.
    project.set("FUSION_MOST_LOSSES", "1000000");
    let spawn = "agent spawn --name w --provider scripted --model script.yaml --tools shell";
    let (turns, count) = ((kills + 2).to_string(), agents.to_string());
    let line = spawn.split_whitespace();
    let line = line.chain(["--max-turns", &turns, "--count", &count]);
    project.run(line).await.expect(0);
    for number in 1..=agents {
        let name = format!("w-{number}");
        project.run(["agent", "send", &name, "Go."]).await.expect(0);
    }
    let mut serving = Serving::on(&project).await;
    let (mut slowest, mut most) = (Duration::ZERO, 0);
    for kill in 0..kills {
        // Every other time some are still on their way to their commands.
        let wanted = if kill % 2 == 0 {
            agents
        } else {
            agents.div_ceil(2)
        };
        let old = at_work(&project, wanted).await;
        most = most.max(old.len());
        serving.stop(Signal::KILL).await;
        serving = Serving::on(&project).await;
        let up = Instant::now();
        wait_for("the old processes to be gone", || {
            left_of(&old).is_empty().then_some(())
        })
        .await;
        slowest = slowest.max(up.elapsed());
    }
    println!(
        "{kills} kills, {agents} agents, {most} processes at most, the last gone {slowest:?} after the restart"
    );
    assert!(slowest < PATIENCE, "{slowest:?}");
    at_work(&project, agents).await;
    serving.stop(Signal::TERM).await.expect(0);
    project.run(["agent", "terminate", "--all"]).await.expect(0);
    assert_eq!(processes(&project), BTreeMap::new());
    let mut begun = 0;
    for (agent, lines) in ledgers(&project) {
        assert!(
            lines.is_sorted_by(|one, next| one < next),
            "{agent}: {lines:?}"
        );
        begun += lines.len();
    }
    // As many as there were commands to kill, and one each at the end.
    assert!(
        begun >= agents * (kills / 2 + 1),
        "{begun} commands were begun"
    );
}
