//! What a dead process left half done: agents half spawned, half ended, half restarted.

use std::time::Duration;

use fusion_core::{Agent, AgentId, AgentState, Workspace};
use fusion_persistence::{AgentFilter, Page, Repository, WorkspaceFilter};

use crate::{Coordinator, Error, Result};

/// Agents that are looked at in one go.
const AT_ONCE: u32 = 1_000;

impl Coordinator {
    /// Takes away agents that were never ready, since nobody was told of them, ends those that were told to
    /// end, and lets those go on that were held to be restarted and whose workers are gone. What another
    /// process may be about is left to it. Says how many agents that were.
    ///
    /// # Errors
    /// The store fails. An agent whose workspace can't be dealt with is left for the next time.
    pub async fn clear_remains(&self) -> Result<usize> {
        self.clear_snapshots().await?;
        let mut cleared = 0;
        let filter = AgentFilter {
            states: vec![AgentState::Spawning, AgentState::Paused, AgentState::Error],
            ..AgentFilter::default()
        };
        let mut page = Page::first(AT_ONCE);
        loop {
            let agents: Vec<Agent> = self.parts.store.list(&filter, page).await?;
            let Some(last) = agents.last() else {
                return Ok(cleared);
            };
            page.after = Some(last.id);
            for agent in agents {
                cleared += usize::from(self.clear(agent).await?);
            }
        }
    }

    async fn clear(&self, listed: Agent) -> Result<bool> {
        if !self.is_half_done(&listed) {
            return Ok(false);
        }
        let Some(_taken) = self.in_hand.take(vec![listed.id]) else {
            return Ok(false);
        };
        // Who had it in hand may be done with it since the list was read.
        let agent: Agent = self.parts.store.get(listed.id).await?;
        if !self.is_half_done(&agent) {
            return Ok(false);
        }
        if agent.is_restarting() {
            return self.go_on_restarting(agent.id).await;
        }
        if agent.state == AgentState::Spawning {
            let filter = WorkspaceFilter {
                agent: Some(agent.id),
            };
            let found: Vec<Workspace> = self.parts.store.list(&filter, Page::first(1)).await?;
            let both = found
                .into_iter()
                .map(|workspace| (agent.clone(), workspace));
            let both: Vec<(Agent, Workspace)> = both.collect();
            self.give_up(&both, "the process that spawned it ended")
                .await;
            return Ok(true);
        }
        self.go_on_ending(agent.id).await
    }

    /// Lets an agent go on that was held to be restarted, once its worker is gone.
    async fn go_on_restarting(&self, id: AgentId) -> Result<bool> {
        match self.finish_restart(id).await {
            Ok(agent) => Ok(!agent.is_restarting()),
            Err(error @ Error::Store(_)) => Err(error),
            Err(error) => {
                let error = fusion_core::error_chain(&error);
                tracing::warn!(agent.id = %id, error, "an agent could not be let go on yet");
                Ok(false)
            }
        }
    }

    /// Ends an agent that was told to end, unless something stands in the way.
    async fn go_on_ending(&self, id: AgentId) -> Result<bool> {
        match self.finish_ending(id, Duration::ZERO).await {
            Ok(_) => Ok(true),
            Err(error @ Error::Store(_)) => Err(error),
            // It ends later; who asked was told why.
            Err(Error::Wanted { .. } | Error::Occupied { .. }) => Ok(false),
            Err(error) => {
                let error = fusion_core::error_chain(&error);
                tracing::warn!(agent.id = %id, error, "an agent could not be ended yet");
                Ok(false)
            }
        }
    }

    /// Whether it is neither made nor ended, and whoever was about that is gone; or is to go on by itself.
    fn is_half_done(&self, agent: &Agent) -> bool {
        let is_unborn = agent.state == AgentState::Spawning && agent.is_standing();
        let is_ending = agent.state != AgentState::Terminated && agent.ending().is_some();
        agent.is_restarting() || (is_unborn || is_ending) && self.is_left(agent)
    }

    /// Whether nobody can be at work on a row any more.
    fn is_left(&self, agent: &Agent) -> bool {
        let age = self.parts.clock.now() - agent.updated_at;
        age.to_std().unwrap_or_default() >= self.options.grace
    }
}
