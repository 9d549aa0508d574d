//! The question that a step asks a person.

use fusion_core::{ApprovalSpec, OnExpiry};
use fusion_workflow_file::parse;

use crate::faults::check;

fn file(approval: &str) -> String {
    format!(
        "version: 1\nname: w\nagents: {{a: {{provider: p, model: m}}}}\nsteps:\n\
         - {{id: one, agent: a, prompt: x}}\n\
         - {{id: two, agent: a, prompt: x, needs: [one], approval: {approval}}}\n"
    )
}

#[test]
fn a_question_is_a_message_or_a_section_with_one() {
    let read = |approval: &str| parse(&file(approval)).unwrap().steps[1].approval.clone();
    let spec = |expires_seconds, on_expiry| {
        Some(ApprovalSpec {
            message: "Go ${{ steps.one.outputs.text }}?".into(),
            expires_seconds,
            on_expiry,
        })
    };
    let message = "\"Go ${{ steps.one.outputs.text }}?\"";
    assert_eq!(read(message), spec(None, OnExpiry::Reject));
    let section = format!("{{message: {message}, expires: 72h, on_expiry: skip}}");
    assert_eq!(read(&section), spec(Some(72 * 60 * 60), OnExpiry::Skip));
}

#[test]
fn the_parts_of_a_question_are_checked() {
    check(
        &file("{message: \"${{ steps.none }}\", expires: 9000h, on_expiry: aprove}"),
        &[
            "6:79 there is no step 'none' [did you mean `one`?]",
            "6:98 `expires` must be from 1s to 8760h",
            "6:116 unknown `on_expiry` `aprove` [the words are: reject, skip]",
        ],
    );
    check(
        &file("{expires: 1h}"),
        &["6:59 `approval` of step 'two' has no `message`"],
    );
    check(&file("\" \""), &["6:58 `message` is empty"]);
}
