//! The message bus over Redis: several processes, on one machine or many, hear each other.
//!
//! [`RedisBus`] is the adapter of the port [`Bus`](fusion_messaging::Bus); where the server is comes
//! as an [`Address`], read from a URL. Redis carries hints and nothing else: it may be slow, full,
//! restarted empty or gone, and what that costs is time. Whoever is in the same process hears all the
//! same. Nothing is stored in it: publish and subscribe need no key.

mod address;
mod backoff;
mod bus;
mod envelope;
mod error;
mod incoming;
mod link;
mod namespace;
mod outbox;
mod probe;

pub use address::Address;
pub use backoff::Backoff;
pub use bus::{RedisBus, Settings};
pub use error::{Error, Result};
pub use namespace::{DEFAULT_NAMESPACE, Namespace};
pub use probe::probe;
