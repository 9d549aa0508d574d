//! Answers as they were last given, for as long as nobody commits anything (ADR 0055).

use std::any::Any;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use fusion_persistence::Mark;

/// Answers that are kept at most.
const ANSWERS: usize = 64;

/// Bytes of all texts that are kept at most.
const BYTES: usize = 2 * 1024 * 1024;

/// An answer in JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Of the one row that it shows; 0 for a page of rows.
    pub(crate) version: u64,
    pub(crate) text: Bytes,
}

/// The answers of one state of the store.
#[derive(Default)]
pub(crate) struct Kept(Mutex<State>);

#[derive(Default)]
struct State {
    mark: Option<Mark>,
    /// Each with what was asked for.
    answers: Vec<(Box<dyn Any + Send>, Answer)>,
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").finish_non_exhaustive()
    }
}

impl Kept {
    /// What was answered in this state to who asked for the same.
    pub(crate) fn get<A: PartialEq + 'static>(&self, asked: &A, mark: Mark) -> Option<Answer> {
        let state = self.lock();
        if state.mark != Some(mark) {
            return None;
        }
        state.known(asked).cloned()
    }

    /// Keeps an answer whose rows were read after this mark was; those of another state are forgotten. What
    /// no longer fits is not kept.
    pub(crate) fn keep<A>(&self, asked: A, mark: Mark, answer: Answer)
    where
        A: PartialEq + Send + 'static,
    {
        let mut state = self.lock();
        if state.mark != Some(mark) {
            state.answers.clear();
            state.mark = Some(mark);
        }
        if state.known(&asked).is_some() {
            // Many asked at once.
            return;
        }
        let bytes: usize = state.answers.iter().map(|(_, it)| it.text.len()).sum();
        if state.answers.len() < ANSWERS && bytes + answer.text.len() <= BYTES {
            state.answers.push((Box::new(asked), answer));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Who panicked had changed nothing, or had emptied it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn known<A: PartialEq + 'static>(&self, asked: &A) -> Option<&Answer> {
        let mut answers = self.answers.iter();
        let found = answers.find(|(other, _)| other.downcast_ref::<A>() == Some(asked));
        found.map(|(_, answer)| answer)
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;
    use fusion_core::{AgentId, AgentState};
    use fusion_persistence::{AgentFilter, Mark, Page, TaskFilter};
    use uuid::Uuid;

    use super::{ANSWERS, Answer, BYTES, Kept};

    fn answer(text: &[u8]) -> Answer {
        Answer {
            version: 7,
            text: Bytes::copy_from_slice(text),
        }
    }

    #[test]
    fn an_answer_is_given_again_to_who_asks_for_just_that_in_the_same_state() {
        let kept = Kept::default();
        let all = (AgentFilter::default(), Page::<AgentId>::first(9));
        let mut idle = all.clone();
        idle.0.states = vec![AgentState::Idle];
        let id = AgentId::from_uuid(Uuid::from_u128(1));
        let (first, second) = (Mark::new(1), Mark::new(2));
        kept.keep(all.clone(), first, answer(b"agents"));
        assert_eq!(
            [
                kept.get(&all, first),
                kept.get(&all, second),
                kept.get(&(AgentFilter::default(), Page::<AgentId>::first(8)), first),
                kept.get(&idle, first),
                kept.get(&(TaskFilter::default(), Page::<AgentId>::first(9)), first),
                kept.get(&id, first),
            ],
            [Some(answer(b"agents")), None, None, None, None, None]
        );
        kept.keep(id, second, answer(b"agent"));
        assert_eq!(
            [
                kept.get(&all, first),
                kept.get(&all, second),
                kept.get(&id, second),
            ],
            [None, None, Some(answer(b"agent"))]
        );
    }

    #[test]
    fn what_is_kept_has_its_limits() {
        let (kept, mark) = (Kept::default(), Mark::new(1));
        for _ in 0..2 * ANSWERS {
            kept.keep("of many who asked at once", mark, answer(b"x"));
        }
        assert_eq!(kept.lock().answers.len(), 1);
        for number in 0..2 * ANSWERS {
            kept.keep(number, mark, answer(b"x"));
        }
        assert_eq!(kept.lock().answers.len(), ANSWERS);
        let large = Kept::default();
        for number in 0..3 {
            large.keep(number, mark, answer(&vec![b'x'; BYTES / 2]));
        }
        assert_eq!(large.lock().answers.len(), 2);
    }
}
