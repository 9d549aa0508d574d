//! The port behind `top`.

use async_trait::async_trait;
use fusion_api_types::{AgentSummary, InboxItem, Problem, api};
use tokio::sync::mpsc;

/// How things are at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Picture {
    /// Agents that have not ended, the newest first.
    pub agents: Vec<AgentSummary>,
    /// Tasks that have not ended, the newest first.
    pub tasks: Vec<api::Task>,
    /// What waits for a person, the oldest first.
    pub inbox: Vec<InboxItem>,
}

/// What who looks is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Sight {
    /// How things are now.
    Picture(Box<Picture>),
    /// Something happened.
    Event(Box<api::Event>),
    /// A model says something.
    Words(Box<api::Delta>),
    /// Nothing new is seen for now, and why. The next picture says that it is over.
    Lost(String),
}

/// Looks over everything.
#[async_trait]
pub trait Overview {
    /// Tells how things are and the newest events, and then again what has changed, until nobody
    /// takes it any more. Things are looked at when an event says that they have changed.
    ///
    /// # Errors
    /// Nothing can be seen at all.
    async fn overview(&self, sights: mpsc::Sender<Sight>) -> Result<(), Problem>;
}
