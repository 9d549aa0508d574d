//! The work of `message`: what agents and people send, and what became of it.

mod limits;
mod look;
mod send;
mod views;
mod watch;

use std::ops::ControlFlow;
use std::time::Duration;

use async_trait::async_trait;
use fusion_api_types::{MessageDetail, MessageList, Problem};
use fusion_cli::{MessageQuery, Messages, NewMessage, Tail};
use fusion_coordination::resend;
use fusion_core::{Clock, Moment};
use fusion_persistence::{Error as StoreError, MessageReader};
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
        if let Some(remote) = self.named_remote()? {
            return remote
                .tail_messages(query, follow, tail, SystemClock.now())
                .await;
        }
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
        if let Some(remote) = self.remote()? {
            // Beside the server it is found as without one.
            let id = match self.named_server() {
                Some(_) => remote.message_id(id).await?,
                None => {
                    let reading = self.reading().await?.ok_or_else(no_runs)?;
                    let found = find_message(reading.store(), reading.data_dir(), id).await?;
                    found.id.to_string()
                }
            };
            return remote.resend_message(&id).await;
        }
        let reading = self.reading().await?.ok_or_else(no_runs)?;
        let message = find_message(reading.store(), reading.data_dir(), id).await?;
        let ids = SystemIds::new();
        let limits = limits(self.config())?;
        let (sent, decision) = resend(reading.store(), &message, limits, moment(&ids))
            .await
            .map_err(|error| problems::of_engine(&error))?;
        send::commit(self, sent.id, decision).await
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
