//! Events: the pages of the log, and the frames of the live stream.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Place in the log: 1, 2, 3, without gaps, in the order of the commits.
    pub seq: u64,
    /// UUID.
    pub id: String,
    /// When it happened.
    pub timestamp: DateTime<Utc>,
    /// What happened, such as `task.completed`.
    pub event_type: String,
    /// `debug`, `info`, `warning`, `error` or `critical`.
    pub severity: String,
    /// UUID of the agent it is about; `null` is the system.
    pub source_agent_id: Option<String>,
    /// The part of the system that saw it.
    pub source_component: String,
    /// UUID of the run it belongs to.
    pub run_id: Option<String>,
    /// Ids and figures.
    pub data: Value,
    /// One line for people.
    pub message: String,
    /// The topic it was published under.
    pub message_queue_topic: Option<String>,
}

/// A page of events: the newest first, or in the order of the log where `after` was given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EventPage {
    /// The events.
    pub events: Vec<Event>,
    /// Asks for the next page.
    pub next_cursor: Option<String>,
}

/// A piece of an answer that a model is giving. The whole of it is in the log of the agent once it is
/// there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Delta {
    /// UUID of the run.
    pub run_id: String,
    /// UUID of the task.
    pub task_id: String,
    /// UUID of the agent.
    pub agent_id: String,
    /// The step that the task is.
    pub step: String,
    /// Number of the turn in the step, from 1.
    pub turn: u32,
    /// What it is a piece of.
    pub kind: DeltaKind,
    /// Characters of the answer before this piece: where these are more than were heard, some were missed.
    pub at: u64,
    /// More of it.
    pub text: String,
    /// The tool, with the first piece of its call.
    pub tool: Option<String>,
}

/// What a piece of an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeltaKind {
    /// More of the text.
    Text,
    /// More of what the model thinks, where its provider shows it.
    Reasoning,
    /// More of the arguments of a tool call.
    ToolCall,
    /// The attempt failed: what came so far is no part of the answer, which begins anew.
    Discarded,
    /// Nothing more comes of this turn.
    End,
}

/// One frame of the live stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Frame {
    /// The first frame: the stream goes on after `seq`.
    Hello {
        /// The place that the stream begins after.
        seq: u64,
        /// Place of the oldest event that is left; `null` when there is none.
        oldest_seq: Option<u64>,
        /// Names this start of the server.
        server_id: String,
    },
    /// An event that the filter selects.
    Event {
        /// The event.
        event: Box<Event>,
    },
    /// More of an answer that is coming, where the reader asked for such frames. It has no place in
    /// the log and is not kept: who is slow misses some.
    Delta {
        /// The piece.
        delta: Box<Delta>,
    },
    /// Nothing else was selected up to `seq`: resume after it.
    Bookmark {
        /// A place in the log.
        seq: u64,
    },
    /// The reader was too slow; the stream ends. Read the events after `from` and connect again.
    Lagged {
        /// The last place that was sent.
        from: u64,
        /// The end of the log.
        to: u64,
    },
    /// The server stops; the stream ends.
    Shutdown {
        /// The last place that was sent.
        seq: u64,
    },
}
