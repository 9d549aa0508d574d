//! One real run of every command, in one project: before a server, beside it, and after it. What each
//! prints is compared with `snapshots/story.txt`, without ids, times and sizes; after a change that is
//! meant, `UPDATE_SNAPSHOTS=1` writes that file anew.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;
use uuid::Uuid;

use super::client::Serving;
use super::through::plain;
use crate::model_server::text;
use crate::providers::answering;
use crate::schemas;
use crate::support::{Finished, Project};

const FLOW: &str = "
version: 1
name: flow
agents:
  worker: { provider: scripted, model: script.yaml, tools: [files] }
steps:
  - { id: first, agent: worker, prompt: Say one., artifacts: [projects/one] }
  - { id: second, agent: worker, needs: first, prompt: Say two. }
";

const ASKS: &str = "
version: 1
name: asks
agents:
  asker: { provider: scripted, model: script.yaml }
steps:
  - { id: second, agent: asker, prompt: Say two., approval: Go on? }
";

const SCRIPT: &str = "
version: 1
steps:
  first:
    - tool_calls: [{ name: write_file, arguments: { path: projects/one, content: '1' } }]
    - text: one
  second: [{ text: two }]
  task:
    - tool_calls: [{ name: write_file, arguments: { path: projects/poem.txt, content: bees } }]
    - text: Done.
";

/// What the words in braces stand for: the command that tells it, and where in its JSON it is.
const NEWEST: [(&str, &str, &str); 4] = [
    ("{run}", "run list --json", "/runs/0/id"),
    ("{question}", "inbox --json", "/items/0/id"),
    ("{message}", "message list --json", "/messages/0/id"),
    ("{task}", "task list --json", "/tasks/0/id"),
];

/// Before there is a server.
const BEFORE: &[&str] = &[
    "init new",
    "completions fish",
    "man pages",
    "schema artifact get",
    "tool list -o name",
    "mcp tools --only inbox",
    "tool call write_file --workspace shop --input '{\"path\":\"a\",\"content\":\"b\"}'",
    "workflow validate flow.yaml",
    "run flow.yaml",
    "run list",
    "run show",
    "run watch",
    "artifact get 6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b one",
    "run export {run} run.tar.zst",
    "run import run.tar.zst",
    "config show",
    "config get FUSION_MASTER_KEY_FILE",
    "config set FUSION_MAX_HOPS 8",
    "config unset FUSION_MAX_HOPS",
    "db status",
    "db backup monday.db",
    "provider add mine --type openai-compatible --base-url {url} --key-env MINE_KEY",
    "provider list",
    "provider test mine --model tiny",
    "provider models mine",
    "provider quota mine",
    "provider detect",
];

/// What a server does, or is looked at beside it.
const BESIDE: &[&str] = &[
    "health",
    "version",
    "info",
    "provider show mine",
    "provider disable mine",
    "provider enable mine",
    "provider remove mine",
    "project create shop --budget 5 --budget-tokens-per-day 99999",
    "project list",
    "project get shop",
    "project update shop --budget none --description bees",
    "budget set shop 20 --per day",
    "budget list",
    "budget clear shop --per day",
    "project create web",
    "project archive web",
    "project list --archived",
    "project unarchive web",
    "project delete web",
    "capability create writing --category text",
    "capability list",
    "capability get writing",
    "token create ci --scope read --expires 1d",
    "token list",
    "token revoke ci",
    "dashboard",
    "workflow create flow.yaml --project shop",
    "workflow create asks.yaml",
    "workflow list",
    "workflow get asks",
    "workflow versions asks",
    "workflow diff asks 1",
    "workflow export asks",
    "workflow delete asks",
    "workflow graph flow",
    "workflow start flow",
    "schedule create yearly --workflow flow --cron '0 3 1 1 *' --timezone Europe/Berlin",
    "schedule list",
    "schedule get yearly",
    "schedule pause yearly",
    "schedule resume yearly",
    "schedule delete yearly",
    "webhook add https://hooks.example/x --name ops --event task.* --severity error+",
    "webhook list",
    "webhook get ops",
    "webhook deliveries ops",
    "webhook disable ops",
    "webhook enable ops",
    "webhook rotate ops",
    "webhook remove ops",
    "run retry {run} --from second",
    "run fork {run} --from second",
    "agent spawn --name w --provider scripted --model script.yaml --tools files --capabilities writing",
    "agent list",
    "agent get w",
    "agent pause w",
    "agent resume w",
    "agent restart w",
    "agent terminate w --workspace remove --dry-run",
    "agent update w --max-turns 7",
    "agent send w Write. --wait",
    "agent logs w",
    "agent attach w --limit 1",
    "metrics agent w",
    "metrics cost --by model",
    "metrics top --per model",
    "workspace list",
    "workspace path w",
    "workspace files w projects",
    "workspace read w projects/poem.txt",
    "workspace export w projects --to out.tar",
    "task create Write a poem. --name poem --capabilities writing --wait",
    "task list --state completed --limit 1",
    "task get poem",
    "task deps poem",
    "task wait {task}",
    "task logs {task}",
    "task create Wait. --name late --capabilities writing --in 1d",
    "task update {task} --priority 3",
    "task cancel {task}",
    "task retry {task}",
    "agent terminate w",
    "message list",
    "message show {message}",
    "message tail",
    "events tail --type record.changed --limit 2",
    "events list --type record.changed --limit 2",
    "events get 1",
    "workspace gc --dry-run",
    "workspace discard w --yes",
    "events replay --to http://127.0.0.1:9/ --dry-run --type no.such",
    "export events --type no.such --format csv",
    "events export --type no.such --format csv",
    "capability delete writing",
    "node list",
];

/// While a run asks a person, each for a run of its own.
const ASKING: [&[&str]; 5] = [
    &[
        "inbox",
        "message send --to asker hello",
        "run pause {run}",
        "approve {question}",
        "run resume {run}",
    ],
    &["run pause {run}", "approve {question}", "resume {run}"],
    &["reject {question} --reason Later."],
    &["run cancel {run}"],
    &["workflow cancel asks"],
];

/// What only the owner of the data directory does: there is no server any more.
const AFTER: &[&str] = &[
    "db migrate",
    "db vacuum",
    "db rekey",
    "db restore monday.db --replace",
    "run delete {run} --yes",
];

/// Commands that another test runs: the file, and the function in it that says the words.
const ELSEWHERE: [(&str, &str, &str); 18] = [
    // It serves a client.
    (
        "mcp serve",
        "mcp.rs",
        "a_client_lists_the_tools_runs_a_workflow_and_reads_what_came_of_it",
    ),
    // It asks a receiver.
    (
        "webhook test",
        "webhooks.rs",
        "a_redirect_is_not_followed_and_a_private_address_must_be_allowed",
    ),
    (
        "webhook resend",
        "webhooks/resent.rs",
        "what_was_taken_is_sent_again_without_a_server_and_moves_nothing",
    ),
    (
        "project use",
        "settings.rs",
        "the_project_that_is_used_is_kept_in_the_users_file_and_counts_least",
    ),
    // It measures.
    (
        "bench",
        "bench.rs",
        "a_model_is_asked_over_http_where_one_is_named",
    ),
    // A message must expire first.
    (
        "message resend",
        "messages.rs",
        "a_message_that_nobody_reads_becomes_a_dead_letter",
    ),
    // Nodes share a PostgreSQL.
    (
        "node drain",
        "nodes.rs",
        "a_drained_server_gives_its_runs_back_and_takes_no_more",
    ),
    (
        "node get",
        "nodes.rs",
        "a_drained_server_gives_its_runs_back_and_takes_no_more",
    ),
    // As the kernel allows.
    (
        "sandbox run",
        "isolation.rs",
        "without_a_sandbox_everything_says_so",
    ),
    (
        "verify",
        "isolation.rs",
        "without_a_sandbox_everything_says_so",
    ),
    // This story is beside one.
    (
        "serve",
        "api/sign_in.rs",
        "serve_shows_a_link_to_a_person_and_to_nobody_else",
    ),
    (
        "down",
        "background.rs",
        "a_server_in_the_background_is_ready_when_it_is_told_and_goes_on_until_down",
    ),
    // In a repository.
    (
        "workspace diff",
        "worktrees.rs",
        "the_work_on_a_worktree_can_be_fetched_and_the_repository_is_only_read",
    ),
    (
        "workspace merge",
        "merges.rs",
        "a_server_of_this_machine_tells_what_to_merge_and_one_elsewhere_how_it_is_done_by_hand",
    ),
    (
        "workspace commit",
        "discards.rs",
        "what_lies_uncommitted_is_taken_in_while_the_agent_rests",
    ),
    // On a terminal.
    ("top", "top.rs", "open_top"),
    (
        "config edit",
        "setting_files.rs",
        "what_is_edited_is_put_in_force_only_when_it_is_right",
    ),
    (
        "workspace open",
        "discards.rs",
        "a_workspace_opens_in_the_editor_of_a_person_on_a_terminal_only",
    ),
];

/// What differs from machine to machine: only how it ended is compared.
const OF_THE_MACHINE: [&str; 10] = [
    "dashboard",
    "db status",
    "db vacuum",
    "events get",
    "info",
    "provider detect",
    "provider quota",
    "provider test",
    "version",
    "workspace list",
];

/// Lines of an answer that are compared.
const LINES: usize = 24;

/// The project, and what was said in it.
struct Story {
    project: Project,
    /// Where the model server is.
    url: String,
    told: String,
    /// The commands that ended well.
    done: BTreeSet<String>,
}

impl Story {
    async fn go(&mut self, lines: &[&str]) {
        for line in lines {
            let typed = self.meant(line).await;
            let arguments: Vec<OsString> = typed.into_iter().map(OsString::from).collect();
            let words = schemas::words(&arguments).unwrap_or_else(|| panic!("{line}"));
            let done = self.project.run(&arguments).await;
            self.tell(line, &words, &done);
            assert_eq!(done.code, Some(0), "{line}: {done:?}");
            self.done.insert(words);
        }
    }

    /// The words of a line, each name in braces replaced by what it stands for.
    async fn meant(&self, line: &str) -> Vec<String> {
        let mut line = line.replace("{url}", &self.url);
        for (name, command, pointer) in NEWEST {
            if line.contains(name) {
                let told = self.project.run(command.split(' ')).await.expect(0).json();
                let id = told.pointer(pointer).and_then(Value::as_str);
                line = line.replace(name, id.unwrap_or_else(|| panic!("{line}: {told}")));
            }
        }
        shlex::split(&line).unwrap()
    }

    fn tell(&mut self, line: &str, words: &str, done: &Finished) {
        let text = if OF_THE_MACHINE.contains(&words) {
            "(as the machine is)\n".to_owned()
        } else {
            self.shown(&done.stdout)
        };
        self.told
            .push_str(&format!("$ fusion-kit {line}\n{text}\n"));
    }

    /// The first lines, without what differs from one time to the next.
    fn shown(&self, stdout: &str) -> String {
        let folder = self.project.path().to_str().unwrap();
        // Only as root an agent has a user of its own.
        let mut lines = stdout.lines().filter(|line| !line.starts_with("user id"));
        let mut text = String::new();
        for line in lines.by_ref().take(LINES) {
            let line = plain(&line.replace(&self.url, "URL"), folder);
            let words: Vec<String> = line.split_whitespace().map(word).collect();
            let margin = line.len() - line.trim_start().len();
            text.push_str(&format!("{:margin$}{}\n", "", words.join(" ")));
        }
        let left = lines.count();
        if left > 0 {
            text.push_str("(and so on)\n");
        }
        text
    }

    /// Begins a run that asks a person, and waits until it does.
    async fn ask(&self, serving: &Serving) {
        super::start(serving, &self.project, "asks.yaml").await;
        let asks = |inbox: &Value| inbox["items"].as_array().is_some_and(|all| !all.is_empty());
        serving.until("/api/v1/inbox", asks).await;
    }
}

/// A word, where it is a secret, a part of an id, or a number that differs with the machine, in its place
/// what it is.
fn word(word: &str) -> String {
    let core = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let is_number = core.len() > 1
        && core
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b',' || byte == b'.');
    let is_hex = |text: &str, length| {
        text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let ends_in_id = word
        .rsplit_once('@')
        .is_some_and(|(_, end)| is_hex(end, 12));
    let has_id = word.split('.').any(|part| Uuid::try_parse(part).is_ok());
    if word.starts_with("fk_") {
        "TOKEN".to_owned()
    } else if word.starts_with("whsec_") {
        "SECRET".to_owned()
    } else if ends_in_id {
        "NAME@ID".to_owned()
    } else if has_id {
        "TOPIC".to_owned()
    } else if is_hex(word, 16) {
        "KEY".to_owned()
    } else if word.ends_with('…') {
        "CUT…".to_owned()
    } else if is_number {
        word.replace(core, "N")
    } else {
        word.to_owned()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the way to ask for a new snapshot is an environment variable"
)]
fn check_snapshot(told: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/snapshots/story.txt");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, told).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(told, expected);
}

#[tokio::test]
async fn every_command_says_what_it_said_before() {
    let (_model, url) = answering([text("Hello.")]).await;
    let mut project = Project::with(FLOW, SCRIPT);
    project.write("asks.yaml", ASKS);
    fs::create_dir(project.path().join("shop")).unwrap();
    let key = project.path().join("master.key").display().to_string();
    project.set("FUSION_MASTER_KEY_FILE", key);
    project.set("MINE_KEY", "canary-4711");
    let mut story = Story {
        project,
        url,
        told: String::new(),
        done: BTreeSet::new(),
    };
    story.go(BEFORE).await;
    let serving = Serving::on(&story.project).await;
    story.go(BESIDE).await;
    for lines in ASKING {
        story.ask(&serving).await;
        story.go(lines).await;
        serving
            .until("/api/v1/inbox", |inbox| {
                inbox["items"] == Value::Array(Vec::new())
            })
            .await;
    }
    serving.stop(Signal::TERM).await.expect(0);
    story.go(AFTER).await;
    let run = story.done.iter().map(String::as_str);
    let run: BTreeSet<&str> = run.chain(ELSEWHERE.map(|(words, _, _)| words)).collect();
    let all = fusion_cli::command_lines();
    let all: BTreeSet<&str> = all.iter().map(String::as_str).collect();
    assert_eq!(run, all, "each command is run here once, or elsewhere");
    check_snapshot(&story.told);
}

#[test]
fn the_tests_that_run_the_other_commands_do_so() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    for (words, file, test) in ELSEWHERE {
        let text = fs::read_to_string(tests.join(file)).unwrap();
        let (_, text) = text
            .split_once(&format!("async fn {test}("))
            .unwrap_or_else(|| panic!("{file} has no {test}"));
        let (body, _) = text.split_once("\n}\n").unwrap();
        let said = format!("\"{}\"", words.replace(' ', "\", \""));
        assert!(body.contains(&said), "{test} does not run '{words}'");
    }
}
