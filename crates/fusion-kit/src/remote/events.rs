//! The event log of a server.

use std::ops::ControlFlow;
use std::time::Duration;

use chrono::{DateTime, Utc};
use fusion_api::event_pages::EventName;
use fusion_api_types::api::{Event, EventPage};
use fusion_api_types::{Problem, ProblemKind};
use fusion_cli::{EventQuery, EventSink};
use tokio::time::sleep;

use super::{PAGE, Remote};
use crate::events::no_such_event;

/// How often `--follow` looks for more.
const LOOK: Duration = Duration::from_millis(250);

/// Names and values of parameters.
type Asked = Vec<(&'static str, String)>;

impl Remote {
    /// What a query asks the server for, but for the place.
    pub(crate) async fn event_query(
        &self,
        query: &EventQuery,
        now: DateTime<Utc>,
    ) -> Result<Asked, Problem> {
        let mut asked = Asked::new();
        asked.extend(query.types.iter().map(|text| ("event_type", text.clone())));
        for text in &query.severities {
            crate::events::severity(text)?;
            asked.push(("severity", text.clone()));
        }
        if let Some(agent) = &query.agent {
            asked.push(("agent_id", self.find_agent(agent).await?.id));
        }
        if let Some(run) = &query.run {
            asked.push(("run_id", self.id("/runs", "runs", run).await?));
        }
        let since = query.since.and_then(|since| since.before(now));
        asked.extend(since.map(|since| ("since", since.to_rfc3339())));
        let until = query.until.and_then(|until| until.before(now));
        asked.extend(until.map(|until| ("until", until.to_rfc3339())));
        asked.extend(query.text.clone().map(|text| ("q", text)));
        Ok(asked)
    }

    async fn event_page(&self, asked: &Asked, more: Asked) -> Result<EventPage, Problem> {
        let mut query = asked.clone();
        query.extend(more);
        self.client.get("/events", &query).await
    }

    /// A page after a place, or where the page with a cursor ended.
    pub(crate) async fn list_events(
        &self,
        asked: &Asked,
        (after, cursor): (Option<u64>, Option<&str>),
        limit: u32,
    ) -> Result<EventPage, Problem> {
        let mut more = vec![("limit", limit.to_string())];
        more.extend(after.map(|after| ("after", after.to_string())));
        more.extend(cursor.map(|cursor| ("cursor", cursor.to_owned())));
        self.event_page(asked, more).await
    }

    pub(crate) async fn show_event(&self, name: EventName) -> Result<Event, Problem> {
        match self.client.get(&format!("/events/{name}"), &[]).await {
            Err(problem) if problem.kind == ProblemKind::NotFound => Err(no_such_event(name)),
            answer => answer,
        }
    }

    /// The newest events, in the order of the log.
    async fn newest_events(&self, asked: &Asked, limit: u32) -> Result<Vec<Event>, Problem> {
        let mut events = Vec::new();
        let mut cursor = None;
        let most = limit as usize;
        while events.len() < most {
            let mut more = vec![("limit", PAGE.min(most - events.len()).to_string())];
            more.extend(cursor.take().map(|cursor| ("cursor", cursor)));
            let page = self.event_page(asked, more).await?;
            events.extend(page.events);
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        events.sort_by_key(|event| event.seq);
        Ok(events)
    }

    pub(crate) async fn tail_events(
        &self,
        asked: &Asked,
        limit: u32,
        follow: bool,
        sink: &mut dyn EventSink,
    ) -> Result<(), Problem> {
        // Before the look, and of all events: what comes meanwhile is found by the next one.
        let (all, one) = (Asked::new(), vec![("limit", "1".to_owned())]);
        let end = self.event_page(&all, one).await?.events;
        let mut place = end.first().map_or(0, |event| event.seq);
        for event in self.newest_events(asked, limit).await? {
            if event.seq <= place && sink.event(&event)?.is_break() {
                return Ok(());
            }
        }
        if !follow {
            return Ok(());
        }
        loop {
            sleep(LOOK).await;
            if let ControlFlow::Break(()) = self.events_from(asked, &mut place, sink).await? {
                return Ok(());
            }
        }
    }

    pub(crate) async fn all_events(
        &self,
        asked: &Asked,
        after: Option<u64>,
        sink: &mut dyn EventSink,
    ) -> Result<(), Problem> {
        let mut place = after.unwrap_or(0);
        self.events_from(asked, &mut place, sink).await.map(|_| ())
    }

    /// The events after a place, which is moved, as far as there are any now.
    async fn events_from(
        &self,
        asked: &Asked,
        place: &mut u64,
        sink: &mut dyn EventSink,
    ) -> Result<ControlFlow<()>, Problem> {
        loop {
            let more = vec![("after", place.to_string()), ("limit", PAGE.to_string())];
            let page = self.event_page(asked, more).await?;
            for event in page.events {
                *place = event.seq;
                if sink.event(&event)?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            if page.next_cursor.is_none() {
                return Ok(ControlFlow::Continue(()));
            }
        }
    }
}
