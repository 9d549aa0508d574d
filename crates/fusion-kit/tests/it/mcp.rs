//! `mcp serve` as a client sees it: messages of the Model Context Protocol over its stdin and stdout.

use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::time::timeout;

use crate::support::{Project, breathe, said};

const LIMIT: Duration = Duration::from_secs(60);

/// A client and the server that it began.
struct Client {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    asked: u64,
}

impl Client {
    /// Begins a server and greets it.
    async fn of(project: &Project, call: &[&str]) -> Self {
        let mut command = project.fusion_kit(call).into_command();
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut client = Self {
            child,
            stdin,
            lines: BufReader::new(stdout).lines(),
            asked: 0,
        };
        let greeting = json!({
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": { "name": "test", "version": "1" },
        });
        let greeted = client.ask("initialize", greeting).await;
        assert_eq!(
            greeted["result"]["serverInfo"]["name"], "fusion-kit",
            "{greeted}"
        );
        client.tell("notifications/initialized", json!({})).await;
        client
    }

    async fn write(&mut self, message: &Value) {
        let line = format!("{message}\n");
        self.stdin.write_all(line.as_bytes()).await.unwrap();
    }

    async fn tell(&mut self, method: &str, params: Value) {
        let message = json!({ "jsonrpc": "2.0", "method": method, "params": params });
        self.write(&message).await;
    }

    /// Sends a request; gives its number.
    async fn begin(&mut self, method: &str, params: Value) -> u64 {
        self.asked += 1;
        let id = self.asked;
        let message = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        self.write(&message).await;
        id
    }

    async fn answer(&mut self) -> Value {
        let line = timeout(LIMIT, self.lines.next_line()).await;
        let line = line.expect("an answer in time").unwrap();
        serde_json::from_str(&line.expect("an answer")).unwrap()
    }

    async fn ask(&mut self, method: &str, params: Value) -> Value {
        let id = self.begin(method, params).await;
        let answer = self.answer().await;
        assert_eq!(answer["id"], id, "{answer}");
        answer
    }

    /// Calls a tool; gives its result.
    async fn call(&mut self, name: &str, arguments: Value) -> Value {
        let params = json!({ "name": name, "arguments": arguments });
        self.ask("tools/call", params).await["result"].clone()
    }

    /// Closes stdin and waits for the end.
    async fn leave(self) -> Option<i32> {
        let Self {
            mut child, stdin, ..
        } = self;
        drop(stdin);
        timeout(LIMIT, child.wait()).await.unwrap().unwrap().code()
    }
}

fn text(result: &Value) -> &str {
    result["content"][0]["text"].as_str().unwrap()
}

#[tokio::test]
async fn a_client_lists_the_tools_runs_a_workflow_and_reads_what_came_of_it() {
    let project = Project::of_examples();
    let mut client = Client::of(&project, &["mcp", "serve"]).await;
    let tools = client.ask("tools/list", json!({})).await;
    let tools = tools["result"]["tools"].as_array().unwrap();
    let listed = said(&project, "mcp tools --json").await.expect(0).json();
    let names =
        |tools: &[Value]| -> Vec<Value> { tools.iter().map(|t| t["name"].clone()).collect() };
    assert_eq!(names(tools), names(listed["tools"].as_array().unwrap()));
    let run = tools.iter().find(|tool| tool["name"] == "run").unwrap();
    assert_eq!(run["annotations"]["readOnlyHint"], false);
    assert_eq!(run["inputSchema"]["required"], json!(["file"]));

    let ran = client
        .call(
            "run",
            json!({ "file": "hello.yaml", "input": ["name=Ada"] }),
        )
        .await;
    assert_eq!(ran["isError"], false, "{ran}");
    let shown = said(&project, "run show --json").await.expect(0).json();
    assert_eq!(ran["structuredContent"]["id"], shown["id"]);
    let id = shown["id"].as_str().unwrap();
    let state = client
        .call("run_show", json!({ "run": id, "jq": ".state" }))
        .await;
    assert_eq!(text(&state), "completed");
    assert_eq!(client.leave().await, Some(0));
}

#[tokio::test]
async fn what_goes_wrong_is_told_to_the_model_and_the_next_call_is_answered() {
    let project = Project::new();
    let mut client = Client::of(&project, &["mcp", "serve", "--scope", "read"]).await;
    let params = json!({ "name": "agent_spawn", "arguments": { "name": "a" } });
    let unknown = client.ask("tools/call", params).await;
    assert_eq!(
        unknown["error"]["message"],
        "there is no tool 'agent_spawn'"
    );
    let wrong = client.call("agent_get", json!({ "name": "a" })).await;
    assert_eq!(wrong["isError"], true);
    assert_eq!(text(&wrong), "there is no 'name'; it takes: agent, jq");
    let missing = client.call("agent_get", json!({ "agent": "nobody" })).await;
    assert_eq!(missing["isError"], true);
    let problem: Value = serde_json::from_str(text(&missing)).unwrap();
    assert_eq!(problem["kind"], "not_found", "{problem}");
    assert_eq!(missing["content"][1]["text"], "exit code 3");
    let list = client.call("agent_list", json!({})).await;
    assert_eq!(list["structuredContent"]["agents"], json!([]), "{list}");
    assert_eq!(client.leave().await, Some(0));
}

/// A project with a task that nobody does, and its id.
async fn waiting() -> (Project, String) {
    let project = Project::new();
    let created = said(
        &project,
        "task create --capabilities nobody-can --json wait",
    )
    .await;
    let id = created.expect(0).json()["id"].as_str().unwrap().to_owned();
    (project, id)
}

fn waits(project: &Project) -> bool {
    project
        .processes()
        .iter()
        .any(|process| process.contains("wait"))
}

#[tokio::test]
async fn a_call_that_the_client_gives_up_is_interrupted() {
    let (project, id) = waiting().await;
    let mut client = Client::of(&project, &["mcp", "serve", "--only", "task"]).await;
    let params = json!({ "name": "task_wait", "arguments": { "tasks": [id] } });
    let call = client.begin("tools/call", params).await;
    until(|| waits(&project), "the command waits").await;
    client
        .tell("notifications/cancelled", json!({ "requestId": call }))
        .await;
    until(|| !waits(&project), "the command has ended").await;
    let list = client.call("task_list", json!({})).await;
    assert_eq!(list["structuredContent"]["tasks"][0]["id"], id, "{list}");
    assert_eq!(client.leave().await, Some(0));
}

#[tokio::test]
async fn no_command_outlives_the_server_however_that_ends() {
    for signal in [Signal::KILL, Signal::TERM] {
        let (project, id) = waiting().await;
        let mut client = Client::of(&project, &["mcp", "serve", "--only", "task"]).await;
        let params = json!({ "name": "task_wait", "arguments": { "tasks": [id] } });
        client.begin("tools/call", params).await;
        until(|| waits(&project), "the command waits").await;
        let pid = i32::try_from(client.child.id().unwrap()).unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), signal)
            .unwrap();
        until(|| project.processes().is_empty(), "nothing runs").await;
    }
}

async fn until(holds: impl Fn() -> bool, what: &str) {
    let began = Instant::now();
    while !holds() {
        breathe(began, what).await;
    }
}
