//! Runs that another process works on, in a database that many processes share. No lock of this
//! machine tells of them, only the leases of their tasks.

use std::time::Duration;

use fusion_api_types::{Problem, ProblemKind};
use fusion_cli::Progress;
use fusion_core::{Run, WorkflowState};
use fusion_persistence::{Page, Reader, Repository, RunFilter};
use tokio::time::{Instant, sleep};

use crate::problems;
use crate::wiring::LEASE;

/// How many unfinished runs are looked at.
const UNFINISHED: u32 = 100;

/// Looks in a row that find no lease: between two steps a living process holds none for a moment.
const FREE_LOOKS: u32 = 4;

/// The wait between two looks.
const BETWEEN: Duration = Duration::from_millis(250);

/// A dead process holds nothing after this time; who still holds something is alive.
const SETTLED: Duration = LEASE.saturating_add(Duration::from_secs(2));

/// Looks for runs that no other process works on.
pub(crate) struct Left<'a> {
    store: &'a dyn Reader,
    /// Other processes may write to the database.
    is_shared: bool,
    progress: &'a mut dyn Progress,
    /// When it is known of every run.
    settled: Instant,
    told: bool,
}

impl<'a> Left<'a> {
    pub(crate) fn new(
        store: &'a dyn Reader,
        is_shared: bool,
        progress: &'a mut dyn Progress,
    ) -> Self {
        Self {
            store,
            is_shared,
            progress,
            settled: Instant::now() + SETTLED,
            told: false,
        }
    }

    /// The newest unfinished run that is left; `None` when every run has ended.
    pub(crate) async fn newest(mut self) -> Result<Option<Run>, Problem> {
        // A task of its own is taken by an agent, not resumed; what is a step of another run goes on with
        // that.
        let driven = RunFilter {
            standalone: Some(false),
            parent: Some(None),
            ..RunFilter::unfinished()
        };
        let unfinished = self
            .store
            .list(&driven, Page::first(UNFINISHED))
            .await
            .map_err(|error| problems::of_store(&error))?;
        for run in &unfinished {
            if self.is_left(run).await? {
                return Ok(Some(run.clone()));
            }
        }
        unfinished.first().map_or(Ok(None), |run| Err(at_work(run)))
    }

    /// This run, when it is left.
    pub(crate) async fn this(mut self, run: Run) -> Result<Run, Problem> {
        if self.is_left(&run).await? {
            Ok(run)
        } else {
            Err(at_work(&run))
        }
    }

    /// Waits until no process holds a task of a run, or it is clear that one is alive.
    async fn is_left(&mut self, run: &Run) -> Result<bool, Problem> {
        let mut free = 0;
        while self.is_shared {
            let worked_on = self.store.is_worked_on(run.id).await;
            if worked_on.map_err(|error| problems::of_store(&error))? {
                free = 0;
            } else {
                free += 1;
            }
            let is_settled = Instant::now() >= self.settled;
            // A run that is being launched has no task under a lease yet.
            if free >= FREE_LOOKS && (run.state != WorkflowState::Ready || is_settled) {
                break;
            }
            if is_settled && free == 0 {
                return Ok(false);
            }
            if !self.told && free == 0 {
                self.told = true;
                self.progress.notice(&format!(
                    "a process worked on run {} moments ago: waiting up to {} s to see whether it is gone",
                    run.id,
                    SETTLED.as_secs()
                ));
            }
            sleep(BETWEEN).await;
        }
        Ok(true)
    }
}

fn at_work(run: &Run) -> Problem {
    Problem::new(
        ProblemKind::Conflict,
        format!("another process works on run {}", run.id),
    )
    .with_help("wait until it is done, or stop it; a run that was left is resumed by its id")
}
