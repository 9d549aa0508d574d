//! One task, from its claim to its end.

use std::sync::Arc;
use std::time::Duration;

use fusion_agents::{Ending, Failure, JournalRefused, Ports, Record, Runtime, TaskBrief};
use fusion_core::{
    Agent, Decision, EntryState, ErrorCode, Moment, StepSpec, Task, Timestamp, error_chain,
};
use fusion_persistence::{Batch, Claimed, Fence};
use fusion_providers::Observer;
use fusion_web::Hosts;
use fusion_workspaces::{Launcher, WorkspaceDir};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::candidates::{context_tokens, serving};
use crate::coordinator::off_runtime;
use crate::crew::AtWork;
use crate::expression_context::expression_context;
use crate::grants;
use crate::journal::TaskJournal;
use crate::mailbox::TaskMailbox;
use crate::plan::Plan;
use crate::spawn::uses_folder;
use crate::unserved::Unfinished;
use crate::{Coordinator, Error, Notices, Result};

/// A prompt after its expressions were put in, in bytes.
const PROMPT_LIMIT: usize = 256 * 1024;

/// Why a task goes back to the queue whose agent is held.
const HELD: &str = "its agent is held";

/// Tries of a commit that touches siblings which others change too.
pub(crate) const CONFLICT_TRIES: usize = 20;

/// A claimed task and what was read for it.
pub(crate) struct Job<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) step: &'a StepSpec,
    pub(crate) task: Task,
    pub(crate) agent: Agent,
    pub(crate) fence: Fence,
    /// Stops the run.
    pub(crate) stop: &'a CancellationToken,
    /// Its place, by which this worker is stopped.
    pub(crate) at_work: &'a AtWork,
}

impl Job<'_> {
    /// The agent begins; the decision is not written yet.
    fn begin(self, input: Value, moment: Moment<'_>) -> Result<(Self, Decision)> {
        let (task, agent, opening) = self.task.begin(self.agent, input, moment)?;
        Ok((
            Self {
                task,
                agent,
                ..self
            },
            opening,
        ))
    }
}

/// What a task made: its outputs and the paths of its files.
struct Work {
    outputs: Value,
    artifacts: Vec<String>,
}

impl Coordinator {
    /// Runs a claimed task to its end, or gives it back when `stop` is called or its agent is held.
    ///
    /// A lost lease is no error: another worker has the task, and what this one did is dropped.
    pub(crate) async fn work(
        &self,
        plan: &Plan,
        claimed: Claimed,
        stop: &CancellationToken,
    ) -> Result<()> {
        fail::fail_point!("coordination::claimed");
        let Claimed { task, agent } = claimed;
        let fence = Fence {
            task: task.id,
            number: task.fence,
        };
        let step = plan.step(&task.name)?;
        let (id, is_standing) = (agent.id, agent.is_standing());
        let at_work = self.crew.enter(id, task.run_id);
        let worked = self
            .execute(Job {
                plan,
                step,
                task,
                agent,
                fence,
                stop,
                at_work: &at_work,
            })
            .await;
        drop(at_work);
        let worked = self.after(fence, id, worked).await;
        if is_standing {
            self.crew.free(id);
        }
        worked
    }

    async fn execute(&self, job: Job<'_>) -> Result<()> {
        let context = self.context_of(&job).await?;
        if let Some(condition) = &job.step.condition {
            match fusion_workflow_file::condition(condition, &context) {
                Ok(true) => {}
                Ok(false) => return self.skip(&job, condition).await,
                Err(error) => {
                    return self
                        .fail_unstarted(job, format!("`if` can't be evaluated: {error}"))
                        .await;
                }
            }
        }
        let prompt = match prompt(job.step, &context) {
            Ok(prompt) => prompt,
            Err(why) => return self.fail_unstarted(job, why).await,
        };
        let workspace = match self.open_workspace(&job).await? {
            Ok(workspace) => workspace,
            Err(source) => {
                let error = Error::Workspace {
                    agent: job.agent.name.clone(),
                    source,
                };
                return self.fail_unstarted(job, error_chain(&error)).await;
            }
        };
        let launcher = match self.launcher_of(&job.agent) {
            Ok(launcher) => launcher.counted(job.at_work.custody.clone()),
            Err(error) => return self.fail_unstarted(job, error_chain(&error)).await,
        };
        self.run_agent(job, prompt, workspace, launcher).await
    }

    async fn run_agent(
        &self,
        job: Job<'_>,
        prompt: String,
        workspace: Option<Arc<WorkspaceDir>>,
        launcher: Launcher,
    ) -> Result<()> {
        let brief = brief(&job, prompt)?;
        let past = self.parts.store.journal(job.task.id).await?;
        let input = json!({ "prompt": brief.prompt });
        let (job, opening) = job.begin(input, self.moment())?;
        let journal = TaskJournal::new(self, &job.task, &job.agent, opening);
        let mailbox = TaskMailbox::new(self, job.plan, &journal);
        let ports = Ports {
            journal: &journal,
            mailbox: &mailbox,
        };
        let runtime = self.runtime(&job, workspace.clone(), launcher)?;
        let within = job.stop.child_token();
        let mut work = Box::pin(runtime.run(&brief, past, ports, &within));
        let ending = tokio::select! {
            ending = &mut work => ending,
            () = job.at_work.hand.now.cancelled() => {
                within.cancel();
                work.await
            }
            () = tokio::time::sleep(Duration::from_secs(job.step.timeout_seconds)) => {
                within.cancel();
                work.await.map(|ending| late(ending, job.step, self.moment().now))
            }
        };
        self.note_usage(&job, workspace.as_ref()).await?;
        match ending {
            Err(JournalRefused) => match journal.refusal() {
                error if error.is_held() => self.give_back_unbegun(&job).await,
                error => Err(error),
            },
            Ok(ending) => self.conclude(&job, &journal, ending, workspace).await,
        }
    }

    /// The agent was held between the claim and the begin.
    async fn give_back_unbegun(&self, job: &Job<'_>) -> Result<()> {
        let decision = job.task.take_back(None, HELD, self.moment())?;
        self.commit(Batch::release(job.fence, decision)).await
    }

    fn runtime(
        &self,
        job: &Job<'_>,
        workspace: Option<Arc<WorkspaceDir>>,
        launcher: Launcher,
    ) -> Result<Runtime> {
        let Job { plan, agent, .. } = job;
        let observer: Arc<dyn Observer> = Arc::<Notices>::clone(&self.parts.notices);
        let allowances = plan.budgets.of(agent.id);
        let provider = serving(&self.parts.providers, agent, &allowances, &observer);
        Ok(Runtime {
            provider: provider.map_err(|source| Error::Model {
                agent: agent.name.clone(),
                number: None,
                source: Box::new(source),
            })?,
            workspace,
            launcher,
            web: Arc::clone(&self.parts.web),
            clock: Arc::clone(&self.parts.clock),
            ids: Arc::clone(&self.parts.ids),
            ends: job.stop.clone(),
            pause: job.at_work.hand.next_step.clone(),
        })
    }

    /// Commits what came of a task.
    async fn conclude(
        &self,
        job: &Job<'_>,
        journal: &TaskJournal<'_>,
        ending: Ending,
        workspace: Option<Arc<WorkspaceDir>>,
    ) -> Result<()> {
        let is_done = matches!(ending, Ending::Completed { .. } | Ending::Failed { .. });
        if is_done && journal.is_unopened() {
            match journal.write(Vec::new()).await {
                Err(error) if error.is_held() => return self.give_back_unbegun(job).await,
                written => written?,
            }
        }
        match ending {
            Ending::Interrupted {
                cut_off,
                unrecorded,
            } => {
                let unfinished = Unfinished {
                    unrecorded,
                    lost: cut_off.map(|entry| entry.usage).unwrap_or_default(),
                    wait: None,
                };
                let why = if job.stop.is_cancelled() {
                    "it was interrupted"
                } else {
                    HELD
                };
                self.give_back(job, journal, unfinished, why).await
            }
            Ending::Unserved {
                failure,
                retry_after,
                lost,
                unrecorded,
            } => {
                let unfinished = Unfinished {
                    unrecorded,
                    lost,
                    wait: retry_after,
                };
                self.unserved(job, journal, failure, unfinished).await
            }
            Ending::Failed {
                failure,
                unrecorded,
            } => self.fail(job, journal, unrecorded, failure).await,
            Ending::Completed {
                outputs,
                unrecorded,
            } => match artifacts(workspace, job.step.artifacts.clone()).await? {
                Ok(artifacts) => {
                    self.complete(job, journal, unrecorded, Work { outputs, artifacts })
                        .await
                }
                Err(failure) => self.fail(job, journal, unrecorded, failure).await,
            },
        }
    }

    /// The values that the step's expressions name, and no more than these.
    async fn context_of(&self, job: &Job<'_>) -> Result<Value> {
        let mut named = fusion_workflow_file::steps_named_in(&job.step.prompt);
        if let Some(condition) = &job.step.condition {
            named.extend(fusion_workflow_file::steps_named_in_condition(condition));
        }
        let names: Vec<String> = named.into_iter().collect();
        let tasks = self
            .parts
            .store
            .tasks_named(job.task.run_id, &names)
            .await?;
        Ok(expression_context(&job.plan.run, &tasks))
    }

    /// The folder of the job's agent, where it has one.
    async fn open_workspace(
        &self,
        job: &Job<'_>,
    ) -> Result<fusion_workspaces::Result<Option<Arc<WorkspaceDir>>>> {
        let (agent, definition) = (&job.agent, &job.plan.workflow.definition);
        if !uses_folder(definition, agent) {
            return Ok(Ok(None));
        }
        let workspace = job.plan.workspace(agent.id)?;
        let (workspaces, uid) = (self.workspaces_of(workspace), workspace.process_uid);
        let name = job.agent.id.to_string();
        let opened = off_runtime(move || workspaces.open(&name, uid)).await?;
        Ok(opened.map(|workspace| Some(Arc::new(grants::bounded(workspace, agent)))))
    }

    async fn complete(
        &self,
        job: &Job<'_>,
        journal: &TaskJournal<'_>,
        unrecorded: Vec<Record>,
        work: Work,
    ) -> Result<()> {
        let made = json!({ "outputs": work.outputs, "artifacts": work.artifacts });
        let last_words = journal.decide(unrecorded);
        let mut tries = 0;
        loop {
            let mut decision = last_words.clone();
            let task = job.task.clone();
            decision.merge(task.complete(journal.agent(), made.clone(), self.moment())?);
            match self
                .commit_end(job.plan, job.agent.id, job.fence, decision)
                .await
            {
                Err(error) if error.is_conflict() && tries < CONFLICT_TRIES => tries += 1,
                other => return other,
            }
            journal.look_again().await?;
        }
    }

    async fn fail(
        &self,
        job: &Job<'_>,
        journal: &TaskJournal<'_>,
        unrecorded: Vec<Record>,
        failure: Failure,
    ) -> Result<()> {
        let last_words = journal.decide(unrecorded);
        let error = match failure.help {
            Some(help) => format!("{}; {help}", failure.message),
            None => failure.message,
        };
        let mut tries = 0;
        loop {
            let siblings = self.parts.store.tasks_of_run(job.task.run_id).await?;
            let mut decision = last_words.clone();
            let (task, moment) = (job.task.clone(), self.moment());
            decision.merge(task.fail(journal.agent(), &error, &siblings, moment)?);
            match self
                .commit_end(job.plan, job.agent.id, job.fence, decision)
                .await
            {
                Err(error) if error.is_conflict() && tries < CONFLICT_TRIES => tries += 1,
                other => return other,
            }
            journal.look_again().await?;
        }
    }

    /// A task fails before its agent could begin.
    async fn fail_unstarted(&self, job: Job<'_>, message: String) -> Result<()> {
        let (job, opening) = job.begin(json!({}), self.moment())?;
        let journal = TaskJournal::new(self, &job.task, &job.agent, opening);
        match journal.write(Vec::new()).await {
            Err(error) if error.is_held() => return self.give_back_unbegun(&job).await,
            written => written?,
        }
        let failure = Failure {
            code: ErrorCode::InvalidInput,
            message,
            help: None,
        };
        self.fail(&job, &journal, Vec::new(), failure).await
    }

    /// Decides again when a sibling moved meanwhile.
    async fn skip(&self, job: &Job<'_>, condition: &str) -> Result<()> {
        let mut tries = 0;
        loop {
            let siblings = self.parts.store.tasks_of_run(job.task.run_id).await?;
            let task = job.task.clone();
            let decision = task.skip(condition, &siblings, self.moment())?;
            match self
                .commit_end(job.plan, job.agent.id, job.fence, decision)
                .await
            {
                Err(error) if error.is_conflict() && tries < CONFLICT_TRIES => tries += 1,
                other => return other,
            }
        }
    }
}

fn prompt(step: &StepSpec, context: &Value) -> std::result::Result<String, String> {
    let prompt = fusion_workflow_file::render_text(&step.prompt, context)
        .map_err(|error| format!("the prompt can't be made: {error}"))?;
    if prompt.len() > PROMPT_LIMIT {
        return Err(format!(
            "the prompt has {} bytes and the limit is {PROMPT_LIMIT}",
            prompt.len()
        ));
    }
    Ok(prompt)
}

fn brief(job: &Job<'_>, prompt: String) -> Result<TaskBrief> {
    let Job {
        plan,
        step,
        task,
        agent,
        ..
    } = job;
    let spec = plan
        .workflow
        .definition
        .agents
        .get(&agent.name)
        .ok_or_else(|| {
            Error::Broken(format!("the stored workflow has no agent '{}'", agent.name))
        })?;
    let hosts = Hosts::try_from(spec.web_hosts.clone())
        .map_err(|error| Error::Broken(format!("the stored workflow: {error}")))?;
    Ok(TaskBrief {
        task_id: task.id,
        run_id: task.run_id,
        agent_id: agent.id,
        step: step.id.clone(),
        workflow: plan.workflow.name.clone(),
        agent: agent.name.clone(),
        instructions: grants::told(&spec.instructions, agent),
        model: agent.model_name.clone(),
        prompt,
        peers: plan.peers_of(agent.id),
        tools: spec.tools.clone(),
        hosts,
        max_turns: spec.max_turns,
        max_repeats: spec.max_repeats,
        context_tokens: context_tokens(agent, spec),
        max_tokens: spec.max_tokens,
        temperature: spec.temperature,
        provider_options: spec.provider_options.clone(),
        output_schema: step.output_schema(),
        verify: step.verify.clone(),
        command_timeout: Duration::from_secs(step.timeout_seconds),
    })
}

/// A step whose time was up: it failed, unless it was done just then. What was under way ends
/// with it.
fn late(ending: Ending, step: &StepSpec, now: Timestamp) -> Ending {
    match ending {
        Ending::Interrupted {
            cut_off,
            mut unrecorded,
        } => {
            unrecorded.extend(cut_off.map(|mut entry| {
                entry.state = EntryState::Unknown;
                entry.finished_at = Some(now);
                Record::Update(*entry)
            }));
            Ending::Failed {
                failure: timed_out(step),
                unrecorded,
            }
        }
        done @ (Ending::Completed { .. } | Ending::Failed { .. } | Ending::Unserved { .. }) => done,
    }
}

fn timed_out(step: &StepSpec) -> Failure {
    Failure {
        code: ErrorCode::Timeout,
        message: format!(
            "it took longer than its timeout of {} s",
            step.timeout_seconds
        ),
        help: Some(format!("raise `timeout` of the step '{}'", step.id)),
    }
}

async fn artifacts(
    workspace: Option<Arc<WorkspaceDir>>,
    globs: Vec<String>,
) -> Result<std::result::Result<Vec<String>, Failure>> {
    let Some(workspace) = workspace.filter(|_| !globs.is_empty()) else {
        return Ok(Ok(Vec::new()));
    };
    let found = off_runtime(move || workspace.matching(&globs)).await?;
    Ok(found.map_err(|error| Failure {
        code: ErrorCode::InvalidInput,
        message: format!("its artifacts can't be listed: {error}"),
        help: None,
    }))
}
