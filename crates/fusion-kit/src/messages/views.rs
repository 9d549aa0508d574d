//! Messages as the wire types show them.

use std::collections::BTreeMap;

use fusion_api_types::{AgentName, DeliveryView, MessageDetail, MessageView};
use fusion_core::{Agent, AgentId, Delivery, Message, MessageId};
use fusion_persistence::{Reader, Repository, Result};

/// The names of agents, each read once.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeMap<AgentId, AgentName>);

impl Names {
    async fn of(&mut self, store: &dyn Reader, id: AgentId) -> Result<AgentName> {
        if let Some(known) = self.0.get(&id) {
            return Ok(known.clone());
        }
        let agent: Agent = store.get(id).await?;
        let name = AgentName {
            id: id.to_string(),
            name: agent.name,
        };
        self.0.insert(id, name.clone());
        Ok(name)
    }

    pub(super) async fn message(
        &mut self,
        store: &dyn Reader,
        message: &Message,
    ) -> Result<MessageView> {
        let sender = match message.sender_agent_id {
            Some(id) => Some(self.of(store, id).await?),
            None => None,
        };
        let recipients = match &message.recipient_agent_ids {
            Some(ids) => {
                let mut recipients = Vec::with_capacity(ids.len());
                for id in ids {
                    recipients.push(self.of(store, *id).await?);
                }
                Some(recipients)
            }
            None => None,
        };
        Ok(MessageView {
            id: message.id.to_string(),
            seq: message.seq,
            sent_at: message.timestamp,
            run: message.run_id.map(|run| run.to_string()),
            sender,
            recipients,
            topic: message.topic.clone(),
            message_type: message.message_type.clone(),
            payload: message.payload.clone(),
            status: message.delivery_status.as_str().to_owned(),
            delivered_at: message.delivered_at,
            expires_at: message.expiry_at,
            reply_to: message.reply_to.map(|id| id.to_string()),
            resends: message.resends.map(|id| id.to_string()),
            hops: message.hops,
        })
    }

    /// Everyone who got a message.
    pub(super) async fn recipients(
        &mut self,
        store: &dyn Reader,
        message: MessageId,
    ) -> Result<Vec<AgentName>> {
        let mut names = Vec::new();
        for delivery in store.deliveries(message).await? {
            names.push(self.of(store, delivery.agent_id).await?);
        }
        Ok(names)
    }

    async fn delivery(&mut self, store: &dyn Reader, delivery: Delivery) -> Result<DeliveryView> {
        Ok(DeliveryView {
            agent: self.of(store, delivery.agent_id).await?,
            status: delivery.status.as_str().to_owned(),
            settled_at: delivery.settled_at,
            reason: delivery.reason,
        })
    }
}

/// All about a message, as it is stored now.
pub(super) async fn detail(store: &dyn Reader, id: MessageId) -> Result<MessageDetail> {
    let mut names = Names::default();
    let message = names.message(store, &store.get(id).await?).await?;
    let mut deliveries = Vec::new();
    for delivery in store.deliveries(id).await? {
        deliveries.push(names.delivery(store, delivery).await?);
    }
    Ok(MessageDetail {
        message,
        deliveries,
    })
}
