//! A run of scripted agents that talk, and what came of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fusion_coordination::Driven;
use fusion_core::{
    Agent, Audience, Draft, EntryKind, IdSource, JournalEntry, Message, MessageLimits, Moment,
    RunId, Task, Timestamp, WorkflowState, inbox_subject,
};
use fusion_persistence::{AgentReader, Batch, MessageFilter, MessageReader, Store};
use fusion_providers::Scripted;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::World;

/// Longer than anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A run of agents with scripted answers.
pub(crate) struct Talk {
    pub(crate) world: World,
    pub(crate) run: RunId,
}

impl Talk {
    /// `agents` gives each agent's name and what is added to it; `steps` each step's agent and what
    /// it needs, and what it answers turn by turn. A step is named like its agent.
    pub(crate) async fn new(agents: &Value, steps: &Value, script: &Value, more: &Value) -> Self {
        Self::on(World::new().await, [agents, steps, script, more]).await
    }

    pub(crate) async fn on(world: World, [agents, steps, script, more]: [&Value; 4]) -> Self {
        world.register("scripted", Scripted::default());
        let script = json!({ "version": 1, "steps": script });
        world.write("script.yaml", &script.to_string());
        let mut spec = agents.clone();
        for agent in spec.as_object_mut().unwrap().values_mut() {
            agent["provider"] = json!("scripted");
            agent["model"] = json!("script.yaml");
            agent["tools"] = json!("messages");
        }
        let mut workflow = json!({
            "version": 1, "name": "talk", "agents": spec, "steps": steps,
        });
        for (key, value) in more.as_object().unwrap() {
            workflow[key] = value.clone();
        }
        let run = world.create(&workflow.to_string()).await;
        Self { world, run }
    }

    pub(crate) async fn finish(&self) {
        let driven = tokio::time::timeout(PATIENCE, self.world.drive(self.run)).await;
        let ended = Driven::Ended(WorkflowState::Completed);
        assert_eq!(driven.unwrap().unwrap(), ended);
    }

    pub(crate) async fn task(&self, step: &str) -> Task {
        let tasks = self.world.tasks(self.run).await;
        tasks.into_iter().find(|task| task.name == step).unwrap()
    }

    pub(crate) async fn journal(&self, step: &str) -> Vec<JournalEntry> {
        self.world.journal(&self.task(step).await).await
    }

    /// What the agent of a step read of its tool calls.
    pub(crate) async fn told(&self, step: &str) -> Vec<String> {
        let journal = self.journal(step).await;
        let calls = journal.iter().filter(|entry| entry.kind == EntryKind::Tool);
        let content = |entry: &JournalEntry| entry.outcome.as_ref().unwrap()["content"].clone();
        calls
            .map(|entry| content(entry).as_str().unwrap().to_owned())
            .collect()
    }

    /// The texts that were put before the agent of a step between its turns.
    pub(crate) async fn heard(&self, step: &str) -> Vec<String> {
        let journal = self.journal(step).await;
        let inboxes = journal
            .iter()
            .filter(|entry| entry.kind == EntryKind::Inbox);
        let messages = inboxes.flat_map(|entry| {
            let messages = &entry.outcome.as_ref().unwrap()["messages"];
            messages.as_array().unwrap().clone()
        });
        messages
            .map(|message| message["text"].as_str().unwrap().to_owned())
            .collect()
    }

    pub(crate) async fn messages(&self) -> Vec<Message> {
        let every = MessageFilter::default();
        self.world
            .store
            .messages_after(&every, 0, 2_000)
            .await
            .unwrap()
    }

    pub(crate) async fn agent(&self, name: &str) -> Agent {
        let agents = self.world.store.agents_of_run(self.run).await.unwrap();
        let found = agents.into_iter().find(|(agent, _)| agent.name == name);
        found.unwrap().0
    }

    /// A person sends this text to an agent, so many times.
    pub(crate) async fn person_sends(&self, to: &str, text: &str, count: usize) {
        let to = self.agent(to).await;
        let moment = Moment {
            now: Timestamp::from_timestamp_millis(1_700_000_000_000).unwrap(),
            ids: &Far::default(),
        };
        let mut decision = fusion_core::Decision::default();
        for _ in 0..count {
            let draft = Draft {
                sender: None,
                run_id: Some(self.run),
                audience: Audience::Agents(vec![to.id]),
                topic: inbox_subject(to.id),
                message_type: "note".into(),
                payload: text.into(),
                reply_to: None,
                expiry_at: None,
            };
            decision.merge(draft.send(MessageLimits::default(), moment).unwrap().1);
        }
        self.world
            .store
            .commit(Batch::free(decision))
            .await
            .unwrap();
    }
}

/// Ids that the engine does not give.
#[derive(Debug, Default)]
struct Far(AtomicU64);

impl IdSource for Far {
    fn uuid(&self) -> Uuid {
        Uuid::from_u128((1 << 64) + u128::from(self.0.fetch_add(1, Ordering::Relaxed)))
    }
}

pub(crate) fn calls(calls: &[(&str, Value)]) -> Value {
    let calls = calls
        .iter()
        .map(|(name, arguments)| json!({ "name": name, "arguments": arguments }));
    json!({ "tool_calls": calls.collect::<Vec<_>>() })
}

pub(crate) fn send(to: &str, text: &str) -> (&'static str, Value) {
    ("send_message", json!({ "to": to, "text": text }))
}

pub(crate) fn wait(what: &Value) -> (&'static str, Value) {
    let mut arguments = what.clone();
    arguments["timeout_seconds"] = json!(100);
    ("wait_for_message", arguments)
}

pub(crate) fn end() -> Value {
    json!({ "text": "Done." })
}

pub(crate) fn step(agent: &str, needs: &[&str]) -> Value {
    json!({ "id": agent, "agent": agent, "needs": needs, "prompt": "Talk." })
}
