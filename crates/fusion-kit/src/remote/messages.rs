//! Messages of a server.

use std::ops::ControlFlow;
use std::time::Duration;

use chrono::{DateTime, Utc};
use fusion_api_types::{
    MessageDetail, MessageList, MessageView, Problem, ProblemKind, RunDetail, api,
};
use fusion_cli::{MessageQuery, NewMessage, Tail, To};
use fusion_core::{AgentId, nearest};
use serde_json::Value;
use tokio::time::sleep;

use super::{PREFIX_SEARCH, Remote};

/// How often `tail` looks for new messages.
const LOOK: Duration = Duration::from_millis(250);

/// Messages that are looked at each time.
const AT_ONCE: usize = 50;

impl Remote {
    pub(crate) async fn list_messages(
        &self,
        query: &MessageQuery,
        now: DateTime<Utc>,
    ) -> Result<MessageList, Problem> {
        let asked = self.message_query(query, now).await?;
        let rows: Vec<api::Message> = self
            .rows("/messages", "messages", &asked, query.limit as usize)
            .await?;
        Ok(MessageList {
            messages: rows.into_iter().map(view).collect(),
            cut: false,
        })
    }

    /// The query of a list.
    async fn message_query(
        &self,
        query: &MessageQuery,
        now: DateTime<Utc>,
    ) -> Result<Vec<(&'static str, String)>, Problem> {
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
                asked.push((name, self.agent_in(run.as_deref(), agent).await?));
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
        Ok(asked)
    }

    /// The newest messages, oldest first; with `follow` also those that come, until nobody wants more.
    pub(crate) async fn tail_messages(
        &self,
        query: &MessageQuery,
        follow: bool,
        tail: &mut dyn Tail,
        now: DateTime<Utc>,
    ) -> Result<(), Problem> {
        let asked = self.message_query(query, now).await?;
        let mut most = query.limit as usize;
        let mut last = 0;
        loop {
            let mut rows: Vec<api::Message> =
                self.rows("/messages", "messages", &asked, most).await?;
            let is_all_new = rows.iter().all(|row| row.seq > last);
            if last > 0 && is_all_new && rows.len() == most && most < PREFIX_SEARCH {
                // More came than were asked for.
                most = PREFIX_SEARCH;
                continue;
            }
            rows.retain(|row| row.seq > last);
            rows.sort_by_key(|row| row.seq);
            for row in rows {
                last = row.seq;
                if let ControlFlow::Break(()) = tail.message(&view(row))? {
                    return Ok(());
                }
            }
            if !follow {
                return Ok(());
            }
            most = AT_ONCE;
            sleep(LOOK).await;
        }
    }

    /// The id of a message that a text means.
    pub(crate) async fn message_id(&self, text: &str) -> Result<String, Problem> {
        self.id("/messages", "messages", text).await
    }

    pub(crate) async fn resend_message(&self, id: &str) -> Result<MessageDetail, Problem> {
        let path = format!("/messages/{id}/resend");
        let sent: api::Message = self.client.post(&path, &serde_json::json!({})).await?;
        self.show_message(&sent.id).await
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
            To::Agent(agent) => (Some(vec![self.agent_in(Some(&run), agent).await?]), None),
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
    async fn agent_in(&self, run: Option<&str>, text: &str) -> Result<String, Problem> {
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
