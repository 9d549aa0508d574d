//! Runs that are deleted: never with the only copy of work unless that is said, and never one that
//! something open needs. What it decides is one commit; the rows and the files go after it, and whoever
//! looks next goes on where that was cut off.

mod files;

use std::path::Path;
use std::time::Duration;

use fusion_core::{Agent, Decision, Run, RunId, WorkflowState, Workspace, error_chain};
use fusion_persistence::{Batch, Page, Prune, Reader, Repository as _, RunFilter};
use tokio::time::Instant;

use crate::agents::ARCHIVE;
use crate::coordinator::off_runtime;
use crate::run_file::tree;
use crate::worktrees::worktree_of;
use crate::{Coordinator, Discarded, Discarding, Error, Result};

/// Runs that are looked at in one go.
const AT_ONCE: u32 = 500;

/// Rows that are taken out in one commit.
const ROWS: u32 = 500;

/// Which runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OldRuns {
    /// How long ago they must have ended.
    pub older_than: Duration,
    /// In one of these states; all final ones without any.
    pub states: Vec<WorkflowState>,
    /// Only those that come after this one: where an earlier call stopped.
    pub after: Option<RunId>,
    /// How long it may take, about; as long as there are any without it.
    pub within: Option<Duration>,
}

/// What became of old runs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CollectedRuns {
    /// What went.
    pub gone: Vec<DeletedRun>,
    /// What stayed.
    pub kept: Vec<KeptRun>,
    /// Where to go on: the time was over before all were looked at.
    pub next: Option<RunId>,
}

/// When to leave the rest to others.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Until {
    /// Not before all is done.
    Done,
    /// From this moment on.
    Moment(Instant),
}

impl From<Option<Duration>> for Until {
    fn from(within: Option<Duration>) -> Self {
        let moment = within.and_then(|within| Instant::now().checked_add(within));
        moment.map_or(Self::Done, Self::Moment)
    }
}

impl Until {
    fn is_over(self) -> bool {
        match self {
            Self::Done => false,
            Self::Moment(moment) => Instant::now() >= moment,
        }
    }

    /// What comes of some work, which is broken off when the time is over.
    async fn at_most<T>(self, work: impl Future<Output = T>) -> Option<T> {
        match self {
            Self::Done => Some(work.await),
            Self::Moment(moment) => tokio::time::timeout_at(moment, work).await.ok(),
        }
    }
}

/// What becomes of runs whose workspaces are not here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Folders {
    /// The run was named: it goes where only copies may.
    Asked,
    /// It goes because of its age: it stays, for nobody looked.
    OfAge,
}

/// A run that is, or would be, no more.
#[derive(Debug, Clone, PartialEq)]
pub struct DeletedRun {
    /// As it was.
    pub run: Run,
    /// It and those below it.
    pub runs: usize,
    /// The workspaces that went with it.
    pub workspaces: Vec<Discarded>,
    /// Archives of workspaces and repositories with the work of its agents: they stay.
    pub left: Vec<String>,
}

/// A run that stays.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptRun {
    /// Which.
    pub run: Run,
    /// Why.
    pub why: String,
}

impl Coordinator {
    /// Deletes a run that has ended, with all runs below it, what belongs to them, and the kept files that
    /// nobody else names. What it cost stays in the books, and its events in the log. `by` is who asked. What
    /// can't be taken out `within` this time is left to [`keep_tidy`](Self::keep_tidy).
    ///
    /// # Errors
    /// There is no such run, it has not ended, something open needs it, or an agent's workspace can't go or
    /// holds what is nowhere else: it stays as it is. Some workspaces may be gone where one can't go.
    pub async fn delete_run(
        &self,
        id: RunId,
        how: Discarding,
        by: &str,
        within: Option<Duration>,
    ) -> Result<DeletedRun> {
        let until = Until::from(within);
        if !how.dry_run {
            self.finish_deletions(until).await?;
        }
        let deleted = self.begin_deletion(id, how, by, Folders::Asked).await?;
        if !how.dry_run {
            self.finish_deletions(until).await?;
        }
        Ok(deleted)
    }

    /// The same but for what is left to be taken out.
    async fn begin_deletion(
        &self,
        id: RunId,
        how: Discarding,
        by: &str,
        folders: Folders,
    ) -> Result<DeletedRun> {
        let run: Run = self.parts.store.get(id).await?;
        let runs = tree(self.parts.store.as_ref(), run.clone()).await?;
        let decision = run.delete(by, runs.len(), self.moment());
        self.try_deletion(decision.clone()).await?;
        let crew = self.crew_of_runs(&runs).await?;
        let dry = Discarding {
            dry_run: true,
            ..how
        };
        let would_go = self.discard_all(&run, &crew, dry, folders).await?;
        let left = self.left_of(&crew).await?;
        let workspaces = if how.dry_run {
            would_go
        } else {
            self.discard_all(&run, &crew, how, folders).await?
        };
        if !how.dry_run {
            // Once they are not known here any more, nobody can tell whose these snapshots are.
            let ended: Vec<Agent> = crew.into_iter().map(|(agent, _)| agent).collect();
            self.discard_all_shared(&ended).await?;
            self.commit(Batch::free(decision)).await?;
        }
        Ok(DeletedRun {
            runs: runs.len(),
            run,
            workspaces,
            left,
        })
    }

    /// Deletes all runs that ended so long ago and that no step waited for; says what went and what stayed. At
    /// least one is looked at, however little time there is.
    ///
    /// # Errors
    /// The store fails.
    pub async fn collect_runs(
        &self,
        which: &OldRuns,
        how: Discarding,
        by: &str,
    ) -> Result<CollectedRuns> {
        let mut done = CollectedRuns::default();
        let until = Until::from(which.within);
        let now = self.parts.clock.now();
        let age = chrono::Duration::from_std(which.older_than).ok();
        // A time too far back to be written keeps everything.
        let Some(before) = age.and_then(|age| now.checked_sub_signed(age)) else {
            return Ok(done);
        };
        let filter = RunFilter {
            states: final_among(&which.states),
            ended_before: Some(before),
            parent: Some(None),
            ..RunFilter::default()
        };
        let mut page = Page::first(AT_ONCE);
        page.after = which.after;
        while done.next.is_none() {
            let found: Vec<Run> = self.parts.store.list(&filter, page).await?;
            let Some(last) = found.last() else { break };
            page.after = Some(last.id);
            self.collect(found, (how, by), until, &mut done).await?;
        }
        if !done.gone.is_empty() && !how.dry_run {
            self.finish_deletions(until).await?;
        }
        Ok(done)
    }

    /// Begins with these; says where to go on when the time is over.
    async fn collect(
        &self,
        runs: Vec<Run>,
        (how, by): (Discarding, &str),
        until: Until,
        done: &mut CollectedRuns,
    ) -> Result<()> {
        for run in runs {
            let id = run.id;
            let deleted = self.begin_deletion(id, how, by, Folders::OfAge);
            match Box::pin(deleted).await {
                Ok(deleted) => done.gone.push(deleted),
                Err(Error::Store(error)) if !is_refusal(&error) => return Err(error.into()),
                Err(error) => done.kept.push(KeptRun {
                    run,
                    why: error_chain(&error),
                }),
            }
            if until.is_over() {
                done.next = Some(id);
                return Ok(());
            }
        }
        Ok(())
    }

    /// Whether the store would delete it now.
    async fn try_deletion(&self, decision: Decision) -> Result<()> {
        let tried = self.parts.store.commit(Batch::free(decision).dry_run());
        match tried.await {
            Ok(_) | Err(fusion_persistence::Error::DryRun) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The agents that these runs spawned.
    async fn crew_of_runs(&self, runs: &[Run]) -> Result<Vec<(Agent, Workspace)>> {
        let mut crew = Vec::new();
        for run in runs {
            let agents = self.parts.store.agents_of_run(run.id).await?;
            let own = |(agent, _): &(Agent, Workspace)| agent.run_id == Some(run.id);
            crew.extend(agents.into_iter().filter(own));
        }
        Ok(crew)
    }

    /// Removes the workspaces that are still there; none of them where one holds what is nowhere else.
    async fn discard_all(
        &self,
        run: &Run,
        crew: &[(Agent, Workspace)],
        how: Discarding,
        folders: Folders,
    ) -> Result<Vec<Discarded>> {
        let (mut gone, mut only) = (Vec::new(), Vec::new());
        for (agent, workspace) in crew {
            if !workspace.initialized {
                continue;
            }
            if self.is_elsewhere(agent, workspace).await {
                if folders == Folders::OfAge || !how.only_copies {
                    only.push(format!(
                        "the workspace of {} is not here: it may be on another machine, or on a disk that is \
                         not mounted",
                        agent.name
                    ));
                }
                continue;
            }
            match self.discard_workspace(agent.id, how).await {
                Ok(done) => gone.push(done),
                Err(error @ Error::OnlyCopy { .. }) => only.push(error.to_string()),
                Err(error) => return Err(error),
            }
        }
        if only.is_empty() {
            return Ok(gone);
        }
        Err(Error::OnlyCopies { run: run.id, only })
    }

    /// What stays of the work of agents: it is named nowhere once they are gone.
    async fn left_of(&self, crew: &[(Agent, Workspace)]) -> Result<Vec<String>> {
        let archive = |workspace: &Workspace| {
            let named = workspace.agent_config.get(ARCHIVE)?;
            named.as_str().map(str::to_owned)
        };
        let mut paths: Vec<String> = Vec::new();
        let mut elsewhere: Vec<String> = Vec::new();
        for (agent, workspace) in crew {
            if workspace.initialized && self.is_elsewhere(agent, workspace).await {
                elsewhere.push(workspace.root_path.clone());
            }
            paths.extend(archive(workspace));
            paths.extend(worktree_of(workspace).map(|record| record.repository));
        }
        let there = move || paths.into_iter().filter(|path| Path::new(path).exists());
        let there: Vec<String> = off_runtime(move || there().collect()).await?;
        Ok(there.into_iter().chain(elsewhere).collect())
    }

    /// Takes out what is left of runs that were deleted, and the files that nobody else names. What is left
    /// when the time is over is for who keeps the store tidy.
    pub(crate) async fn finish_deletions(&self, until: Until) -> Result<()> {
        if self.is_dry_run {
            return Ok(());
        }
        let old = Prune {
            deleted_runs: true,
            limit: ROWS,
            ..Prune::default()
        };
        while self.parts.store.prune(old).await? > 0 {
            if until.is_over() {
                self.untidy.notify_one();
                return Ok(());
            }
        }
        self.forget_files(until).await
    }
}

/// Refuses a run of which parts may be gone: it was deleted, or that has begun.
pub(crate) async fn expect_whole(store: &dyn Reader, run: RunId) -> Result<()> {
    let still: Option<Run> = store.find(run).await?;
    if still.is_some() && !store.is_being_deleted(run).await? {
        return Ok(());
    }
    Err(Error::Store(fusion_persistence::Error::NotFound {
        entity: "run",
        id: run.to_string(),
    }))
}

/// The states that are asked for and final; all final ones without any.
fn final_among(states: &[WorkflowState]) -> Vec<WorkflowState> {
    let all = WorkflowState::ALL.iter().copied();
    let is_asked = |state: &WorkflowState| states.is_empty() || states.contains(state);
    all.filter(|state| state.is_final())
        .filter(is_asked)
        .collect()
}

/// Whether the store holds to its rules, rather than fails.
const fn is_refusal(error: &fusion_persistence::Error) -> bool {
    matches!(
        error,
        fusion_persistence::Error::Needed { .. }
            | fusion_persistence::Error::NotFound { .. }
            | fusion_persistence::Error::Conflict { .. }
    )
}
