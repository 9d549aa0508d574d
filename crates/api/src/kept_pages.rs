//! Pages of lists as they were last answered, for as long as nobody commits anything (ADR 0055).

use std::any::Any;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use fusion_persistence::{Entity, Mark, Page, Selects};

/// Pages that are kept at most.
const PAGES: usize = 64;

/// Bytes of all texts that are kept at most.
const BYTES: usize = 2 * 1024 * 1024;

/// What a page was asked by.
type Asked<F> = (F, Page<<<F as Selects>::Entity as Entity>::Id>);

/// The pages of one state of the store.
#[derive(Default)]
pub(crate) struct KeptPages(Mutex<State>);

#[derive(Default)]
struct State {
    mark: Option<Mark>,
    /// Each with what it was asked by.
    pages: Vec<(Box<dyn Any + Send>, Bytes)>,
}

impl fmt::Debug for KeptPages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptPages").finish_non_exhaustive()
    }
}

impl KeptPages {
    /// The page as it was answered in this state.
    pub(crate) fn get<F: Selects>(
        &self,
        filter: &F,
        page: Page<<F::Entity as Entity>::Id>,
        mark: Mark,
    ) -> Option<Bytes> {
        let state = self.lock();
        if state.mark != Some(mark) {
            return None;
        }
        let found = state.pages.iter().find(|(asked, _)| {
            let asked = asked.downcast_ref::<Asked<F>>();
            asked.is_some_and(|(by, of)| by == filter && *of == page)
        });
        found.map(|(_, text)| text.clone())
    }

    /// Keeps a page that was read after this mark was; pages of another state are forgotten. What no longer
    /// fits is not kept.
    pub(crate) fn keep<F: Selects>(
        &self,
        filter: &F,
        page: Page<<F::Entity as Entity>::Id>,
        mark: Mark,
        text: Bytes,
    ) {
        let mut state = self.lock();
        if state.mark != Some(mark) {
            state.pages.clear();
            state.mark = Some(mark);
        }
        let bytes: usize = state.pages.iter().map(|(_, text)| text.len()).sum();
        if state.pages.len() < PAGES && bytes + text.len() <= BYTES {
            let asked: Asked<F> = (filter.clone(), page);
            state.pages.push((Box::new(asked), text));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Who panicked had changed nothing, or had emptied it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;
    use fusion_core::AgentState;
    use fusion_persistence::{AgentFilter, Mark, Page, TaskFilter};

    use super::{BYTES, KeptPages, PAGES};

    #[test]
    fn a_page_is_given_again_to_who_asks_for_just_that_in_the_same_state() {
        let kept = KeptPages::default();
        let (all, idle) = (
            AgentFilter::default(),
            AgentFilter {
                states: vec![AgentState::Idle],
                ..AgentFilter::default()
            },
        );
        let (first, second) = (Mark::new(1), Mark::new(2));
        let text = Bytes::from_static(b"agents");
        kept.keep(&all, Page::first(9), first, text.clone());
        let tasks = TaskFilter::default();
        assert_eq!(
            [
                kept.get(&all, Page::first(9), first),
                kept.get(&all, Page::first(9), second),
                kept.get(&all, Page::first(8), first),
                kept.get(&idle, Page::first(9), first),
                kept.get(&tasks, Page::first(9), first),
            ],
            [Some(text.clone()), None, None, None, None]
        );
        kept.keep(&idle, Page::first(9), second, text.clone());
        assert_eq!(
            [
                kept.get(&all, Page::first(9), first),
                kept.get(&all, Page::first(9), second),
                kept.get(&idle, Page::first(9), second),
            ],
            [None, None, Some(text)]
        );
    }

    #[test]
    fn what_is_kept_has_its_limits() {
        let (kept, all, mark) = (KeptPages::default(), AgentFilter::default(), Mark::new(1));
        for limit in 0..u32::try_from(2 * PAGES).unwrap() {
            kept.keep(&all, Page::first(limit), mark, Bytes::from_static(b"x"));
        }
        assert_eq!(kept.lock().pages.len(), PAGES);
        let large = KeptPages::default();
        for limit in 0..3 {
            let text = Bytes::from(vec![b'x'; BYTES / 2]);
            large.keep(&all, Page::first(limit), mark, text);
        }
        assert_eq!(large.lock().pages.len(), 2);
    }
}
