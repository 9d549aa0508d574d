//! `wait_for_message`: request and reply.

use std::time::Duration;

use async_trait::async_trait;
use fusion_core::{EffectClass, MessageId, nearest};
use fusion_providers::ToolSpec;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use super::{ID_LIMIT, LAST, meant, refused, taken};
use crate::entry::ToolOutcome;
use crate::incoming::INCOMING_LIMIT;
use crate::toolbox::{Place, Stopped, Tool, arguments};
use crate::{Incoming, Refusal, Sender};

/// Seconds that a `wait_for_message` waits when the model names no time.
const DEFAULT_WAIT_SECONDS: u64 = 60;
/// Seconds that it waits at most.
const MAX_WAIT_SECONDS: u64 = 600;

pub(super) struct WaitForMessage;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WaitArguments {
    #[serde(default)]
    reply_to: Option<String>,
    #[serde(default)]
    from: Option<String>,
    #[serde(default)]
    timeout_seconds: Option<u64>,
}

/// A message that is waited for.
struct Awaited {
    reply_to: Option<MessageId>,
    from: Option<String>,
    timeout: Duration,
}

impl WaitArguments {
    fn awaited(self, place: &Place<'_>) -> Result<Awaited, ToolOutcome> {
        if let Some(name) = &self.from
            && !place.peers.contains(name)
        {
            let near = nearest(name, place.peers.iter().map(String::as_str));
            let hint = near.map_or_else(
                || format!("the other agents are: {}", place.peers.join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            return Err(ToolOutcome::refused(format!(
                "there is no agent '{name}' to wait for; {hint}"
            )));
        }
        let reply_to = self
            .reply_to
            .map(|text| meant(&text, place.correspondence.sent, "sent"))
            .transpose()?;
        let seconds = self.timeout_seconds.unwrap_or(DEFAULT_WAIT_SECONDS);
        Ok(Awaited {
            reply_to,
            from: self.from,
            timeout: Duration::from_secs(seconds.clamp(1, MAX_WAIT_SECONDS)),
        })
    }
}

impl Awaited {
    fn is(&self, message: &Incoming) -> bool {
        let answers = |id| message.reply_to == Some(id);
        let comes_from = |name: &String| message.sender == Sender::Agent(name.clone());
        self.reply_to.is_none_or(answers) && self.from.as_ref().is_none_or(comes_from)
    }

    /// A message that fits and came just before the turn that waits for it: whether it comes a moment
    /// before or after the agent begins to wait must make no difference.
    fn heard(&self, place: &Place<'_>) -> Option<ToolOutcome> {
        let mut heard = place.correspondence.heard.iter();
        let message = heard.find(|message| self.is(message))?;
        let told = format!(
            "It has arrived: message {} was put before you at the beginning of this turn. To wait for \
             another one, call this again.",
            message.id
        );
        Some(ToolOutcome {
            read: vec![message.id],
            ..ToolOutcome::done(told)
        })
    }

    /// The first message that fits, among those that are unread and those that come.
    async fn arrive(&self, place: &Place<'_>) -> Result<Incoming, Refusal> {
        let mut seen = 0;
        loop {
            let messages = place.mailbox.unread(seen, INCOMING_LIMIT).await?;
            let Some(last) = messages.last() else {
                place.mailbox.changed().await;
                continue;
            };
            seen = last.seq;
            if let Some(message) = messages.into_iter().find(|message| self.is(message)) {
                return Ok(message);
            }
        }
    }

    fn late(&self) -> String {
        let kind = if self.reply_to.is_some() {
            "reply"
        } else {
            "message"
        };
        let sender = self
            .from
            .as_ref()
            .map_or_else(String::new, |name| format!(" from '{name}'"));
        format!(
            "No {kind}{sender} arrived within {} seconds. An agent reads its messages only while it works \
             on a step of its own: wait again, or go on without.",
            self.timeout.as_secs()
        )
    }
}

#[async_trait]
impl Tool for WaitForMessage {
    fn spec(&self) -> ToolSpec {
        let last = format!(
            "Only an answer to this message of yours: its id, or `{LAST}` for the one you sent last."
        );
        ToolSpec {
            name: "wait_for_message".to_owned(),
            description:
                "Waits until a message comes and gives it. One that you have not read yet counts, and so \
                          does one that was put before you at this very turn."
                    .to_owned(),
            parameters: json!({
                "type": "object",
                "properties": {
                    "reply_to": { "type": "string", "maxLength": ID_LIMIT, "description": last },
                    "from": { "type": "string", "maxLength": 255, "description": "Only a message of this agent." },
                    "timeout_seconds": {
                        "type": "integer", "minimum": 1, "maximum": MAX_WAIT_SECONDS,
                        "description": format!("{DEFAULT_WAIT_SECONDS} when left out."),
                    },
                },
                "additionalProperties": false,
            }),
        }
    }

    fn effect(&self) -> EffectClass {
        EffectClass::Committed
    }

    async fn call(&self, value: Value, place: &Place<'_>) -> Result<ToolOutcome, Stopped> {
        let awaited = arguments::<WaitArguments>("wait_for_message", value)
            .and_then(|given| given.awaited(place));
        let awaited = match awaited {
            Ok(awaited) => awaited,
            Err(refused) => return Ok(refused),
        };
        if let Some(outcome) = awaited.heard(place) {
            return Ok(outcome);
        }
        tokio::select! {
            biased;
            () = place.cancel.cancelled() => Err(Stopped),
            arrived = awaited.arrive(place) => Ok(match arrived {
                Ok(message) => taken(vec![message]),
                Err(refusal) => refused(refusal),
            }),
            () = sleep_until(Instant::now() + awaited.timeout) => Ok(ToolOutcome::refused(awaited.late())),
        }
    }
}
