//! The message bus: it wakes people up, and nothing depends on its arriving.
//!
//! [`Bus`] is the port and carries the contract; [`InProcessBus`] is the bus of a single machine.
//! What is said travels under a [`Subject`] (`task.completed.019ab3c4`); readers name what they
//! want to hear with a [`Pattern`] (`task.completed.*`), which means exactly what the same text
//! means to Redis's `PSUBSCRIBE`, whichever bus is behind the port.

mod bus;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod error;
mod in_process;
mod pattern;
mod subject;
mod subscription;

pub use bus::{Bus, MAX_PAYLOAD_BYTES};
pub use error::{Error, Result};
pub use in_process::InProcessBus;
pub use pattern::{MAX_PATTERN_BYTES, Pattern};
pub use subject::Subject;
pub use subscription::{Feed, QueueLimits, Received, Subscription, subscription};
