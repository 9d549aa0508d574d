//! One follower of the event log: where it is, and what it is told next.

use std::sync::Arc;
use std::time::Duration;

use fusion_api_types::api::Frame;
use fusion_core::Event;
use fusion_messaging::{Pattern, Subject};
use fusion_persistence::EventFilter;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, sleep_until};

use super::deltas::Said;
use super::hub::{KEPT, Line, Told};
use crate::event_pages::place as event_place;
use crate::problem::{Refusal, Result};
use crate::query::{Parameters, flag};
use crate::routes::event_filter;
use crate::state::App;

/// Events that are told before the connection is looked at again.
const AT_ONCE: usize = 64;

/// How long nothing is told at most: then a bookmark says how far the log has been looked through.
const BOOKMARK: Duration = Duration::from_secs(15);

/// A follower.
#[derive(Debug)]
pub(crate) struct Follower {
    app: App,
    filter: EventFilter,
    patterns: Vec<Pattern>,
    /// Everything up to this place was told or is not selected.
    place: u64,
    /// It has once been at the end of the log: from then on it must keep up.
    is_live: bool,
    head: watch::Receiver<Option<u64>>,
    /// What models are saying, where that is asked for.
    said: Option<broadcast::Receiver<Arc<Said>>>,
    /// When something was last told.
    told_at: Instant,
}

/// What a follower is told.
#[derive(Debug, PartialEq)]
pub(crate) enum Next {
    /// These frames; then more may come.
    Frames(Vec<Line>),
    /// This is the last.
    Last(Frame),
}

impl Follower {
    /// A follower from the place that the query or `resume` names, else from the end of the log; and
    /// the frame that greets it.
    ///
    /// # Errors
    /// The query is wrong, or the place is not there any more (410) or not yet (400).
    pub(crate) async fn new(
        app: &App,
        mut query: Parameters<'_>,
        resume: Option<u64>,
    ) -> Result<(Self, Frame)> {
        let filter = event_filter(&mut query);
        let after = query.one("after", event_place).or(resume);
        let wants_deltas = query.one("deltas", flag).unwrap_or_default();
        query.finish()?;
        let head = app.hub.watch();
        let said = wants_deltas.then(|| app.parts.deltas.listen());
        let bounds = app.reader().event_bounds().await?;
        let place = after.unwrap_or(bounds.last);
        if place > bounds.last {
            let message = format!("is beyond the end of the log, which is {}", bounds.last);
            return Err(Refusal::fault("after", message));
        }
        if place + 1 < bounds.oldest {
            return Err(Refusal::gone(bounds.oldest));
        }
        let patterns = filter.types.iter().filter_map(|text| text.parse().ok());
        let hello = Frame::Hello {
            seq: place,
            oldest_seq: (bounds.oldest <= bounds.last).then_some(bounds.oldest),
            server_id: app.server_id.clone(),
        };
        let follower = Self {
            app: app.clone(),
            patterns: patterns.collect(),
            filter,
            place,
            is_live: after.is_none(),
            head,
            said,
            told_at: Instant::now(),
        };
        Ok((follower, hello))
    }

    /// Waits for what comes next.
    pub(crate) async fn next(&mut self) -> Next {
        loop {
            if self.app.stopping.is_cancelled() {
                return Next::Last(Frame::Shutdown { seq: self.place });
            }
            if let Some(next) = self.look_again().await {
                return next;
            }
            let due = self.told_at + BOOKMARK;
            tokio::select! {
                () = self.app.stopping.cancelled() => {}
                // The hub lives as long as the server.
                _ = self.head.changed() => {}
                said = next_of(&mut self.said) => {
                    let lines = self.heard(&said);
                    if !lines.is_empty() {
                        return Next::Frames(lines);
                    }
                }
                () = sleep_until(due) => {
                    self.told_at = Instant::now();
                    let bookmark = Frame::Bookmark { seq: self.place };
                    return Next::Frames(vec![Line::of(&bookmark)]);
                }
            }
        }
    }

    /// What there is; a store that fails is looked at again later.
    async fn look_again(&mut self) -> Option<Next> {
        let head = *self.head.borrow_and_update();
        let found = self.look(head.unwrap_or_default()).await;
        let next = found.unwrap_or_else(|error| {
            tracing::warn!(%error, "a follower of the event log waits");
            None
        })?;
        self.told_at = Instant::now();
        Some(next)
    }

    /// What is there now after the place; `None` when nothing is selected.
    async fn look(&mut self, head: u64) -> fusion_persistence::Result<Option<Next>> {
        while self.place < head {
            let behind = head - self.place;
            if self.is_live && behind > KEPT as u64 {
                return Ok(Some(Next::Last(Frame::Lagged {
                    from: self.place,
                    to: head,
                })));
            }
            let events = match self.app.hub.after(self.place, AT_ONCE) {
                Some(events) => self.selected(&events),
                None => self.stored().await?,
            };
            if !events.is_empty() {
                return Ok(Some(Next::Frames(events)));
            }
        }
        self.is_live |= head > 0;
        Ok(None)
    }

    /// What was said, and what else has been said meanwhile, as far as it is selected.
    fn heard(&mut self, first: &Said) -> Vec<Line> {
        let mut lines = Vec::new();
        let mut take = |filter: &EventFilter, said: &Said| {
            let is_agent = || {
                said.agent
                    .is_some_and(|agent| filter.agents.contains(&agent))
            };
            if (filter.agents.is_empty() || is_agent())
                && filter.run.is_none_or(|run| said.run == Some(run))
            {
                lines.push(said.line.clone());
            }
        };
        take(&self.filter, first);
        for _ in 1..AT_ONCE {
            match self.said.as_mut().map(broadcast::Receiver::try_recv) {
                Some(Ok(said)) => take(&self.filter, &said),
                // What it was too slow for is not told again.
                Some(Err(TryRecvError::Lagged(_))) => {}
                Some(Err(TryRecvError::Empty | TryRecvError::Closed)) | None => break,
            }
        }
        lines
    }

    /// From what the hub has in mind.
    fn selected(&mut self, events: &[Arc<Told>]) -> Vec<Line> {
        if let Some(last) = events.last() {
            self.place = last.event.seq;
        }
        let selected = events.iter().filter(|told| self.selects(&told.event));
        selected.map(|told| told.line()).collect()
    }

    /// From the store: for who is far behind. The end of a short page is not the end of the log, so
    /// that the place is moved only by what was read.
    async fn stored(&mut self) -> fusion_persistence::Result<Vec<Line>> {
        let all = EventFilter::default();
        let most = u32::try_from(AT_ONCE).unwrap_or(u32::MAX);
        let events = self
            .app
            .reader()
            .events_after(&all, self.place, most)
            .await?;
        let events = events.into_iter().map(|event| Arc::new(Told::new(event)));
        let events: Vec<Arc<Told>> = events.collect();
        Ok(self.selected(&events))
    }

    /// The same as the store's filter, for one event.
    fn selects(&self, event: &Event) -> bool {
        let told = &event.event;
        let filter = &self.filter;
        let is_type = || {
            let subject = told.event_type.as_str().parse::<Subject>();
            subject.is_ok_and(|subject| {
                self.patterns
                    .iter()
                    .any(|pattern| pattern.matches(&subject))
            })
        };
        let is_agent = || {
            told.source_agent_id
                .is_some_and(|agent| filter.agents.contains(&agent))
        };
        (filter.types.is_empty() || is_type())
            && (filter.agents.is_empty() || is_agent())
            && (filter.severities.is_empty() || filter.severities.contains(&told.severity))
            && filter.run.is_none_or(|run| told.run_id == Some(run))
    }
}

/// Waits for what is said next; for ever where nobody asked for it.
async fn next_of(said: &mut Option<broadcast::Receiver<Arc<Said>>>) -> Arc<Said> {
    let Some(receiver) = said else {
        return std::future::pending().await;
    };
    loop {
        match receiver.recv().await {
            Ok(said) => return said,
            Err(RecvError::Lagged(_)) => {}
            // The sender lives as long as the server.
            Err(RecvError::Closed) => return std::future::pending().await,
        }
    }
}
