//! What arrives between turns, and the tools that talk.

use std::sync::Arc;
use std::time::Duration;

use fusion_agents::{Ending, Incoming, JournalRefused, Record, TaskBrief};
use fusion_core::{EntryKind, EntryState, JournalEntry, MessageId, ToolGroup};
use fusion_providers::Message;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::journal::{Fault, Memory};
use crate::mailbox::{incoming, sent_id};
use crate::model::Model;
use crate::place::{Finished, Place, calls, done};

fn ids(messages: &[Incoming]) -> Vec<MessageId> {
    messages.iter().map(|message| message.id).collect()
}

/// Runs a task to its end; gives what came of it beside the journal.
async fn finish(place: &Place, journal: &Memory) -> Finished {
    let model = Arc::<Model>::default();
    let never = CancellationToken::new();
    let ending = place.run(&place.brief(), &model, journal, &never).await;
    Finished::new(ending.unwrap(), &model, journal)
}

/// What a call of a tool tells the model, and whether it did what was asked.
async fn outcome(journal: &Memory, tool: &str, arguments: Value) -> (String, bool) {
    let place = Place::new(&json!([calls(&[(tool, arguments)]), done()]));
    let finished = finish(&place, journal).await;
    let entry = finished
        .journal
        .iter()
        .find(|entry| entry.name == tool)
        .unwrap();
    let outcome = entry.outcome.as_ref().unwrap();
    (
        outcome["content"].as_str().unwrap().to_owned(),
        outcome["ok"] == json!(true),
    )
}

#[tokio::test]
async fn what_arrived_is_put_before_the_model_and_acknowledged_in_one_write_with_the_turn() {
    let place = Place::new(&json!([done()]));
    let journal = Memory::default();
    let arrived = [incoming(1, "Is it done?"), incoming(2, "Hurry.")];
    for message in arrived.clone() {
        journal.arrive(message);
    }
    let finished = finish(&place, &journal).await;
    let sent = finished.model.sent();
    let Message::User { text } = &sent[0].messages[1] else {
        panic!("{sent:?}");
    };
    assert!(
        text.contains("> Is it done?") && text.contains("> Hurry."),
        "{text}"
    );
    assert_eq!(journal.read(), ids(&arrived));
    let first = journal.writes().remove(0);
    let [
        Record::Begin(heard),
        Record::Acknowledge(read),
        Record::Begin(turn),
    ] = &first[..]
    else {
        panic!("{first:?}");
    };
    assert_eq!(
        (heard.kind, heard.state, heard.seq),
        (EntryKind::Inbox, EntryState::Finished, 1)
    );
    assert_eq!((turn.kind, turn.seq), (EntryKind::Turn, 2));
    assert_eq!(*read, ids(&arrived));
}

#[tokio::test]
async fn an_agent_that_can_talk_is_told_with_whom_and_another_is_not() {
    let place = Place::new(&json!([done()]));
    let system = async |tools: &[ToolGroup], peers: &[&str]| {
        let brief = TaskBrief {
            tools: tools.to_vec(),
            peers: peers.iter().map(|&name| name.to_owned()).collect(),
            ..place.brief()
        };
        place.finish(&brief).await.model.sent()[0].system.clone()
    };
    let talk = [ToolGroup::Messages];
    let told = system(&talk, &["lead", "reviewer"]).await;
    assert!(
        told.contains("The other agents of this run are: lead, reviewer."),
        "{told}"
    );
    assert!(!told.contains("workspace"), "{told}");
    let told = system(&talk, &[]).await;
    assert!(
        told.contains("There are no other agents in this run."),
        "{told}"
    );
    let told = system(&[ToolGroup::Files], &["lead"]).await;
    assert!(!told.contains("lead"), "{told}");
}

/// Sends a question, waits for the answer and reads the rest.
fn talk() -> Value {
    json!([
        calls(&[
            ("send_message", json!({ "to": "reviewer", "text": "Good?" })),
            ("wait_for_message", json!({ "reply_to": "last" })),
            ("read_messages", json!({ "limit": 1 })),
        ]),
        calls(&[(
            "send_message",
            json!({ "to": "reviewer", "text": "Thanks.", "reply_to": "last" })
        )]),
        done(),
    ])
}

/// What the others say: two before the first turn, an answer and one more after the question.
fn said() -> [Incoming; 4] {
    let answer = Incoming {
        reply_to: Some(sent_id(1)),
        ..incoming(4, "Good.")
    };
    [
        incoming(1, "First."),
        incoming(2, "Second."),
        incoming(3, "Third."),
        answer,
    ]
}

fn talking() -> Memory {
    let said = said();
    let journal = Memory::default().answering(&said[2..]);
    for message in &said[..2] {
        journal.arrive(message.clone());
    }
    journal
}

/// What the model was told at its last turn.
fn conversation(finished: &Finished) -> String {
    format!("{:?}", finished.model.sent().last().unwrap().messages)
}

#[tokio::test]
async fn a_talk_cut_off_at_any_write_loses_no_message_and_shows_none_twice() {
    let place = Place::new(&talk());
    let reference = conversation(&finish(&place, &talking()).await);
    for text in ["First.", "Second.", "Good.", "Third."] {
        let told = reference.matches(&format!("> {text}")).count();
        assert_eq!(told, 1, "{text} {reference}");
    }
    let mut cuts = 0;
    for fault in (1..).flat_map(|write| [Fault::Refused(write), Fault::Died(write)]) {
        let cut = talking().with_fault(fault.clone());
        let (model, never) = (Arc::<Model>::default(), CancellationToken::new());
        let ending = place.run(&place.brief(), &model, &cut, &never).await;
        if ending.is_ok() {
            break;
        }
        assert_eq!(ending, Err(JournalRefused));
        cuts += 1;
        let journal = cut.revived();
        let finished = finish(&place, &journal).await;
        assert_eq!(conversation(&finished), reference, "{fault:?}");
        let [first, second, third, answer] = said().map(|message| message.id);
        assert_eq!(journal.read(), [first, second, answer, third], "{fault:?}");
        assert_eq!(journal.sent(), [sent_id(1), sent_id(2)], "{fault:?}");
        assert_dense(&finished.journal);
    }
    assert!(cuts >= 16, "it was cut off {cuts} times only");
}

fn assert_dense(journal: &[JournalEntry]) {
    for (at, entry) in journal.iter().enumerate() {
        assert_eq!(usize::try_from(entry.seq).unwrap(), at + 1);
        assert_eq!(entry.state, EntryState::Finished);
    }
}

#[tokio::test]
async fn a_sent_message_is_written_with_the_outcome_of_its_call() {
    let place = Place::new(&talk());
    let journal = talking();
    finish(&place, &journal).await;
    for write in journal.writes() {
        for (at, record) in write.iter().enumerate() {
            if let Record::Send(_) | Record::Acknowledge(_) = record {
                let before = &write[at - 1];
                let closes = matches!(
                    before,
                    Record::Update(entry) | Record::Begin(entry) if entry.state == EntryState::Finished
                );
                assert!(closes, "{before:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_message_that_can_not_be_delivered_is_told_to_its_sender_and_the_task_goes_on() {
    let journal = Memory::default();
    journal.fill("the inbox of 'reviewer' is full: wait until it has read some");
    let arguments = json!({ "to": "reviewer", "text": "Good?" });
    let told = outcome(&journal, "send_message", arguments).await;
    let why = "the inbox of 'reviewer' is full: wait until it has read some";
    assert_eq!(told, (why.to_owned(), false));
    assert_eq!(journal.sent(), []);
}

#[tokio::test]
async fn a_wait_ends_with_the_message_that_fits_and_leaves_the_others_unread() {
    let place = Place::new(&json!([
        calls(&[("wait_for_message", json!({ "from": "reviewer" }))]),
        done(),
    ]));
    let journal = Memory::default();
    let person = Incoming {
        sender: fusion_agents::Sender::Person,
        ..incoming(1, "Not this.")
    };
    let ring = async {
        // The wait has begun once its intent is written.
        while journal.writes().len() < 2 {
            tokio::task::yield_now().await;
        }
        journal.arrive(person.clone());
        journal.arrive(incoming(2, "This."));
    };
    let (finished, ()) = tokio::join!(finish(&place, &journal), ring);
    assert!(
        finished.content(2).ends_with("> This."),
        "{}",
        finished.content(2)
    );
    assert_eq!(journal.read(), [incoming(2, "").id, person.id]);
    let kinds: Vec<EntryKind> = finished.journal.iter().map(|entry| entry.kind).collect();
    assert_eq!(
        kinds,
        [
            EntryKind::Turn,
            EntryKind::Tool,
            EntryKind::Inbox,
            EntryKind::Turn
        ]
    );
}

#[tokio::test]
async fn a_wait_for_what_was_just_put_before_the_agent_ends_at_once_and_shows_it_once() {
    let place = Place::new(&json!([
        calls(&[("wait_for_message", json!({ "from": "reviewer" }))]),
        done(),
    ]));
    let journal = Memory::default();
    journal.arrive(incoming(1, "This."));
    let finished = finish(&place, &journal).await;
    let id = incoming(1, "").id;
    assert_eq!(
        finished.content(3),
        format!(
            "It has arrived: message {id} was put before you at the beginning of this turn. To wait \
             for another one, call this again."
        )
    );
    assert_eq!(journal.read(), [id]);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_over_is_told_with_its_time() {
    let (told, ok) = outcome(
        &Memory::default(),
        "wait_for_message",
        json!({ "from": "reviewer", "timeout_seconds": 30 }),
    )
    .await;
    assert_eq!(
        told,
        "No message from 'reviewer' arrived within 30 seconds. An agent reads its messages only while \
         it works on a step of its own: wait again, or go on without."
    );
    assert!(!ok);
}

#[tokio::test]
async fn a_wait_is_cancelled_at_once_and_has_no_outcome() {
    let place = Place::new(&json!([
        calls(&[("wait_for_message", json!({ "timeout_seconds": 600 }))]),
        done()
    ]));
    let cancel = CancellationToken::new();
    let journal = Memory::failing(Fault::Cancelled(2, cancel.clone()));
    let model = Arc::<Model>::default();
    let brief = place.brief();
    let run = place.run(&brief, &model, &journal, &cancel);
    let ending = tokio::time::timeout(Duration::from_secs(120), run)
        .await
        .unwrap();
    let Ok(Ending::Interrupted {
        cut_off: Some(cut_off),
        ..
    }) = ending
    else {
        panic!("{ending:?}");
    };
    assert_eq!(
        (cut_off.name.as_str(), cut_off.state),
        ("wait_for_message", EntryState::Started)
    );
}

#[tokio::test]
async fn arguments_that_can_not_be_meant_are_told_with_the_way_out() {
    let long = "é".repeat(12_500);
    for (tool, arguments, told) in [
        (
            "send_message",
            json!({ "to": "reviewer", "text": long }),
            "the message has 25000 bytes and the limit is 24576: say it in several, or say less",
        ),
        (
            "send_message",
            json!({ "to": "reviewer", "text": "x", "reply_to": "last" }),
            "you have not read a message in this step",
        ),
        (
            "send_message",
            json!({ "to": "reviewer", "text": "x", "reply_to": "5" }),
            "`reply_to`: '5' is no message id: an id is a UUID such as \
             019ab3c4-0000-7000-8000-000000000000; or write `last`",
        ),
        (
            "send_message",
            json!({ "to": "reviewer", "text": "x", "type": "a b" }),
            "`type` must have 1 to 64 letters, digits, `_`, `-` or `.`",
        ),
        (
            "send_message",
            json!({ "to": "nobody", "text": "x" }),
            "there is no agent 'nobody'",
        ),
        (
            "wait_for_message",
            json!({ "from": "reviewr" }),
            "there is no agent 'reviewr' to wait for; did you mean `reviewer`?",
        ),
        (
            "wait_for_message",
            json!({ "from": "x", "reply_to": "last" }),
            "there is no agent 'x' to wait for; the other agents are: reviewer",
        ),
        (
            "wait_for_message",
            json!({ "reply_to": "last" }),
            "you have not sent a message in this step",
        ),
        (
            "unsubscribe",
            json!({ "pattern": "a.*" }),
            "you do not listen to 'a.*'",
        ),
    ] {
        let found = outcome(&Memory::default(), tool, arguments).await;
        assert_eq!(found, (told.to_owned(), false));
    }
    let none = outcome(&Memory::default(), "read_messages", json!({})).await;
    assert_eq!(none, ("There are no unread messages.".to_owned(), true));
}

#[tokio::test]
async fn an_agent_changes_what_it_listens_to() {
    let place = Place::new(&json!([
        calls(&[
            ("subscribe", json!({ "pattern": "review.*" })),
            ("subscribe", json!({ "pattern": "broadcast.*" })),
            ("unsubscribe", json!({ "pattern": "review.*" })),
        ]),
        done(),
    ]));
    let journal = Memory::default();
    let finished = finish(&place, &journal).await;
    assert_eq!(
        [2, 3, 4].map(|effect| finished.content(effect)),
        [
            "You listen now to: review.*",
            "You listen now to: review.*, broadcast.*",
            "You listen now to: broadcast.*",
        ]
    );
    assert_eq!(journal.subscriptions(), ["broadcast.*"]);
}

#[tokio::test]
async fn what_no_turn_takes_in_stays_unread() {
    let place = Place::new(&json!([done()]));
    let (journal, model) = (Memory::default(), Arc::<Model>::default());
    let stop = CancellationToken::new();
    journal.arrive(incoming(1, "Stop at once."));
    journal.stopping(stop.clone());
    let ending = place.run(&place.brief(), &model, &journal, &stop).await;
    let Ok(Ending::Interrupted { unrecorded, .. }) = ending else {
        panic!("{ending:?}");
    };
    assert_eq!((unrecorded, model.sent().len()), (vec![], 0));
}
