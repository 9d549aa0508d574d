//! The two streams: results on stdout, one JSON object with `--json`, everything else on stderr.

use std::fs::File;
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::Value;

use crate::api::client::Serving;
use crate::support::Project;

const FAILING: &str = "
version: 1
name: flow
agents: { a: { provider: scripted, model: script.yaml } }
steps: [{ id: work, agent: a, prompt: x }]
";

#[tokio::test]
async fn every_result_is_one_json_object_on_stdout() {
    let project = Project::of_examples();
    let script = "version: 1\nsteps: { work: [{ tool_calls: [{ name: x }] }] }\n";
    project.write("flow.yaml", FAILING);
    project.write("script.yaml", script);
    for (arguments, code) in [
        (&["run", "hello.yaml"][..], 0),
        (&["run", "flow.yaml"], 6),
        (&["run", "list"], 0),
        (&["run", "show"], 0),
        (&["workflow", "validate", "hello.yaml"], 0),
        (&["init", "new"], 0),
    ] {
        let ended = project
            .run([arguments, &["--json"]].concat())
            .await
            .expect(code);
        assert!(ended.json().is_object(), "{arguments:?}");
        assert!(ended.stdout.ends_with("}\n") && ended.stdout.matches('\n').count() == 1);
    }
}

#[tokio::test]
async fn a_problem_is_one_json_object_on_stderr_and_nothing_on_stdout() {
    let project = Project::of_examples();
    project.write("flow.yaml", "version: 1\nnaem: x\n");
    for (arguments, code, kind) in [
        (&["run", "nothing.yaml"][..], 2, "invalid_input"),
        (&["run", "flow.yaml"], 5, "invalid_input"),
        (&["run", "hello.yaml", "-i", "nmae=x"], 2, "invalid_input"),
        (&["run", "openrouter.yaml", "-i", "topic=x"], 4, "denied"),
        (&["run", "show"], 3, "not_found"),
        (&["resume"], 3, "not_found"),
        (&["init"], 5, "conflict"),
    ] {
        let ended = project
            .run([arguments, &["--json"]].concat())
            .await
            .expect(code);
        assert_eq!(ended.stdout, "", "{arguments:?}");
        let problem: Value = serde_json::from_str(&ended.stderr).unwrap();
        assert_eq!(problem["kind"], kind, "{arguments:?}");
    }
}

#[tokio::test]
async fn quiet_leaves_only_the_result() {
    let project = Project::of_examples();
    let ended = project.run(["run", "hello.yaml", "-q"]).await.expect(0);
    assert_eq!(ended.stderr, "");
    assert!(
        ended.stdout.starts_with("✓ hello completed"),
        "{}",
        ended.stdout
    );
}

#[tokio::test]
async fn a_reader_that_goes_away_is_no_fault() {
    let project = Project::of_examples();
    let mut command = project.fusion_kit(["run", "hello.yaml"]).into_command();
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().await.unwrap();
    let stderr = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(0), "{stderr}");
    assert!(
        !stderr.contains("panicked") && !stderr.contains("error"),
        "{stderr}"
    );
    // Nobody listens to the progress either: the run still comes to its end.
    let mut command = project.fusion_kit(["run", "hello.yaml"]).into_command();
    let mut child = command.spawn().unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(child.wait().await.unwrap().code(), Some(0));
    let list = project.run(["run", "list", "--json"]).await.json();
    let states: Vec<&Value> = list["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| &run["state"])
        .collect();
    assert_eq!(states, ["completed", "completed"]);
}

#[tokio::test]
async fn a_result_that_can_not_be_written_is_told() {
    let project = Project::of_examples();
    let mut command = project.fusion_kit(["run", "hello.yaml"]).into_command();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let child = command.stdout(Stdio::from(full)).spawn().unwrap();
    let ended = child.wait_with_output().await.unwrap();
    let stderr = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(10), "{stderr}");
    let said = "error: the result could not be written to stdout: No space left on device";
    assert!(stderr.contains(said), "{stderr}");
}

#[tokio::test]
async fn an_expression_of_jq_works_on_what_is_printed_with_and_without_a_server() {
    let project = Project::of_examples();
    let run = ["run", "hello.yaml", "--jq", ".outputs.name"];
    let ran = project.run(run).await.expect(0);
    assert_eq!(ran.stdout.lines().collect::<Vec<_>>(), ["world"]);
    let events = ["events", "tail", "--limit", "500", "--jq", ".event_type"];
    let alone = project.run(events).await.expect(0);
    assert!(
        alone.stdout.ends_with("workflow.completed\n"),
        "{}",
        alone.stdout
    );
    let refused = project
        .run(["run", "hello.yaml", "--jq", ".outputs["])
        .await
        .expect(2);
    refused.says(&["is not closed at character 9"]);
    let count = ["run", "list", "--jq", ".runs | length"];
    let serving = Serving::on(&project).await;
    let through = project.run(count).await.expect(0);
    assert_eq!(through.stdout, "1\n", "the refused one began no run");
    serving.stop(Signal::TERM).await.expect(0);
}

/// The commands that list something and want no further word, sorted.
fn lists() -> Vec<String> {
    let mut found = Vec::new();
    let mut waiting = vec![(fusion_cli::command(), Vec::new())];
    while let Some((command, words)) = waiting.pop() {
        for below in command.get_subcommands() {
            let words = [words.clone(), vec![below.get_name().to_owned()]].concat();
            if below.get_name() == "list" || words == ["inbox"] {
                found.push(words.join(" "));
            }
            waiting.push((below.clone(), words));
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn a_list_is_one_object_or_a_line_for_each_row() {
    let mut project = Project::of_examples();
    project.set("FUSION_MASTER_KEY", "7".repeat(64));
    let script = "version: 1\nsteps: { task: [{ text: done }] }\n";
    project.write("script.yaml", script);
    for words in [
        "run hello.yaml",
        "agent spawn --name a --provider scripted --model script.yaml",
        "workflow create hello.yaml",
        "project create p",
        "capability create c",
        "token create t --scope read",
        "task create x",
        "schedule create s --workflow hello --cron 0\u{a0}3\u{a0}*\u{a0}*\u{a0}*",
        "webhook add https://hooks.example/",
        "budget set p 1",
    ] {
        let words = words.split(' ').map(|word| word.replace('\u{a0}', " "));
        project.run(words).await.expect(0);
    }
    let commands = [lists(), vec!["workflow versions hello".to_owned()]].concat();
    let mut without_rows = Vec::new();
    for command in &commands {
        let words = |form| command.split(' ').chain(["-o", form]);
        let whole = project.run(words("json")).await.expect(0).json();
        let members = whole.as_object().unwrap().values();
        let rows: Vec<&Value> = members.filter_map(Value::as_array).flatten().collect();
        let lines = project.run(words("jsonl")).await.expect(0).stdout;
        let lines: Vec<Value> = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.iter().collect::<Vec<_>>(), rows, "{command}");
        let names = project.run(words("name")).await.expect(0).stdout;
        assert_eq!(names.lines().count(), rows.len(), "{command}");
        if rows.is_empty() {
            without_rows.push(command.as_str());
        }
    }
    assert_eq!(without_rows, ["inbox", "message list", "node list"]);
}
