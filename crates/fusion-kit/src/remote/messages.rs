//! Messages of a server.

use std::time::Duration;

use chrono::{DateTime, Utc};
use fusion_api_types::{
    MessageDetail, MessageList, MessageView, Problem, ProblemKind, RunDetail, api,
};
use fusion_cli::{MessageQuery, NewMessage, To};
use fusion_core::{AgentId, nearest};
use serde_json::Value;

use super::Remote;

impl Remote {
    pub(crate) async fn list_messages(
        &self,
        query: &MessageQuery,
        now: DateTime<Utc>,
    ) -> Result<MessageList, Problem> {
        let run = match &query.run {
            Some(text) => Some(self.id("/runs", "runs", text).await?),
            None => None,
        };
        let mut asked = Vec::new();
        for (name, agent) in [
            ("sender_agent_id", &query.from),
            ("recipient_agent_id", &query.to),
        ] {
            if let Some(agent) = agent {
                asked.push((name, self.agent(run.as_deref(), agent).await?));
            }
        }
        asked.extend(run.map(|run| ("run_id", run)));
        asked.extend(query.topic.clone().map(|topic| ("topic", topic)));
        asked.extend(
            query
                .statuses
                .iter()
                .map(|status| ("delivery_status", (*status).to_owned())),
        );
        let since = query.since.and_then(|time| before(now, time));
        asked.extend(since.map(|since| ("since", since.to_rfc3339())));
        let rows: Vec<api::Message> = self
            .rows("/messages", "messages", &asked, query.limit as usize)
            .await?;
        Ok(MessageList {
            messages: rows.into_iter().map(view).collect(),
            cut: false,
        })
    }

    pub(crate) async fn show_message(&self, id: &str) -> Result<MessageDetail, Problem> {
        let id = self.id("/messages", "messages", id).await?;
        let found: api::MessageDetail = self.client.get(&format!("/messages/{id}"), &[]).await?;
        Ok(MessageDetail {
            message: view(found.message),
            deliveries: found.deliveries,
        })
    }

    pub(crate) async fn send_message(
        &self,
        new: &NewMessage,
        payload: Value,
        now: DateTime<Utc>,
    ) -> Result<MessageDetail, Problem> {
        let reply_to = match &new.reply_to {
            Some(text) => Some(self.id("/messages", "messages", text).await?),
            None => None,
        };
        let run = self.run_of(new, reply_to.as_deref()).await?;
        let (recipients, topic) = match &new.to {
            To::Agent(agent) => (Some(vec![self.agent(Some(&run), agent).await?]), None),
            To::Topic(topic) => (None, Some(topic.clone())),
            To::Everyone => (None, None),
        };
        let body = api::NewMessage {
            run_id: Some(run),
            recipient_agent_ids: recipients,
            topic,
            payload,
            message_type: Some(new.message_type.clone()),
            reply_to,
            expiry_at: new.expires_in.and_then(|time| after(now, time)),
        };
        let sent: api::Message = self.client.post("/messages", &body).await?;
        self.show_message(&sent.id).await
    }

    /// The run that is meant: named, that of the message that is answered, or the newest unfinished one.
    async fn run_of(&self, new: &NewMessage, answered: Option<&str>) -> Result<String, Problem> {
        if let Some(text) = &new.run {
            return self.id("/runs", "runs", text).await;
        }
        if let Some(id) = answered {
            let found: api::MessageDetail =
                self.client.get(&format!("/messages/{id}"), &[]).await?;
            if let Some(run) = found.message.run_id {
                return Ok(run);
            }
        }
        let open = ["ready", "running"].map(|state| ("state", state.to_owned()));
        let newest: Vec<fusion_api_types::RunSummary> =
            self.rows("/runs", "runs", &open, 1).await?;
        let newest = newest.into_iter().next().ok_or_else(|| {
            Problem::new(
                ProblemKind::NotFound,
                "no run is under way, so nobody would read it",
            )
            .with_help("start one with: fusion-kit run FILE")
        })?;
        Ok(newest.id)
    }

    /// An agent by its id, or by its name in a run: the newest when none is named.
    async fn agent(&self, run: Option<&str>, text: &str) -> Result<String, Problem> {
        if let Ok(id) = text.parse::<AgentId>() {
            return Ok(id.to_string());
        }
        let run: RunDetail = self.show_run(run).await?;
        let named = run.agents.iter().find(|agent| agent.name == text);
        named.map(|agent| agent.id.clone()).ok_or_else(|| {
            let names = run.agents.iter().map(|agent| agent.name.as_str());
            let problem = Problem::new(
                ProblemKind::NotFound,
                format!("run {} has no agent '{text}'", run.summary.id),
            );
            match nearest(text, names) {
                Some(near) => problem.with_help(format!("did you mean '{near}'?")),
                None => problem,
            }
        })
    }
}

fn before(now: DateTime<Utc>, time: Duration) -> Option<DateTime<Utc>> {
    now.checked_sub_signed(chrono::Duration::from_std(time).ok()?)
}

fn after(now: DateTime<Utc>, time: Duration) -> Option<DateTime<Utc>> {
    now.checked_add_signed(chrono::Duration::from_std(time).ok()?)
}

fn view(message: api::Message) -> MessageView {
    MessageView {
        id: message.id,
        seq: message.seq,
        sent_at: message.timestamp,
        run: message.run_id,
        sender: message.sender,
        recipients: message.recipients,
        topic: message.topic,
        message_type: message.message_type,
        payload: message.payload,
        status: message.delivery_status,
        delivered_at: message.delivered_at,
        expires_at: message.expiry_at,
        reply_to: message.reply_to,
        resends: message.resends,
        hops: message.hops,
    }
}
