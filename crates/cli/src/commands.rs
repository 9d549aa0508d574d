//! One module for each noun of the command line.

pub(crate) mod agent;
pub(crate) mod artifact;
pub(crate) mod bench;
pub(crate) mod budget;
pub(crate) mod db;
mod dry_run;
pub(crate) mod events;
pub(crate) mod inbox;
pub(crate) mod init;
mod log;
pub(crate) mod message;
pub(crate) mod metrics;
pub(crate) mod node;
pub(crate) mod provider;
pub(crate) mod record;
pub(crate) mod run;
pub(crate) mod run_file;
pub(crate) mod schedule;
pub(crate) mod serve;
pub(crate) mod shell;
pub(crate) mod task;
pub(crate) mod tool;
pub(crate) mod top;
pub(crate) mod verify;
pub(crate) mod webhook;
pub(crate) mod workflow;
pub(crate) mod workspace;
