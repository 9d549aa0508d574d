//! Agents and their six lifecycle states.

mod life;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::definition::runner_capabilities;
use crate::transition::{StateMachine, text_enum};
use crate::{AgentId, CapabilitySet, IllegalTransition, ProjectId, ProviderId, RunId, Timestamp};

pub use life::PauseAt;

text_enum! {
    /// Where an agent is in its life (FR-003).
    AgentState {
        /// Its workspace is being made.
        Spawning = "spawning",
        /// Ready for a task.
        Idle = "idle",
        /// Runs a task.
        Working = "working",
        /// Held by a person; keeps everything it has.
        Paused = "paused",
        /// Something of its own broke; it takes no tasks.
        Error = "error",
        /// Ended for good; its history stays.
        Terminated = "terminated",
    }
}

impl StateMachine for AgentState {
    const ENTITY: &'static str = "agent";
    const STATES: &'static [Self] = Self::ALL;

    fn name(self) -> &'static str {
        self.as_str()
    }

    fn allows(self, to: Self) -> bool {
        use AgentState::{Error, Idle, Paused, Spawning, Terminated, Working};
        match self {
            Spawning => matches!(to, Idle | Error),
            Idle => matches!(to, Working | Paused | Terminated),
            Working => matches!(to, Idle | Paused | Error | Terminated),
            Paused => matches!(to, Idle | Working | Error | Terminated),
            Error => matches!(to, Idle | Terminated),
            Terminated => false,
        }
    }
}

/// A worker that runs tasks through a model, alone in its workspace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Agent {
    /// Names the agent for its whole life.
    pub id: AgentId,
    /// 1 to 255 characters.
    pub name: String,
    /// Where it is in its life.
    pub state: AgentState,
    /// When the row was made.
    pub created_at: Timestamp,
    /// When the row last changed.
    pub updated_at: Timestamp,
    /// The last sign of real progress.
    pub last_heartbeat: Option<Timestamp>,
    /// Absolute path of its workspace; no other agent has the same.
    pub workspace_path: String,
    /// Name under which the provider is registered.
    pub provider: String,
    /// Its stored configuration; `None` for a provider that needs none.
    pub provider_id: Option<ProviderId>,
    /// The model, in the provider's own spelling.
    pub model_name: String,
    /// What it can do; tasks are matched against it.
    pub capabilities: CapabilitySet,
    /// Free JSON object; `scripted` says that its answers come from a script, `spec` is what a standing
    /// agent works with, `paused` how it is held, `ending` what becomes of its workspace.
    pub metadata: Value,
    /// Topic patterns it listens to.
    pub message_subscriptions: Vec<String>,
    /// The project it belongs to.
    pub project_id: Option<ProjectId>,
    /// The run that spawned it and ends it; `None` for a standing agent, which outlives its tasks.
    pub run_id: Option<RunId>,
    /// Row version; a commit that read an older one is refused.
    pub version: u64,
}

impl Agent {
    /// Whether it runs the commands of a run and has no model.
    #[must_use]
    pub fn is_runner(&self) -> bool {
        self.capabilities.satisfies(&runner_capabilities())
    }

    /// Moves the agent to another state.
    ///
    /// # Errors
    /// The specification does not have that move.
    pub fn transition(&mut self, to: AgentState, now: Timestamp) -> Result<(), IllegalTransition> {
        self.state = self.state.step(to)?;
        self.updated_at = now;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::AgentState::{self, Error, Idle, Paused, Spawning, Terminated, Working};
    use crate::transition::StateMachine;

    #[test]
    fn an_agent_has_exactly_the_moves_of_the_specification() {
        let allowed: Vec<(AgentState, AgentState)> = AgentState::ALL
            .iter()
            .flat_map(|from| AgentState::ALL.iter().map(move |to| (*from, *to)))
            .filter(|(from, to)| from.allows(*to))
            .collect();
        assert_eq!(
            allowed,
            [
                (Spawning, Idle),
                (Spawning, Error),
                (Idle, Working),
                (Idle, Paused),
                (Idle, Terminated),
                (Working, Idle),
                (Working, Paused),
                (Working, Error),
                (Working, Terminated),
                (Paused, Idle),
                (Paused, Working),
                (Paused, Error),
                (Paused, Terminated),
                (Error, Idle),
                (Error, Terminated),
            ]
        );
    }

    #[test]
    fn a_refused_move_names_both_states() {
        let refused = Terminated.step(Working).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "a terminated agent can't become working"
        );
    }
}
