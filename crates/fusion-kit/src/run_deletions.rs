//! The work of `run delete`.

use std::time::Duration;

use async_trait::async_trait;
use fusion_api::run_views::{collected, deleted};
use fusion_api_types::{CollectRuns, Problem, ProblemKind, RunDeleted, RunKept, RunsDeleted};
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
        done
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
    ) -> Result<RunsDeleted, Problem> {
        let (data_dir, by) = (self.data_dir()?, self.person());
        let mut ids: Vec<RunId> = Vec::new();
        for run in runs {
            let id = find(engine.store(), &data_dir, Some(run)).await?.id;
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        let mut looked_at = Vec::new();
        for request in passes(request) {
            let mut done = Vec::new();
            for id in &ids {
                let coordinator = engine.coordinator();
                let gone = coordinator.delete_run(*id, how(request), &by, None).await;
                match gone {
                    Ok(gone) => done.push(deleted(gone, request.dry_run)),
                    Err(error) => {
                        let problem = problems::of_engine(&error);
                        let why = problem.message.clone();
                        return stopped(looked_at, done, problem, why);
                    }
                }
            }
            looked_at = done;
        }
        Ok(all(looked_at, request))
    }
}

impl Remote {
    /// Asks until all are looked at: a request stops after some time. Where a later one fails, it is told what
    /// went before.
    async fn collect_runs(&self, mut wanted: CollectRuns) -> Result<RunsDeleted, Problem> {
        let (mut deleted, mut kept) = (Vec::new(), Vec::new());
        loop {
            let done: Result<RunsDeleted, _> = self.client().post("/runs/gc", &wanted).await;
            let done = match done {
                Ok(done) => done,
                Err(problem) if wanted.after.is_none() => return Err(problem),
                Err(problem) => {
                    return Ok(RunsDeleted {
                        dry_run: wanted.dry_run.unwrap_or_default(),
                        deleted,
                        kept,
                        stopped: Some(problem.message),
                        next: wanted.after,
                    });
                }
            };
            deleted.extend(done.deleted);
            kept.extend(done.kept);
            wanted.after = done.next;
            if wanted.after.is_none() {
                return Ok(RunsDeleted {
                    dry_run: done.dry_run,
                    deleted,
                    kept,
                    stopped: None,
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
        let mut looked_at: Vec<RunDeleted> = Vec::new();
        for request in passes(request) {
            let mut done = Vec::new();
            for id in &ids {
                match self.delete_run(id, request).await {
                    Ok(gone) => done.push(gone),
                    Err(problem) => {
                        let looked = looked_at.get(done.len());
                        match self.after_all(looked, request, &problem).await {
                            Ok(gone) => done.push(gone),
                            Err(why) => return stopped(looked_at, done, problem, why),
                        }
                    }
                }
            }
            looked_at = done;
        }
        Ok(all(looked_at, request))
    }

    async fn delete_run(&self, id: &str, request: DiscardRequest) -> Result<RunDeleted, Problem> {
        let query = [
            ("only_copies", request.only_copies.to_string()),
            ("dry_run", request.dry_run.to_string()),
        ];
        let place = format!("/runs/{id}");
        self.client().delete_for(&place, &query).await
    }

    /// What became of a run whose deletion failed: it is gone all the same, where the answer was lost, or why it
    /// is told as kept. `looked` is what was to go; the look itself has changed nothing.
    async fn after_all(
        &self,
        looked: Option<&RunDeleted>,
        request: DiscardRequest,
        problem: &Problem,
    ) -> Result<RunDeleted, String> {
        let why = &problem.message;
        let Some(run) = looked else {
            return Err(why.clone());
        };
        let gone = RunDeleted {
            dry_run: false,
            ..run.clone()
        };
        match problem.kind {
            ProblemKind::NotFound => Ok(gone),
            ProblemKind::Unavailable | ProblemKind::Timeout | ProblemKind::Internal => {
                match self.delete_run(&run.id, dry(request)).await {
                    Err(other) if other.kind == ProblemKind::NotFound => Ok(gone),
                    Ok(_) => Err(format!("{why}; it was still there after that")),
                    Err(_) => Err(format!("it is not known whether it went: {why}")),
                }
            }
            ProblemKind::InvalidInput
            | ProblemKind::Conflict
            | ProblemKind::Denied
            | ProblemKind::OverBudget
            | ProblemKind::Limited
            | ProblemKind::Held => Err(why.clone()),
        }
    }
}

/// All are looked at before the first goes.
fn passes(request: DiscardRequest) -> impl Iterator<Item = DiscardRequest> {
    let really = (!request.dry_run).then_some(request);
    std::iter::once(dry(request)).chain(really)
}

const fn dry(request: DiscardRequest) -> DiscardRequest {
    DiscardRequest {
        dry_run: true,
        ..request
    }
}

/// What went, and what is left of those that were looked at, where some went; else only why. `why` is said of the
/// run whose deletion failed.
fn stopped(
    looked_at: Vec<RunDeleted>,
    deleted: Vec<RunDeleted>,
    problem: Problem,
    why: String,
) -> Result<RunsDeleted, Problem> {
    if looked_at.is_empty() || deleted.is_empty() {
        return Err(problem);
    }
    let untried = std::iter::repeat_with(|| "it was not tried any more".to_owned());
    let reasons = std::iter::once(why).chain(untried);
    let left = looked_at.into_iter().skip(deleted.len()).zip(reasons);
    let left = left.map(|(run, why)| RunKept {
        id: run.id,
        workflow: run.workflow,
        why,
    });
    Ok(RunsDeleted {
        dry_run: false,
        kept: left.collect(),
        deleted,
        stopped: Some(problem.message),
        next: None,
    })
}

const fn all(deleted: Vec<RunDeleted>, request: DiscardRequest) -> RunsDeleted {
    RunsDeleted {
        dry_run: request.dry_run,
        deleted,
        kept: Vec::new(),
        stopped: None,
        next: None,
    }
}

const fn how(request: DiscardRequest) -> Discarding {
    Discarding {
        only_copies: request.only_copies,
        dry_run: request.dry_run,
    }
}
