//! The wire formats: what is sent and what comes back, without the sending.

pub(crate) mod chat;
#[cfg(test)]
mod example;
pub(crate) mod messages;

use std::fmt;

use reqwest::header::HeaderMap;
use secrecy::SecretString;
use serde_json::{Map, Value};

use fusion_providers::{DeltaSink, Model, TurnRequest};

use crate::answer::{Answer, Unusable};
use crate::options::Quirks;

/// A wire format. It keeps nothing between calls.
pub(crate) trait Wire: fmt::Debug + Send + Sync {
    /// Where a turn is asked for, below the base URL.
    fn path(&self) -> &'static [&'static str];

    /// Adds the key, marked as sensitive, to the headers of a request. Tells whether it can be sent.
    fn authorize(&self, headers: &mut HeaderMap, key: &SecretString) -> bool;

    /// Whether the server can bind the text of this turn's answer to a JSON Schema.
    fn can_bind(&self, _: &TurnRequest<'_>) -> bool {
        true
    }

    /// The body of a request: the same for the same turn, to the byte. `max_output` is the limit of
    /// the model, where it is known. Fails with the name of an option that can't be sent.
    fn body(
        &self,
        request: &TurnRequest<'_>,
        quirks: &Quirks,
        max_output: Option<u64>,
    ) -> Result<Map<String, Value>, String>;

    /// Reads an answer that came in one piece.
    fn answer(&self, body: &[u8]) -> Result<Answer, Unusable>;

    /// What puts a streamed answer together.
    fn assembler(&self) -> Box<dyn Assembler>;

    /// Reads a page of the list of models.
    fn models(&self, body: &[u8]) -> serde_json::Result<Page>;
}

/// Puts a streamed answer together.
pub(crate) trait Assembler: Send {
    /// Takes the data of one event and shows what is new in it.
    fn take(&mut self, data: &str, deltas: &dyn DeltaSink) -> Result<Progress, Unusable>;

    /// The provider's name for the answer, where it came.
    fn id(&self) -> Option<&str> {
        None
    }

    /// The answer, if the stream told how it ended.
    fn finish(self: Box<Self>) -> Result<Answer, Unusable>;
}

/// What an event brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Progress {
    /// Nothing of the answer.
    Nothing,
    /// A piece of the answer.
    Content,
    /// The end of the stream.
    End,
}

/// A page of the list of models.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) models: Vec<Model>,
    pub(crate) next: Option<Next>,
}

/// Where a list goes on.
#[derive(Debug)]
pub(crate) enum Next {
    /// At this address.
    At(String),
    /// After the model of this id.
    After(String),
}

/// Puts the caller's own fields into a body. Those that a turn is made of can't be replaced.
fn add_options(
    body: &mut Map<String, Value>,
    request: &TurnRequest<'_>,
    allowed: &[&str],
) -> Result<(), String> {
    for (name, value) in request.options.into_iter().flatten() {
        if !allowed.contains(&name.as_str()) {
            return Err(name.clone());
        }
        body.insert(name.clone(), value.clone());
    }
    Ok(())
}
