//! What this process is among those that share the work.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use fusion_api_types::{Problem, ProblemKind};
use fusion_coordination::{NodeOptions, Notices};
use fusion_core::NodeRole;
use fusion_persistence_sql::Location;
use fusion_providers::Registry;

use super::{LEASE, Role, Start};
use crate::config::Config;
use crate::messages::bounded_number;

/// The longest name of a node, in characters.
const LONGEST_NAME: usize = 100;

/// Runs that a process drives at once when nothing else is said.
const CAPACITY: u32 = 10_000;

/// How long what is under way may take to end when a process is stopped.
const DRAIN_SECONDS: u32 = 20;

/// Leases that a task may lose at work before it is quarantined.
const MOST_LOSSES: u32 = 3;

/// What a process is started for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Duties {
    /// What it does for others.
    pub(crate) roles: BTreeSet<NodeRole>,
    /// Runs that it drives at once.
    pub(crate) capacity: u32,
}

impl Duties {
    /// A command that drives what it made itself.
    pub(crate) fn of_command() -> Self {
        Self {
            roles: BTreeSet::from([NodeRole::Worker]),
            capacity: CAPACITY,
        }
    }
}

impl Start {
    /// What a command is opened with.
    pub(crate) fn of_command(
        location: Location,
        registry: Arc<Registry>,
        notices: Arc<Notices>,
    ) -> Self {
        Self {
            location,
            registry,
            notices,
            duties: Duties::of_command(),
        }
    }
}

/// How a process takes part, and how it ends.
pub(super) struct NodeSettings {
    pub(super) lease: Duration,
    pub(super) drain: Duration,
    pub(super) most_losses: u32,
    /// `None` where it shares its store with nobody, or does no work.
    pub(super) node: Option<NodeOptions>,
}

impl NodeSettings {
    pub(super) fn of(
        config: &Config,
        role: Role,
        location: &Location,
        duties: Duties,
    ) -> Result<Self, Problem> {
        let lease = config.node.lease_seconds.as_deref();
        let lease = bounded_number("FUSION_LEASE_SECONDS", lease, 2..=3_600)?;
        let drain = config.node.drain_seconds.as_deref();
        let drain = bounded_number("FUSION_DRAIN_SECONDS", drain, 0..=3_600)?;
        let losses = config.node.most_losses.as_deref();
        let losses = bounded_number("FUSION_MOST_LOSSES", losses, 1..=1_000_000)?;
        let is_shared = match (role, location) {
            (Role::Owner, Location::Server(_)) => true,
            (Role::Owner, Location::File(..) | Location::Memory) | (Role::Guest, _) => false,
        };
        let name = name(config)?;
        Ok(Self {
            lease: lease.map_or(LEASE, |seconds| Duration::from_secs(seconds.into())),
            drain: Duration::from_secs(drain.unwrap_or(DRAIN_SECONDS).into()),
            most_losses: losses.unwrap_or(MOST_LOSSES),
            node: is_shared.then(|| NodeOptions {
                name,
                version: env!("CARGO_PKG_VERSION").to_owned(),
                roles: duties.roles,
                capacity: duties.capacity,
            }),
        })
    }
}

/// What people call this process, or the machine that it is on.
pub(crate) fn name(config: &Config) -> Result<String, Problem> {
    match &config.node.name {
        None => Ok(rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned()),
        Some(name) if name.chars().count() <= LONGEST_NAME => Ok(name.trim().to_owned()),
        Some(_) => {
            let text = format!("FUSION_NODE_NAME has more than {LONGEST_NAME} characters");
            Err(Problem::new(ProblemKind::InvalidInput, text))
        }
    }
}
