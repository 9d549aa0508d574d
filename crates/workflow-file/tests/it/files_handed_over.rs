//! Files that are handed over to and from runs of other workflows.

use fusion_core::InputType;
use fusion_workflow_file::{Called, CalledWorkflows, check_called, missing_outputs, parse};

use crate::faults::{check, told};

/// Takes a table and more, and gives what it made of them.
const COUNT: &str = "
version: 1
name: count
inputs:
  table: files
  more: { type: files, required: false }
steps:
  - { id: sort, takes: [table, more], run: 'sort ${{ inputs.table[0].path }}', artifacts: sorted }
  - { id: count, needs: sort, takes: [sort, table], run: wc }
artifacts: sort
";

const NO_FILES: &str = "{ version: 1, name: bare, steps: [{ id: a, run: 'true' }] }";

fn called() -> CalledWorkflows {
    let known = |text| Called::Known(Box::new(parse(text).unwrap()));
    let called = [("count", known(COUNT)), ("bare", known(NO_FILES))];
    CalledWorkflows::from(called.map(|(name, called)| (name.to_owned(), called)))
}

#[test]
fn a_workflow_says_which_files_it_takes_and_which_are_its_result() {
    let workflow = parse(COUNT).unwrap();
    let inputs = workflow.inputs.iter();
    let inputs: Vec<_> = inputs
        .map(|(name, spec)| (name.as_str(), spec.kind, spec.required))
        .collect();
    let files = InputType::Files;
    assert_eq!(inputs, [("more", files, false), ("table", files, true)]);
    assert_eq!(workflow.artifacts, ["sort"]);
    assert_eq!(workflow.steps[0].takes, ["table", "more"]);
}

#[test]
fn what_has_no_files_is_told_where_it_is_named() {
    check(
        "
version: 1
name: w
inputs:
  table: { type: files, default: [] }
  sort: files
  word: string
steps:
  - { id: sort, takes: [word, tabel], run: 'true' }
  - { id: call, workflow: count, takes: sort, with: { table: '${{ inputs.table }}' } }
artifacts: [sort, cal]
",
        &[
            "5:25 the input 'table' is of files, which have no default [with `required: false` it is an empty list where none are handed over]",
            "6:3 'sort' is an input of files and a step [`takes` names both: give one of them another name]",
            "9:25 the input 'word' has no files to take [give it `type: files`]",
            "9:31 there is no step 'tabel' [did you mean `table`?]",
            "10:34 step 'call' has both `workflow` and `takes` [hand files over in `with`, to an input of the workflow with `type: files`: NAME: ${{ steps.STEP.files }}]",
            "10:41 step 'call' does not need 'sort' [add `sort` to its `needs`]",
            "11:13 step 'sort' has no files to take [give it `artifacts`]",
            "11:19 there is no step 'cal' [did you mean `call`?]",
        ],
    );
}

#[test]
fn files_of_a_called_workflow_can_be_taken_when_it_has_some() {
    let text = "
version: 1
name: w
steps:
  - { id: make, run: 'true', artifacts: '*' }
  - id: call
    needs: make
    workflow: count
    with: { table: '${{ steps.make.files }}', more: ['${{ steps.make.files[0] }}'] }
  - { id: bare, workflow: bare }
  - { id: unknown, workflow: elsewhere }
  - { id: wrong, workflow: count, with: { table: a.csv, more: '${{ inputs }}' } }
  - { id: read, needs: [call, bare, unknown], takes: [call, bare, unknown], run: 'true' }
artifacts: [call, bare]
";
    parse(text).unwrap();
    let bare = [
        "13:61 step 'bare' has no files to take [give the workflow 'bare' `artifacts`]",
        "14:19 step 'bare' has no files to take [give the workflow 'bare' `artifacts`]",
    ];
    let wrong = "12:50 the inputs of 'count' don't fit: the input 'table' must be of type files \
                 [give files of a step: ${{ steps.STEP.files }}]";
    assert_eq!(
        told(check_called(text, &called())),
        [wrong, bare[0], bare[1]]
    );
    assert_eq!(told(missing_outputs(text, &called())), bare);
}
