//! What becomes of an answer: outputs, a repair, a check, or the end.

use fusion_core::ErrorCode;
use fusion_providers::{FinishReason, Message};
use serde_json::json;

use super::{
    after, answer, calls, check, failure, finish, last, next, read, result, summary, summary_step,
    text, text_step, told, turn, user, verified_step,
};
use crate::TaskBrief;
use crate::session::Action;

#[test]
fn a_text_step_completes_with_the_text_as_it_was_said() {
    let outputs = json!({ "text": " A book.\n" });
    assert_eq!(
        next(&text_step(), &[text(" A book.\n")]),
        Action::Complete(outputs)
    );
}

#[test]
fn an_empty_answer_gets_one_repair_turn_then_the_task_fails() {
    let brief = text_step();
    let session = after(&brief, &[text(" \n")]);
    let ask = user("there is no answer. Answer the task in plain text.");
    assert_eq!((last(&session), session.next()), (ask, Action::Turn));
    assert_eq!(
        next(&brief, &[text(""), text("")]),
        failure(
            ErrorCode::Unavailable,
            "there is no answer (after one repair turn)"
        )
    );
    let outputs = json!({ "text": "Here." });
    assert_eq!(
        next(&brief, &[text(""), text("Here.")]),
        Action::Complete(outputs)
    );
}

#[test]
fn an_answer_without_outputs_that_was_cut_says_so() {
    let cut = |brief: &TaskBrief| {
        let mut answer = answer("", Vec::new());
        answer.finish_reason = FinishReason::Length;
        last(&after(brief, &[turn(answer)]))
    };
    assert_eq!(
        cut(&text_step()),
        user(
            "there is no answer: the answer was cut at its limit of tokens. Answer the task in plain text."
        )
    );
    assert_eq!(
        cut(&summary_step()),
        user(
            "the outputs are missing: the answer was cut at its limit of tokens. Call `finish` with \
             every output, each as its schema says."
        )
    );
}

#[test]
fn a_refusal_is_a_failure_and_never_an_output() {
    let mut refusal = answer("I can't help with that.", Vec::new());
    refusal.finish_reason = FinishReason::ContentFilter;
    assert_eq!(
        next(&text_step(), &[turn(refusal)]),
        failure(
            ErrorCode::InvalidInput,
            "the model or its provider refused to answer: \"I can't help with that.\""
        )
    );
}

#[test]
fn a_paused_answer_goes_on_in_the_next_turn() {
    let brief = text_step();
    let mut paused = answer("The sea ", Vec::new());
    paused.finish_reason = FinishReason::Paused;
    paused.reasoning = Some(json!([{ "type": "text", "text": "The sea " }]));
    let session = after(&brief, &[turn(paused.clone())]);
    let kept = Message::Assistant {
        text: "The sea ".into(),
        tool_calls: Vec::new(),
        reasoning: paused.reasoning.clone(),
    };
    assert_eq!((last(&session), session.next()), (kept, Action::Turn));
    assert_eq!(
        next(&brief, &[turn(paused), text("is wide.")]),
        Action::Complete(json!({ "text": "The sea is wide." }))
    );
}

#[test]
fn outputs_count_from_a_finish_call_from_bare_json_and_from_a_code_block() {
    let brief = summary_step();
    for entry in [
        calls(vec![finish("f", summary("Done."))]),
        text(r#"{"summary": "Done."}"#),
        text("```json\n{\"summary\": \"Done.\"}\n```"),
    ] {
        assert_eq!(next(&brief, &[entry]), Action::Complete(summary("Done.")));
    }
}

#[test]
fn outputs_that_do_not_fit_get_one_repair_turn_then_a_failure_that_names_the_field() {
    let brief = summary_step();
    let misfit = || calls(vec![finish("f", json!({ "summary": 5 }))]);
    let session = after(&brief, &[misfit()]);
    let ask = told(
        "f",
        "finish",
        "output 'summary' does not fit: 5 is not of type \"string\". Call `finish` with every output, \
         each as its schema says.",
    );
    assert_eq!((last(&session), session.next()), (ask, Action::Turn));
    assert_eq!(
        next(&brief, &[misfit(), misfit()]),
        failure(
            ErrorCode::Unavailable,
            "output 'summary' does not fit: 5 is not of type \"string\" (after one repair turn)"
        )
    );
    let mended = calls(vec![finish("g", summary("Done."))]);
    assert_eq!(
        next(&brief, &[misfit(), mended]),
        Action::Complete(summary("Done."))
    );
}

#[test]
fn prose_where_outputs_are_due_is_told_as_a_message_and_counts_as_the_repair() {
    let brief = summary_step();
    let session = after(&brief, &[text("I am done.")]);
    let ask = "the outputs are missing. Call `finish` with every output, each as its schema says.";
    assert_eq!((last(&session), session.next()), (user(ask), Action::Turn));
    assert_eq!(
        next(
            &brief,
            &[text("I am done."), calls(vec![finish("f", json!({}))])]
        ),
        failure(
            ErrorCode::Unavailable,
            "output 'summary' is missing (after one repair turn)"
        )
    );
}

#[test]
fn two_misfits_in_one_turn_still_leave_the_repair_turn() {
    let brief = summary_step();
    let twice = calls(vec![finish("f", json!({})), finish("g", json!({}))]);
    let session = after(&brief, &[twice]);
    assert_eq!(session.next(), Action::Turn);
    let ask =
        "output 'summary' is missing. Call `finish` with every output, each as its schema says.";
    assert_eq!(
        session.messages()[2..],
        [told("f", "finish", ask), told("g", "finish", ask)]
    );
}

#[test]
fn a_turn_between_two_misfits_gives_no_second_repair() {
    let brief = summary_step();
    let misfit = || calls(vec![finish("f", json!({}))]);
    let past = [misfit(), calls(vec![read("a")]), result("x"), misfit()];
    assert_eq!(
        next(&brief, &past),
        failure(
            ErrorCode::Unavailable,
            "output 'summary' is missing (after one repair turn)"
        )
    );
}

#[test]
fn finish_waits_for_the_other_calls_of_its_turn() {
    let brief = summary_step();
    let turn = calls(vec![read("a"), finish("f", summary("Done.")), read("b")]);
    assert_eq!(
        next(&brief, std::slice::from_ref(&turn)),
        Action::Tool(read("a"))
    );
    let past = [turn, result("A")];
    assert_eq!(next(&brief, &past), Action::Tool(read("b")));
    let past = [&past[..], &[result("B")]].concat();
    let session = after(&brief, &past);
    assert_eq!(session.next(), Action::Complete(summary("Done.")));
    assert_eq!(
        session.messages()[2..],
        [told("a", "read_file", "A"), told("b", "read_file", "B")]
    );
}

#[test]
fn a_text_step_has_no_finish_and_its_call_goes_to_the_toolbox() {
    let called = finish("f", summary("Done."));
    assert_eq!(
        next(&text_step(), &[calls(vec![called.clone()])]),
        Action::Tool(called)
    );
}

#[test]
fn outputs_count_only_after_their_check_has_passed() {
    let brief = verified_step();
    let handed_in = calls(vec![finish("f", summary("Done."))]);
    assert_eq!(
        next(&brief, std::slice::from_ref(&handed_in)),
        Action::Check
    );
    assert_eq!(
        next(&brief, &[handed_in, check(true, "")]),
        Action::Complete(summary("Done."))
    );
}

#[test]
fn a_failed_check_is_the_result_of_the_finish_call_and_no_misfit() {
    let brief = verified_step();
    let handed_in = || calls(vec![finish("f", summary("Done."))]);
    let failed = || check(false, "$ make test\n1 failed");
    let mut past = vec![handed_in(), failed()];
    let session = after(&brief, &past);
    let report = "Not done yet: a check of the work failed.\n$ make test\n1 failed\nMend it, then \
                  hand in again.";
    assert_eq!(last(&session), told("f", "finish", report));
    assert_eq!(session.next(), Action::Turn);

    past.extend([handed_in(), failed(), calls(vec![finish("f", json!({}))])]);
    assert_eq!(
        next(&brief, &past),
        Action::Turn,
        "the repair is still there"
    );
}

#[test]
fn a_failed_check_of_outputs_that_came_as_text_is_told_as_a_message() {
    let brief = verified_step();
    let session = after(&brief, &[text(r#"{"summary": "x"}"#), check(false, "why")]);
    let report = "Not done yet: a check of the work failed.\nwhy\nMend it, then hand in again.";
    assert_eq!(
        (last(&session), session.next()),
        (user(report), Action::Turn)
    );
}
