//! The rules of a task as a fold: what each outcome does to the conversation and what follows.

mod answers;
mod fold;
mod stall;
mod talk;

use std::time::Duration;

use fusion_core::{
    AgentId, EffectClass, EntryKind, EntryState, ErrorCode, JournalEntry, JournalEntryId,
    MessageId, RunId, TaskId, Timestamp, ToolGroup, Usage,
};
use fusion_providers::{CostSource, FinishReason, Message, ToolCall, Turn};
use fusion_web::Hosts;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{Action, Session};
use crate::entry::{CheckOutcome, InboxOutcome, ToolOutcome, TurnOutcome};
use crate::{Failure, Incoming, Sender, TaskBrief};

/// A step whose output is its text.
fn text_step() -> TaskBrief {
    TaskBrief {
        task_id: TaskId::from_uuid(Uuid::nil()),
        run_id: RunId::from_uuid(Uuid::nil()),
        agent_id: AgentId::from_uuid(Uuid::nil()),
        step: "write".into(),
        workflow: "book".into(),
        agent: "writer".into(),
        instructions: String::new(),
        model: "m".into(),
        prompt: "Write.".into(),
        peers: vec!["reviewer".into()],
        tools: Vec::new(),
        hosts: Hosts::default(),
        max_turns: 5,
        max_repeats: 6,
        context_tokens: 128_000,
        max_tokens: None,
        temperature: None,
        provider_options: Map::new(),
        output_schema: None,
        verify: Vec::new(),
        command_timeout: Duration::from_secs(1),
        renewal: 1,
        journal_from: 0,
    }
}

/// A step that hands in a `summary`, of an agent with tools.
fn summary_step() -> TaskBrief {
    TaskBrief {
        tools: vec![ToolGroup::Files],
        output_schema: Some(json!({
            "type": "object",
            "properties": { "summary": { "type": "string" } },
            "required": ["summary"],
            "additionalProperties": false,
        })),
        ..text_step()
    }
}

/// The same, with a command that must pass.
fn verified_step() -> TaskBrief {
    TaskBrief {
        verify: vec!["make test".into()],
        ..summary_step()
    }
}

fn call(id: &str, name: &str, arguments: Value) -> ToolCall {
    ToolCall {
        id: id.into(),
        name: name.into(),
        arguments,
    }
}

fn read(id: &str) -> ToolCall {
    call(id, "read_file", json!({ "path": id }))
}

fn finish(id: &str, arguments: Value) -> ToolCall {
    call(id, "finish", arguments)
}

fn answer(text: &str, tool_calls: Vec<ToolCall>) -> Turn {
    Turn {
        text: text.into(),
        tool_calls,
        finish_reason: FinishReason::Stop,
        usage: Usage::default(),
        reasoning: None,
        tokens_are_estimated: false,
        cost_source: CostSource::Provider,
        served_by: None,
        model: "m".into(),
        generation_id: None,
    }
}

fn entry(seq: u32, kind: EntryKind, state: EntryState, outcome: Option<Value>) -> JournalEntry {
    JournalEntry {
        id: JournalEntryId::from_uuid(Uuid::from_u128(seq.into())),
        task_id: TaskId::from_uuid(Uuid::nil()),
        run_id: RunId::from_uuid(Uuid::nil()),
        seq,
        kind,
        name: "read_file".into(),
        effect: EffectClass::Once,
        state,
        request: Value::Null,
        outcome,
        usage: Usage::default(),
        attempts: 1,
        started_at: Timestamp::UNIX_EPOCH,
        finished_at: None,
    }
}

fn finished(seq: u32, kind: EntryKind, outcome: impl serde::Serialize) -> JournalEntry {
    let outcome = serde_json::to_value(outcome).unwrap();
    entry(seq, kind, EntryState::Finished, Some(outcome))
}

fn turn(turn: Turn) -> JournalEntry {
    finished(1, EntryKind::Turn, TurnOutcome::Answer(turn))
}

fn text(text: &str) -> JournalEntry {
    turn(answer(text, Vec::new()))
}

fn calls(calls: Vec<ToolCall>) -> JournalEntry {
    turn(answer("", calls))
}

fn result(content: &str) -> JournalEntry {
    finished(2, EntryKind::Tool, ToolOutcome::done(content.into()))
}

fn check(passed: bool, report: &str) -> JournalEntry {
    let report = report.into();
    finished(3, EntryKind::Check, CheckOutcome { passed, report })
}

/// Messages of the reviewer, by number and text.
fn inbox(messages: &[(u128, &str)]) -> JournalEntry {
    let messages = messages.iter().map(|(number, text)| Incoming {
        id: MessageId::from_uuid(Uuid::from_u128(*number)),
        seq: u64::try_from(*number).unwrap(),
        sender: Sender::Agent("reviewer".into()),
        topic: "review.draft".into(),
        message_type: "question".into(),
        text: (*text).into(),
        reply_to: None,
    });
    let messages = messages.collect();
    finished(4, EntryKind::Inbox, InboxOutcome { messages })
}

/// A session after these entries.
fn after<'a>(brief: &'a TaskBrief, entries: &[JournalEntry]) -> Session<'a> {
    let mut session = Session::new(brief);
    for entry in entries {
        session.apply(entry);
    }
    session
}

fn next(brief: &TaskBrief, entries: &[JournalEntry]) -> Action {
    after(brief, entries).next()
}

/// What the agent was told last.
fn last(session: &Session<'_>) -> Message {
    session.messages().last().unwrap().clone()
}

fn user(text: &str) -> Message {
    Message::User { text: text.into() }
}

fn told(call_id: &str, name: &str, content: &str) -> Message {
    Message::Tool {
        call_id: call_id.into(),
        name: name.into(),
        content: content.into(),
    }
}

fn failure(code: ErrorCode, message: &str) -> Action {
    Action::Fail(Failure {
        code,
        message: message.into(),
        help: None,
    })
}

fn summary(text: &str) -> Value {
    json!({ "summary": text })
}

#[test]
fn a_task_begins_with_its_prompt_and_a_turn() {
    let brief = text_step();
    let session = Session::new(&brief);
    assert_eq!(session.messages(), [user("Write.")]);
    assert_eq!((session.next(), session.next_turn()), (Action::Turn, 1));
}

#[test]
fn an_agent_that_does_not_finish_fails_with_the_way_out() {
    let brief = TaskBrief {
        max_turns: 2,
        ..summary_step()
    };
    let step = || [calls(vec![read("a")]), result("A")];
    assert_eq!(next(&brief, &step()), Action::Turn);
    assert_eq!(
        next(&brief, &[step(), step()].concat()),
        Action::Fail(Failure {
            code: ErrorCode::Limited,
            message: "the agent 'writer' did not finish within 2 turns".into(),
            help: Some(
                "raise `max_turns` of the agent 'writer', or ask for less in one step".into()
            ),
        })
    );
}

#[test]
fn what_the_last_turn_asked_for_is_still_done() {
    let brief = TaskBrief {
        max_turns: 1,
        ..summary_step()
    };
    let turn = calls(vec![read("a"), finish("f", summary("Done."))]);
    assert_eq!(
        next(&brief, std::slice::from_ref(&turn)),
        Action::Tool(read("a"))
    );
    assert_eq!(
        next(&brief, &[turn, result("A")]),
        Action::Complete(summary("Done."))
    );
}

#[test]
fn an_error_of_the_provider_ends_the_task_with_its_help() {
    let (message, help) = ("openrouter can't be reached", Some("check the network"));
    let outcome = TurnOutcome::Error {
        message: message.into(),
        help: help.map(Into::into),
    };
    assert_eq!(
        next(&text_step(), &[finished(1, EntryKind::Turn, outcome)]),
        Action::Fail(Failure {
            code: ErrorCode::InvalidInput,
            message: message.into(),
            help: help.map(Into::into),
        })
    );
}

#[test]
fn an_effect_whose_outcome_a_crash_took_is_told_as_unknown() {
    let brief = summary_step();
    let command = call("c", "run_command", json!({ "command": "make" }));
    let lost = JournalEntry {
        name: "run_command".into(),
        ..entry(2, EntryKind::Tool, EntryState::Unknown, None)
    };
    let session = after(&brief, &[calls(vec![command]), lost]);
    let unknown = "The outcome of this call of run_command is unknown: the program was stopped while \
                   it ran. It was not repeated. Look at the workspace before you decide whether to \
                   run it again.";
    assert_eq!(last(&session), told("c", "run_command", unknown));
    assert_eq!(session.next(), Action::Turn);
}

#[test]
fn an_entry_that_can_not_be_read_fails_the_task_for_good() {
    let brief = verified_step();
    let handed_in = calls(vec![finish("f", summary("Done."))]);
    for (before, kind, what) in [
        (
            None,
            EntryKind::Turn,
            "unknown variant `x`, expected `answer` or `error`",
        ),
        (
            Some(calls(vec![read("a")])),
            EntryKind::Tool,
            "missing field `content`",
        ),
        (
            Some(handed_in.clone()),
            EntryKind::Check,
            "missing field `passed`",
        ),
    ] {
        let broken = entry(7, kind, EntryState::Finished, Some(json!({ "x": 1 })));
        let mut past = Vec::from_iter(before);
        past.push(broken);
        let message = format!("journal entry 7 can't be read: {what}");
        let failed = failure(ErrorCode::Internal, &message);
        assert_eq!(next(&brief, &past), failed);
        past.extend([handed_in.clone(), check(true, "")]);
        assert_eq!(next(&brief, &past), failed);
    }
}

#[test]
fn an_outcome_of_something_else_than_what_came_next_fails_the_task() {
    let brief = verified_step();
    let asked = || calls(vec![call("w", "write_file", json!({}))]);
    for past in [
        vec![result("x")],
        vec![check(true, "")],
        vec![asked(), result("x")],
        vec![asked(), check(true, "")],
        vec![asked(), text("More.")],
        vec![asked(), inbox(&[(1, "Hello.")])],
    ] {
        let message = format!("journal entry {} is out of place", past[past.len() - 1].seq);
        assert_eq!(next(&brief, &past), failure(ErrorCode::Internal, &message));
    }
}

#[test]
fn a_schema_that_is_none_fails_the_task_before_its_first_turn() {
    let brief = TaskBrief {
        output_schema: Some(json!({ "type": 5 })),
        ..text_step()
    };
    let Action::Fail(failure) = next(&brief, &[]) else {
        panic!("it began");
    };
    assert_eq!(failure.code, ErrorCode::InvalidInput);
    assert!(
        failure
            .message
            .starts_with("the schema of the outputs is not valid: "),
        "{failure:?}"
    );
}
