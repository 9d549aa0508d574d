//! The store on SQLite.
//!
//! One process owns a database. All writes go through one connection in one task
//! (`writer.rs`), which puts the batches of many callers into one transaction and answers
//! each after COMMIT with `synchronous=FULL`. Reads use connections of their own.

mod agents;
mod apply;
mod claim;
mod error;
mod events;
mod journal;
mod migrations;
mod runs;
mod sqlite;
mod store;
mod tasks;
mod usage;
mod workflows;
mod workspaces;
mod writer;

pub use sqlite::{Durability, Location};
pub use store::SqlStore;
