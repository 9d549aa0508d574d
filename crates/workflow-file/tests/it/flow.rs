//! How often a step is done: `retry`, `on_failure`, `run`, `foreach`, `repeat`, and `count` of agents.

use fusion_core::{
    Assignee, Backoff, CallSpec, CommandSpec, ForeachSpec, OnFailure, OnMax, RepeatSpec, RetrySpec,
    StepSpec,
};
use fusion_workflow_file::parse;

use crate::faults::check;

const FLOW: &str = "
version: 1
name: flow
inputs: { files: array }
defaults: { retry: { max_attempts: 2 } }
agents: { coder: { provider: p, model: m, count: 3 } }
steps:
  - id: build
    agent: coder
    foreach: ${{ inputs.files }}
    max_parallel: 2
    prompt: '${{ index }}: ${{ item }}, try ${{ attempt }}'
    retry: { max_attempts: 5, backoff: fixed, delay: 2m }
    on_failure: continue
  - id: write
    agent: coder
    needs: build
    if: ${{ steps.build.error == none }}
    prompt: ${{ round }} ${{ previous.text | default('') }}
    repeat: { until: \"outputs.text == 'ok' or round > 2\", max: 4, on_max: continue }
  - id: test
    needs: write
    run: sh ./test.sh ${{ steps.write.outputs.text }}
    repeatable: true
    workspace: { shared_with: write }
    on_failure: skip
outputs: { code: '${{ steps.test.outputs.exit_code }}' }
";

#[test]
fn how_often_a_step_is_done_arrives_in_the_definition() {
    let definition = parse(FLOW).unwrap();
    assert_eq!(definition.agents["coder"].count, 3);
    let default = Some(RetrySpec {
        max_attempts: 2,
        backoff: Backoff::Exponential,
        delay_seconds: 5,
    });
    let coder = || Assignee::Agent("coder".into());
    let expected = [
        StepSpec {
            retry: Some(RetrySpec {
                max_attempts: 5,
                backoff: Backoff::Fixed,
                delay_seconds: 120,
            }),
            on_failure: OnFailure::Continue,
            foreach: Some(ForeachSpec {
                items: "${{ inputs.files }}".into(),
                max_parallel: Some(2),
            }),
            ..StepSpec::new(
                "build",
                coder(),
                "${{ index }}: ${{ item }}, try ${{ attempt }}",
            )
        },
        StepSpec {
            needs: vec!["build".into()],
            condition: Some("${{ steps.build.error == none }}".into()),
            retry: default,
            repeat: Some(RepeatSpec {
                until: "outputs.text == 'ok' or round > 2".into(),
                max: 4,
                on_max: OnMax::Continue,
            }),
            ..StepSpec::new(
                "write",
                coder(),
                "${{ round }} ${{ previous.text | default('') }}",
            )
        },
        StepSpec {
            needs: vec!["write".into()],
            retry: default,
            on_failure: OnFailure::Skip,
            command: Some(CommandSpec {
                script: "sh ./test.sh ${{ steps.write.outputs.text }}".into(),
                repeatable: true,
                shared_with: Some("write".into()),
            }),
            ..StepSpec::new("test", Assignee::Runner, "")
        },
    ];
    assert_eq!(definition.steps, expected);
}

/// A file with these steps, the first of them on line 4.
fn steps(lines: &str) -> String {
    format!(
        "version: 1\nname: w\nagents: {{ a: {{ provider: p, model: m }} }}\n\
         steps:\n{lines}"
    )
}

#[test]
fn faults_of_retry_and_on_failure_are_told_where_they_stand() {
    check(
        &steps(
            "- { id: one, agent: a, prompt: x, retry: 3 }
- { id: two, agent: a, prompt: x, retry: { max_attempts: 0, backoff: linear, delay: 5, tries: 1 } }
- { id: three, agent: a, prompt: x, on_failure: ignore }
",
        ),
        &[
            "5:42 `retry` of step 'one' must be a map [its keys are: max_attempts, backoff, delay]",
            "6:58 `max_attempts` must be a whole number from 1 to 100",
            "6:70 `backoff` must be one of: exponential, fixed",
            "6:85 `delay` must be a time such as 90s, 20m or 2h [write 5s for seconds]",
            "6:88 unknown key `tries` in `retry` of step 'two' [the keys are: max_attempts, backoff, delay]",
            "7:49 `on_failure` must be one of: fail, continue, skip",
        ],
    );
}

#[test]
fn faults_of_commands_are_told_where_they_stand() {
    check(
        &steps(
            "- { id: one, run: x, agent: a, prompt: y, outputs: { n: {} } }
- { id: two, agent: a, prompt: x, repeatable: true, workspace: { shared_with: one } }
- { id: three, run: x, workspace: { shared_with: one } }
- { id: four, run: x, workspace: { shared_with: onee } }
- { id: five, run: x, workspace: shared }
- { id: six, agent: a, needs: five, prompt: '${{ steps.five.outputs.text }}' }
",
        ),
        &[
            "5:22 step 'one' has both `run` and `agent` [a command is run by no agent and gives `exit_code` and `output`]",
            "5:32 step 'one' has both `run` and `prompt` [a command is run by no agent and gives `exit_code` and `output`]",
            "5:43 step 'one' has both `run` and `outputs` [a command is run by no agent and gives `exit_code` and `output`]",
            "6:35 `repeatable` is for a step with `run` [leave it out: what an agent did is never repeated blindly]",
            "6:79 only a step with `run` can share a workspace [an agent works in its own]",
            "6:79 step 'two' does not need 'one' [add `one` to its `needs`]",
            "7:50 step 'three' does not need 'one' [add `one` to its `needs`]",
            "8:49 there is no step 'onee' [did you mean `one`?]",
            "9:34 unknown type of workspace `shared` [write { shared_with: STEP }]",
            "10:69 step 'five' has no output 'text' [the outputs are: exit_code, output]",
        ],
    );
}

#[test]
fn faults_of_lists_and_rounds_are_told_where_they_stand() {
    check(
        &steps(
            "- { id: one, agent: a, prompt: '${{ item }} ${{ round }}', max_parallel: 2 }
- { id: two, agent: a, prompt: x, foreach: all of them }
- { id: three, agent: a, prompt: '${{ previous.txt }}', repeat: { until: outputs.ok, max: 101 } }
- { id: four, agent: a, needs: two, prompt: '${{ steps.two.outputs.text }}', repeat: { max: 2, on_max: stop } }
- { id: five, run: x, needs: two, workspace: { shared_with: two } }
",
        ),
        &[
            "5:37 there is no `item` here [it is known in what is asked in a step with `foreach`]",
            "5:49 there is no `round` here [it is known in what is asked in a step with `repeat`, and its `until`]",
            "5:60 `max_parallel` is for a step with `foreach` [leave it out, or say with `foreach` what the step is done for]",
            "6:44 `foreach` must be one expression whose value is a list, such as ${{ inputs.files }}",
            "7:48 step 'three' has no output 'txt' [did you mean `text`?]",
            "7:82 step 'three' has no output 'ok' [the outputs are: text]",
            "7:91 `max` must be a whole number from 1 to 100",
            "8:68 the outputs of the step 'two' are a list [it has `foreach`: write for example `steps.two.outputs | map(attribute='text')`]",
            "8:88 `repeat` of step 'four' has no `until`",
            "8:104 `on_max` must be one of: fail, continue",
            "9:61 step 'two' has several workspaces [a step with `foreach` is done by whoever is free]",
        ],
    );
}

#[test]
fn several_agents_of_one_name_leave_their_names_free_and_keep_the_limit() {
    check(
        "version: 1
name: w
agents:
  a: { provider: p, model: m, count: 2 }
  a-2: { provider: p, model: m }
  a-3: { provider: p, model: m, count: 101 }
steps: [ { id: s, agent: a, prompt: x } ]
",
        &[
            "5:3 'a-2' is one of the 2 agents 'a' [give one of them another name]",
            "6:40 `count` must be a whole number from 1 to 100",
        ],
    );
}

const CALLS: &str = "
version: 1
name: calls
inputs: { files: array }
defaults: { timeout: 5m }
agents: { a: { provider: p, model: m } }
steps:
  - { id: plan, agent: a, prompt: x }
  - id: review
    workflow: review-change
    needs: plan
    foreach: ${{ inputs.files }}
    repeat: { until: outputs.approved, max: 2 }
    with:
      diff: ${{ steps.plan.outputs.text }}
      rounds: 3
      more: { files: ['${{ item }}'], last: '${{ previous.remarks }}' }
  - { id: old, workflow: review@3, needs: plan, timeout: 48h, on_failure: skip }
outputs: { all: \"${{ steps.review.outputs | map(attribute='approved') }} ${{ steps.old.outputs.any }}\" }
";

#[test]
fn a_step_that_is_another_workflow_arrives_with_its_inputs_and_without_a_limit() {
    let definition = parse(CALLS).unwrap();
    let steps: Vec<Option<&CallSpec>> =
        definition.steps.iter().map(|it| it.call.as_ref()).collect();
    let with = serde_json::json!({
        "diff": "${{ steps.plan.outputs.text }}",
        "rounds": 3,
        "more": { "files": ["${{ item }}"], "last": "${{ previous.remarks }}" },
    });
    let review = CallSpec {
        workflow: "review-change".into(),
        version: None,
        with: with.as_object().unwrap().clone(),
        timeout_seconds: None,
    };
    let old = CallSpec {
        workflow: "review".into(),
        version: Some(3),
        with: serde_json::Map::new(),
        timeout_seconds: Some(48 * 60 * 60),
    };
    assert_eq!(steps, [None, Some(&review), Some(&old)]);
    assert_eq!(definition.steps[1].assignee, Assignee::Runner);
}

#[test]
fn what_a_run_of_another_workflow_has_no_use_for_is_refused_where_it_stands() {
    check(
        &steps(
            "- { id: a, workflow: w, agent: a, prompt: x, verify: x, budget: { usd: 1 } }
- { id: b, workflow: w, run: x, artifacts: x, workspace: directory }
- { id: c, agent: a, prompt: x, with: { y: 1 } }
- { id: d, workflow: w@new, with: { in-put: 1, y: '${{ steps.a.outputs.z }} ${{ item }}' } }
- { id: e, needs: a, run: x, workspace: { shared_with: a } }
",
        ),
        &CALL_FAULTS,
    );
}

const CALL_FAULTS: [&str; 13] = [
    "5:25 step 'a' has both `workflow` and `agent` [the work of such a step is a run of its own: the workflow says how it is done]",
    "5:35 step 'a' has both `workflow` and `prompt` [the work of such a step is a run of its own: the workflow says how it is done]",
    "5:46 step 'a' has both `workflow` and `verify` [the work of such a step is a run of its own: the workflow says how it is done]",
    "5:57 step 'a' has both `workflow` and `budget` [the work of such a step is a run of its own: the workflow says how it is done]",
    "6:25 step 'b' has both `workflow` and `run` [the work of such a step is a run of its own: the workflow says how it is done]",
    "6:33 step 'b' has both `workflow` and `artifacts` [the workflow says which files are its result: `artifacts` beside its `steps`, with the steps that have them]",
    "6:47 step 'b' has both `workflow` and `workspace` [the work of such a step is a run of its own: the workflow says how it is done]",
    "7:33 `with` is for a step with `workflow` [leave it out, or say which workflow it gives these inputs to]",
    "8:22 a workflow is named by its name, or by NAME@VERSION with a version from 1 on",
    "8:37 an input's name must start with a letter or `_` and go on with letters, digits and `_`, 64 at most [write `in_put`: in an expression `-` is a minus]",
    "8:62 step 'd' does not need 'a' [add `a` to its `needs`]",
    "8:81 there is no `item` here [it is known in what is asked in a step with `foreach`]",
    "9:56 step 'a' has no workspace [the agents of the workflow that it runs have theirs]",
];
