//! The work of `run delete`.

use std::time::Duration;

use async_trait::async_trait;
use fusion_api::run_views::{collected, deleted};
use fusion_api_types::{CollectRuns, Problem, RunDeleted, RunsDeleted};
use fusion_cli::{DiscardRequest, RunDeletions};
use fusion_coordination::{Discarding, OldRuns};
use fusion_core::{RunId, WorkflowState};

use crate::backend::LocalBackend;
use crate::find::find;
use crate::problems;
use crate::remote::Remote;
use crate::wiring::Engine;

#[async_trait]
impl RunDeletions for LocalBackend {
    async fn delete_runs(
        &self,
        runs: &[String],
        request: DiscardRequest,
    ) -> Result<RunsDeleted, Problem> {
        if let Some(remote) = self.remote()? {
            return remote.delete_runs(runs, request).await;
        }
        let engine = self.opened().await?;
        let done = self.delete_on(&engine, runs, request).await;
        engine.close().await;
        done.map(|deleted| all(deleted, request))
    }

    async fn collect_runs(
        &self,
        older_than: Duration,
        states: &[&'static str],
        request: DiscardRequest,
    ) -> Result<RunsDeleted, Problem> {
        if let Some(remote) = self.remote()? {
            let wanted = CollectRuns {
                older_than_seconds: older_than.as_secs(),
                states: states.iter().map(|state| (*state).to_owned()).collect(),
                only_copies: Some(request.only_copies),
                dry_run: Some(request.dry_run),
                after: None,
            };
            return remote.collect_runs(wanted).await;
        }
        let states = states.iter();
        let which = OldRuns {
            older_than,
            states: states
                .filter_map(|text| WorkflowState::from_text(text))
                .collect(),
            ..OldRuns::default()
        };
        let engine = self.opened().await?;
        let coordinator = engine.coordinator();
        let by = self.person();
        let done = coordinator.collect_runs(&which, how(request), &by).await;
        engine.close().await;
        let done = done.map_err(|error| problems::of_engine(&error))?;
        Ok(collected(request.dry_run, done))
    }
}

impl LocalBackend {
    async fn delete_on(
        &self,
        engine: &Engine,
        runs: &[String],
        request: DiscardRequest,
    ) -> Result<Vec<RunDeleted>, Problem> {
        let (data_dir, by) = (self.data_dir()?, self.person());
        let mut ids: Vec<RunId> = Vec::new();
        for run in runs {
            let id = find(engine.store(), &data_dir, Some(run)).await?.id;
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        let mut done = Vec::new();
        for request in passes(request) {
            done.clear();
            for id in &ids {
                let coordinator = engine.coordinator();
                let gone = coordinator.delete_run(*id, how(request), &by, None).await;
                let gone = gone.map_err(|error| problems::of_engine(&error))?;
                done.push(deleted(gone, request.dry_run));
            }
        }
        Ok(done)
    }
}

impl Remote {
    /// Asks until all are looked at: a request stops after some time.
    async fn collect_runs(&self, mut wanted: CollectRuns) -> Result<RunsDeleted, Problem> {
        let (mut deleted, mut kept) = (Vec::new(), Vec::new());
        loop {
            let done: RunsDeleted = self.client().post("/runs/gc", &wanted).await?;
            deleted.extend(done.deleted);
            kept.extend(done.kept);
            wanted.after = done.next;
            if wanted.after.is_none() {
                return Ok(RunsDeleted {
                    dry_run: done.dry_run,
                    deleted,
                    kept,
                    next: None,
                });
            }
        }
    }

    async fn delete_runs(
        &self,
        runs: &[String],
        request: DiscardRequest,
    ) -> Result<RunsDeleted, Problem> {
        let mut ids: Vec<String> = Vec::new();
        for run in runs {
            let id = self.run_id(Some(run), &[]).await?;
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        let mut done: Vec<RunDeleted> = Vec::new();
        for request in passes(request) {
            done.clear();
            for id in &ids {
                let query = [
                    ("only_copies", request.only_copies.to_string()),
                    ("dry_run", request.dry_run.to_string()),
                ];
                let place = format!("/runs/{id}");
                done.push(self.client().delete_for(&place, &query).await?);
            }
        }
        Ok(all(done, request))
    }
}

/// All are looked at before the first goes.
fn passes(request: DiscardRequest) -> impl Iterator<Item = DiscardRequest> {
    let look = DiscardRequest {
        dry_run: true,
        ..request
    };
    let really = (!request.dry_run).then_some(request);
    std::iter::once(look).chain(really)
}

const fn all(deleted: Vec<RunDeleted>, request: DiscardRequest) -> RunsDeleted {
    RunsDeleted {
        dry_run: request.dry_run,
        deleted,
        kept: Vec::new(),
        next: None,
    }
}

const fn how(request: DiscardRequest) -> Discarding {
    Discarding {
        only_copies: request.only_copies,
        dry_run: request.dry_run,
    }
}
