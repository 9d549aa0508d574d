//! The HTTP API: thin handlers over the store for reading and over the engine for changes.
//!
//! A handler holds a [`Reader`](fusion_persistence::Reader) and the
//! [`Coordinator`](fusion_coordination::Coordinator): it can't write by itself. What needs keys or
//! connections to model servers is behind the port [`ProviderDesk`], which the binary keeps.
//!
//! Every route but the three about health and the one that signs in wants a token. [`serve`] listens; [`openapi`] describes
//! what there is.

mod auth;
mod cors;
mod desk;
mod download;
mod dry_run;
mod gate;
mod idempotency;
pub mod inbox;
mod input;
mod kept;
mod limits;
mod live;
mod one_time;
mod origin;
mod page;
mod parameters;
mod precondition;
mod problem;
mod query;
mod routed;
mod routes;
mod server;
mod sign_in;
mod state;
mod views;
mod warning_views;
mod webhook_views;

pub mod agent_views;
pub mod cost_views;
pub mod event_pages;
pub mod metrics_views;
pub mod run_views;
pub mod spending;
pub mod task_views;
pub mod top_views;
pub mod workspace_views;

pub use auth::{hash_of, new_secret};
pub use cors::Origins;
pub use desk::ProviderDesk;
pub use dry_run::view as dry_run_view;
pub use input::name_fault;
pub use live::{Deltas, Hearing};
pub use origin::Names;
pub use routes::openapi;
pub use server::{Listening, serve};
pub use sign_in::{SignInError, SignIns};
pub use state::{Options, Parts, Settings};
pub use views::{
    capability as capability_view, event as event_view, node as node_view, project as project_view,
    project_limits as project_limits_view, sample as metrics_view, schedule as schedule_view,
    token as token_view,
};
pub use webhook_views::{
    webhook as webhook_view, webhook_delivery as webhook_delivery_view,
    webhook_test as webhook_test_view,
};
