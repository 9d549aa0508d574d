//! The live stream of events, over WebSocket and as server-sent events: one durable sequence, without
//! gaps and without duplicates, from any place that is still there.

mod deltas;
mod hub;
mod reader;
mod socket;
mod sse;

use crate::routed::Routes;

pub use deltas::{Deltas, Hearing};
pub(crate) use hub::Hub;

/// What may be asked of a stream. Only a socket has a ticket, which the guard has taken.
const PARAMETERS: &[&str] = &[
    "event_type",
    "agent_id",
    "severity",
    "run_id",
    "after",
    "deltas",
    "ticket",
];

pub(crate) fn router<R: Routes>() -> R {
    socket::router::<R>().and(sse::router())
}
