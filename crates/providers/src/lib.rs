//! The port to model providers: one complete turn of a conversation at a time.
//!
//! [`Provider`] is what the agent runtime asks. Adapters implement it (HTTP in a crate of its
//! own, [`Scripted`] here), [`Retrying`] is a layer around any of them, and [`Registry`] finds
//! one by the name that a workflow file uses.

mod catalog;
mod delta;
mod error;
mod estimate;
mod message;
mod provider;
mod quota;
mod registry;
mod retry;
mod scripted;

pub use catalog::{Ability, Catalog, Model, Price};
pub use delta::{Delta, DeltaSink, NoDeltas};
pub use error::{Error, Result, Source};
pub use estimate::estimate_usage;
pub use message::{Message, ToolCall, ToolSpec};
pub use provider::{
    CostSource, FinishReason, ModelInfo, ModelRequest, Provider, Turn, TurnPlace, TurnRequest,
};
pub use quota::{QuotaInfo, QuotaLimit, QuotaSource, QuotaUnit};
pub use registry::Registry;
pub use retry::{RetryOptions, Retrying};
pub use scripted::Scripted;
