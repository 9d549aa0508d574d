//! Runs in which something goes wrong or is left out: what ends, what goes on, what is said.

use chrono::DateTime;
use serde_json::{Value, json};

use crate::support::{Project, states, step};

/// Runs a workflow of scripted agents; gives its end and what is recorded.
async fn run(workflow: &str, script: &str, code: i32, says: &[&str]) -> Value {
    let project = Project::with(workflow, script);
    let ended = project.run(["run", "flow.yaml"]).await.expect(code);
    let shown = project.shown().await;
    let recorded = if code == 0 { "completed" } else { "failed" };
    assert_eq!(shown["state"], recorded);
    assert_eq!(shown["interrupted"], false);
    if code != 0 {
        let id = shown["id"].as_str().unwrap();
        let closer = format!("help: look closer: fusion-kit run show {id}\n");
        assert!(ended.stderr.ends_with(&closer), "{}", ended.stderr);
    }
    ended.says(says);
    shown
}

/// A workflow of one step `work` with these lines added to its agent and to it.
fn one_step(agent: &str, step: &str) -> String {
    format!(
        "
version: 1
name: flow
agents:
  worker: {{ provider: scripted, model: script.yaml, tools: [files, shell]{agent} }}
steps:
  - id: work
    agent: worker
    prompt: Work.
    {step}
"
    )
}

#[tokio::test]
async fn outputs_that_do_not_fit_fail_the_step_and_name_the_field() {
    let workflow = one_step("", "outputs: { count: { type: integer } }");
    let script = "
version: 1
steps:
  work:
    - tool_calls: [{ name: finish, arguments: { count: many } }]
    - tool_calls: [{ name: finish, arguments: { count: lots } }]
";
    let says = "error: step 'work' failed: output 'count' does not fit: \"lots\" is not of type \
                \"integer\" (after one repair turn)";
    let shown = run(&workflow, script, 6, &[says]).await;
    assert_eq!(shown["outputs"], Value::Null);
    assert_eq!(shown["usage"]["turns"], 2);
}

#[tokio::test]
async fn a_model_that_never_finishes_is_stopped_after_its_turns() {
    let workflow = one_step(", max_turns: 2", "");
    let script = "
version: 1
steps:
  work:
    - tool_calls: [{ name: list_files }]
    - tool_calls: [{ name: list_files }]
    - text: too late
";
    let says = "error: step 'work' failed: the agent 'worker' did not finish within 2 turns; raise \
                `max_turns` of the agent 'worker', or ask for less in one step";
    let shown = run(&workflow, script, 6, &[says]).await;
    assert_eq!(step(&shown, "work")["usage"]["turns"], 2);
}

#[tokio::test]
async fn outputs_that_do_not_fit_name_their_field_also_when_no_turn_is_left() {
    let workflow = one_step(", max_turns: 1", "outputs: { n: { type: integer } }");
    let script = "
version: 1
steps:
  work:
    - tool_calls: [{ name: finish, arguments: { n: many } }]
";
    let says =
        "did not finish within 1 turn; what it handed in did not fit: output 'n' does not fit";
    run(&workflow, script, 6, &[says]).await;
}

#[tokio::test]
async fn a_tool_that_hangs_is_killed_and_the_model_is_told() {
    let script = "
version: 1
steps:
  work:
    - tool_calls:
        - { name: run_command, arguments: { command: sleep 1000, timeout_seconds: 1 } }
    - text: so be it
";
    let shown = run(&one_step("", ""), script, 0, &[]).await;
    let told = &step(&shown, "work")["journal"][1]["outcome"];
    assert_eq!(
        told,
        &json!({ "content": "\n[killed: it took longer than 1 seconds]", "ok": false })
    );
}

#[tokio::test]
async fn a_step_that_takes_longer_than_its_timeout_fails() {
    let workflow = one_step("", "timeout: 1s");
    let script = "
version: 1
delay: 60s
steps: { work: [{ text: too late }] }
";
    let says = "error: step 'work' failed: it took longer than its timeout of 1 s; raise \
                `timeout` of the step 'work'";
    let shown = run(&workflow, script, 6, &[says]).await;
    let cut_off = &step(&shown, "work")["journal"][0];
    assert_eq!(cut_off["state"], "unknown");
    assert!(cut_off["finished_at"].is_string(), "{cut_off}");
}

#[tokio::test]
async fn work_that_never_passes_its_check_fails_with_what_the_check_said() {
    let workflow = one_step(
        ", max_turns: 2",
        "verify: [\"echo the roof leaks; exit 3\"]",
    );
    let script = "
version: 1
steps:
  work: [{ text: done }, { text: really done }]
";
    let says = [
        "error: step 'work' failed: ",
        "did not finish within 2 turns; its last check failed: $ echo the roof leaks; exit 3",
    ];
    let shown = run(&workflow, script, 6, &says).await;
    let checks = step(&shown, "work")["journal"].as_array().unwrap().iter();
    let reports: Vec<&Value> = checks
        .filter(|entry| entry["kind"] == "check")
        .map(|entry| &entry["outcome"]["report"])
        .collect();
    let report = "$ echo the roof leaks; exit 3\nthe roof leaks\n[exit code 3]";
    assert_eq!(reports, [report, report]);
}

#[tokio::test]
async fn a_script_that_ends_too_early_fails_the_step_with_its_place() {
    let script = "
version: 1
steps:
  work:
    - tool_calls: [{ name: list_files }]
";
    let says = [
        "error: step 'work' failed: ",
        "script.yaml:5:",
        "turn 2 of step 'work' has no answer: the script ends after 1",
    ];
    run(&one_step("", ""), script, 6, &says).await;
}

const AGENTS: &str = "
version: 1
name: flow
agents:
  one: { provider: scripted, model: script.yaml, capabilities: [writing] }
  two: { provider: scripted, model: script.yaml, capabilities: [writing, review] }
steps:
";

fn flow(steps: &str) -> String {
    format!("{AGENTS}{steps}")
}

/// A script that answers each of these steps with its name.
fn answers(steps: &[&str]) -> String {
    let lines = steps
        .iter()
        .map(|step| format!("  {step}: [{{ text: {step} }}]\n"));
    format!("version: 1\nsteps:\n{}", lines.collect::<String>())
}

#[tokio::test]
async fn a_condition_skips_a_step_and_all_that_need_it() {
    let workflow = flow(
        "  - { id: a, agent: one, prompt: x }
  - { id: b, agent: one, prompt: x, needs: [a], if: \"${{ steps.a.outputs.text == 'no' }}\" }
  - { id: c, agent: one, prompt: x, needs: [b] }
  - { id: d, agent: two, prompt: x, needs: [a], if: \"${{ steps.a.outputs.text == 'a' }}\" }
",
    );
    let shown = run(&workflow, &answers(&["a", "b", "c", "d"]), 0, &[]).await;
    assert_eq!(
        states(&shown),
        [
            ("a", "completed"),
            ("b", "cancelled"),
            ("c", "cancelled"),
            ("d", "completed")
        ]
    );
    assert_eq!(step(&shown, "b")["cancel_reason"], "condition_false");
    assert_eq!(step(&shown, "c")["cancel_reason"], "dependency_skipped");
}

#[tokio::test]
async fn a_failed_step_takes_its_dependents_along_and_nothing_else() {
    let workflow = flow(
        "  - { id: a, agent: one, prompt: x }
  - { id: b, agent: one, prompt: x, needs: [a] }
  - { id: c, agent: one, prompt: x, needs: [b] }
  - { id: d, agent: two, prompt: x }
  - { id: e, agent: two, prompt: x, needs: [d] }
outputs: { last: \"${{ steps.e.outputs.text }}\" }
",
    );
    let script = answers(&["b", "c", "d", "e"]) + "  a: [{ tool_calls: [{ name: nothing }] }]\n";
    let shown = run(&workflow, &script, 6, &["error: step 'a' failed: "]).await;
    assert_eq!(
        states(&shown),
        [
            ("a", "failed"),
            ("b", "cancelled"),
            ("c", "cancelled"),
            ("d", "completed"),
            ("e", "completed")
        ]
    );
    for cancelled in ["b", "c"] {
        assert_eq!(
            step(&shown, cancelled)["cancel_reason"],
            "dependency_failed"
        );
    }
}

#[tokio::test]
async fn an_agent_does_one_step_at_a_time() {
    let workflow = flow(
        "  - { id: a, agent: one, prompt: x }
  - { id: b, agent: one, prompt: x }
  - { id: c, agent: two, prompt: x }
",
    );
    let script = answers(&["a", "b", "c"]).replace("steps:", "delay: 200ms\nsteps:");
    let shown = run(&workflow, &script, 0, &[]).await;
    let time = |id: &str, field: &str| step(&shown, id)[field].as_str().unwrap().to_owned();
    assert!(time("a", "completed_at") <= time("b", "started_at"));
    assert!(
        time("c", "started_at") < time("a", "completed_at"),
        "the other agent does not wait"
    );
}

#[tokio::test]
async fn a_step_without_an_agent_goes_to_one_that_can_do_it() {
    let workflow = flow(
        "  - { id: a, capabilities: [review], prompt: x }
  - { id: b, capabilities: [writing, review], prompt: x }
",
    );
    let shown = run(&workflow, &answers(&["a", "b"]), 0, &[]).await;
    for id in ["a", "b"] {
        assert_eq!(step(&shown, id)["agent"], "two");
    }
}

#[tokio::test]
async fn an_agent_with_many_ready_steps_works_on_one_at_a_time() {
    let steps: String = (0..8)
        .map(|step| format!("  - {{ id: s{step}, agent: worker, prompt: go }}\n"))
        .collect();
    let answers: String = (0..8)
        .map(|step| format!("  s{step}: [{{ text: done }}]\n"))
        .collect();
    let workflow = format!(
        "version: 1\nname: many\nagents:\n  worker: {{ provider: scripted, model: script.yaml }}\nsteps:\n{steps}"
    );
    for delay in ["0s", "20ms"] {
        let project = Project::with(
            &workflow,
            &format!("version: 1\ndelay: {delay}\nsteps:\n{answers}"),
        );
        project.run(["run", "flow.yaml", "--quiet"]).await.expect(0);
        let run = project.shown().await;
        let time = |value: &Value| DateTime::parse_from_rfc3339(value.as_str().unwrap()).unwrap();
        let steps = run["steps"].as_array().unwrap().iter();
        let mut spans: Vec<_> = steps
            .map(|step| (time(&step["started_at"]), time(&step["completed_at"])))
            .collect();
        spans.sort_unstable();
        for pair in spans.windows(2) {
            assert!(pair[0].1 <= pair[1].0, "two steps at once: {pair:?}");
        }
    }
}
