//! Cancelling a task, and a journal that refuses.

use std::sync::Arc;

use fusion_agents::{Ending, JournalRefused, Record};
use fusion_core::{Cost, EntryState, Usage};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::journal::{Fault, Memory};
use crate::model::Model;
use crate::place::{Place, calls, done};

fn task() -> Value {
    let file = json!({ "path": "projects/a.txt", "content": "a" });
    json!([calls(&[("write_file", file)]), done()])
}

fn is_written(place: &Place) -> bool {
    place.workspace.projects_path().join("a.txt").exists()
}

#[tokio::test]
async fn a_refused_intent_starts_no_effect() {
    let never = CancellationToken::new();
    for (refused, asked, entries) in [(1, 0, 0), (2, 1, 1)] {
        let place = Place::new(&task());
        let model = Arc::<Model>::default();
        let journal = Memory::failing(Fault::Refused(refused));
        let ending = place.run(&place.brief(), &model, &journal, &never).await;
        assert_eq!(ending, Err(JournalRefused));
        assert_eq!(model.sent().len(), asked);
        assert_eq!(journal.entries().len(), entries);
        assert!(!is_written(&place));
    }
}

#[tokio::test]
async fn an_outcome_goes_to_the_journal_together_with_the_next_intent() {
    let place = Place::new(&task());
    let (model, journal) = (Arc::<Model>::default(), Memory::default());
    let never = CancellationToken::new();
    let ending = place.run(&place.brief(), &model, &journal, &never).await;
    let shape = |records: &[Record]| -> Vec<(bool, u32, EntryState)> {
        let of = |record: &Record| match record {
            Record::Begin(entry) => (true, entry.seq, entry.state),
            Record::Update(entry) => (false, entry.seq, entry.state),
            Record::Send(_)
            | Record::Acknowledge(_)
            | Record::Subscriptions(_)
            | Record::Anew(_) => {
                panic!("no message was sent or read")
            }
        };
        records.iter().map(of).collect()
    };
    let (begun, finished) = (EntryState::Started, EntryState::Finished);
    let writes: Vec<_> = journal.writes().iter().map(|it| shape(it)).collect();
    assert_eq!(
        writes,
        [
            vec![(true, 1, begun)],
            vec![(false, 1, finished), (true, 2, begun)],
            vec![(false, 2, finished), (true, 3, begun)],
        ]
    );
    let Ok(Ending::Completed { unrecorded, .. }) = ending else {
        panic!("{ending:?}");
    };
    assert_eq!(shape(&unrecorded), [(false, 3, finished)]);
}

#[tokio::test]
async fn a_task_that_is_cancelled_before_a_turn_begins_nothing() {
    let place = Place::new(&task());
    let (model, journal) = (Arc::<Model>::default(), Memory::default());
    let cancel = CancellationToken::new();
    cancel.cancel();
    let ending = place.run(&place.brief(), &model, &journal, &cancel).await;
    let nothing = Ending::Interrupted {
        cut_off: None,
        unrecorded: Vec::new(),
    };
    assert_eq!(ending, Ok(nothing));
    assert_eq!((journal.entries(), model.sent()), (Vec::new(), Vec::new()));
}

#[tokio::test]
async fn a_turn_that_is_cancelled_is_left_begun() {
    let place = Place::new(&task());
    let cancel = CancellationToken::new();
    let model = Arc::new(Model::hanging_at(2, cancel.clone()));
    let journal = Memory::default();
    let ending = place.run(&place.brief(), &model, &journal, &cancel).await;
    let cut_off = journal.entries().pop().map(Box::new);
    assert_eq!(
        ending,
        Ok(Ending::Interrupted {
            cut_off,
            unrecorded: Vec::new()
        })
    );
    let states: Vec<EntryState> = journal.entries().iter().map(|entry| entry.state).collect();
    assert_eq!(
        states,
        [
            EntryState::Finished,
            EntryState::Finished,
            EntryState::Started
        ]
    );
}

#[tokio::test]
async fn what_lost_calls_cost_is_in_the_turn_that_came_and_in_the_one_that_was_cut_off() {
    let place = Place::new(&task());
    let cancel = CancellationToken::new();
    let lost = Usage {
        turns: 0,
        input_tokens: 7,
        output_tokens: 3,
        cost: Cost::from_picos(37),
    };
    let model = Arc::new(Model::hanging_at(2, cancel.clone()).losing(lost));
    let journal = Memory::default();
    let ending = place.run(&place.brief(), &model, &journal, &cancel).await;
    let Ok(Ending::Interrupted {
        cut_off: Some(cut_off),
        ..
    }) = ending
    else {
        panic!("{ending:?}");
    };
    assert_eq!(cut_off.usage, lost);
    let entries = journal.entries();
    let (first, last) = (&entries[0].usage, &entries.last().unwrap().usage);
    assert_eq!((first.turns, first.cost), (1, lost.cost));
    assert_eq!(*last, Usage::default(), "it is in no record yet");
}

#[tokio::test]
async fn what_was_done_when_the_cancel_came_keeps_its_outcome() {
    let place = Place::new(&task());
    let cancel = CancellationToken::new();
    let journal = Memory::failing(Fault::Cancelled(2, cancel.clone()));
    let model = Arc::<Model>::default();
    let ending = place.run(&place.brief(), &model, &journal, &cancel).await;
    let Ok(Ending::Interrupted { unrecorded, .. }) = ending else {
        panic!("{ending:?}");
    };
    assert!(is_written(&place));
    let closed = journal.closed(&unrecorded);
    assert_eq!((closed.len(), closed[1].state), (2, EntryState::Finished));

    let (model, journal) = (Arc::<Model>::default(), Memory::with(closed));
    let never = CancellationToken::new();
    let ending = place.run(&place.brief(), &model, &journal, &never).await;
    assert!(matches!(ending, Ok(Ending::Completed { .. })), "{ending:?}");
    assert_eq!(model.sent().len(), 1, "only the second turn was left");
}
