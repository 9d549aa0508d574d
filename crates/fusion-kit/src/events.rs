//! The work of `events` and `export events`.

mod replay;

use std::ops::ControlFlow;
use std::time::Duration;

use async_trait::async_trait;
use fusion_api::event_pages::{self, EventName, Place, from_cursor, page};
use fusion_api::event_view;
use fusion_api_types::{Problem, ProblemKind, Replayed, api};
use fusion_cli::{EventQuery, EventSink, Events, Replay};
use fusion_core::{Clock, Event, Severity, nearest};
use fusion_messaging::Pattern;
use fusion_persistence::{EventFilter, EventReader};
use tokio::time::{MissedTickBehavior, interval};

use crate::agents::find::find_agent;
use crate::backend::{LocalBackend, Reading};
use crate::find::{find, no_runs};
use crate::problems;
use crate::system::SystemClock;

/// How often `--follow` looks for more.
const LOOK: Duration = Duration::from_millis(250);

/// Events that are read at once.
const AT_ONCE: u32 = 500;

#[async_trait]
impl Events for LocalBackend {
    async fn tail_events(
        &self,
        query: &EventQuery,
        limit: u32,
        follow: bool,
        sink: &mut dyn EventSink,
    ) -> Result<(), Problem> {
        if let Some(remote) = self.named_remote()? {
            let query = remote.event_query(query, SystemClock.now()).await?;
            return remote.tail_events(&query, limit, follow, sink).await;
        }
        let reading = self.reading().await?.ok_or_else(no_runs)?;
        let filter = filter(query, &reading).await?;
        let store = reading.store();
        // Before the look: what comes meanwhile is found by the next one.
        let mut place = store.event_bounds().await.map_err(read)?.last;
        let newest = store.events_before(&filter, None, limit).await;
        let mut newest = newest.map_err(read)?;
        newest.retain(|event| event.seq <= place && query.after.is_none_or(|at| event.seq > at));
        newest.sort_by_key(|event| event.seq);
        if told(newest, sink)?.is_break() || !follow {
            return Ok(());
        }
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let end = store.event_bounds().await.map_err(read)?.last;
            let new = store.events_after(&filter, place, AT_ONCE).await;
            let new = new.map_err(read)?;
            let is_all = new.len() < AT_ONCE as usize;
            let last = new.last().map_or(place, |event| event.seq);
            place = if is_all { last.max(end) } else { last };
            if told(new, sink)?.is_break() {
                return Ok(());
            }
        }
    }

    async fn list_events(
        &self,
        query: &EventQuery,
        limit: u32,
        cursor: Option<&str>,
    ) -> Result<api::EventPage, Problem> {
        if let Some(remote) = self.named_remote()? {
            let asked = remote.event_query(query, SystemClock.now()).await?;
            return remote
                .list_events(&asked, (query.after, cursor), limit)
                .await;
        }
        let from = match cursor {
            Some(cursor) => Some(from_cursor(cursor).map_err(|why| {
                Problem::new(ProblemKind::InvalidInput, format!("--cursor {why}"))
            })?),
            None => query.after.map(Place::After),
        };
        let Some(reading) = self.reading().await? else {
            return Ok(api::EventPage {
                events: Vec::new(),
                next_cursor: None,
            });
        };
        let filter = filter(query, &reading).await?;
        let page = page(reading.store(), &filter, from, limit).await;
        page.map_err(read)
    }

    async fn show_event(&self, event: &str) -> Result<api::Event, Problem> {
        let name = event
            .parse::<EventName>()
            .map_err(|why| Problem::new(ProblemKind::InvalidInput, format!("SEQ|ID {why}")))?;
        if let Some(remote) = self.named_remote()? {
            return remote.show_event(name).await;
        }
        let found = match self.reading().await? {
            Some(reading) => event_pages::find(reading.store(), name)
                .await
                .map_err(read)?,
            None => None,
        };
        found.ok_or_else(|| no_such_event(name))
    }

    async fn replay_events(
        &self,
        query: &EventQuery,
        replay: &Replay,
    ) -> Result<Replayed, Problem> {
        self.replay(query, replay).await
    }

    async fn all_events(
        &self,
        query: &EventQuery,
        sink: &mut dyn EventSink,
    ) -> Result<(), Problem> {
        if let Some(remote) = self.named_remote()? {
            let asked = remote.event_query(query, SystemClock.now()).await?;
            return remote.all_events(&asked, query.after, sink).await;
        }
        let Some(reading) = self.reading().await? else {
            return Ok(());
        };
        let filter = filter(query, &reading).await?;
        let store = reading.store();
        let bounds = store.event_bounds().await.map_err(read)?;
        let mut place = query
            .after
            .unwrap_or_else(|| bounds.oldest.saturating_sub(1));
        loop {
            let events = store.events_after(&filter, place, AT_ONCE).await;
            let events = events.map_err(read)?;
            let Some(last) = events.last() else {
                return Ok(());
            };
            place = last.seq;
            let is_all = events.len() < AT_ONCE as usize;
            if told(events, sink)?.is_break() || is_all {
                return Ok(());
            }
        }
    }
}

/// Nothing has this name, or not any more.
pub(crate) fn no_such_event(name: EventName) -> Problem {
    let text = format!("there is no event {name}");
    Problem::new(ProblemKind::NotFound, text)
        .with_help("see those that are kept with: fusion-kit events list")
}

fn told(events: Vec<Event>, sink: &mut dyn EventSink) -> Result<ControlFlow<()>, Problem> {
    for event in events {
        if sink.event(&event_view(event))?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

async fn filter(query: &EventQuery, reading: &Reading) -> Result<EventFilter, Problem> {
    let (store, data_dir) = (reading.store(), reading.data_dir());
    for text in &query.types {
        text.parse::<Pattern>()
            .map_err(|error| problems::of_error(&error))?;
    }
    let mut severities = Vec::new();
    for text in &query.severities {
        severities.extend(severity(text)?);
    }
    let agents = match query.agent.as_deref() {
        Some(text) => vec![find_agent(store, data_dir, text).await?.id],
        None => Vec::new(),
    };
    let run = match query.run.as_deref() {
        Some(text) => Some(find(store, data_dir, Some(text)).await?.id),
        None => None,
    };
    let now = SystemClock.now();
    Ok(EventFilter {
        types: query.types.clone(),
        agents,
        severities,
        run,
        since: query.since.and_then(|since| since.before(now)),
        until: query.until.and_then(|until| until.before(now)),
        text: query.text.clone(),
    })
}

/// A severity, or with `+` also those above it.
pub(crate) fn severity(text: &str) -> Result<Vec<Severity>, Problem> {
    let (name, with_more) = match text.strip_suffix('+') {
        Some(name) => (name, true),
        None => (text, false),
    };
    let Some(least) = Severity::from_text(name) else {
        let known = || Severity::ALL.iter().map(|severity| severity.as_str());
        let help = match nearest(name, known()) {
            Some(near) => format!("did you mean '{near}'?"),
            None => format!("there are: {}", known().collect::<Vec<_>>().join(", ")),
        };
        let text = format!("there is no severity '{name}'");
        return Err(Problem::new(ProblemKind::InvalidInput, text).with_help(help));
    };
    let all = Severity::ALL.iter().copied();
    Ok(all
        .filter(|one| *one == least || (with_more && *one > least))
        .collect())
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of map_err")]
fn read(error: fusion_persistence::Error) -> Problem {
    problems::of_store(&error)
}
