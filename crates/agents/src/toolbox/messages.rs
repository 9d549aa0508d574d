//! `send_message`, `read_messages`, `wait_for_message`, `subscribe`, `unsubscribe`: talking to the
//! run's other agents.
//!
//! What these tools do is committed in one piece with their outcome, so each may be repeated when
//! its outcome was lost.

mod subscribe;
mod wait;

use std::time::Duration;

use async_trait::async_trait;
use fusion_core::{EffectClass, MessageId};
use fusion_providers::ToolSpec;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Place, Stopped, Tool, arguments};
use crate::entry::ToolOutcome;
use crate::incoming::{INCOMING_LIMIT, MESSAGE_LIMIT, ids, told, within_limits};
use crate::{Incoming, Outgoing, Record, Refusal};

/// Messages that one `read_messages` gives when the model names no number.
const DEFAULT_READ: u32 = 20;

/// Seconds that a message can be told to wait for its reader at most: a week.
const MAX_EXPIRY_SECONDS: u64 = 7 * 24 * 3600;

/// The longest `type` of a message, in bytes.
const MAX_TYPE_BYTES: usize = 64;

/// The longest way to write an id, in bytes.
const ID_LIMIT: usize = 64;

/// Stands for the id of the message that the agent read or sent last.
const LAST: &str = "last";

pub(super) fn tools() -> Vec<Box<dyn Tool>> {
    vec![
        Box::new(SendMessage),
        Box::new(ReadMessages),
        Box::new(wait::WaitForMessage),
        Box::new(subscribe::Subscribe),
        Box::new(subscribe::Unsubscribe),
    ]
}

/// What the agent read and sent in its task.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Correspondence {
    /// The message that it read last.
    pub(crate) read: Option<MessageId>,
    /// The message that it sent last.
    pub(crate) sent: Option<MessageId>,
    /// What was put before it at its last turn, as far as no call of it waited for that.
    pub(crate) heard: Vec<Incoming>,
}

/// The message that is meant by its id or by `last`. `Err` tells the model what is wrong.
fn meant(text: &str, last: Option<MessageId>, what: &str) -> Result<MessageId, ToolOutcome> {
    if text == LAST {
        let none = || ToolOutcome::refused(format!("you have not {what} a message in this step"));
        return last.ok_or_else(none);
    }
    text.parse()
        .map_err(|error| ToolOutcome::refused(format!("`reply_to`: {error}; or write `{LAST}`")))
}

fn refused(Refusal(why): Refusal) -> ToolOutcome {
    ToolOutcome::refused(why)
}

/// A call that took these messages out of the inbox.
fn taken(messages: Vec<Incoming>) -> ToolOutcome {
    let messages = within_limits(messages);
    let read = ids(&messages);
    ToolOutcome {
        with: vec![Record::Acknowledge(read.clone())],
        read,
        ..ToolOutcome::done(told(&messages))
    }
}

struct SendMessage;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SendArguments {
    to: String,
    text: String,
    #[serde(default)]
    data: Option<Value>,
    #[serde(default, rename = "type")]
    message_type: Option<String>,
    #[serde(default)]
    reply_to: Option<String>,
    #[serde(default)]
    expires_in_seconds: Option<u64>,
}

impl SendArguments {
    fn outgoing(self, last_read: Option<MessageId>) -> Result<Outgoing, ToolOutcome> {
        if let Some(kind) = &self.message_type {
            check_type(kind)?;
        }
        let reply_to = self
            .reply_to
            .map(|text| meant(&text, last_read, "read"))
            .transpose()?;
        let payload = match self.data {
            Some(data) => json!({ "text": self.text, "data": data }),
            None => Value::String(self.text),
        };
        let bytes = payload
            .as_str()
            .map_or_else(|| payload.to_string().len(), str::len);
        if bytes > MESSAGE_LIMIT {
            return Err(ToolOutcome::refused(format!(
                "the message has {bytes} bytes and the limit is {MESSAGE_LIMIT}: say it in several, or say less"
            )));
        }
        let expires_in = self
            .expires_in_seconds
            .map(|seconds| Duration::from_secs(seconds.clamp(1, MAX_EXPIRY_SECONDS)));
        Ok(Outgoing {
            to: self.to,
            payload,
            message_type: self.message_type,
            reply_to,
            expires_in,
        })
    }
}

fn check_type(kind: &str) -> Result<(), ToolOutcome> {
    let allowed = |character: char| character.is_ascii_alphanumeric() || "_-.".contains(character);
    if (1..=MAX_TYPE_BYTES).contains(&kind.len()) && kind.chars().all(allowed) {
        return Ok(());
    }
    Err(ToolOutcome::refused(format!(
        "`type` must have 1 to {MAX_TYPE_BYTES} letters, digits, `_`, `-` or `.`"
    )))
}

#[async_trait]
impl Tool for SendMessage {
    fn spec(&self) -> ToolSpec {
        let last = format!(
            "Id of the message that this one answers, or `{LAST}` for the one you read last."
        );
        ToolSpec {
            name: "send_message".to_owned(),
            description:
                "Sends a message to another agent of this run, to a topic or to all. It does \
                          not wait for an answer: call wait_for_message for that."
                    .to_owned(),
            parameters: json!({
                "type": "object",
                "properties": {
                    "to": {
                        "type": "string", "minLength": 1, "maxLength": 255,
                        "description": "The name of an agent; or a topic, which is names joined by dots, \
                                        such as review.draft: everybody who subscribed to it gets it; or \
                                        `all`.",
                    },
                    "text": { "type": "string", "maxLength": MESSAGE_LIMIT },
                    "data": { "type": "object", "description": "Figures and facts for a program, beside the text." },
                    "type": {
                        "type": "string", "maxLength": MAX_TYPE_BYTES,
                        "description": "What it is, such as question or result.",
                    },
                    "reply_to": { "type": "string", "maxLength": ID_LIMIT, "description": last },
                    "expires_in_seconds": {
                        "type": "integer", "minimum": 1, "maximum": MAX_EXPIRY_SECONDS,
                        "description": "After this it is not delivered any more; when left out, when the run ends.",
                    },
                },
                "required": ["to", "text"],
                "additionalProperties": false,
            }),
        }
    }

    fn effect(&self) -> EffectClass {
        EffectClass::Committed
    }

    async fn call(&self, value: Value, place: &Place<'_>) -> Result<ToolOutcome, Stopped> {
        let outgoing = arguments::<SendArguments>("send_message", value)
            .and_then(|given| given.outgoing(place.correspondence.read));
        let outgoing = match outgoing {
            Ok(outgoing) => outgoing,
            Err(refused) => return Ok(refused),
        };
        Ok(match place.mailbox.address(outgoing).await {
            Ok(addressed) => ToolOutcome {
                sent: Some(addressed.id),
                with: vec![Record::Send(Box::new(addressed.sending))],
                ..ToolOutcome::done(addressed.told)
            },
            Err(refusal) => refused(refusal),
        })
    }
}

struct ReadMessages;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadArguments {
    #[serde(default)]
    limit: Option<u32>,
}

#[async_trait]
impl Tool for ReadMessages {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: "read_messages".to_owned(),
            description: "Gives the messages that you have not read yet, the oldest first. You need it \
                          only to read more of them at once: what arrives is put before you at your next \
                          turn."
                .to_owned(),
            parameters: json!({
                "type": "object",
                "properties": {
                    "limit": {
                        "type": "integer", "minimum": 1, "maximum": INCOMING_LIMIT,
                        "description": format!("{DEFAULT_READ} when left out."),
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
        let ReadArguments { limit } = match arguments("read_messages", value) {
            Ok(given) => given,
            Err(refused) => return Ok(refused),
        };
        let limit = limit.unwrap_or(DEFAULT_READ).clamp(1, INCOMING_LIMIT);
        Ok(match place.mailbox.unread(0, limit).await {
            Ok(messages) if messages.is_empty() => {
                ToolOutcome::done("There are no unread messages.".to_owned())
            }
            Ok(messages) => taken(messages),
            Err(refusal) => refused(refusal),
        })
    }
}
