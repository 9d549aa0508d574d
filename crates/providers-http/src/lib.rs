//! Model providers over HTTP: wire formats as code, vendors as data.
//!
//! One client speaks to every server; a wire format is one implementation of a trait, what differs
//! between vendors of a format stands in the table of [`vendors`], and between installations in
//! [`Options`]. Reading is lenient about what servers really send, and strict about one thing: an
//! answer that may have been cut is never a turn.
//!
//! The caller installs a `rustls` crypto provider before the first call.

mod address;
mod answer;
mod client;
mod connection;
mod detect;
mod fault;
mod incoming;
mod money;
mod options;
mod origin;
mod prompted;
mod provider;
mod quota;
mod sse;
mod transport;
mod vendor;
mod wait;
mod wire;

pub use client::HttpProvider;
pub use detect::{LocalServer, local_server, usual_ports};
pub use options::{
    Account, Limits, Options, Quirks, SchemaBinding, Streaming, TokenLimitField, ToolCalls,
};
pub use provider::provider;
pub use vendor::{Format, Vendor, vendor, vendors};
