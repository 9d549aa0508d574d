//! The port to model providers: one complete turn of a conversation at a time.
//!
//! [`Provider`] is what the agent runtime asks. Adapters implement it (HTTP in a crate of its
//! own, [`Scripted`] here), [`Layered`] puts the layers around one that all its users share, and
//! [`Registry`] finds one by the name that a workflow file uses.

mod allowance;
mod breaker;
mod budgeted;
mod catalog;
mod deadline;
mod delta;
#[cfg(test)]
mod double;
mod error;
mod estimate;
mod fallbacks;
mod layer;
mod layered;
mod message;
mod meter;
mod observer;
mod provider;
mod quota;
mod quota_gate;
mod registry;
mod retry;
mod scripted;
mod shared_budget;
mod throttle;

pub use allowance::{Allowance, Hold};
pub use breaker::{Breaker, BreakerOptions};
pub use budgeted::{Bounds, Budgeted};
pub use catalog::{Ability, Catalog, Model, Price};
pub use deadline::Deadline;
pub use delta::{Delta, DeltaSink, NoDeltas};
pub use error::{Error, Health, Result, Source};
pub use estimate::{estimate_input, estimate_usage, most_input};
pub use fallbacks::{Candidate, Fallbacks};
pub use layered::{LayerOptions, Layered};
pub use message::{Message, ToolCall, ToolSpec};
pub use meter::{Figures, Meter, Tally};
pub use observer::{NoObserver, Notice, Observer};
pub use provider::{
    CostSource, FinishReason, ModelInfo, ModelRequest, Provider, Turn, TurnPlace, TurnRequest,
};
pub use quota::{QuotaInfo, QuotaLimit, QuotaSource, QuotaUnit};
pub use quota_gate::{QuotaGate, QuotaGateOptions};
pub use registry::{Registered, Registry};
pub use retry::{RetryOptions, Retrying};
pub use scripted::Scripted;
pub use shared_budget::SharedBudget;
pub use throttle::{Throttle, ThrottleOptions};
