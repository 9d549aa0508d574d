//! Budgets stop a run while it runs, and a resume goes on counting.

use fusion_core::{EventType, Severity};
use fusion_persistence::{EventFilter, EventReader};

use crate::support::{Project, states};

const SCRIPT: &str = "
version: 1
steps:
  first:
    - text: one
  second:
    - text: two
";

/// Two steps in a row of one agent, with a budget for the run and one for the agent.
fn project(run: &str, agent: &str) -> Project {
    let workflow = format!(
        "
version: 1
name: flow
{run}
agents:
  writer: {{ provider: scripted, model: script.yaml{agent} }}
steps:
  - {{ id: first, agent: writer, prompt: Say one. }}
  - {{ id: second, agent: writer, needs: first, prompt: Say two. }}
"
    );
    Project::with(&workflow, SCRIPT)
}

#[tokio::test]
async fn a_run_stops_when_its_budget_is_used_up_and_goes_on_with_a_higher_one() {
    let project = project("budget: { tokens: 20 }", "");
    let stopped = project.run(["run", "flow.yaml"]).await.expect(9);
    let shown = project.shown().await;
    let id = shown["id"].as_str().unwrap();
    let used = shown["usage"]["input_tokens"].as_u64().unwrap()
        + shown["usage"]["output_tokens"].as_u64().unwrap();
    assert!(used >= 20, "{shown:#}");
    stopped.says(&[
        &format!("step 'second' has to wait: the budget of the run is used up: {used} of 20 tokens are used"),
        "give it more with --budget-usd or --budget-tokens",
        &format!("fusion-kit resume {id}"),
    ]);
    assert_eq!(shown["interrupted"], true);
    assert_eq!(
        states(&shown),
        [("first", "completed"), ("second", "queued")]
    );

    // What was used before the resume counts, and the file's budget holds again.
    let says = format!("{used} of 20 tokens are used");
    project.run(["resume"]).await.expect(9).says(&[&says]);
    let limit = used.to_string();
    let says = format!("{used} of {used} tokens are used");
    project
        .run(["resume", "--budget-tokens", &limit])
        .await
        .expect(9)
        .says(&[&says]);
    project
        .run(["resume", "--budget-tokens", "100000"])
        .await
        .expect(0);
    let shown = project.shown().await;
    assert_eq!(
        states(&shown),
        [("first", "completed"), ("second", "completed")]
    );
    assert_eq!(shown["usage"]["turns"], 2);
}

#[tokio::test]
async fn an_agent_has_a_budget_of_its_own_and_the_event_log_tells_when_it_is_used_up() {
    let project = project("", ", budget: { tokens: 20 }");
    project.run(["run", "flow.yaml"]).await.expect(9).says(&[
        "the budget of the agent 'writer' is used up",
        "--budget-of writer",
    ]);
    let (store, run) = project.store().await;
    let filter = EventFilter {
        types: vec![EventType::BudgetExceeded.as_str().to_owned()],
        ..EventFilter::of_run(run)
    };
    let told = store.events_after(&filter, 0, 10).await.unwrap();
    let [event] = told.as_slice() else {
        panic!("{told:#?}");
    };
    let event = &event.event;
    assert_eq!(event.severity, Severity::Error);
    assert_eq!(event.data["scope"], "agent 'writer'");
    assert!(event.source_agent_id.is_some());

    let wrong = ["resume", "--budget-tokens", "9999", "--budget-of", "writr"];
    project
        .run(wrong)
        .await
        .expect(2)
        .says(&["the run has no agent 'writr'", "did you mean 'writer'?"]);
    project
        .run(["resume", "--budget-tokens", "9999"])
        .await
        .expect(9)
        .says(&["the budget of the agent 'writer' is used up"]);
    let right = ["resume", "--budget-tokens", "9999", "--budget-of", "writer"];
    project.run(right).await.expect(0);
}

#[tokio::test]
async fn a_step_has_a_budget_of_its_own_that_a_resume_can_raise() {
    let workflow = "
version: 1
name: flow
agents:
  writer: { provider: scripted, model: script.yaml, tools: [files] }
steps:
  - { id: look, agent: writer, prompt: Look., budget: { tokens: 20 } }
  - { id: tell, agent: writer, needs: look, prompt: Tell. }
";
    let script = "
version: 1
steps:
  look:
    - tool_calls: [{ name: list_files, arguments: {} }]
    - text: nothing
  tell:
    - text: told
";
    let project = Project::with(workflow, script);
    project.run(["run", "flow.yaml"]).await.expect(9).says(&[
        "step 'look' has to wait: the budget of the step 'look' is used up",
        "--budget-of step:look",
    ]);
    let wrong = [
        "resume",
        "--budget-tokens",
        "9999",
        "--budget-of",
        "step:lok",
    ];
    project.run(wrong).await.expect(2).says(&[
        "the run has no step 'step:lok'",
        "did you mean 'step:look'?",
    ]);
    let right = [
        "resume",
        "--budget-tokens",
        "9999",
        "--budget-of",
        "step:look",
    ];
    project.run(right).await.expect(0);
    assert_eq!(
        states(&project.shown().await),
        [("look", "completed"), ("tell", "completed")]
    );
}

#[tokio::test]
async fn budgets_on_the_command_line_that_make_no_sense_are_refused() {
    let project = project("", "");
    for (words, says) in [
        (vec!["--budget-usd", "two"], "--budget-usd is 'two'"),
        (
            vec!["--budget-of", "writer"],
            "--budget-of is given and no budget",
        ),
    ] {
        let words = [vec!["resume"], words].concat();
        project.run(&words).await.expect(2).says(&[says]);
    }
    assert!(!project.data_dir().exists());
}
