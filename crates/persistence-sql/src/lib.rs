//! The store on SQLite and PostgreSQL.
//!
//! All writes of a process go through one connection in one task (`writer.rs`), which puts the
//! batches of many callers into one transaction and answers each after COMMIT. Reads use
//! connections of their own. Both databases run the same statements; what differs between them is in
//! `sqlite/`, `postgres/` and the few matches on the backend in `claim.rs`, `pool_claim.rs` and `words.rs`.

mod accounts;
mod agents;
mod apply;
mod approvals;
mod capabilities;
mod claim;
mod costs;
mod counts;
mod deletions;
mod deliveries;
mod dialect;
mod due;
mod error;
mod events;
mod failure;
mod fault;
mod idempotency;
mod journal;
mod json;
mod location;
mod losses;
mod mail;
pub mod maintenance;
mod messages;
mod metrics;
mod migrations;
mod nodes;
mod outbox;
#[cfg(test)]
mod plan;
mod pool_claim;
mod postgres;
mod projects;
mod providers;
mod prune;
mod readers;
mod run_leases;
mod runs;
mod schedules;
mod scratch;
mod seen;
mod session;
mod snapshots;
mod sqlite;
mod store;
mod streams;
mod table;
mod tasks;
mod text;
mod tokens;
mod top;
mod usage;
mod webhooks;
mod words;
mod workflows;
mod workspaces;
mod writer;

pub use location::{Durability, Location, ServerUrl};
pub use migrations::SchemaState;
pub use postgres::Life;
pub use scratch::Scratch;
pub use store::SqlStore;
