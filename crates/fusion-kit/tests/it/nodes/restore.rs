//! Servers with workspaces of their own: what becomes of the workspaces of one that dies.

mod bucket;

use std::fs;
use std::path::{Path, PathBuf};

use fusion_core::EventType;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::cluster::{Cluster, script, source};
use crate::api::client::Serving;
use crate::crash::die_at;
use crate::support::wait_for;

/// Two tools that write, and turns that take long enough to die in.
const WRITES: &str = "
    - tool_calls: [{ name: write_file, arguments: { path: projects/a, content: first } }]
    - tool_calls: [{ name: edit_file, arguments: { path: projects/a, old_text: first, new_text: second } }]
    - tool_calls: [{ name: write_file, arguments: { path: projects/b, content: last } }]
    - text: done
";

/// One step, whose result is looked at.
const CHECKED: &str = "  - { id: s0, agent: a, prompt: x, verify: ['test $(cat projects/a) = second', 'test $(cat projects/b) = last'] }\n";

/// The folders of servers that share a database and no disk.
struct Machines {
    cluster: Cluster,
}

impl Machines {
    async fn start() -> Self {
        Self {
            cluster: Cluster::start().await,
        }
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.cluster.project().path().join(name)
    }

    fn share(&mut self) {
        let shared = self.folder("shared").display().to_string();
        self.cluster.set("FUSION_SHARED_DIR", &shared);
    }

    /// A server that keeps its workspaces where no other looks.
    async fn node(&mut self, name: &str) -> Serving {
        let root = self.folder(&format!("workspaces-{name}"));
        self.cluster
            .set("WORKSPACES_ROOT", &root.display().to_string());
        self.cluster.node(name).await
    }

    /// Its machine is gone, with all that it had.
    async fn lose(&self, node: Serving) {
        let name = node.name().to_owned();
        node.stop(Signal::KILL).await;
        self.lose_disk(&name);
    }

    fn lose_disk(&self, name: &str) {
        for folder in [format!("workspaces-{name}"), name.to_owned()] {
            fs::remove_dir_all(self.folder(&folder)).unwrap();
        }
    }

    /// A run of these steps whose agent has files and the shell, begun on a node.
    async fn begin(&self, node: &Serving, steps: &str, answers: &str) -> String {
        let flow = self
            .cluster
            .store_with(node, "[files, shell]", steps, answers);
        let flow = flow.await;
        self.cluster.begin(node, &flow, 1).await.remove(0)
    }

    /// Waits until a step is at this turn.
    async fn until_turn(&self, node: &Serving, run: &str, turn: u32) {
        let wanted = json!(format!("turn {turn}"));
        let is_there = |run: &Value| run["steps"][0]["activity"] == wanted;
        let path = format!("/api/v1/runs/{run}");
        self.cluster
            .until(node, &path, "it is at its turn", is_there)
            .await;
    }

    async fn ended(&self, node: &Serving, run: &str) -> Value {
        let ended = self.cluster.end_of(node, run).await;
        ended.expect("the run has ended")
    }

    /// What was told of workspaces that were lost.
    async fn told(&self) -> Vec<Value> {
        let events = self.cluster.events(EventType::AgentRecovered).await;
        events
            .into_iter()
            .map(|event| event.data["how"].clone())
            // That its agent is idle again is told under the same name.
            .filter(|how| !how.is_null())
            .collect()
    }
}

/// What is in a file of the agent's folder for results, where the run says that it is.
fn read(run: &Value, name: &str) -> String {
    let workspace = Path::new(run["agents"][0]["workspace_path"].as_str().unwrap());
    fs::read_to_string(workspace.join("projects").join(name)).unwrap()
}

fn names(run: &Value) -> Vec<&str> {
    let journal = run["steps"][0]["journal"].as_array().unwrap().iter();
    let tools = journal.filter(|entry| entry["kind"] == "tool");
    tools.map(|entry| entry["name"].as_str().unwrap()).collect()
}

/// Answers, each of which takes so long, after a command that writes into the ledger.
fn after_a_command(machines: &Machines, delay: &str) -> String {
    let ledger = machines.folder("ledger").display().to_string();
    let command = json!(format!(
        "echo begin ${{PWD##*/}} s0 >> {ledger}; echo made > projects/made"
    ));
    format!(
        "  s0:\n    - tool_calls: [{{ name: run_command, arguments: {{ command: {command} }} }}]{WRITES}delay: {delay}\n"
    )
}

fn writes(delay: &str) -> String {
    format!("  s0:{WRITES}delay: {delay}\n")
}

#[tokio::test]
async fn a_workspace_of_a_dead_node_is_restored_on_another_and_nothing_is_repeated() {
    let mut machines = Machines::start().await;
    machines.share();
    let one = machines.node("one").await;
    let answers = after_a_command(&machines, "2s");
    let run = machines.begin(&one, CHECKED, &answers).await;
    // It ran a command, wrote a file and edited it, and is about to write another.
    machines.until_turn(&one, &run, 4).await;
    machines.lose(one).await;
    let two = machines.node("two").await;
    let ended = machines.ended(&two, &run).await;
    assert_eq!(ended["state"], "completed", "{ended:#}");
    let ledger = machines.cluster.ledger();
    assert_eq!((ledger.beginnings(), ledger.repeated()), (1, vec![]));
    let tools = ["run_command", "write_file", "edit_file", "write_file"];
    assert_eq!(names(&ended), tools, "none was done twice");
    let found = ["a", "b", "made"].map(|name| read(&ended, name));
    assert_eq!(found, ["second", "last", "made\n"]);
    let recovered = &ended["steps"][0]["recovered"];
    assert_eq!([&recovered["how"], &recovered["node"]], ["restored", "two"]);
    assert_eq!(machines.told().await, ["restored"]);
    let shown = ["run", "show", &run, "--data-dir", "two"];
    let shown = machines.cluster.project().run(shown).await.expect(0).stdout;
    assert!(shown.contains("restored on two at "), "{shown}");
    let left = machines.folder("shared/snapshots");
    wait_for("the snapshots to go with the run", || {
        (fs::read_dir(&left).unwrap().count() == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn without_a_shared_folder_a_step_that_wrote_only_files_begins_again() {
    let mut machines = Machines::start().await;
    let one = machines.node("one").await;
    let run = machines.begin(&one, CHECKED, &writes("2s")).await;
    machines.until_turn(&one, &run, 3).await;
    machines.lose(one).await;
    let two = machines.node("two").await;
    let ended = machines.ended(&two, &run).await;
    assert_eq!(ended["state"], "completed", "{ended:#}");
    assert_eq!(
        ["a", "b"].map(|name| read(&ended, name)),
        ["second", "last"]
    );
    let recovered = &ended["steps"][0]["recovered"];
    assert_eq!(
        [&recovered["how"], &recovered["node"], &recovered["detail"]],
        ["begun_again", "two", "no shared folder is configured"]
    );
    assert_eq!(machines.told().await, ["begun_again"]);
}

#[tokio::test]
async fn a_step_that_may_have_reached_more_than_its_workspace_fails_with_both_reasons() {
    let mut machines = Machines::start().await;
    let one = machines.node("one").await;
    let answers = after_a_command(&machines, "2s");
    let run = machines.begin(&one, CHECKED, &answers).await;
    machines.until_turn(&one, &run, 3).await;
    machines.lose(one).await;
    let two = machines.node("two").await;
    let ended = machines.ended(&two, &run).await;
    assert_eq!(ended["state"], "failed", "{ended:#}");
    let why = ended["steps"][0]["error"].as_str().unwrap();
    let reasons = "it was not restored: no shared folder is configured; the step does not begin again: \
                   entry 2 of its journal, run_command, may have reached more than its workspace";
    assert!(why.contains(reasons), "{why}");
    assert_eq!(machines.cluster.ledger().beginnings(), 1);
    assert_eq!(machines.told().await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_damaged_snapshot_is_refused_with_the_reason() {
    let mut machines = Machines::start().await;
    machines.share();
    let one = machines.node("one").await;
    let run = machines.begin(&one, CHECKED, &writes("2s")).await;
    machines.until_turn(&one, &run, 3).await;
    machines.lose(one).await;
    damage(&machines.folder("shared/snapshots"));
    let two = machines.node("two").await;
    let ended = machines.ended(&two, &run).await;
    assert_eq!(ended["state"], "completed", "{ended:#}");
    let recovered = &ended["steps"][0]["recovered"];
    assert_eq!(recovered["how"], "begun_again");
    let why = recovered["detail"].as_str().unwrap();
    assert!(why.contains("bytes were changed"), "{why}");
    assert_eq!(
        ["a", "b"].map(|name| read(&ended, name)),
        ["second", "last"]
    );
}

/// Changes the last byte of every file.
fn damage(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            damage(&path);
        } else {
            let mut bytes = fs::read(&path).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            fs::write(&path, bytes).unwrap();
        }
    }
}

/// Commands that die at each passing of a point, one after the other, each on a machine that is lost with
/// it; a server on another goes on with what they left.
async fn dies_at_each(point: &str, least: usize) {
    let mut machines = Machines::start().await;
    machines.share();
    let two = machines.node("two").await;
    let answers = after_a_command(&machines, "1ms");
    machines
        .cluster
        .project()
        .write("script.yaml", script(&answers));
    let flow = source("[files, shell]", "  - { id: s0, agent: a, prompt: x }\n");
    machines.cluster.project().write("flow.yaml", flow);
    let root = machines.folder("workspaces-dies").display().to_string();
    machines.cluster.set("WORKSPACES_ROOT", &root);
    let (mut restored, mut known, mut died) = (0, 0, true);
    for passing in 0..LIMIT {
        if !died {
            break;
        }
        let command = ["run", "flow.yaml", "--quiet", "--data-dir", "dies"];
        died = die_at(machines.cluster.project(), &command, point, passing)
            .await
            .is_some();
        machines.lose_disk("dies");
        let listed = two.get("/api/v1/runs?limit=500").await.expect(200).json();
        let runs = listed["runs"].as_array().unwrap();
        if runs.len() == known {
            // It died before there was a run.
            continue;
        }
        known = runs.len();
        let ended = machines.ended(&two, runs[0]["id"].as_str().unwrap()).await;
        let place = format!("{point}, passing {passing}: {ended:#}");
        assert_eq!(ended["state"], "completed", "{place}");
        let recovered = &ended["steps"][0]["recovered"];
        if recovered.is_null() {
            continue;
        }
        restored += usize::from(recovered["how"] == "restored");
        // An edit whose outcome was lost is undone and not repeated.
        let edited = if was_cut_off(&ended, "edit_file") {
            "first"
        } else {
            "second"
        };
        assert_eq!(
            [read(&ended, "a"), read(&ended, "b")],
            [edited, "last"],
            "{place}"
        );
    }
    let ledger = machines.cluster.ledger();
    assert_eq!(ledger.repeated(), Vec::<&str>::new());
    assert!(restored >= least, "only {restored} were restored");
}

fn was_cut_off(run: &Value, tool: &str) -> bool {
    let mut journal = run["steps"][0]["journal"].as_array().unwrap().iter();
    journal.any(|entry| entry["name"] == tool && entry["state"] == "unknown")
}

/// More passings than a run has.
const LIMIT: u32 = 200;

#[tokio::test]
async fn a_death_after_any_snapshot_leaves_a_workspace_as_the_journal_has_it() {
    dies_at_each("workspaces::snapshot_shared", 3).await;
}

#[tokio::test]
async fn a_death_after_any_effect_leaves_a_workspace_as_the_journal_has_it() {
    dies_at_each("agents::after_effect", 5).await;
}

#[tokio::test]
async fn a_death_after_any_commit_leaves_a_workspace_as_the_journal_has_it() {
    dies_at_each("persistence_sql::after_commit", 5).await;
}
