//! `subscribe` and `unsubscribe`: the agent's own patterns, changed while it works.

use async_trait::async_trait;
use fusion_core::EffectClass;
use fusion_providers::ToolSpec;
use serde::Deserialize;
use serde_json::{Value, json};

use super::refused;
use crate::entry::ToolOutcome;
use crate::toolbox::{Place, Stopped, Tool, arguments};
use crate::{Record, Refusal};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PatternArguments {
    pattern: String,
}

/// The description of a tool that takes a pattern.
fn pattern_spec(name: &str, description: &str) -> ToolSpec {
    ToolSpec {
        name: name.to_owned(),
        description: description.to_owned(),
        parameters: json!({
            "type": "object",
            "properties": {
                "pattern": {
                    "type": "string", "minLength": 1, "maxLength": 255,
                    "description": "A topic, with * for any part of it: review.* or broadcast.*",
                },
            },
            "required": ["pattern"],
            "additionalProperties": false,
        }),
    }
}

/// What a changed set of patterns means.
fn listening(patterns: Result<Vec<String>, Refusal>) -> ToolOutcome {
    let patterns = match patterns {
        Ok(patterns) => patterns,
        Err(refusal) => return refused(refusal),
    };
    let told = match patterns.as_slice() {
        [] => "You listen to no topic now.".to_owned(),
        patterns => format!("You listen now to: {}", patterns.join(", ")),
    };
    ToolOutcome {
        with: vec![Record::Subscriptions(patterns)],
        ..ToolOutcome::done(told)
    }
}

pub(super) struct Subscribe;

#[async_trait]
impl Tool for Subscribe {
    fn spec(&self) -> ToolSpec {
        pattern_spec(
            "subscribe",
            "From now on, what is sent to topics that fit this pattern also reaches you.",
        )
    }

    fn effect(&self) -> EffectClass {
        EffectClass::Committed
    }

    async fn call(&self, value: Value, place: &Place<'_>) -> Result<ToolOutcome, Stopped> {
        Ok(match arguments("subscribe", value) {
            Ok(PatternArguments { pattern }) => {
                listening(place.mailbox.with_pattern(&pattern).await)
            }
            Err(refused) => refused,
        })
    }
}

pub(super) struct Unsubscribe;

#[async_trait]
impl Tool for Unsubscribe {
    fn spec(&self) -> ToolSpec {
        pattern_spec(
            "unsubscribe",
            "Takes back a pattern that you subscribed to.",
        )
    }

    fn effect(&self) -> EffectClass {
        EffectClass::Committed
    }

    async fn call(&self, value: Value, place: &Place<'_>) -> Result<ToolOutcome, Stopped> {
        Ok(match arguments("unsubscribe", value) {
            Ok(PatternArguments { pattern }) => {
                listening(place.mailbox.without_pattern(&pattern).await)
            }
            Err(refused) => refused,
        })
    }
}
