//! A store that is only looked at.

use fusion_api_types::Problem;
use fusion_core::Run;
use fusion_persistence::{Repository as _, TaskReader as _};
use fusion_persistence_sql::SqlStore;

use super::{LocalBackend, Shown};
use crate::data_dir::DataDir;
use crate::wiring;

/// A store opened to look at it.
pub(crate) struct Reading {
    store: SqlStore,
    data_dir: DataDir,
}

impl Reading {
    pub(crate) const fn store(&self) -> &SqlStore {
        &self.store
    }

    pub(crate) const fn data_dir(&self) -> &DataDir {
        &self.data_dir
    }

    /// A run that was read, and whether a process works on it. When none does, the run is read
    /// again: it may have ended between the two looks, and then it was not left.
    pub(crate) async fn looked_at(&self, run: Run) -> fusion_persistence::Result<(Run, Shown)> {
        if run.state.is_final() || self.store.is_worked_on(run.id).await? {
            return Ok((run, Shown::Live));
        }
        let again = self.store.get(run.id).await?;
        let shown = if again.state.is_final() {
            Shown::Live
        } else {
            Shown::Left
        };
        Ok((again, shown))
    }
}

impl LocalBackend {
    /// The store of this data directory for reading; `None` when there is no data yet.
    pub(crate) async fn reading(&self) -> Result<Option<Reading>, Problem> {
        let data_dir = self.data_dir()?;
        let location = wiring::location(&self.config, &data_dir)?;
        let Some(store) = wiring::open_to_read(&location).await? else {
            return Ok(None);
        };
        Ok(Some(Reading { store, data_dir }))
    }
}
