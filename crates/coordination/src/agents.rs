//! Agents that live outside of runs, and the life of all agents: spawned, held, let go on, ended.
//!
//! The truth is the agent's row; every operation is one that a crash at any commit leaves for
//! [`Coordinator::host`] to finish or to undo, and one that loses a race decides again on what the
//! winner left.

mod describe;
mod discard;
mod end;
mod hold;
pub(crate) mod mail;
mod remains;
mod spawn;
mod work;

use std::path::PathBuf;

use fusion_core::{
    Agent, AgentSpec, Budget, CapabilitySet, IllegalTransition, Message, MessageId, ProjectId,
    RunId, Task, TaskState, Timestamp, ToolGroup,
};
use fusion_persistence::{Batch, Page, Repository, TaskFilter};
use serde_json::{Map, Value};

pub use describe::{Fault, MAX_AGENTS};
pub(crate) use discard::is_marked;
pub use discard::{Discarded, Discarding, Left};
pub(crate) use end::ARCHIVE;
pub use work::Committed;

use crate::races::Races;
use crate::{Coordinator, Error, Result};

/// The step that a standing agent does when it is sent a message: what the answers of a scripted model
/// are filed under.
pub const STEP: &str = "task";

/// In an agent's metadata: what a standing agent works with.
const SPEC: &str = "spec";

/// A standing agent that is asked for.
#[derive(Debug, Clone)]
pub struct NewAgent {
    /// 1 to 255 letters, digits, `_`, `-` or `.`; need not be unique.
    pub name: String,
    /// What it works with.
    pub spec: AgentSpec,
    /// The project it belongs to.
    pub project: Option<ProjectId>,
    /// Kept with it for its owner.
    pub metadata: Map<String, Value>,
    /// The folder that a relative path of a scripted model starts from.
    pub base_dir: PathBuf,
}

/// What is changed of an agent; `None` leaves it as it is. It counts from the agent's next task on,
/// and its limit from its next call on.
#[derive(Debug, Clone, Default)]
pub struct AgentUpdate {
    /// Name of a registered provider.
    pub provider: Option<String>,
    /// The model, in the provider's own spelling.
    pub model: Option<String>,
    /// What it can do.
    pub capabilities: Option<CapabilitySet>,
    /// Its system prompt.
    pub instructions: Option<String>,
    /// What it may use.
    pub tools: Option<Vec<ToolGroup>>,
    /// Model calls in one task before it fails.
    pub max_turns: Option<u32>,
    /// What it may spend over its life; empty takes the limit away. All that it ever spent counts, also
    /// without a limit.
    pub limit: Option<Budget>,
    /// Members of its metadata that its owner keeps; null removes one.
    pub metadata: Map<String, Value>,
    /// The folder that a relative path of a scripted model starts from.
    pub base_dir: PathBuf,
}

/// A message to an agent.
#[derive(Debug, Clone)]
pub struct Letter<'a> {
    /// What kind of content.
    pub message_type: String,
    /// The content.
    pub payload: Value,
    /// What it answers.
    pub reply_to: Option<&'a Message>,
    /// From then on it is not delivered any more.
    pub expiry_at: Option<Timestamp>,
}

/// A message that was sent to an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// The message.
    pub message: MessageId,
    /// The run that was begun to do it; `None` for an agent that has something else to do: it reads the
    /// message in its next turn, or when it is free.
    pub run: Option<RunId>,
}

impl Coordinator {
    /// The open tasks of an agent.
    pub(crate) async fn open_tasks(&self, agent: &Agent) -> Result<Vec<Task>> {
        let filter = TaskFilter {
            states: TaskState::ALL
                .iter()
                .copied()
                .filter(|state| !state.is_final())
                .collect(),
            agent: Some(agent.id),
            ..TaskFilter::default()
        };
        Ok(self
            .parts
            .store
            .list(&filter, Page::first(OPEN_TASKS))
            .await?)
    }

    /// Commits what was decided about an agent; says whether that was done, or another writer was
    /// first, so that it is to be decided again on what he left.
    pub(crate) async fn try_to_commit(&self, batch: Batch, races: &mut Races) -> Result<bool> {
        match self.commit(batch).await {
            Err(error) if error.lost_a_race() => races.after(error).await.map(|()| false),
            other => other.map(|()| true),
        }
    }
}

/// Tasks of an agent that are looked at.
const OPEN_TASKS: u32 = 1_000;

/// The task that a worker holds.
pub(crate) fn held(tasks: &[Task]) -> Option<&Task> {
    tasks
        .iter()
        .find(|task| matches!(task.state, TaskState::Assigned | TaskState::Running))
}

/// What a standing agent works with.
pub(crate) fn spec_of(agent: &Agent) -> Result<AgentSpec> {
    let spec = agent.metadata.get(SPEC).cloned().unwrap_or_default();
    serde_json::from_value(spec).map_err(|error| {
        Error::Broken(format!(
            "what the agent '{}' works with can't be read: {error}",
            agent.name
        ))
    })
}

/// The same within one run. What it may spend is a matter of its whole life, and may be raised while the run
/// goes on: it is in no definition.
pub(crate) fn spec_in_run(agent: &Agent) -> Result<AgentSpec> {
    let spec = spec_of(agent)?;
    Ok(AgentSpec {
        budget: Budget::default(),
        ..spec
    })
}

/// What a standing agent may spend over its life; nothing where that is not said, and for one of a run.
pub(crate) fn life_budget(agent: &Agent) -> Result<Budget> {
    match agent.run_id {
        Some(_) => Ok(Budget::default()),
        None => Ok(spec_of(agent)?.budget),
    }
}

/// Names the agent that a move was refused to.
fn refused(agent: &Agent) -> impl FnOnce(IllegalTransition) -> Error + use<> {
    let name = agent.name.clone();
    move |source| Error::Lifecycle {
        agent: name,
        source,
    }
}
