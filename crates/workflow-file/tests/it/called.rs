//! Files beside the workflows that their steps are runs of.

use fusion_workflow_file::{Called, CalledWorkflows, check_called, missing_outputs, parse};

use crate::faults::told;

const INNER: &str = "
version: 1
name: inner
inputs:
  topic: string
  depth: { type: integer, default: 2 }
agents: { a: { provider: p, model: m } }
steps: [{ id: work, agent: a, prompt: '${{ inputs.topic }}' }]
outputs: { summary: '${{ steps.work.outputs.text }}' }
";

fn known(text: &str) -> Called {
    Called::Known(Box::new(parse(text).unwrap()))
}

/// What is told of a file whose steps call `inner`, `innr` and `inner@7`.
fn check(text: &str) -> Vec<String> {
    parse(text).unwrap();
    let near = Called::NoWorkflow {
        nearest: Some("inner".to_owned()),
    };
    let far = Called::NoWorkflow { nearest: None };
    let called = [
        ("inner", known(INNER)),
        ("innr", near),
        ("elsewhere", far),
        ("inner@7", Called::NoVersion),
    ];
    let called = called.map(|(name, called)| (name.to_owned(), called));
    told(check_called(text, &CalledWorkflows::from(called)))
}

#[test]
fn an_output_that_the_called_workflow_does_not_have_is_told_where_it_is_named() {
    let text = "
version: 1
name: outer
steps:
  - id: call
    workflow: inner
    with: { topic: bees }
  - id: again
    workflow: inner
    needs: call
    with: { topic: '${{ steps.call.outputs.sumary }}' }
    repeat: { until: outputs.done, max: 2 }
outputs:
  right: ${{ steps.call.outputs.summary }}
  wrong: ${{ steps.again.outputs.text }}
";
    assert_eq!(
        check(text),
        [
            "11:44 step 'call' has no output 'sumary' [did you mean `summary`?]",
            "12:30 step 'again' has no output 'done' [the outputs are: summary]",
            "15:34 step 'again' has no output 'text' [the outputs are: summary]",
        ]
    );
}

#[test]
fn a_workflow_or_a_version_that_is_not_there_is_told_with_the_nearest_name() {
    let text = "
version: 1
name: outer
steps:
  - { id: a, workflow: innr }
  - { id: b, workflow: elsewhere }
  - { id: c, workflow: inner@7 }
  - { id: d, workflow: not_looked_up, with: { x: 1 } }
outputs: { any: '${{ steps.a.outputs.any }}${{ steps.d.outputs.any }}' }
";
    assert_eq!(
        check(text),
        [
            "5:24 there is no workflow 'innr' [did you mean `inner`?]",
            "6:24 there is no workflow 'elsewhere' [store it first, with `fusion-kit workflow create`]",
            "7:24 the workflow 'inner' has no version 7 [see them with `fusion-kit workflow versions inner`]",
        ]
    );
}

#[test]
fn inputs_that_do_not_fit_are_told_where_they_are_given() {
    let text = "
version: 1
name: outer
inputs: { n: integer }
steps:
  - { id: none, workflow: inner }
  - id: wrong
    workflow: inner
    with:
      topik: bees
      topic: 3
      depth: 'n: ${{ inputs.n }}'
  - id: right
    workflow: inner
    with: { topic: bees, depth: '${{ inputs.n }}' }
";
    assert_eq!(
        check(text),
        [
            "6:27 the inputs of 'inner' don't fit: the input 'topic' is required [give it in `with`: topic: …]",
            "10:14 the inputs of 'inner' don't fit: the workflow has no input 'topik' [did you mean `topic`?]",
            "11:14 the inputs of 'inner' don't fit: the input 'topic' must be of type string [give a value of type string, or one expression]",
            "12:14 the inputs of 'inner' don't fit: the input 'depth' must be of type integer [give a value of type integer, or one expression]",
        ]
    );
}

#[test]
fn of_a_stored_file_only_the_outputs_are_told_that_the_called_workflow_lacks() {
    let text = "
version: 1
name: outer
steps:
  - id: call
    workflow: inner
    with: { topik: bees }
  - { id: late, workflow: inner, needs: nobody, with: { topic: x } }
outputs:
  right: ${{ steps.call.outputs.summary }}
  wrong: ${{ steps.call.outputs.sumary }}
";
    let called = CalledWorkflows::from([("inner".to_owned(), known(INNER))]);
    let expected = ["11:33 step 'call' has no output 'sumary' [did you mean `summary`?]"];
    assert_eq!(told(missing_outputs(text, &called)), expected);
    assert_eq!(missing_outputs(text, &CalledWorkflows::new()), []);
    assert_eq!(missing_outputs("version: 1\nname: [", &called), []);
}
