//! The chat-completions format.

mod answer;
mod models;
mod request;

pub(crate) use answer::{Answer, Unusable};
pub(crate) use models::{ModelEntry, ModelPage, find_model};
pub(crate) use request::ChatRequest;
