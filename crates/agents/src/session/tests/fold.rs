//! What holds for every course of a task: random models are played against the session.

use std::collections::VecDeque;

use fusion_core::{EntryKind, EntryState, JournalEntry};
use fusion_providers::{Message, ToolCall, Turn};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    after, answer, call, check, entry, inbox, result, summary, text_step, turn, verified_step,
};
use crate::TaskBrief;
use crate::session::{Action, Session};

/// A pretend world: the n-th answer, outcome of a tool and outcome of a check.
#[derive(Debug, Clone)]
struct World {
    turns: Vec<Turn>,
    /// `None` is an outcome that a crash took.
    results: Vec<Option<String>>,
    checks: Vec<bool>,
    /// What arrives before the n-th turn.
    arrivals: Vec<Option<String>>,
}

impl World {
    /// Does what the session says until it ends, after `past`; gives the whole journal.
    fn play(&self, brief: &TaskBrief, past: &[JournalEntry]) -> Vec<JournalEntry> {
        let mut session = after(brief, past);
        let mut journal = past.to_vec();
        let count = |journal: &[JournalEntry], kind: EntryKind| {
            journal.iter().filter(|entry| entry.kind == kind).count()
        };
        loop {
            let mut outcome = match session.next() {
                Action::Turn => {
                    assert_valid(session.messages());
                    let done = count(&journal, EntryKind::Turn);
                    assert_eq!(usize::try_from(session.next_turn()).unwrap(), done + 1);
                    let heard = |entry: &JournalEntry| entry.kind == EntryKind::Inbox;
                    match &self.arrivals[done] {
                        Some(text) if !journal.last().is_some_and(heard) => inbox(&[(9, text)]),
                        Some(_) | None => turn(self.turns[done].clone()),
                    }
                }
                Action::Tool(call) => JournalEntry {
                    name: call.name,
                    ..self.result(count(&journal, EntryKind::Tool))
                },
                Action::Check => check(self.checks[count(&journal, EntryKind::Check)], "why"),
                Action::Complete(_) | Action::Fail(_) => return journal,
            };
            outcome.seq = u32::try_from(journal.len()).unwrap() + 1;
            session.apply(&outcome);
            journal.push(outcome);
        }
    }

    fn result(&self, number: usize) -> JournalEntry {
        match &self.results[number] {
            Some(content) => result(content),
            None => entry(0, EntryKind::Tool, EntryState::Unknown, None),
        }
    }
}

/// Each call of an answer is answered once, in order, before anything else is said, and the
/// agent has the word next.
fn assert_valid(messages: &[Message]) {
    let mut open: VecDeque<&ToolCall> = VecDeque::new();
    for message in messages {
        match message {
            Message::Tool { call_id, name, .. } => {
                let call = open.pop_front().expect("a result without a call");
                assert_eq!((call_id, name), (&call.id, &call.name));
            }
            Message::User { .. } => assert!(open.is_empty(), "{messages:#?}"),
            Message::Assistant { tool_calls, .. } => {
                assert!(open.is_empty(), "{messages:#?}");
                open.extend(tool_calls);
            }
        }
    }
    assert!(open.is_empty(), "{messages:#?}");
    assert!(!matches!(messages.last(), Some(Message::Assistant { .. })));
}

fn arguments() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => Just(summary("Done.")),
        1 => Just(json!({})),
        1 => Just(json!({ "summary": 5 })),
        1 => Just(json!("{\"summary\": ")),
    ]
}

fn tool_calls() -> impl Strategy<Value = Vec<ToolCall>> {
    let name = prop_oneof![3 => Just("read_file"), 1 => Just("nothing"), 1 => Just("finish")];
    prop::collection::vec((name, arguments()), 0..4).prop_map(|calls| {
        let numbered = calls.into_iter().enumerate();
        numbered
            .map(|(at, (name, arguments))| call(&format!("c{at}"), name, arguments))
            .collect()
    })
}

fn said() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just(""),
        Just("Prose."),
        Just(r#"{"summary": "As text."}"#),
        Just("```json\n{}\n```"),
    ]
}

/// As many of everything as the five turns of a step can ask for.
fn world() -> impl Strategy<Value = World> {
    let turn = (said(), tool_calls()).prop_map(|(text, calls)| answer(text, calls));
    let turns = prop::collection::vec(turn, 5);
    let results = prop::collection::vec(prop::option::weighted(0.8, "[a-z]{0,9}"), 20);
    let checks = prop::collection::vec(any::<bool>(), 20);
    let arrivals = prop::collection::vec(prop::option::weighted(0.3, "[a-z\n]{0,9}"), 5);
    let parts = (turns, results, checks, arrivals);
    parts.prop_map(|(turns, results, checks, arrivals)| World {
        turns,
        results,
        checks,
        arrivals,
    })
}

fn brief() -> impl Strategy<Value = TaskBrief> {
    prop_oneof![
        1 => Just(text_step()),
        3 => Just(verified_step()),
    ]
}

fn stored(journal: &[JournalEntry]) -> Vec<JournalEntry> {
    serde_json::from_str(&serde_json::to_string(journal).unwrap()).unwrap()
}

fn state(session: &Session<'_>) -> (Vec<Message>, Action) {
    (session.messages().to_vec(), session.next())
}

proptest! {
    #[test]
    fn who_takes_over_at_any_entry_goes_on_as_if_nothing_had_happened(
        brief in brief(), world in world(),
    ) {
        let journal = world.play(&brief, &[]);
        let mut live = Session::new(&brief);
        for cut in 0..=journal.len() {
            let past = stored(&journal[..cut]);
            prop_assert_eq!(state(&after(&brief, &past)), state(&live));
            prop_assert_eq!(&world.play(&brief, &past), &journal);
            if let Some(entry) = journal.get(cut) {
                live.apply(entry);
            }
        }
    }

    #[test]
    fn only_outputs_that_fit_and_passed_their_check_come_out(world in world()) {
        let brief = verified_step();
        let journal = world.play(&brief, &[]);
        let ending = after(&brief, &journal).next();
        if let Action::Complete(outputs) = ending {
            prop_assert!(outputs.get("summary").is_some_and(Value::is_string), "{}", outputs);
            prop_assert_eq!(journal.last(), Some(&check_at(journal.len())));
        }
    }

    #[test]
    fn nothing_changes_a_task_that_has_ended(brief in brief(), world in world()) {
        let journal = world.play(&brief, &[]);
        let mut session = after(&brief, &journal);
        let ended = session.next();
        for more in &journal {
            session.apply(more);
        }
        prop_assert_eq!(session.next(), ended);
    }
}

fn check_at(seq: usize) -> JournalEntry {
    JournalEntry {
        seq: u32::try_from(seq).unwrap(),
        ..check(true, "why")
    }
}
