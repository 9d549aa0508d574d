//! Runs that are deleted: never with the only copy of work unless that is said, and never one that
//! something open needs. What it decides is one commit; the rows and the files go after it, and whoever
//! looks next goes on where that was cut off.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use fusion_core::{Agent, Change, Decision, Run, RunId, WorkflowState, Workspace, error_chain};
use fusion_persistence::{Batch, Page, Prune, Reader, Repository as _, RunFilter};
use fusion_workspaces::Holding;

use crate::agents::ARCHIVE;
use crate::coordinator::off_runtime;
use crate::run_file::{RunFileFault, tree};
use crate::worktrees::worktree_of;
use crate::{Coordinator, Discarded, Discarding, Error, Result};

/// Runs that are looked at in one go.
const AT_ONCE: u32 = 500;

/// Rows that are taken out in one commit.
const ROWS: u32 = 500;

/// Files that are dealt with under one lock.
const FILES: u32 = 200;

/// How often, and after which wait, it is tried to be alone with the kept files.
const TRIES: u32 = 20;
const WAIT: Duration = Duration::from_millis(50);

/// Which runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OldRuns {
    /// How long ago they must have ended.
    pub older_than: Duration,
    /// In one of these states; all final ones without any.
    pub states: Vec<WorkflowState>,
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
    /// nobody else names. What it cost stays in the books, and its events in the log. `by` is who asked.
    ///
    /// # Errors
    /// There is no such run, it has not ended, something open needs it, or an agent's workspace can't go or
    /// holds what is nowhere else: it stays as it is. Some workspaces may be gone where one can't go.
    pub async fn delete_run(&self, id: RunId, how: Discarding, by: &str) -> Result<DeletedRun> {
        if !how.dry_run {
            self.finish_deletions().await?;
        }
        let deleted = self.begin_deletion(id, how, by, Folders::Asked).await?;
        if !how.dry_run {
            self.finish_deletions().await?;
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
            self.commit(Batch::free(decision)).await?;
        }
        Ok(DeletedRun {
            runs: runs.len(),
            run,
            workspaces,
            left,
        })
    }

    /// Deletes all runs that ended so long ago and that no step waited for; says what went and what stayed.
    ///
    /// # Errors
    /// The store fails.
    pub async fn collect_runs(
        &self,
        which: &OldRuns,
        how: Discarding,
        by: &str,
    ) -> Result<(Vec<DeletedRun>, Vec<KeptRun>)> {
        let (mut gone, mut kept) = (Vec::new(), Vec::new());
        let now = self.parts.clock.now();
        let age = chrono::Duration::from_std(which.older_than).ok();
        // A time too far back to be written keeps everything.
        let Some(before) = age.and_then(|age| now.checked_sub_signed(age)) else {
            return Ok((gone, kept));
        };
        let filter = RunFilter {
            states: final_among(&which.states),
            ended_before: Some(before),
            parent: Some(None),
            ..RunFilter::default()
        };
        let mut page = Page::first(AT_ONCE);
        loop {
            let found: Vec<Run> = self.parts.store.list(&filter, page).await?;
            let Some(last) = found.last() else {
                if !gone.is_empty() && !how.dry_run {
                    self.finish_deletions().await?;
                }
                return Ok((gone, kept));
            };
            page.after = Some(last.id);
            for run in found {
                let done = self.begin_deletion(run.id, how, by, Folders::OfAge);
                match Box::pin(done).await {
                    Ok(done) => gone.push(done),
                    Err(Error::Store(error)) if !is_refusal(&error) => return Err(error.into()),
                    Err(error) => kept.push(KeptRun {
                        run,
                        why: error_chain(&error),
                    }),
                }
            }
        }
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

    /// Takes out what is left of runs that were deleted, and the files that nobody else names.
    pub(crate) async fn finish_deletions(&self) -> Result<()> {
        if self.is_dry_run {
            return Ok(());
        }
        let old = Prune {
            deleted_runs: true,
            limit: ROWS,
            ..Prune::default()
        };
        while self.parts.store.prune(old).await? > 0 {}
        self.forget_files().await
    }

    /// Removes the files that deleted runs named and that nobody names any more. Where others keep files all
    /// the time, it is left for the next time.
    pub(crate) async fn forget_files(&self) -> Result<()> {
        let mut tries = 0;
        while tries < TRIES && self.parts.store.has_loose_files().await? {
            let kept = self.kept();
            let removed = match off_runtime(move || kept.alone()).await? {
                Ok(Some(alone)) => self.forget_some_files(alone).await?,
                Ok(None) => {
                    tries += 1;
                    tokio::time::sleep(WAIT).await;
                    Ok(())
                }
                Err(error) => Err(error),
            };
            if let Err(error) = removed {
                tracing::warn!(%error, "files that nobody names can't be removed");
                break;
            }
        }
        Ok(())
    }

    /// Removes those of some files that nobody names. Where others keep files all the time, they stay.
    ///
    /// # Errors
    /// The store or the disk fails.
    pub(crate) async fn forget_unnamed(&self, files: &BTreeSet<String>) -> Result<()> {
        let mut tries = 0;
        while tries < TRIES && !files.is_empty() {
            let kept = self.kept();
            if let Some(alone) = off_runtime(move || kept.alone())
                .await?
                .map_err(RunFileFault::from)?
            {
                // What a process committed that was killed meanwhile is seen from here on.
                self.note_forgotten(Vec::new()).await?;
                let named = self.parts.store.files_named(files).await?;
                let unnamed: Vec<String> = files.difference(&named).cloned().collect();
                let kept = self.kept();
                let removing = move || {
                    unnamed
                        .iter()
                        .try_for_each(|file| kept.remove(file, &alone).map(drop))
                };
                off_runtime(removing).await?.map_err(RunFileFault::from)?;
                return Ok(());
            }
            tries += 1;
            tokio::time::sleep(WAIT).await;
        }
        Ok(())
    }

    /// Removes some of these files while nobody else keeps any. The inner error is that of the disk.
    async fn forget_some_files(&self, alone: Holding) -> Result<std::io::Result<()>> {
        // What a process committed that was killed meanwhile is seen from here on.
        self.note_forgotten(Vec::new()).await?;
        let loose = self.parts.store.loose_files(FILES).await?;
        let files = loose.iter().map(|file| file.sha256.clone()).collect();
        let kept = self.kept();
        let removed = off_runtime(move || {
            let unnamed = loose.iter().filter(|file| !file.is_named);
            for file in unnamed {
                kept.remove(&file.sha256, &alone)?;
                fail::fail_point!("coordination::removed_file", |_| std::process::abort());
            }
            Ok::<_, std::io::Error>(alone)
        });
        match removed.await? {
            Ok(_alone) => self.note_forgotten(files).await.map(Ok),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn note_forgotten(&self, files: Vec<String>) -> Result<()> {
        let decision = Decision::default().with(Change::ForgetFiles(files));
        self.commit(Batch::free(decision)).await
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
