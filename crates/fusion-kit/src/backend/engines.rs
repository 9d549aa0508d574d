//! Opens engines on the configured store.

use std::sync::Arc;

use fusion_api_types::Problem;
use fusion_persistence_sql::Location;
use fusion_providers::Registry;

use super::LocalBackend;
use crate::data_dir::DataDir;
use crate::wiring::{self, Duties, Engine, Start};

impl LocalBackend {
    pub(crate) async fn engine(
        &self,
        data_dir: &DataDir,
        registry: Arc<Registry>,
    ) -> Result<Engine, Problem> {
        let start = self.start(data_dir, registry)?;
        Engine::open(&self.config, data_dir, start).await
    }

    /// An engine beside whoever works in the data directory: nothing is driven, and nothing is taken up or
    /// cleared.
    pub(crate) async fn guest(&self) -> Result<Engine, Problem> {
        let registry = self.registry_of(&self.stored_providers().await?);
        let notices = Arc::clone(&self.notices);
        Engine::beside(&self.config, &self.data_dir()?, registry, notices).await
    }

    /// What an engine on the configured store is opened with.
    fn start(&self, data_dir: &DataDir, registry: Arc<Registry>) -> Result<Start, Problem> {
        let location = wiring::location(&self.config, data_dir)?;
        let notices = Arc::clone(&self.notices);
        Ok(Start::of_command(location, registry, notices))
    }

    /// The same with a store elsewhere.
    pub(crate) async fn engine_at(
        &self,
        data_dir: &DataDir,
        location: Location,
        registry: Arc<Registry>,
    ) -> Result<Engine, Problem> {
        let notices = Arc::clone(&self.notices);
        let start = Start::of_command(location, registry, notices);
        Engine::open(&self.config, data_dir, start).await
    }

    /// The engine of a process that serves.
    pub(crate) async fn serving_engine(
        &self,
        data_dir: &DataDir,
        registry: Arc<Registry>,
        duties: Duties,
    ) -> Result<Engine, Problem> {
        let start = Start {
            duties,
            ..self.start(data_dir, registry)?
        };
        Engine::open(self.config(), data_dir, start).await
    }
}
