//! Seats in workspaces: whoever works in one has one, and what a person has taken in is taken in alone, also
//! where several processes share a store.

use std::time::Duration;

use fusion_core::{Agent, error_chain};
use fusion_workspaces::{Seat, WorkspaceDir};
use tokio::time::{Instant, sleep};

use crate::coordinator::off_runtime;
use crate::spawn::of_workspace;
use crate::worker::Job;
use crate::{Coordinator, Error, Result};

/// How often it is looked whether a workspace is free.
pub(crate) const LOOK: Duration = Duration::from_millis(100);

/// Longer than git may take for all that is done alone.
const PATIENCE: Duration = Duration::from_mins(45);

impl Coordinator {
    /// A seat for a step in a workspace; waits while somebody has that alone. `Err` says why there is none.
    ///
    /// # Errors
    /// [`Error::Held`] when the step is to stop meanwhile.
    pub(crate) async fn seat_of_step(
        &self,
        job: &Job<'_>,
        dir: &WorkspaceDir,
    ) -> Result<std::result::Result<Option<Seat>, String>> {
        let began = Instant::now();
        loop {
            let of = dir.clone();
            match off_runtime(move || of.seat_beside()).await? {
                Ok(Some(seat)) => return Ok(Ok(Some(seat))),
                Ok(None) if began.elapsed() > PATIENCE => {
                    let minutes = PATIENCE.as_secs() / 60;
                    let path = dir.path().display();
                    return Ok(Err(format!(
                        "somebody has had the workspace {path} alone for {minutes} minutes"
                    )));
                }
                Ok(None) => {}
                Err(error) => {
                    // Nobody gets it alone there either.
                    let error = error_chain(&error);
                    tracing::debug!(error, "a step works without a seat in its workspace");
                    return Ok(Ok(None));
                }
            }
            tokio::select! {
                () = sleep(LOOK) => {}
                () = job.stop.cancelled() => return Err(held(&job.agent)),
                () = job.at_work.hand.now.cancelled() => return Err(held(&job.agent)),
                () = job.at_work.hand.next_step.cancelled() => return Err(held(&job.agent)),
            }
        }
    }

    /// The only seat in a workspace.
    ///
    /// # Errors
    /// [`Error::AtWork`] while anybody else has one.
    pub(crate) async fn seat_alone(&self, agent: &Agent, dir: WorkspaceDir) -> Result<Seat> {
        let taken = off_runtime(move || dir.seat_alone()).await?;
        let taken = taken.map_err(|source| of_workspace(agent, source))?;
        taken.ok_or_else(|| Error::AtWork {
            agent: agent.name.clone(),
        })
    }
}

fn held(agent: &Agent) -> Error {
    Error::Held {
        agent: agent.name.clone(),
    }
}
