//! Steps that are runs of other workflows.

mod files;
mod life;

use fusion_core::{Account, RunId};
use fusion_persistence::{AccountReader, Page, Repository, RunFilter};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::api::Serving;
use crate::support::{Project, states, step};

const SCRIPT: &str = "
version: 1
steps:
  think:
    - text: thought
  say:
    - text: said
  first:
    - text: one
";

/// Says a word again, a bit louder.
const SHOUT: &str = "
version: 1
name: shout
inputs:
  word: string
  marks: { type: integer, default: 1 }
agents: { a: { provider: scripted, model: script.yaml } }
steps:
  - { id: say, agent: a, prompt: 'Say ${{ inputs.word }}.' }
outputs:
  loud: \"${{ (inputs.word | upper) ~ '!' }}\"
  marks: ${{ inputs.marks + 1 }}
";

/// Has a word shouted.
const CALLER: &str = "
version: 1
name: caller
inputs: { word: string }
steps:
  - { id: ask, workflow: shout, with: { word: 'so ${{ inputs.word }}', marks: 4 } }
outputs: { heard: '${{ steps.ask.outputs }}' }
";

/// A file whose agent `a` answers from `script.yaml`, with these steps and outputs.
fn flow(more: &str, steps: &str, outputs: &str) -> String {
    format!(
        "
version: 1
name: flow
{more}
agents: {{ a: {{ provider: scripted, model: script.yaml }} }}
steps:
{steps}
outputs: {outputs}
"
    )
}

/// A project in which these workflows are stored, beside the file `flow.yaml`.
async fn project(flow: &str, stored: &[&str]) -> Project {
    let project = Project::with(flow, SCRIPT);
    for text in stored {
        store(&project, text).await;
    }
    project
}

async fn store(project: &Project, text: &str) {
    project.write("stored.yaml", text);
    let create = ["workflow", "create", "stored.yaml"];
    project.run(create).await.expect(0);
}

/// The runs that steps of a run are, the newest first.
async fn below(project: &Project, run: &Value) -> Vec<Value> {
    let id = run["id"].as_str().unwrap();
    let list = ["run", "list", "--parent", id, "--json"];
    let listed = project.run(list).await.expect(0).json();
    listed["runs"].as_array().unwrap().clone()
}

#[tokio::test]
async fn values_go_in_and_come_out_through_two_levels() {
    let steps = "
  - { id: think, agent: a, prompt: x }
  - { id: call, workflow: caller, needs: think, with: { word: '${{ steps.think.outputs.text }}' } }";
    let outputs = "{ all: '${{ steps.call.outputs.heard }}' }";
    let project = project(&flow("", steps, outputs), &[SHOUT, CALLER]).await;
    let ended = project
        .run(["run", "flow.yaml", "--json"])
        .await
        .expect(0)
        .json();
    let heard = json!({ "loud": "SO THOUGHT!", "marks": 5 });
    assert_eq!(ended["outputs"]["all"], heard);
    // What a person began is the newest run, not what is a step of it.
    let shown = project.shown().await;
    assert_eq!(shown["id"], ended["id"]);
    let [middle] = below(&project, &shown).await.try_into().unwrap();
    let call = step(&shown, "call");
    let parent = json!({ "run_id": shown["id"], "task_id": call["task_id"], "step": "call" });
    assert_eq!(
        (&middle["workflow"], &middle["parent"]),
        (&json!("caller"), &parent)
    );
    assert_eq!(call["runs"][0]["run_id"], middle["id"]);
    assert_eq!(
        (&call["attempts"], &call["state"]),
        (&json!(1), &json!("completed"))
    );
    let [inner] = below(&project, &middle).await.try_into().unwrap();
    assert_eq!(inner["parent"]["run_id"], middle["id"]);
    let text = project
        .run(["run", "show", inner["id"].as_str().unwrap()])
        .await;
    let line = format!("is step ask of run {}\n", middle["id"].as_str().unwrap());
    assert!(text.stdout.contains(&line), "{}", text.stdout);
}

#[tokio::test]
async fn a_list_and_rounds_work_as_for_every_step() {
    let steps = "
  - id: each
    workflow: shout
    foreach: \"${{ ['a', 'b', 'c'] }}\"
    max_parallel: 2
    with: { word: '${{ item }}', marks: '${{ index }}' }
  - id: rounds
    workflow: shout
    needs: each
    repeat: { until: outputs.marks >= 4, max: 5 }
    with: { word: x, marks: '${{ previous.marks | default(1) }}' }";
    let outputs = "
  each: \"${{ steps.each.outputs | map(attribute='loud') | join(' ') }}\"
  marks: ${{ steps.rounds.outputs.marks }}";
    let project = project(&flow("", steps, outputs), &[SHOUT]).await;
    project.run(["run", "flow.yaml"]).await.expect(0);
    let shown = project.shown().await;
    assert_eq!(shown["outputs"], json!({ "each": "A! B! C!", "marks": 4 }));
    let runs = |id: &str| step(&shown, id)["runs"].as_array().unwrap().len();
    assert_eq!((runs("each"), runs("rounds")), (3, 3));
}

/// Fails in its second step until its input says otherwise.
const MOODY: &str = "
version: 1
name: moody
inputs: { attempt: integer }
agents: { a: { provider: scripted, model: script.yaml } }
steps:
  - { id: say, agent: a, prompt: x }
  - { id: test, needs: say, run: 'test ${{ inputs.attempt }} -gt 1' }
outputs: { done: '${{ steps.say.outputs.text }}' }
";

#[tokio::test]
async fn a_failed_run_fails_its_step_which_is_tried_again_as_it_says() {
    let steps = |retry: &str| {
        format!(
            "
  - id: call
    workflow: moody
    with: {{ attempt: '${{{{ attempt }}}}' }}
    on_failure: continue
    {retry}"
        )
    };
    let outputs = "{ error: '${{ steps.call.error }}', done: \"${{ steps.call.outputs.done | default('') }}\" }";
    let once = project(&flow("", &steps(""), outputs), &[MOODY]).await;
    once.run(["run", "flow.yaml"]).await.expect(0);
    let shown = once.shown().await;
    let [failed] = below(&once, &shown).await.try_into().unwrap();
    let why = format!(
        "run {} of workflow 'moody' failed: step 'test' failed",
        failed["id"].as_str().unwrap()
    );
    assert_eq!(shown["outputs"], json!({ "error": why, "done": "" }));
    let retry = "retry: { max_attempts: 2, delay: 1s }";
    let twice = project(&flow("", &steps(retry), outputs), &[MOODY]).await;
    twice.run(["run", "flow.yaml"]).await.expect(0);
    let shown = twice.shown().await;
    assert_eq!(shown["outputs"], json!({ "error": null, "done": "said" }));
    let states: Vec<Value> = below(&twice, &shown)
        .await
        .iter()
        .map(|run| run["state"].clone())
        .collect();
    assert_eq!(states, ["completed", "failed"]);
}

/// Its second step fails as long as its answer has no number.
const PARTS: &str = "
version: 1
name: parts
agents: { a: { provider: scripted, model: script.yaml } }
steps:
  - { id: say, agent: a, prompt: x }
  - { id: count, agent: a, needs: say, prompt: x, outputs: { n: { type: integer } } }
outputs: { n: '${{ steps.count.outputs.n }}' }
";

#[tokio::test]
async fn a_retry_of_the_run_above_goes_on_from_what_was_finished_below() {
    let steps = "  - { id: call, workflow: parts }";
    let project = project(
        &flow("", steps, "{ n: '${{ steps.call.outputs.n }}' }"),
        &[PARTS],
    )
    .await;
    let with = |answer: &str| {
        format!("{SCRIPT}  count:\n    - text: '{answer}'\n    - text: '{answer}'\n")
    };
    project.write("script.yaml", with("none"));
    project.run(["run", "flow.yaml"]).await.expect(6);
    let failed = project.shown().await;
    let [first] = below(&project, &failed).await.try_into().unwrap();
    project.write("script.yaml", with("{ \"n\": 3 }"));
    let retry = ["run", "retry", failed["id"].as_str().unwrap()];
    project.run(retry).await.expect(0);
    let shown = project.shown().await;
    assert_eq!(shown["outputs"], json!({ "n": 3 }));
    let [second] = below(&project, &shown).await.try_into().unwrap();
    assert_eq!(second["continues"], first["id"]);
    // The first step of it used nothing: it was taken over.
    assert_eq!(
        (&first["usage"]["turns"], &second["usage"]["turns"]),
        (&json!(3), &json!(1))
    );
}

#[tokio::test]
async fn what_can_not_be_run_is_told_all_at_once_and_nothing_is_stored() {
    let steps = "
  - { id: near, workflow: shuot, with: { word: x } }
  - { id: version, workflow: shout@7, with: { word: x } }
  - { id: inputs, workflow: shout, with: { wrod: x, marks: 'many' } }
  - { id: itself, workflow: ring }";
    let ring = "
version: 1
name: ring
steps: [{ id: back, workflow: flow }]
";
    let alone =
        "{ version: 1, name: flow, steps: [{ id: x, workflow: shout, with: { word: x } }] }";
    let project = project(&flow("", steps, "{}"), &[SHOUT, alone, ring]).await;
    let told = project.run(["run", "flow.yaml"]).await.expect(2);
    told.says(&[
        "step 'near' of the workflow 'flow': there is no stored workflow 'shuot': did you mean 'shout'?",
        "step 'version' of the workflow 'flow': the workflow 'shout' has no version 7",
        "step 'inputs' of the workflow 'flow': the inputs of 'shout' don't fit: \
         the workflow has no input 'wrod': did you mean 'word'?",
        "the input 'marks' must be of type integer",
        "the input 'word' is required",
        "step 'back' of the workflow 'ring': a workflow can't run itself: flow -> ring -> flow",
        "store a workflow with: fusion-kit workflow create FILE",
    ]);
    let listed = project
        .run(["run", "list", "--json"])
        .await
        .expect(0)
        .json();
    assert_eq!(listed["runs"], json!([]));
}

/// A file that calls what is not there, and `shout` wrongly.
fn misfit() -> String {
    let steps = "
  - { id: near, workflow: shuot }
  - { id: call, workflow: shout, with: { wrod: x, word: x } }";
    flow("", steps, "{ heard: '${{ steps.call.outputs.lout }}' }")
}

#[tokio::test]
async fn a_file_is_checked_against_the_workflows_that_its_steps_are_runs_of() {
    let project = project(&misfit(), &[SHOUT]).await;
    for command in ["validate", "create"] {
        let told = project.run(["workflow", command, "flow.yaml"]).await;
        told.expect(5).says(&[
            "there is no workflow 'shuot'",
            "did you mean `shout`?",
            "the inputs of 'shout' don't fit: the workflow has no input 'wrod'",
            "did you mean `word`?",
            "step 'call' has no output 'lout'",
            "did you mean `loud`?",
        ]);
    }
    let serving = Serving::on(&project).await;
    let body = json!({ "source": misfit() });
    let told = serving.post("/api/v1/workflows", &body).await;
    let told = told.expect(400).json();
    let faults = told["errors"].as_array().unwrap().iter();
    let pointers: Vec<&Value> = faults.map(|fault| &fault["pointer"]).collect();
    assert_eq!(pointers, ["/source"; 3], "{told}");
    serving.stop(Signal::INT).await;
}

#[tokio::test]
async fn a_run_is_not_made_when_a_called_workflow_was_stored_again_without_an_output_that_is_taken()
{
    let steps = "  - { id: call, workflow: shout, with: { word: x } }";
    let outputs = "{ heard: '${{ steps.call.outputs.loud }}' }";
    let project = project(&flow("", steps, outputs), &[SHOUT]).await;
    let create = ["workflow", "create", "flow.yaml", "--json"];
    let stored = project.run(create).await.expect(0).json();
    store(&project, &SHOUT.replace("  loud:", "  laud:")).await;
    let versions = ["workflow", "list", "--json"];
    let before = project.run(versions).await.expect(0).json();
    let fault = "the workflow 'flow', line 8, column 43: step 'call' has no output 'loud': \
                 did you mean `laud`?";
    for command in [
        ["workflow", "start", "flow"].as_slice(),
        &["run", "flow.yaml"],
    ] {
        project.run(command).await.expect(2).says(&[
            fault,
            "take an output that there is, or store the workflow that lacks it again, with: \
             fusion-kit workflow create FILE",
        ]);
    }
    let serving = Serving::on(&project).await;
    let path = format!("/api/v1/workflows/{}/start", stored["id"].as_str().unwrap());
    let told = serving.post(&path, &json!({})).await.expect(400).json();
    assert_eq!(told["detail"], fault, "{told:#}");
    serving.stop(Signal::INT).await;
    let runs = ["run", "list", "--json"];
    let runs = project.run(runs).await.expect(0).json();
    assert_eq!(runs["runs"], json!([]));
    assert_eq!(project.run(versions).await.expect(0).json(), before);
    store(&project, SHOUT).await;
    project.run(["workflow", "start", "flow"]).await.expect(0);
}

#[tokio::test]
async fn a_workflow_in_a_file_of_its_name_beside_counts_where_a_file_is_only_checked() {
    let steps = "  - { id: call, workflow: shout, with: { word: x } }";
    let right = flow("", steps, "{ loud: '${{ steps.call.outputs.loud }}' }");
    let project = project(&right, &[]).await;
    let validate = ["workflow", "validate", "flow.yaml"];
    let told = project.run(validate).await.expect(5);
    told.says(&["there is no workflow 'shout'", "workflow create"]);
    project.write("shout.yaml", SHOUT);
    project.run(validate).await.expect(0);
    project.write("flow.yaml", right.replace("outputs.loud", "outputs.text"));
    let told = project.run(validate).await.expect(5);
    told.says(&["step 'call' has no output 'text'"]);
}

#[tokio::test]
async fn eight_runs_may_lie_below_one_another_and_no_more() {
    let call = |name: &str| format!("{{ id: x, workflow: {name} }}");
    let text = |name: &str, step: &str| format!("{{ version: 1, name: {name}, steps: [{step}] }}");
    let mut stored = vec![text("w1", "{ id: x, run: 'true' }")];
    for number in 2..=8 {
        let below = format!("w{}", number - 1);
        stored.push(text(&format!("w{number}"), &call(&below)));
    }
    let stored: Vec<&str> = stored.iter().map(String::as_str).collect();
    let deep = project(&text("flow", &call("w8")), &stored).await;
    deep.run(["run", "flow.yaml"]).await.expect(0);
    store(&deep, &text("w9", &call("w8"))).await;
    deep.write("flow.yaml", text("flow", &call("w9")));
    deep.run(["run", "flow.yaml"])
        .await
        .expect(2)
        .says(&["more than 8 runs would lie below one another: flow -> w9 -> w8"]);
}

#[tokio::test]
async fn a_run_keeps_the_version_that_there_was_when_it_began() {
    let approved = "  - { id: call, workflow: shout, with: { word: x }, approval: 'Shout?' }";
    let outputs = "{ loud: '${{ steps.call.outputs.loud }}' }";
    let project = project(&flow("", approved, outputs), &[SHOUT]).await;
    let serving = Serving::on(&project).await;
    let running = project.fusion_kit(["run", "flow.yaml", "--json"]).start();
    let asks = |shown: &Value| shown["steps"][0]["waiting"].to_string().contains("Shout?");
    let shown = project.until("the step to ask", asks).await;
    store(&project, &SHOUT.replace("'!'", "'?'")).await;
    let inbox = project.run(["inbox", "--json"]).await.expect(0).json();
    let question = inbox["items"][0]["id"].as_str().unwrap();
    project.run(["approve", question]).await.expect(0);
    let ended = running.finish().await.expect(0).json();
    assert_eq!(
        (&ended["id"], &ended["outputs"]["loud"]),
        (&shown["id"], &json!("X!"))
    );
    // The next one begins with what is stored then.
    project.write(
        "flow.yaml",
        flow("", &approved.replace(", approval: 'Shout?'", ""), outputs),
    );
    let ended = project
        .run(["run", "flow.yaml", "--json"])
        .await
        .expect(0)
        .json();
    assert_eq!(ended["outputs"]["loud"], "X?");
    serving.stop(Signal::INT).await;
}

/// What an account has used, beside what all runs say that they used.
async fn spent(project: &Project, run: RunId) -> (u64, u64) {
    let (store, _) = project.store().await;
    let spent = store.spent(&[Account::Run(run)]).await.unwrap();
    let runs = store.list(&RunFilter::default(), Page::first(100)).await;
    let told = runs.unwrap().iter().map(|run| run.usage.tokens()).sum();
    (spent[0].tokens, told)
}

#[tokio::test]
async fn a_run_below_can_not_spend_more_than_the_budget_of_the_run_above() {
    let steps = "
  - { id: first, agent: a, prompt: x }
  - { id: call, workflow: caller, needs: first, with: { word: x } }";
    let free = project(&flow("", steps, "{}"), &[SHOUT, CALLER]).await;
    free.run(["run", "flow.yaml"]).await.expect(0);
    let all = spent(
        &free,
        free.shown().await["id"].as_str().unwrap().parse().unwrap(),
    )
    .await;
    assert_eq!(all.0, all.1);
    // What the run itself uses fits: the first call below it is one too many.
    let own = free.shown().await["usage"].clone();
    let own = own["input_tokens"].as_u64().unwrap() + own["output_tokens"].as_u64().unwrap();
    let budget = format!("budget: {{ tokens: {own} }}");
    let bound = project(&flow(&budget, steps, "{}"), &[SHOUT, CALLER]).await;
    let stopped = bound.run(["run", "flow.yaml"]).await.expect(9);
    let shown = bound.shown().await;
    let id = shown["id"].as_str().unwrap();
    stopped.says(&[
        &format!("the budget of the run '{id}' is used up"),
        &format!("fusion-kit resume {id} --budget"),
    ]);
    let (used, told) = spent(&bound, id.parse().unwrap()).await;
    assert_eq!((used, told), (own, own));
    bound.run(["resume"]).await.expect(9);
    bound
        .run(["resume", "--budget-tokens", "99999"])
        .await
        .expect(0);
    assert_eq!(
        states(&bound.shown().await),
        [("first", "completed"), ("call", "completed")]
    );
    assert_eq!(spent(&bound, id.parse().unwrap()).await, all);
}
