//! What is likely not meant, and what is.

use std::fs;
use std::path::Path;

use fusion_workflow_file::{parse, warnings};

use crate::good::FEATURE;

const GOOD: &str = "
version: 1
name: good
inputs:
  topic: { type: string }
  papers: { type: files }
agents:
  writer: { provider: p, model: \"${{ inputs.model }}\", count: 2 }
  judge: { provider: p, model: m, capabilities: [judging] }
steps:
  - id: plan
    agent: writer
    prompt: On ${{ inputs.topic }}.
    takes: [papers]
    outputs: { parts: { type: array } }
  - id: write
    agent: writer
    needs: plan
    prompt: Write ${{ item }}.
    foreach: ${{ steps.plan.outputs.parts }}
    max_parallel: 2
  - id: judge
    capabilities: [judging]
    needs: write
    prompt: Is it good?
    outputs: { good: { type: boolean } }
    repeat: { until: outputs.good, max: 3 }
outputs: { text: \"${{ steps.write.outputs }}\" }
";

fn good() -> String {
    GOOD.replace("  topic:", "  model: { type: string }\n  topic:")
}

/// Rule, line, column and message of each warning of a file without a fault.
fn told(text: &str) -> Vec<String> {
    assert_eq!(parse(text).err(), None, "{text}");
    let told = warnings(text).into_iter();
    told.map(|it| {
        let (rule, place) = (it.rule.as_str(), it.fault.position);
        let (line, column) = (place.line, place.column);
        format!("{rule} {line}:{column} {}", it.fault.message)
    })
    .collect()
}

fn with(before: &str, after: &str) -> Vec<String> {
    let text = good();
    assert!(text.contains(before), "{before}");
    told(&text.replace(before, after))
}

#[test]
fn a_file_in_which_all_is_used_has_no_warning_and_one_with_faults_none() {
    assert_eq!(told(&good()), [] as [&str; 0]);
    assert_eq!(
        told(FEATURE),
        ["unused-input 7:3 nothing uses the input 'labels'"]
    );
    assert_eq!(warnings("version: 1"), []);
    assert_eq!(warnings(": ["), []);
    let unused = good().replace("On ${{ inputs.topic }}.", "On ${{ inputs.tropic }}.");
    assert_eq!(warnings(&unused), [], "it has a fault");
}

#[test]
fn the_examples_have_no_warning() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut seen = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.ends_with(".yaml") || name.ends_with(".script.yaml") {
            continue;
        }
        seen += 1;
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(told(&text), [] as [&str; 0], "{name}");
    }
    assert!(seen > 5, "{seen}");
}

#[test]
fn unused_input_is_one_that_no_expression_names_and_no_step_takes() {
    assert_eq!(
        with("On ${{ inputs.topic }}.", "Go on."),
        ["unused-input 6:3 nothing uses the input 'topic'"]
    );
    assert_eq!(
        with("    takes: [papers]\n", ""),
        ["unused-input 7:3 nothing uses the input 'papers'"]
    );
    let whole = with("On ${{ inputs.topic }}.", "On ${{ inputs | tojson }}.");
    assert_eq!(whole, [] as [&str; 0]);
}

#[test]
fn unused_agent_is_one_that_can_do_no_step_and_that_nobody_writes_to_by_rule() {
    let other = "  other: { provider: p, model: m }\n  judge:";
    assert_eq!(
        with("  judge:", other),
        ["unused-agent 10:3 the agent 'other' does no step"]
    );
    let named = good().replace("  judge: {", &format!("{other} {{"));
    let named = format!("{named}message_flow: [{{ from: [writer], to: [other] }}]\n");
    assert_eq!(told(&named), [] as [&str; 0]);
}

#[test]
fn unused_outputs_are_those_of_a_step_that_nothing_names_where_the_workflow_has_outputs() {
    let without =
        "\n    outputs: { good: { type: boolean } }\n    repeat: { until: outputs.good, max: 3 }";
    let once = "\n    outputs: { good: { type: boolean } }";
    assert_eq!(
        with(without, once),
        ["unused-outputs 23:9 nothing uses the `outputs` of the step 'judge'"]
    );
    let text = good().replace(without, once);
    let own = text.split("\noutputs:").next().unwrap().to_owned() + "\n";
    assert_eq!(
        told(&own),
        [] as [&str; 0],
        "the steps are what a run gives"
    );
}

#[test]
fn useless_parallel_is_more_at_once_than_there_are_agents_for() {
    assert_eq!(
        with("max_parallel: 2", "max_parallel: 3"),
        [
            "useless-parallel 17:9 the step 'write' may work on 3 entries at once, and there are 2 agents for it"
        ]
    );
    let able = with(
        "    agent: writer\n    needs: plan",
        "    capabilities: [judging]\n    needs: plan",
    );
    assert_eq!(
        able,
        [
            "useless-parallel 17:9 the step 'write' may work on 2 entries at once, and there is 1 agent for it"
        ]
    );
    let runner = with(
        "    agent: writer\n    needs: plan\n    prompt: Write ${{ item }}.\n",
        "    run: echo\n    needs: plan\n",
    );
    assert!(
        !runner.iter().any(|it| it.contains("parallel")),
        "{runner:?}"
    );
}
