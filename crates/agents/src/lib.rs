//! The agent runtime: runs one task to its end through a model and tools.
//!
//! The state of a task is a fold over its journal ([`fusion_core::JournalEntry`]): `session.rs`
//! turns entries into the conversation and says what comes next, without any effect of its
//! own. [`Runtime::run`] carries that out, one effect at a time: intent to the
//! [`Journal`], effect, outcome. So a task that was cut off anywhere goes on from its
//! journal exactly as if nothing had happened.

mod brief;
mod command;
mod context;
mod direct;
mod ending;
mod entry;
mod incoming;
mod journal;
mod lost_calls;
mod mailbox;
mod runtime;
mod schema;
mod session;
mod stall;
mod toolbox;
mod undo;
mod window;

pub use brief::TaskBrief;
pub use command::{CommandBrief, CommandEnding, CommandRuntime};
pub use direct::{ToolInfo, ToolPlace, ToolResult, call_tool, tools};
pub use ending::{Ending, Failure};
pub use journal::{Journal, JournalRefused, Record};
pub use mailbox::{Addressed, Incoming, Mailbox, Outgoing, Refusal, Sender};
pub use runtime::{Ports, Runtime};
pub use undo::Undo;
