//! An agent that goes round in a circle is told so, and then ended; and what a turn measures.

use fusion_core::{EffectClass, ErrorCode, JournalEntry};
use fusion_providers::Message;
use serde_json::json;

use super::{after, answer, calls, last, read, result, summary_step, told, turn};
use crate::Failure;
use crate::session::Action;
use crate::window::Measured;

/// The same call, so often, with these outcomes.
fn repeated(outcomes: &[&str]) -> Vec<JournalEntry> {
    let pairs = outcomes
        .iter()
        .map(|outcome| [calls(vec![read("a")]), result(outcome)]);
    pairs.flatten().collect()
}

#[test]
fn the_same_call_with_the_same_outcome_is_told_at_half_the_limit_and_fails_at_the_limit_the_second_time()
 {
    let mut brief = summary_step();
    brief.max_turns = 20;
    let words = "\n[this was the same call with the same outcome 3 times in a row, and after 6 it is ended: \
                 do something else, or finish with what there is]";
    let content = |count: usize| last(&after(&brief, &repeated(&vec!["x"; count])));
    assert_eq!(content(2), told("a", "read_file", "x"));
    assert_eq!(content(3), told("a", "read_file", &format!("x{words}")));
    assert_eq!(content(4), told("a", "read_file", "x"));
    let circle =
        "the agent 'writer' made the same call of read_file 6 times in a row with the same outcome";
    let anew = after(&brief, &repeated(&["x"; 6]));
    assert_eq!((anew.next(), anew.anew()), (Action::Turn, Some(circle)));
    let told = Message::User {
        text: format!(
            "Write.\n\n[This was begun once before and ended in a circle: {circle}. The workspace is as it \
             was left: look there first, and go about it in another way.]"
        ),
    };
    assert_eq!(anew.messages(), [told]);
    // The fresh conversation counts from one.
    assert_eq!(after(&brief, &repeated(&["x"; 11])).next(), Action::Turn);
    assert_eq!(
        after(&brief, &repeated(&["x"; 12])).next(),
        Action::Fail(Failure {
            code: ErrorCode::Limited,
            message:
                "the agent 'writer' made the same call of read_file 6 times in a row with the same outcome"
                    .into(),
            help: Some(
                "say in the step what to do instead, or raise `max_repeats` of the agent 'writer'".into()
            ),
        })
    );
}

#[test]
fn an_outcome_that_changes_is_progress_and_waiting_for_others_is_none_of_this() {
    let mut brief = summary_step();
    brief.max_turns = 20;
    let changing = ["x", "x", "y", "x", "x", "y", "x", "x"];
    assert_eq!(after(&brief, &repeated(&changing)).next(), Action::Turn);
    let mut waiting = repeated(&["x"; 8]);
    for entry in &mut waiting {
        entry.effect = EffectClass::Committed;
    }
    assert_eq!(after(&brief, &waiting).next(), Action::Turn);
}

#[test]
fn a_turn_is_measured_by_what_the_model_counted_and_by_no_estimate() {
    let brief = summary_step();
    let answered = |estimated: bool, request: serde_json::Value| {
        let mut answer = answer("", vec![read("a")]);
        answer.usage.input_tokens = 70;
        answer.tokens_are_estimated = estimated;
        let mut entry = turn(answer);
        entry.request = request;
        after(&brief, &[entry]).measured()
    };
    let request = json!({ "messages": 1, "context_bytes": 150, "sent_bytes": 200 });
    let measured = Measured {
        bytes: 200,
        tokens: 70,
    };
    assert_eq!(answered(false, request.clone()), Some(measured));
    assert_eq!(answered(true, request), None);
    let older = json!({ "messages": 1, "context_bytes": 150 });
    assert_eq!(answered(false, older), None);
}
