//! How a standing agent gets work: its inbox is its queue. Whoever sends it something while it waits
//! begins a run for it; what comes meanwhile it reads in its next turn, or works on when it is free.

use std::collections::BTreeMap;

use fusion_core::{
    Agent, AgentId, AgentSpec, AgentState, Assignee, Audience, Change, Decision, Draft, InputSpec,
    InputType, Message, MessageId, Run, RunId, RunPlan, StepSpec, WorkflowDefinition, Workspace,
    deliver, inbox_subject,
};
use fusion_persistence::{Batch, Page, Repository, TaskFilter, WorkspaceFilter};
use serde_json::{Map, Value, json};

use super::{Letter, STEP, Sent, held, refused, spec_in_run};
use crate::races::Races;
use crate::spawn::Definition;
use crate::{Ask, Coordinator, Error, Result};

/// The kind of a message of a person.
const MESSAGE_TYPE: &str = "message";

/// What a task may take, in seconds.
pub(crate) const TIMEOUT_SECONDS: u64 = 20 * 60;

/// The input that holds what is asked.
const MESSAGE: &str = "message";

/// The input that names the message.
const MESSAGE_ID: &str = "message_id";

/// What an agent is asked when others wrote to it: their words reach it as quoted messages only.
const READ_THEM: &str =
    "Messages have come for you. Read them, and do what your instructions say about them.";

impl Coordinator {
    /// Sends an agent a message. One that waits for work begins to work on it; one that has something
    /// else to do reads it in its next turn, or when it is free or let go on.
    ///
    /// # Errors
    /// There is no such agent, it has ended, its inbox is full, or the message is beyond a limit.
    pub async fn send_to_agent(&self, id: AgentId, payload: Value) -> Result<Sent> {
        let letter = Letter {
            message_type: MESSAGE_TYPE.to_owned(),
            payload,
            reply_to: None,
            expiry_at: None,
        };
        self.send_to_agent_asked(id, letter, |_| Ask::default())
            .await
    }

    /// The same for somebody who asks. `ask` gets the message as it will be stored, without its place
    /// in the log.
    ///
    /// # Errors
    /// As [`send_to_agent`](Self::send_to_agent), or `Repeated`: the same was asked for before.
    pub async fn send_to_agent_asked(
        &self,
        id: AgentId,
        letter: Letter<'_>,
        ask: impl Fn(&Message) -> Ask + Send + Sync,
    ) -> Result<Sent> {
        let agent: Agent = self.parts.store.get(id).await?;
        if agent.state == AgentState::Terminated || agent.ending().is_some() {
            let mut ended = agent.clone();
            ended.state = AgentState::Terminated;
            let now = self.moment().now;
            if let Err(source) = ended.transition(AgentState::Working, now) {
                return Err(refused(&agent)(source));
            }
        }
        let draft = Draft {
            sender: None,
            run_id: agent.run_id,
            audience: Audience::Agents(vec![id]),
            topic: inbox_subject(id),
            message_type: letter.message_type,
            payload: letter.payload,
            reply_to: letter.reply_to,
            expiry_at: letter.expiry_at,
        };
        let moment = self.moment();
        let (message, decision) = draft.send(self.options.messages, moment)?;
        let place = ("message", message.id.uuid());
        let sent = |decision| ask(&message).batch("sent", decision, place, moment);
        if let Some(run) = self
            .send_and_begin(agent, &message, &decision, &sent)
            .await?
        {
            let (message, run) = (message.id, Some(run));
            return Ok(Sent { message, run });
        }
        self.commit_mail(sent(decision)).await?;
        let run = match self.take_up_mail(id).await? {
            Some((taken, run)) if taken == message.id => Some(run),
            Some(_) => None,
            // A host may have been quicker.
            None => self.begun_for(id, message.id, NEWEST).await?,
        };
        Ok(Sent {
            message: message.id,
            run,
        })
    }

    /// Sends an agent that has nothing to do a message, and begins the run for it in the same commit;
    /// says which. `None` when it has something to do, or somebody else gave it something meanwhile:
    /// then nothing was sent.
    async fn send_and_begin(
        &self,
        agent: Agent,
        message: &Message,
        sending: &Decision,
        sent: &(impl Fn(Decision) -> Batch + Sync),
    ) -> Result<Option<RunId>> {
        let is_free = self.has_nothing_to_do(&agent).await?;
        if !is_free || !self.parts.store.inbox(agent.id, 0, 1).await?.is_empty() {
            return Ok(None);
        }
        let (run, begun) = self.run_of_message(agent, message).await?;
        let mut decision = sending.clone();
        decision.merge(begun);
        match self.commit_mail(sent(decision)).await {
            Err(error) if error.lost_a_race() || error.is_taken() => Ok(None),
            other => other.map(|()| Some(run)),
        }
    }

    /// Whether an agent can begin with what it is sent. What waits for it in the pool does not come
    /// before that.
    async fn has_nothing_to_do(&self, agent: &Agent) -> Result<bool> {
        if !agent.is_standing() || agent.state != AgentState::Idle {
            return Ok(false);
        }
        let open = self.open_tasks(agent).await?;
        let has_other = open.iter().any(|task| task.pool.is_none());
        Ok(!has_other && held(&open).is_none())
    }

    /// The run that was begun for a message to a standing agent, when one was.
    ///
    /// # Errors
    /// The store fails.
    pub async fn run_for(&self, agent: AgentId, message: MessageId) -> Result<Option<RunId>> {
        self.begun_for(agent, message, RUNS_LOOKED_AT).await
    }

    async fn begun_for(
        &self,
        agent: AgentId,
        message: MessageId,
        newest: u32,
    ) -> Result<Option<RunId>> {
        let filter = TaskFilter {
            agent: Some(agent),
            ..TaskFilter::default()
        };
        let tasks = self.parts.store.list(&filter, Page::first(newest)).await?;
        for task in tasks {
            let run: Run = self.parts.store.get(task.run_id).await?;
            if run.inputs.get(MESSAGE_ID) == Some(&json!(message)) {
                return Ok(Some(run.id));
            }
        }
        Ok(None)
    }

    /// Begins a run for the first message that waits for a standing agent with nothing to do; says
    /// which.
    ///
    /// # Errors
    /// There is no such agent, or the store fails.
    pub async fn take_up_mail(&self, id: AgentId) -> Result<Option<(MessageId, RunId)>> {
        let mut races = Races::new();
        loop {
            let agent: Agent = self.parts.store.get(id).await?;
            if !self.has_nothing_to_do(&agent).await? {
                return Ok(None);
            }
            let Some(message) = self.parts.store.inbox(id, 0, 1).await?.pop() else {
                return Ok(None);
            };
            let (run, decision) = self.run_of_message(agent, &message).await?;
            match self.commit(Batch::free(decision)).await {
                // Another process took it up, or stored the same version of the workflow.
                Err(error) if error.lost_a_race() || error.is_taken() => {
                    races.after(error).await?;
                }
                other => return other.map(|()| Some((message.id, run))),
            }
        }
    }

    /// Begins runs for all standing agents that have nothing to do and a message; says how many.
    pub(crate) async fn take_up_all_mail(&self) -> Result<usize> {
        let mut begun = 0;
        for agent in self.parts.store.agents_with_mail(AGENTS_AT_ONCE).await? {
            begun += usize::from(self.take_up_mail(agent).await?.is_some());
        }
        Ok(begun)
    }

    async fn run_of_message(&self, agent: Agent, message: &Message) -> Result<(RunId, Decision)> {
        let store = &self.parts.store;
        let filter = WorkspaceFilter {
            agent: Some(agent.id),
        };
        let workspace: Option<Workspace> = store.list(&filter, Page::first(1)).await?.pop();
        let workspace = workspace
            .ok_or_else(|| Error::Broken(format!("agent {} has no workspace", agent.id)))?;
        let checked = definition(&agent, spec_in_run(&agent)?);
        let source = serde_json::to_string_pretty(&checked)
            .map_err(|error| Error::Broken(format!("a definition can't be written: {error}")))?;
        let latest = self.newest_version(&checked.name).await?;
        let text = Definition {
            checked: &checked,
            source: &source,
            base_dir: "/",
        };
        let (workflow, mut decision) = self.version(&text, latest);
        let run_id = RunId::from_uuid(self.parts.ids.uuid());
        let moment = self.moment();
        let plan = RunPlan {
            run_id,
            workflow: &workflow,
            inputs: inputs(message),
            agents: BTreeMap::from([(agent.name.clone(), (agent.clone(), workspace))]),
            parent: None,
            called: [].into(),
            limit: fusion_core::Budget::default(),
        };
        decision.merge(plan.create(moment).1);
        if message.sender_agent_id.is_none() {
            decision.merge(deliver(&agent, std::slice::from_ref(message), moment));
        }
        // Written as it is, so that nobody else takes up its mail at the same time, and that it is
        // not paused or ended in between.
        decision.changes.push(Change::update(agent));
        Ok((run_id, decision))
    }
}

/// Agents whose mail is taken up in one go.
const AGENTS_AT_ONCE: u32 = 1_000;

/// Runs of an agent that may have begun while it was sent something.
const NEWEST: u32 = 3;

/// Runs of an agent that are looked through for a message.
const RUNS_LOOKED_AT: u32 = 100;

/// The words of a person are what is asked; those of an agent are read as a message.
fn inputs(message: &Message) -> Map<String, Value> {
    let asked = match (&message.payload, message.sender_agent_id) {
        (Value::String(text), None) => text.clone(),
        (other, None) => other.to_string(),
        (_, Some(_)) => READ_THEM.to_owned(),
    };
    Map::from_iter([
        (MESSAGE.to_owned(), asked.into()),
        (MESSAGE_ID.to_owned(), json!(message.id)),
    ])
}

/// One step, done by this agent.
fn definition(agent: &Agent, spec: AgentSpec) -> WorkflowDefinition {
    let id = agent.id.to_string();
    let tail = id.rsplit('-').next().unwrap_or_default();
    let input = |required| InputSpec {
        kind: InputType::String,
        required,
        default: None,
        description: String::new(),
    };
    WorkflowDefinition {
        // A name of a file has no such character.
        name: format!("{}@{tail}", agent.name),
        description: format!("What the agent {} is asked.", agent.name),
        inputs: BTreeMap::from([
            (MESSAGE.to_owned(), input(true)),
            (MESSAGE_ID.to_owned(), input(true)),
        ]),
        agents: BTreeMap::from([(agent.name.clone(), spec)]),
        steps: vec![only_step(
            Assignee::Agent(agent.name.clone()),
            MESSAGE,
            TIMEOUT_SECONDS,
        )],
        outputs: BTreeMap::from([(
            "text".to_owned(),
            format!("${{{{ steps.{STEP}.outputs.text }}}}"),
        )]),
        budget: fusion_core::Budget::default(),
        artifacts: Vec::new(),
        total_budget: fusion_core::Budget::default(),
        message_flow: None,
    }
}

/// The step of a run that has one, whose prompt is an input.
pub(crate) fn only_step(assignee: Assignee, input: &str, timeout_seconds: u64) -> StepSpec {
    StepSpec {
        timeout_seconds,
        ..StepSpec::new(STEP, assignee, format!("${{{{ inputs.{input} }}}}"))
    }
}
