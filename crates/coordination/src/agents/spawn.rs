//! Spawning standing agents: all of them or none.

use std::path::Path;

use fusion_core::{
    Agent, AgentId, AgentState, Change, Decision, Timestamp, ToolGroup, Workspace, error_chain,
};
use fusion_persistence::Batch;
use serde_json::{Value, json};

use super::describe::put_models;
use super::{NewAgent, SPEC};
use crate::candidates::CheckedModel;
use crate::crew::Taken;
use crate::spawn::{note, of_workspace, text};
use crate::worktrees::placed;
use crate::{Ask, Coordinator, Error, Result};

/// Agents that are being made.
struct Born {
    agents: Vec<(Agent, Workspace)>,
    _taken: Taken,
}

impl Coordinator {
    /// Spawns standing agents: asks their models' providers, makes their workspaces and, for those
    /// with a shell, tries what will hold their commands. All of them are idle when this returns.
    ///
    /// # Errors
    /// One can't be had as it was asked for: then there is none of them, no workspace is left, and
    /// rows that were stored already have ended and say why.
    pub async fn spawn_agents(&self, new: Vec<NewAgent>) -> Result<Vec<Agent>> {
        self.spawn_agents_asked(new, |_| Ask::default()).await
    }

    /// The same for somebody who asks: it is told, and a key counts, with the commit that makes the
    /// agents ready. `ask` gets them as they will be.
    ///
    /// # Errors
    /// As [`spawn_agents`](Self::spawn_agents), or `Repeated`: the same was asked for before.
    pub async fn spawn_agents_asked(
        &self,
        new: Vec<NewAgent>,
        ask: impl Fn(&[Agent]) -> Ask + Send + Sync,
    ) -> Result<Vec<Agent>> {
        self.check(&new).await?;
        let models = self.models_of_all(&new).await?;
        let mut born = self.announce(new, models).await?;
        let made = match self.furnish(&mut born).await {
            Ok(()) => self.present(&born, ask).await,
            Err(error) => Err(error),
        };
        match made {
            Ok(agents) => Ok(agents),
            Err(error) => {
                self.give_up(&born.agents, &error_chain(&error)).await;
                Err(error)
            }
        }
    }

    /// The models of each agent. Agents of one spawn are mostly alike: who is like the one before is
    /// not asked for again.
    async fn models_of_all(&self, new: &[NewAgent]) -> Result<Vec<Vec<CheckedModel>>> {
        let mut all: Vec<Vec<CheckedModel>> = Vec::with_capacity(new.len());
        let mut before: Option<&NewAgent> = None;
        for agent in new {
            let alike = before.is_some_and(|one| {
                one.base_dir == agent.base_dir
                    && one.spec.models().eq(agent.spec.models())
                    && one.spec.tools.is_empty() == agent.spec.tools.is_empty()
            });
            let models = match all.last() {
                Some(models) if alike => models.clone(),
                _ => {
                    self.models_for(&agent.name, &agent.spec, &agent.base_dir)
                        .await?
                }
            };
            all.push(models);
            before = Some(agent);
        }
        Ok(all)
    }

    /// Stores the agents as `spawning`, with their workspaces, in one commit.
    async fn announce(&self, new: Vec<NewAgent>, models: Vec<Vec<CheckedModel>>) -> Result<Born> {
        let mut agents = Vec::with_capacity(new.len());
        for (new, models) in new.into_iter().zip(models) {
            let id = AgentId::from_uuid(self.parts.ids.uuid());
            let agent = self.standing(id, new, &models).await?;
            agents.push((agent, self.workspace(id)));
        }
        let _uids = self
            .give_uids(&mut agents.iter_mut().collect::<Vec<_>>())
            .await?;
        let mut decision = Decision::default();
        for (agent, workspace) in &agents {
            decision.changes.push(Change::create(agent.clone()));
            decision.changes.push(Change::create(workspace.clone()));
        }
        let ids = agents.iter().map(|(agent, _)| agent.id).collect();
        // Nobody else knows these ids.
        let taken = self.in_hand.take(ids);
        let taken = taken.ok_or_else(|| Error::Broken("a new id was taken".to_owned()))?;
        self.commit(Batch::free(decision)).await?;
        Ok(Born {
            agents,
            _taken: taken,
        })
    }

    async fn standing(&self, id: AgentId, new: NewAgent, models: &[CheckedModel]) -> Result<Agent> {
        let now = self.parts.clock.now();
        let NewAgent {
            name,
            mut spec,
            project,
            mut metadata,
            base_dir,
        } = new;
        spec.workspace = placed(spec.workspace, &base_dir);
        let mut agent = Agent {
            id,
            name,
            state: AgentState::Spawning,
            created_at: now,
            updated_at: now,
            last_heartbeat: None,
            workspace_path: text(&self.root(id)),
            provider: String::new(),
            provider_id: None,
            model_name: String::new(),
            capabilities: spec.capabilities.clone(),
            metadata: Value::Null,
            message_subscriptions: spec.subscriptions.clone(),
            project_id: project,
            run_id: None,
            version: 1,
        };
        put_models(&mut agent, &mut metadata, &mut spec, models)?;
        agent.provider_id = self.provider_id(&agent.provider).await?;
        metadata.insert(SPEC.to_owned(), json!(spec));
        agent.metadata = Value::Object(metadata);
        Ok(agent)
    }

    /// Makes the workspaces, and sees what holds the commands in them.
    async fn furnish(&self, born: &mut Born) -> Result<()> {
        for (agent, workspace) in &mut born.agents {
            let made = self.make_workspace(workspace).await?;
            made.map_err(|source| of_workspace(agent, source))?;
            let spec = super::spec_of(agent)?;
            // Its paths are absolute.
            self.furnish_workspace(agent, &spec, Path::new("/"), workspace)
                .await?;
            let has_shell = spec.tools.contains(&ToolGroup::Shell);
            if has_shell {
                let report = self.look(agent, workspace).await?;
                note(
                    agent,
                    &report.map_err(|source| of_workspace(agent, source))?,
                );
            }
        }
        Ok(())
    }

    /// Commits that all of them are ready; gives them as they are then.
    async fn present(
        &self,
        born: &Born,
        ask: impl Fn(&[Agent]) -> Ask + Send + Sync,
    ) -> Result<Vec<Agent>> {
        let moment = self.moment();
        let mut decision = Decision::default();
        let mut agents = Vec::with_capacity(born.agents.len());
        for (agent, workspace) in &born.agents {
            decision.merge(agent.clone().ready(workspace.clone(), moment)?);
            agents.push(idle(agent.clone(), moment.now)?);
        }
        let ids: Vec<_> = agents.iter().map(|agent| agent.id.uuid()).collect();
        let batch = ask(&agents).batch_of("spawned", decision, ("agent", &ids), moment);
        self.commit(batch).await?;
        Ok(agents)
    }

    /// Takes away what was made of agents that will not be. What can't be taken away now is so at the
    /// next start.
    pub(super) async fn give_up(&self, agents: &[(Agent, Workspace)], why: &str) {
        let mut decision = Decision::default();
        for (agent, workspace) in agents {
            self.remove_workspace(workspace).await;
            let given_up = agent.clone().give_up(workspace.clone(), why, self.moment());
            if let Ok(given_up) = given_up {
                decision.merge(given_up);
            }
        }
        if let Err(error) = self.commit(Batch::free(decision)).await {
            let error = error_chain(&error);
            tracing::warn!(
                error,
                "agents that could not be spawned are still in the store"
            );
        }
    }
}

/// An agent as it is stored once it is ready.
fn idle(mut agent: Agent, now: Timestamp) -> Result<Agent> {
    agent.transition(AgentState::Idle, now)?;
    agent.last_heartbeat = Some(now);
    agent.version += 1;
    Ok(agent)
}
