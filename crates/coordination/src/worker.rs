//! One task, from its claim to its end.

use std::sync::Arc;
use std::time::Duration;

use fusion_agents::{Ending, Failure, JournalRefused, Ports, Record, Runtime};
use fusion_core::{
    Again, Agent, Decision, ErrorCode, JournalEntry, Moment, StepSpec, Task, error_chain,
};
use fusion_persistence::{Batch, Claimed, Fence};
use fusion_providers::{Observer, SharedBudget};
use fusion_workspaces::{Launcher, WorkspaceDir};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::anew::{AfterRound, another_attempt};
use crate::approvals::Permission;
use crate::artifacts::{Source, Work};
use crate::candidates::{Within, serving};
use crate::crew::AtWork;
use crate::expression_context::task_context;
use crate::follow::Follow;
use crate::journal::TaskJournal;
use crate::lost_workspaces::Entered;
use crate::mailbox::TaskMailbox;
use crate::outcome::late;
use crate::plan::Plan;
use crate::races::Races;
use crate::shared_budgets::Purse;
use crate::stuck::when_stuck;
use crate::unserved::Unfinished;
use crate::{Coordinator, Error, Notices, Result, brief};

/// Why a task goes back to the queue whose agent or whose run is held.
const HELD: &str = "it is held";

/// The fence of a task that nobody had before: nobody wrote anything about it.
const FIRST_FENCE: u64 = 1;

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
    /// What its end brings with it.
    pub(crate) follow: &'a Follow,
}

impl Job<'_> {
    /// The agent begins; the decision is not written yet.
    pub(crate) fn begin(self, input: Value, moment: Moment<'_>) -> Result<(Self, Decision)> {
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

impl Coordinator {
    /// Runs a claimed task to its end, or gives it back when `stop` is called or its agent is held.
    ///
    /// A lost lease is no error: another worker has the task, and what this one did is dropped.
    pub(crate) async fn work(
        &self,
        plan: &Plan,
        claimed: Claimed,
        stop: &CancellationToken,
        follow: &Follow,
    ) -> Result<()> {
        fail::fail_point!("coordination::claimed");
        let Claimed { task, agent } = claimed;
        let fence = Fence {
            task: task.id,
            number: task.fence,
        };
        let step = plan.step(task.step_id())?;
        let (id, is_standing) = (agent.id, agent.is_standing());
        let at_work = self.crew.enter(id, task.run_id);
        // Boxed: it holds the whole work of an agent.
        let worked = Box::pin(self.execute(Job {
            plan,
            step,
            task,
            agent,
            fence,
            stop,
            at_work: &at_work,
            follow,
        }))
        .await;
        drop(at_work);
        let worked = self.after(fence, id, worked).await;
        if is_standing {
            self.crew.free(id);
        }
        worked
    }

    async fn execute(&self, job: Job<'_>) -> Result<()> {
        let Some(job) = self.to_begin(job).await? else {
            return Ok(());
        };
        let context = self.context_of(&job).await?;
        let condition = job.step.condition.as_ref();
        // An item is there because the condition of its step was true.
        if let Some(condition) = condition.filter(|_| job.task.course.item.is_none()) {
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
        if job.step.approval.is_some() {
            match self.permission(&job).await? {
                Permission::Given => {}
                Permission::Missing => return self.give_back_to_ask(&job).await,
                Permission::Fault(why) => return self.fail_unstarted(job, why).await,
            }
        }
        if let (Some(foreach), None) = (&job.step.foreach, &job.task.course.item) {
            return self.fan_out(job, foreach, &context).await;
        }
        if let Some(call) = &job.step.call {
            return self.call(job, call, &context).await;
        }
        let asked = match brief::asked(job.step, &context) {
            Ok(asked) => asked,
            Err(why) => return self.fail_unstarted(job, why).await,
        };
        match &job.step.command {
            Some(command) => self.run_step(job, command, &asked).await,
            None => self.ask_agent(job, &asked).await,
        }
    }

    /// A task that is to be begun. One whose items or whose run have ended ends with these instead, and one
    /// that need not be begun any more is left out.
    async fn to_begin<'j>(&self, job: Job<'j>) -> Result<Option<Job<'j>>> {
        if job.task.course.items.is_some() {
            return self.join(job).await.map(|()| None);
        }
        if let (Some(call), Some(child)) = (&job.step.call, job.task.course.child) {
            return self.after_child(job, call, child).await.map(|()| None);
        }
        let is_left_out = self.was_left_out(&job).await?;
        Ok((!is_left_out).then_some(job))
    }

    async fn ask_agent(&self, mut job: Job<'_>, prompt: &str) -> Result<()> {
        let entered = match self.open_workspace(&mut job).await {
            Err(error) if error.is_held() => return self.give_back_unbegun(&job).await,
            entered => entered?,
        };
        let entered = match entered {
            Ok(entered) => entered,
            Err(why) => return self.fail_unstarted(job, why).await,
        };
        let launcher = match self.launcher_of(&job.agent) {
            Ok(launcher) => launcher.counted(job.at_work.custody.clone()),
            Err(error) => return self.fail_unstarted(job, error_chain(&error)).await,
        };
        let past = self.journal_of(&job.task).await?;
        let begins = past.is_empty();
        let taken = self.take_over(&job, entered.dir.as_ref(), begins);
        let prompt = match taken.await? {
            Ok(told) => format!("{prompt}{told}"),
            Err(why) => return self.fail_unstarted(job, why).await,
        };
        let brief = brief::of_agent(&job, &prompt)?;
        let input = json!({ "prompt": brief.prompt });
        let (job, opening) = job.begin(input, self.moment())?;
        let purse = Purse::of(self, &job);
        let journal = TaskJournal::new(self, &job.task, &job.agent, opening)
            .within(purse.clone())
            .keeping(entered.kept.clone(), begins);
        let mailbox = TaskMailbox::new(self, job.plan, &journal);
        let ports = Ports {
            journal: &journal,
            mailbox: &mailbox,
        };
        let runtime = self.runtime(&job, (&entered, launcher), purse)?;
        let within = job.stop.child_token();
        let work = runtime.run(&brief, past, ports, &within);
        let ending = self.until_stopped(&job, &within, work).await;
        self.take_stock(&job, &ending, entered.dir.as_ref(), &runtime.launcher)
            .await?;
        self.conclude_or_refuse(&job, &journal, ending, entered.dir)
            .await
    }

    /// Lets work go on until it ends, its agent is held or its time is up. `within` stops it.
    pub(crate) async fn until_stopped(
        &self,
        job: &Job<'_>,
        within: &CancellationToken,
        work: impl Future<Output = std::result::Result<Ending, JournalRefused>> + Send,
    ) -> std::result::Result<Ending, JournalRefused> {
        let mut work = Box::pin(work);
        tokio::select! {
            ending = &mut work => ending,
            () = job.at_work.hand.now.cancelled() => {
                within.cancel();
                work.await
            }
            () = tokio::time::sleep(Duration::from_secs(job.step.timeout_seconds)) => {
                within.cancel();
                work.await.map(|ending| late(ending, job.step, self.moment().now))
            }
        }
    }

    /// Commits what came of a task, unless its journal refused a write.
    pub(crate) async fn conclude_or_refuse(
        &self,
        job: &Job<'_>,
        journal: &TaskJournal<'_>,
        ending: std::result::Result<Ending, JournalRefused>,
        workspace: Option<Arc<WorkspaceDir>>,
    ) -> Result<()> {
        match ending {
            Err(JournalRefused) => match journal.refusal() {
                error if error.is_held() => self.give_back_unbegun(job).await,
                error => Err(error),
            },
            Ok(ending) => self.conclude(job, journal, ending, workspace).await,
        }
    }

    /// The journal of a task since it was last begun anew.
    pub(crate) async fn journal_of(&self, task: &Task) -> Result<Vec<JournalEntry>> {
        if task.fence == FIRST_FENCE {
            return Ok(Vec::new());
        }
        let mut journal = self.parts.store.journal(task.id).await?;
        journal.retain(|entry| entry.seq > task.course.journal_from);
        Ok(journal)
    }

    /// The agent was held between the claim and the begin.
    pub(crate) async fn give_back_unbegun(&self, job: &Job<'_>) -> Result<()> {
        let decision = job.task.take_back(None, HELD, self.moment())?;
        self.commit(Batch::release(job.fence, decision)).await
    }

    fn runtime(
        &self,
        job: &Job<'_>,
        (entered, launcher): (&Entered, Launcher),
        purse: Option<Arc<Purse>>,
    ) -> Result<Runtime> {
        let Job { plan, agent, .. } = job;
        let observer: Arc<dyn Observer> = Arc::<Notices>::clone(&self.parts.notices);
        let within = Within {
            allowances: plan.budgets.of(agent.id, &job.step.id),
            shared: purse.map(|purse| purse as Arc<dyn SharedBudget>),
        };
        let provider = serving(&self.parts.providers, agent, &within, &observer);
        let undo = self.undo_of(job, entered);
        Ok(Runtime {
            provider: provider.map_err(|source| Error::Model {
                agent: agent.name.clone(),
                number: None,
                source: Box::new(source),
            })?,
            workspace: entered.dir.clone(),
            undo,
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
                let why = self.why_interrupted(job);
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
            } => {
                let done = (outputs, unrecorded);
                self.succeed(job, journal, done, Source::Workspace(workspace))
                    .await
            }
        }
    }

    fn why_interrupted(&self, job: &Job<'_>) -> &'static str {
        if job.stop.is_cancelled() {
            "it was interrupted"
        } else if self.crew.is_closing() || self.is_out_of_time() {
            "its process stops working"
        } else {
            HELD
        }
    }

    /// A task whose agent, or command, did what was asked: it is done, or goes into another round.
    pub(crate) async fn succeed(
        &self,
        job: &Job<'_>,
        journal: &TaskJournal<'_>,
        (outputs, unrecorded): (Value, Vec<Record>),
        from: Source,
    ) -> Result<()> {
        match self.after_round(job, &outputs).await? {
            AfterRound::Another(max) => {
                let round = Again::Round { outputs, max };
                return self.begin_anew(job, journal, unrecorded, &round).await;
            }
            AfterRound::Failed(failure) => {
                return self.fail(job, journal, unrecorded, failure).await;
            }
            AfterRound::Done => {}
        }
        let globs = job.step.artifacts.clone();
        match self.keep_files(from, globs).await? {
            Ok(kept) => {
                let _held = kept.held;
                let work = Work {
                    outputs,
                    artifacts: kept.paths,
                    files: kept.files,
                };
                self.complete(job, journal, unrecorded, work).await
            }
            Err(failure) => self.fail(job, journal, unrecorded, failure).await,
        }
    }

    /// The values that the step's expressions name, and no more than these.
    async fn context_of(&self, job: &Job<'_>) -> Result<Value> {
        let named = brief::steps_named(job.step);
        self.context(job, named.into_iter().collect()).await
    }

    /// The same, for these steps.
    pub(crate) async fn context(&self, job: &Job<'_>, names: Vec<String>) -> Result<Value> {
        let run = job.task.run_id;
        let tasks = if names.is_empty() {
            Vec::new()
        } else {
            self.parts.store.tasks_named(run, &names).await?
        };
        Ok(task_context(&job.plan.run, &tasks, &job.task))
    }

    pub(crate) async fn complete(
        &self,
        job: &Job<'_>,
        journal: &TaskJournal<'_>,
        unrecorded: Vec<Record>,
        work: Work,
    ) -> Result<()> {
        let made = work.made();
        let last_words = journal.decide(unrecorded).await;
        let mut races = Races::new();
        loop {
            let mut decision = last_words.clone();
            let task = job.task.clone();
            decision.merge(task.complete(journal.agent(), made.clone(), self.moment())?);
            match self.commit_end(job, decision).await {
                Err(error) if error.is_conflict() => races.after(error).await?,
                other => return other,
            }
            journal.look_again().await?;
        }
    }

    pub(crate) async fn fail(
        &self,
        job: &Job<'_>,
        journal: &TaskJournal<'_>,
        unrecorded: Vec<Record>,
        failure: Failure,
    ) -> Result<()> {
        let error = match &failure.help {
            Some(help) => format!("{}; {help}", failure.message),
            None => failure.message.clone(),
        };
        if let Some(again) = another_attempt(job, &failure, &error) {
            return self.begin_anew(job, journal, unrecorded, &again).await;
        }
        if failure.code == ErrorCode::Limited {
            let other = self.another_for(job).await?;
            if let Some(again) = when_stuck(job, &error, other.as_ref()) {
                return self.begin_anew(job, journal, unrecorded, &again).await;
            }
        }
        let last_words = journal.decide(unrecorded).await;
        let mut races = Races::new();
        loop {
            let dependents = self.parts.store.downstream(job.task.id).await?;
            let mut decision = last_words.clone();
            let (task, moment) = (job.task.clone(), self.moment());
            decision.merge(task.fail(journal.agent(), &error, &dependents, moment)?);
            match self.commit_end(job, decision).await {
                Err(error) if error.is_conflict() => races.after(error).await?,
                other => return other,
            }
            journal.look_again().await?;
        }
    }

    /// A task fails before its agent could begin, and would fail again.
    pub(crate) async fn fail_unstarted(&self, job: Job<'_>, message: String) -> Result<()> {
        let failure = Failure {
            code: ErrorCode::InvalidInput,
            message,
            help: None,
        };
        self.fail_before(job, failure).await
    }

    /// A task fails before its agent could begin.
    pub(crate) async fn fail_before(&self, job: Job<'_>, failure: Failure) -> Result<()> {
        let (job, opening) = job.begin(json!({}), self.moment())?;
        let journal = TaskJournal::new(self, &job.task, &job.agent, opening);
        match journal.write(Vec::new()).await {
            Err(error) if error.is_held() => return self.give_back_unbegun(&job).await,
            written => written?,
        }
        self.fail(&job, &journal, Vec::new(), failure).await
    }

    /// Decides again when a task that needs it moved meanwhile.
    async fn skip(&self, job: &Job<'_>, condition: &str) -> Result<()> {
        let mut races = Races::new();
        loop {
            let dependents = self.parts.store.downstream(job.task.id).await?;
            let task = job.task.clone();
            let decision = task.skip(condition, &dependents, self.moment())?;
            match self.commit_end(job, decision).await {
                Err(error) if error.is_conflict() => races.after(error).await?,
                other => return other,
            }
        }
    }
}
