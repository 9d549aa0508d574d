//! The port behind `events` and `export events`.

use std::ops::ControlFlow;

use async_trait::async_trait;
use fusion_api_types::{Problem, Replayed, api};

use crate::args::Moment;

/// Which events are meant, as it was typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventQuery {
    /// Types; `task.*` is all that begin so.
    pub types: Vec<String>,
    /// Severities; `warning+` is that one and all above it.
    pub severities: Vec<String>,
    /// Name, id or unique prefix of the agent.
    pub agent: Option<String>,
    /// Id or unique prefix of the run.
    pub run: Option<String>,
    /// Happened at this time or later.
    pub since: Option<Moment>,
    /// Happened before this time.
    pub until: Option<Moment>,
    /// Words of the message.
    pub text: Option<String>,
    /// Only those after this place in the log.
    pub after: Option<u64>,
}

/// Where events are sent again, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// The URL of the receiver.
    pub to: String,
    /// Events of one request; several are JSON lines.
    pub batch: u32,
    /// The variable that holds the receiver's token.
    pub token_env: Option<String>,
    /// What is sent may travel unencrypted to another machine.
    pub allows_plain_http: bool,
    /// Nothing is sent.
    pub dry_run: bool,
}

/// Takes events one by one; says whether anybody wants more.
pub trait EventSink: Send {
    /// The next one.
    ///
    /// # Errors
    /// It can't be shown.
    fn event(&mut self, event: &api::Event) -> Result<ControlFlow<()>, Problem>;
}

/// Looks at the event log. An agent or run that does not exist is answered with the way to find one.
#[async_trait]
pub trait Events {
    /// The newest `limit` events in the order of the log; with `follow` also those that come, until
    /// `sink` wants no more.
    ///
    /// # Errors
    /// The log can't be read, or what is asked is wrong.
    async fn tail_events(
        &self,
        query: &EventQuery,
        limit: u32,
        follow: bool,
        sink: &mut dyn EventSink,
    ) -> Result<(), Problem>;

    /// A page of at most `limit` events: the newest first, after a place in the order of the log, or
    /// where the page with this cursor ended.
    ///
    /// # Errors
    /// As [`tail_events`](Self::tail_events), or no page gave the cursor.
    async fn list_events(
        &self,
        query: &EventQuery,
        limit: u32,
        cursor: Option<&str>,
    ) -> Result<api::EventPage, Problem>;

    /// One event, by its place in the log or its id.
    ///
    /// # Errors
    /// There is none, or none any more.
    async fn show_event(&self, event: &str) -> Result<api::Event, Problem>;

    /// Sends the events that are there to a receiver, in the order of the log; those that come meanwhile
    /// are left out. A receiver that does not take one ends it, which is part of the answer.
    ///
    /// # Errors
    /// As [`tail_events`](Self::tail_events), or the receiver can't be asked at all; then nothing was
    /// sent.
    async fn replay_events(&self, query: &EventQuery, replay: &Replay)
    -> Result<Replayed, Problem>;

    /// Every event that is there, in the order of the log.
    ///
    /// # Errors
    /// As [`tail_events`](Self::tail_events); a place whose events have been deleted by age is one.
    async fn all_events(&self, query: &EventQuery, sink: &mut dyn EventSink)
    -> Result<(), Problem>;
}
