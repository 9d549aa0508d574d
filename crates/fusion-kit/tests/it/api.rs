//! The API of the real binary, over real sockets.

mod access;
mod agents;
mod archived;
mod bulk;
pub(crate) mod client;
mod commands;
mod costs;
mod deltas;
mod events;
mod fuzz;
mod input;
mod lifecycle;
mod looks;
mod pages;
mod runs;
mod sign_in;
mod steering;
mod storm;
mod story;
mod tasks;
pub(crate) mod through;
mod tree;
mod upkeep;
mod versions;
mod workspaces;
mod writes;

pub(crate) use client::Serving;
pub(crate) use runs::start;
