//! The work of `message`: what agents and people send, and what became of it.

mod limits;
mod look;
mod send;
mod views;
mod watch;

use std::ops::ControlFlow;
use std::time::Duration;

use async_trait::async_trait;
use fusion_api_types::{MessageDetail, MessageList, Problem, ProblemKind};
use fusion_cli::{MessageQuery, Messages, NewMessage, Tail};
use fusion_core::{AgentState, Clock, Message, MessageId, MessageLimits, Moment};
use fusion_persistence::{Error as StoreError, MessageReader, Repository};
use tokio::time::{MissedTickBehavior, interval};

use crate::backend::LocalBackend;
use crate::find::{find_message, no_runs};
use crate::problems;
use crate::system::{SystemClock, SystemIds};

pub(crate) use limits::{limits, read as bounded_number};
use views::Names;
pub(crate) use watch::Sent;

/// How often `tail` looks for new messages.
const LOOK: Duration = Duration::from_millis(250);

/// Messages that are read at once: each may have a megabyte.
const AT_ONCE: u32 = 16;

#[async_trait]
impl Messages for LocalBackend {
    async fn send_message(&self, new: &NewMessage) -> Result<MessageDetail, Problem> {
        let payload = send::payload(&new.content)?;
        if let Some(remote) = self.remote()? {
            return remote.send_message(new, payload, SystemClock.now()).await;
        }
        let reading = self.reading().await?.ok_or_else(no_runs)?;
        let draft = send::Typed::of(new, payload, &reading).await?;
        let ids = SystemIds::new();
        let (message, decision) = draft
            .draft()
            .send(limits(self.config())?, moment(&ids))
            .map_err(|fault| problems::of_error(&fault))?;
        send::commit(self, message.id, decision).await
    }

    async fn list_messages(&self, query: &MessageQuery) -> Result<MessageList, Problem> {
        if let Some(remote) = self.named_remote()? {
            return remote.list_messages(query, SystemClock.now()).await;
        }
        let mut list = MessageList {
            messages: Vec::new(),
            cut: false,
        };
        let Some(reading) = self.reading().await? else {
            return Ok(list);
        };
        let filter = look::filter(query, &reading, SystemClock.now()).await?;
        let store = reading.store();
        let newest = look::newest(store, &filter, query.limit)
            .await
            .map_err(read)?;
        list.cut = newest.cut;
        let mut names = Names::default();
        for message in &newest.messages {
            let view = names.message(store, message).await.map_err(read)?;
            list.messages.push(view);
        }
        Ok(list)
    }

    async fn show_message(&self, id: &str) -> Result<MessageDetail, Problem> {
        if let Some(remote) = self.named_remote()? {
            return remote.show_message(id).await;
        }
        let reading = self.reading().await?.ok_or_else(no_runs)?;
        let message = find_message(reading.store(), reading.data_dir(), id).await?;
        views::detail(reading.store(), message.id)
            .await
            .map_err(read)
    }

    async fn tail_messages(
        &self,
        query: &MessageQuery,
        follow: bool,
        tail: &mut dyn Tail,
    ) -> Result<(), Problem> {
        let reading = self.reading().await?.ok_or_else(no_runs)?;
        let filter = look::filter(query, &reading, SystemClock.now()).await?;
        let store = reading.store();
        let mut last = store.last_message().await.map_err(read)?;
        let newest = look::newest(store, &filter, query.limit).await;
        let mut newest = newest.map_err(read)?.messages;
        newest.retain(|message| message.seq <= last);
        newest.sort_by_key(|message| message.seq);
        let mut names = Names::default();
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            for message in &newest {
                let view = names.message(store, message).await.map_err(read)?;
                if let ControlFlow::Break(()) = tail.message(&view)? {
                    return Ok(());
                }
            }
            if !follow {
                return Ok(());
            }
            ticks.tick().await;
            // Before the look: what comes meanwhile is found by the next one.
            let end = store.last_message().await.map_err(read)?;
            newest = store
                .messages_after(&filter, last, AT_ONCE)
                .await
                .map_err(read)?;
            last = newest.last().map_or(last, |message| message.seq);
            if newest.len() < AT_ONCE as usize {
                last = last.max(end);
            }
        }
    }

    async fn resend_message(&self, id: &str) -> Result<MessageDetail, Problem> {
        let reading = self.reading().await?.ok_or_else(no_runs)?;
        let message = find_message(reading.store(), reading.data_dir(), id).await?;
        let ids = SystemIds::new();
        let limits = limits(self.config())?;
        let (sent, decision) = resend(&reading, &message, limits, moment(&ids)).await?;
        send::commit(self, sent, decision).await
    }
}

async fn resend(
    reading: &crate::backend::Reading,
    message: &Message,
    limits: MessageLimits,
    moment: Moment<'_>,
) -> Result<(MessageId, fusion_core::Decision), Problem> {
    let store = reading.store();
    let mut deliveries = store.deliveries(message.id).await.map_err(read)?;
    let mut ended = Vec::new();
    for delivery in &deliveries {
        let agent = store.get(delivery.agent_id).await.map_err(read)?;
        if agent.state == AgentState::Terminated {
            ended.push(agent);
        }
    }
    let has_ended = |id| ended.iter().any(|agent| agent.id == id);
    let undelivered = message.resend(&deliveries, limits, moment);
    undelivered.map_err(|fault| problems::of_error(&fault))?;
    deliveries.retain(|delivery| !has_ended(delivery.agent_id));
    match message.resend(&deliveries, limits, moment) {
        Ok((sent, decision)) => Ok((sent.id, decision)),
        Err(_) => {
            let names: Vec<&str> = ended.iter().map(|agent| agent.name.as_str()).collect();
            let text = format!(
                "nobody is left to read the message: {} ended with the run",
                names.join(", ")
            );
            Err(Problem::new(ProblemKind::Conflict, text).with_help(
                "send it to an agent of a run that goes on, with: fusion-kit message send",
            ))
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of map_err")]
fn read(error: StoreError) -> Problem {
    problems::of_store(&error)
}

fn moment(ids: &SystemIds) -> Moment<'_> {
    Moment {
        now: SystemClock.now(),
        ids,
    }
}
