//! Sending a message again that failed or expired.

use fusion_core::{Agent, AgentState, Decision, Message, MessageId, MessageLimits, Moment};
use fusion_persistence::{Reader, Repository};

use crate::{Ask, Coordinator, Error, Result};

/// Decides to send a message again, to those that have not read it and still can.
///
/// # Errors
/// It neither failed nor expired, nobody is left to read it, or the store fails.
pub async fn resend(
    store: &dyn Reader,
    message: &Message,
    limits: MessageLimits,
    moment: Moment<'_>,
) -> Result<(Message, Decision)> {
    let mut deliveries = store.deliveries(message.id).await?;
    let mut ended = Vec::new();
    for delivery in &deliveries {
        let agent: Agent = store.get(delivery.agent_id).await?;
        if agent.state == AgentState::Terminated {
            ended.push(agent);
        }
    }
    message.resend(&deliveries, limits, moment)?;
    deliveries.retain(|delivery| !ended.iter().any(|agent| agent.id == delivery.agent_id));
    message.resend(&deliveries, limits, moment).map_err(|_| {
        let names: Vec<&str> = ended.iter().map(|agent| agent.name.as_str()).collect();
        Error::NobodyLeft {
            agents: names.join(", "),
        }
    })
}

impl Coordinator {
    /// Sends a failed or expired message again, as a new one. `ask` gets it as it will be stored,
    /// without its place in the log.
    ///
    /// # Errors
    /// There is none, as [`resend`], or `Repeated`: the same was asked for before.
    pub async fn resend_message(
        &self,
        id: MessageId,
        ask: impl Fn(&Message) -> Ask + Send + Sync,
    ) -> Result<Message> {
        let moment = self.moment();
        let message: Message = self.parts.store.get(id).await?;
        let store: &dyn Reader = self.parts.store.as_ref();
        let (sent, decision) = resend(store, &message, self.options.messages, moment).await?;
        let place = ("message", sent.id.uuid());
        self.commit(ask(&sent).batch("sent", decision, place, moment))
            .await?;
        Ok(sent)
    }
}
