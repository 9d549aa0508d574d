//! Model providers over HTTP: the chat-completions wire format, with vendors as data.
//!
//! One client speaks to every server of this format; what differs between vendors stands in
//! [`Options`]. Answers are complete, not streamed. Reading is lenient about what servers really
//! send, and strict about one thing: an answer that may have been cut is never a turn.
//!
//! The caller installs a `rustls` crypto provider before the first call.

mod client;
mod detect;
mod fault;
mod options;
mod origin;
mod provider;
mod transport;
mod vendor;
mod wait;
mod wire;

pub use client::ChatCompletions;
pub use detect::{LocalServer, local_server, usual_ports};
pub use options::{
    Account, Limits, Options, Quirks, SchemaBinding, Streaming, TokenLimitField, ToolCalls,
};
pub use provider::provider;
pub use vendor::{Format, Vendor, vendor, vendors};
