//! A task that is cut off anywhere goes on from its journal.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use fusion_agents::JournalRefused;
use fusion_core::{EntryKind, EntryState, JournalEntry, JournalEntryId};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::journal::{Fault, Memory};
use crate::model::{Model, Sent};
use crate::place::{Finished, Place, calls, done};

/// Writes, lists, reads and runs, with several calls in one turn.
fn task() -> Value {
    let file = |path: &str, content: &str| json!({ "path": path, "content": content });
    json!([
        calls(&[
            ("write_file", file("projects/a.txt", "first")),
            ("list_files", json!({ "path": "projects" })),
            ("read_file", json!({ "path": "projects/a.txt" })),
        ]),
        calls(&[
            ("write_file", file("projects/b.txt", "second")),
            ("run_command", json!({ "command": "make" })),
        ]),
        calls(&[
            ("read_file", json!({ "path": "missing" })),
            ("finish", json!({ "summary": "Done." })),
        ]),
    ])
}

/// The effects of the task, in order.
const EFFECTS: [&str; 9] = [
    "turn",
    "write_file",
    "list_files",
    "read_file",
    "turn",
    "write_file",
    "run_command",
    "turn",
    "read_file",
];
const COMMAND: usize = 7;

/// When the crash came: between the write of an intent and its effect, or after the effect.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Crash {
    Before,
    After,
}

/// The task, cut off at its n-th effect and then run to its end.
async fn cut_at(place: &Place, effect: usize, crash: Crash) -> (Arc<Model>, Finished) {
    let fault = match crash {
        Crash::Before => Fault::Died(effect),
        Crash::After => Fault::Refused(effect + 1),
    };
    let (first, journal) = (Arc::<Model>::default(), Memory::failing(fault));
    let never = CancellationToken::new();
    // After the last effect no write follows: its outcome is in the ending, which is dropped.
    let ending = place.run(&place.brief(), &first, &journal, &never).await;
    assert_eq!(
        ending.is_ok(),
        (effect, crash) == (EFFECTS.len(), Crash::After)
    );
    let past = journal.entries();
    assert_eq!(past.len(), effect);
    assert_eq!(past[effect - 1].state, EntryState::Started);

    let inodes = inodes(place);
    let (second, journal) = (Arc::<Model>::default(), Memory::with(past));
    let ending = place.run(&place.brief(), &second, &journal, &never).await;
    let finished = Finished::new(ending.unwrap(), &second, &journal);
    for (at, (before, now)) in inodes.iter().zip(self::inodes(place)).enumerate() {
        let entry = [2, 6][at];
        if effect > entry {
            assert_eq!(*before, now, "a finished write was repeated");
        }
    }
    (first, finished)
}

fn inodes(place: &Place) -> [Option<u64>; 2] {
    ["a.txt", "b.txt"].map(|name| {
        let path = place.workspace.projects_path().join(name);
        fs::metadata(path).ok().map(|metadata| metadata.ino())
    })
}

/// Without what differs from run to run.
fn comparable(journal: &[JournalEntry]) -> Vec<JournalEntry> {
    let mut journal = journal.to_vec();
    for entry in &mut journal {
        entry.id = JournalEntryId::from_uuid(Uuid::nil());
        entry.name = match entry.kind {
            EntryKind::Turn => "turn".to_owned(),
            EntryKind::Tool | EntryKind::Check | EntryKind::Inbox => entry.name.clone(),
        };
        if let Some(Value::Object(answer)) =
            entry.outcome.as_mut().and_then(|it| it.get_mut("answer"))
        {
            answer.remove("model");
        }
    }
    journal
}

#[tokio::test]
async fn an_uninterrupted_task_does_every_effect_once() {
    let place = Place::new(&task());
    let finished = place.finish(&place.brief()).await;
    assert_eq!(finished.ending, Ok(json!({ "summary": "Done." })));
    let journal = comparable(&finished.journal);
    let names: Vec<&str> = journal.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, EFFECTS);
    for entry in &journal {
        assert_eq!((entry.state, entry.attempts), (EntryState::Finished, 1));
    }
    assert_eq!((finished.model.sent().len(), place.starts()), (3, 1));
}

#[tokio::test]
async fn a_task_cut_off_at_any_effect_ends_the_same_and_repeats_nothing_finished() {
    let place = Place::new(&task());
    let reference = place.finish(&place.brief()).await;
    for effect in (1..=EFFECTS.len()).filter(|effect| *effect != COMMAND) {
        for crash in [Crash::Before, Crash::After] {
            let place = Place::new(&task());
            let (first, finished) = cut_at(&place, effect, crash).await;
            assert_eq!(finished.ending, reference.ending);
            let mut expected = comparable(&reference.journal);
            expected[effect - 1].attempts = 2;
            assert_eq!(
                comparable(&finished.journal),
                expected,
                "{crash:?} {effect}"
            );

            let again = EFFECTS[effect - 1] == "turn" && crash == Crash::After;
            let asked = first.sent().len() + finished.model.sent().len();
            assert_eq!(asked, 3 + usize::from(again), "{crash:?} {effect}");
            assert_eq!(place.starts(), 1, "{crash:?} {effect}");
        }
    }
}

#[tokio::test]
async fn a_model_is_asked_the_same_question_again_under_the_same_key() {
    let place = Place::new(&task());
    let (first, finished) = cut_at(&place, 5, Crash::After).await;
    let lost = |model: &Model| -> Vec<Sent> {
        let sent = model.sent();
        sent.into_iter().filter(|sent| sent.turn == 2).collect()
    };
    assert_eq!(lost(&first).len(), 1);
    assert_eq!(lost(&first), lost(&finished.model));
    assert_ne!(finished.model.sent()[0].key, finished.model.sent()[1].key);
}

#[tokio::test]
async fn a_command_that_was_cut_off_is_not_repeated_but_told_as_unknown() {
    for (crash, starts) in [(Crash::Before, 0), (Crash::After, 1)] {
        let place = Place::new(&task());
        let (_, finished) = cut_at(&place, COMMAND, crash).await;
        assert_eq!(finished.ending, Ok(json!({ "summary": "Done." })));
        assert_eq!(place.starts(), starts);
        let entry = &finished.journal[COMMAND - 1];
        assert_eq!(
            (entry.state, &entry.outcome, entry.attempts),
            (EntryState::Unknown, &None, 1)
        );
        let told = format!("{:?}", finished.model.told_at(3));
        assert!(
            told.contains("The outcome of this call of run_command is unknown"),
            "{told}"
        );
    }
}

#[tokio::test]
async fn a_task_that_is_cut_off_again_and_again_counts_its_attempts() {
    let place = Place::new(&json!([done()]));
    let never = CancellationToken::new();
    let mut past = Vec::new();
    for attempt in 1..=3 {
        let model = Arc::<Model>::default();
        let cut = Memory::with(past).dying_at(1);
        let ending = place.run(&place.brief(), &model, &cut, &never).await;
        assert_eq!(ending, Err(JournalRefused));
        past = cut.entries();
        assert_eq!((past.len(), past[0].attempts), (1, attempt));
    }
}
