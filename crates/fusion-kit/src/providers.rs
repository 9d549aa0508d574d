//! The work of `provider`: rows of the store, calls of the providers behind them.

mod add;
mod ask;
mod check;
mod desk;
mod detect;
mod named;
mod needs;
mod settings;
mod trial;
mod views;

use async_trait::async_trait;
use fusion_api_types::{
    DetectReport, ModelList, Problem, ProblemKind, ProviderAdded, ProviderRemoved, ProviderTest,
    ProviderView, QuotaReport,
};
use fusion_cli::{AskKey, NewProvider, Providers};
use fusion_core::{Change, Decision, Moment, ProviderConfig};
use fusion_persistence::{Batch, Error as StoreError, Store, WriteRepository};
use fusion_persistence_sql::SqlStore;
use tokio_util::task::TaskTracker;

use crate::backend::LocalBackend;
use crate::database::Place;
use crate::system::{SystemClock, SystemIds};
use crate::{master_key, problems, wiring};

use add::{Draft, NewKey};
pub(crate) use desk::Desk;
use fusion_core::Clock;
use named::Named;
pub(crate) use settings::{Extra, Settings};
pub(crate) use views::of_server as stored_view;

#[async_trait]
impl Providers for LocalBackend {
    async fn add_provider(
        &self,
        new: &NewProvider,
        ask: &dyn AskKey,
    ) -> Result<ProviderAdded, Problem> {
        let draft = Draft::of(new)?;
        if let Some(remote) = self.remote()? {
            let before = if new.replace {
                remote.provider_id(&new.name).await?
            } else {
                None
            };
            // Whether the stored key may stay is the server's to say: it alone knows the key.
            let key = if before.is_some() && new.key_env.is_none() {
                NewKey::Kept
            } else {
                draft.key(None, self.config(), ask)?
            };
            return Ok(ProviderAdded {
                provider: remote
                    .add_provider(new, key.given(), before.as_deref())
                    .await?,
                replaced: before.is_some(),
            });
        }
        let known = self.stored_providers().await?;
        let before = known.iter().find(|row| row.name == new.name);
        if let Some(taken) = before.filter(|_| !new.replace) {
            return Err(self.taken(taken)?);
        }
        let key = draft.key(before, self.config(), ask)?;
        let row = draft.row(
            before.cloned(),
            &key,
            self.config(),
            moment(&SystemIds::new()),
        )?;
        let replaced = before.is_some();
        let place = self.place()?;
        let change = if replaced {
            Change::update(row.clone())
        } else {
            Change::create(row.clone())
        };
        match write(&place, change).await? {
            Ok(()) => Ok(ProviderAdded {
                provider: views::stored(&row),
                replaced,
            }),
            // Another process was quicker.
            Err(StoreError::Exists { .. }) => Err(self.taken(&row)?),
            Err(error) => Err(problems::of_store(&error)),
        }
    }

    async fn list_providers(&self) -> Result<Vec<ProviderView>, Problem> {
        if let Some(remote) = self.named_remote()? {
            return remote.list_providers().await;
        }
        let stored = self.stored_providers().await?;
        Ok(views::all(self.config(), &stored))
    }

    async fn show_provider(&self, name: &str) -> Result<ProviderView, Problem> {
        let all = self.list_providers().await?;
        let known: Vec<String> = all.iter().map(|view| view.name.clone()).collect();
        let found = all.into_iter().find(|view| view.name == name);
        found.ok_or_else(|| self.unknown(name, &known))
    }

    async fn test_provider(
        &self,
        name: &str,
        model: Option<&str>,
    ) -> Result<ProviderTest, Problem> {
        let named = self.named(name).await?;
        ask::test(self, &named, model).await
    }

    async fn list_models(&self, name: &str, refresh: bool) -> Result<ModelList, Problem> {
        let named = self.named(name).await?;
        if let Some(kept) = named.kept_models().filter(|_| !refresh) {
            return Ok(views::models(name, kept, true));
        }
        let read = ask::models(self, &named).await?;
        if let Named::Stored(row) = named {
            let mut row = *row;
            row.model_catalog = serde_json::to_value(&read).unwrap_or_default();
            self.keep(row).await;
        }
        Ok(views::models(name, read, false))
    }

    async fn quota(&self, name: &str) -> Result<QuotaReport, Problem> {
        let named = self.named(name).await?;
        ask::quota(self, &named).await
    }

    async fn switch_provider(&self, name: &str, enabled: bool) -> Result<ProviderView, Problem> {
        if let Some(remote) = self.remote()? {
            return remote.switch_provider(name, enabled).await;
        }
        let row = self.stored(name).await?;
        if row.enabled == enabled {
            return Ok(views::stored(&row));
        }
        let row = ProviderConfig { enabled, ..row };
        let written = write(&self.place()?, Change::update(row.clone())).await?;
        written.map_err(|error| problems::of_store(&error))?;
        Ok(views::stored(&row))
    }

    async fn remove_provider(&self, name: &str, force: bool) -> Result<ProviderRemoved, Problem> {
        if let Some(remote) = self.remote()? {
            return remote.remove_provider(name, force).await;
        }
        let row = self.stored(name).await?;
        self.refuse_if_needed(name, force).await?;
        let removed = remove(&self.place()?, &row).await?;
        removed.map_err(|error| problems::of_store(&error))?;
        Ok(ProviderRemoved {
            name: name.to_owned(),
        })
    }

    async fn detect_servers(&self, ports: &[u16]) -> Result<DetectReport, Problem> {
        let stored = self.stored_providers().await?;
        Ok(detect::servers(ports, &stored).await)
    }
}

impl LocalBackend {
    /// Every stored provider, by name; none where there is no data yet.
    pub(crate) async fn stored_providers(&self) -> Result<Vec<ProviderConfig>, Problem> {
        let location = wiring::location(self.config(), &self.data_dir()?)?;
        let Some(store) = wiring::open_to_read(&location).await? else {
            return Ok(Vec::new());
        };
        let rows = master_key::stored(&store).await;
        store.close().await.ok();
        let mut rows = rows?;
        rows.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(rows)
    }

    /// Keeps a list of models where it can: a run that works in the data directory goes on
    /// undisturbed, and the list is read again the next time.
    async fn keep(&self, row: ProviderConfig) {
        let kept = match self.place() {
            Ok(place) => write(&place, Change::update(row)).await,
            Err(problem) => Err(problem),
        };
        if !matches!(kept, Ok(Ok(()))) {
            tracing::info!(?kept, "the list of models is not kept");
        }
    }

    fn taken(&self, row: &ProviderConfig) -> Result<Problem, Problem> {
        let name = &row.name;
        let replace = format!("provider add {name} --replace");
        Ok(Problem::new(
            ProblemKind::Conflict,
            format!(
                "there is already a provider '{name}': {} at {}",
                row.provider_type, row.api_endpoint
            ),
        )
        .with_help(format!(
            "choose another name, or change it with: {}",
            self.data_dir()?.command(&replace)
        )))
    }
}

/// Commits one change as the owner of the data directory.
pub(crate) async fn write(
    place: &Place,
    change: Change,
) -> Result<Result<(), StoreError>, Problem> {
    let batch = Batch::free(Decision::default().with(change));
    let work = async {
        let (store, writing) = open(place).await?;
        let committed = store.commit(batch).await;
        wiring::close(store, &writing).await;
        committed.map(|_| ())
    };
    place.alone(Box::pin(work)).await
}

async fn remove(place: &Place, row: &ProviderConfig) -> Result<Result<(), StoreError>, Problem> {
    let work = async {
        let (store, writing) = open(place).await?;
        let removed = store.delete(row.id, row.version).await;
        wiring::close(store, &writing).await;
        removed
    };
    place.alone(Box::pin(work)).await
}

async fn open(place: &Place) -> Result<(SqlStore, TaskTracker), StoreError> {
    let writing = TaskTracker::new();
    let store = SqlStore::open(place.location(), &writing).await?;
    Ok((store, writing))
}

fn moment(ids: &SystemIds) -> Moment<'_> {
    Moment {
        now: SystemClock.now(),
        ids,
    }
}
