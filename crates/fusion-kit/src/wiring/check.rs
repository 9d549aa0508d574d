//! Whether settings are right, before anything is made with them.

use fusion_api_types::{Problem, ProblemKind};
use fusion_persistence_sql::Location;
use tracing_subscriber::EnvFilter;

use super::node::NodeSettings;
use super::{BusPlace, Duties, OPENAI_COMPATIBLE, Role};
use super::{metrics, of_environment, owners, retention, shared, working};
use crate::config::Config;
use crate::{messages, problems};

/// Whether an engine could be opened with these settings.
///
/// # Errors
/// One is wrong, and which.
pub(crate) fn check(config: &Config) -> Result<(), Problem> {
    NodeSettings::of(config, Role::Guest, &Location::Memory, Duties::of_command())?;
    owners(config)?;
    BusPlace::of(config)?;
    shared::named(config)?;
    retention::events(config)?;
    retention::runs(config)?;
    working(config)?;
    metrics(config)?;
    messages::limits(config)?;
    if config.base_url.is_some() {
        let made = of_environment(config, OPENAI_COMPATIBLE);
        made.map_err(|error| problems::of_provider(&error))?;
    }
    if let Some(Err(error)) = config.log.as_deref().map(EnvFilter::try_new) {
        let text = format!("FUSION_KIT_LOG is no filter: {error}");
        return Err(Problem::new(ProblemKind::InvalidInput, text));
    }
    Ok(())
}
