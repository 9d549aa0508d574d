//! Steps that are commands.

use std::sync::Arc;

use fusion_agents::{CommandRuntime, Ending};
use fusion_core::{Agent, CommandSpec, Task, Workspace, error_chain};
use fusion_persistence::Repository;
use fusion_workspaces::{Launcher, WorkspaceDir};
use serde_json::json;

use crate::coordinator::off_runtime;
use crate::journal::TaskJournal;
use crate::lost_workspaces::Entered;
use crate::worker::Job;
use crate::{Coordinator, Error, Result, brief, grants};

/// Where a command runs, and what starts it.
struct Place {
    workspace: Arc<WorkspaceDir>,
    launcher: Launcher,
    /// As its runner found it; of somebody else's the seat alone.
    entered: Entered,
}

impl Coordinator {
    /// Runs the command of a step.
    pub(crate) async fn run_step(
        &self,
        mut job: Job<'_>,
        command: &CommandSpec,
        script: &str,
    ) -> Result<()> {
        let place = match self.place_of(&mut job, command).await {
            Err(error) if error.is_held() => return self.give_back_unbegun(&job).await,
            place => place?,
        };
        let place = match place {
            Ok(place) => place,
            Err(why) => return self.fail_unstarted(job, why).await,
        };
        let brief = brief::of_command(&job, command, script);
        let past = self.journal_of(&job.task).await?;
        let begins = past.is_empty();
        let taken = self.take_over(&job, Some(&place.workspace), begins);
        if let Err(why) = taken.await? {
            return self.fail_unstarted(job, why).await;
        }
        let input = json!({ "command": script });
        let (mut job, opening) = job.begin(input, self.moment())?;
        let begun = job.task.clone();
        let journal = TaskJournal::new(self, &begun, &job.agent, opening)
            .keeping(place.entered.kept.clone(), begins);
        let runtime = CommandRuntime {
            workspace: Arc::clone(&place.workspace),
            undo: self.undo_of(&job, &place.entered),
            launcher: place.launcher.counted(job.at_work.custody.clone()),
            clock: Arc::clone(&self.parts.clock),
            ids: Arc::clone(&self.parts.ids),
            pause: job.at_work.hand.next_step.clone(),
        };
        let within = job.stop.child_token();
        let mut outputs = None;
        let work = async {
            let ended = runtime.run(&brief, past, &journal, &within).await?;
            outputs = ended.outputs;
            Ok(ended.ending)
        };
        let ending = self.until_stopped(&job, &within, work).await;
        if command.shared_with.is_none() {
            self.forget_snapshot(&job, &ending).await?;
            self.note_usage(&job, Some(&place.workspace)).await?;
        }
        // What a command that failed ended with is there for the steps after it.
        if let (Ok(Ending::Failed { .. }), Some(outputs)) = (&ending, outputs) {
            job.task.output_artifacts = Some(json!({ "outputs": outputs, "artifacts": [] }));
        }
        self.conclude_or_refuse(&job, &journal, ending, Some(place.workspace))
            .await
    }

    /// The runner's own workspace, or that of who did another step, with what commands may do there.
    async fn place_of(
        &self,
        job: &mut Job<'_>,
        command: &CommandSpec,
    ) -> Result<std::result::Result<Place, String>> {
        let Some(step) = &command.shared_with else {
            let entered = match self.enter(job).await? {
                Ok(entered) => entered,
                Err(why) => return Ok(Err(why)),
            };
            let Some(workspace) = entered.dir.clone() else {
                return Err(Error::Broken("a runner has no workspace".to_owned()));
            };
            return Ok(self.place_in(workspace, &job.agent, entered));
        };
        let names = [step.clone()];
        let store = &self.parts.store;
        let done: Option<Task> = store.tasks_named(job.task.run_id, &names).await?.pop();
        let Some(id) = done.and_then(|task| task.agent_id) else {
            return Ok(Err(format!(
                "nobody did the step '{step}', so there is no workspace to share"
            )));
        };
        let agent: Agent = store.get(id).await?;
        let opened = self.open_folder(job.plan.workspace(id)?, false).await?;
        Ok(match opened {
            Ok(workspace) => {
                let workspace = Arc::new(grants::bounded(workspace, &agent));
                let entered = match self.seat_of_step(job, &workspace).await? {
                    Ok(seat) => Entered {
                        _seat: seat,
                        ..Entered::default()
                    },
                    Err(why) => return Ok(Err(why)),
                };
                self.place_in(workspace, &agent, entered)
            }
            Err(source) => {
                let agent = agent.name;
                Err(error_chain(&Error::Workspace { agent, source }))
            }
        })
    }

    fn place_in(
        &self,
        workspace: Arc<WorkspaceDir>,
        agent: &Agent,
        entered: Entered,
    ) -> std::result::Result<Place, String> {
        let launcher = self.launcher_of(agent).map_err(|source| {
            let agent = agent.name.clone();
            error_chain(&Error::Workspace { agent, source })
        })?;
        Ok(Place {
            workspace,
            launcher,
            entered,
        })
    }

    /// The folder of the job's agent, where it has one.
    pub(crate) async fn open_workspace(
        &self,
        job: &mut Job<'_>,
    ) -> Result<std::result::Result<Entered, String>> {
        let plan = job.plan;
        if !plan.folders.are_used(&plan.workflow.definition, &job.agent) {
            return Ok(Ok(Entered::default()));
        }
        self.enter(job).await
    }

    /// Opens a workspace; `alone` where nobody else can be at work in it.
    pub(crate) async fn open_folder(
        &self,
        workspace: &Workspace,
        alone: bool,
    ) -> Result<fusion_workspaces::Result<WorkspaceDir>> {
        let (workspaces, uid) = (self.workspaces_of(workspace), workspace.process_uid);
        let name = workspace.dir_name().to_owned();
        off_runtime(move || {
            if alone {
                workspaces.open(&name, uid)
            } else {
                workspaces.open_beside(&name, uid)
            }
        })
        .await
    }
}
