//! What comes back for one turn, read leniently.

use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use fusion_core::{Cost, Usage};
use fusion_providers::{CostSource, FinishReason, ToolCall, Turn, TurnRequest, estimate_usage};

/// A complete answer.
#[derive(Debug)]
pub(crate) struct Answer {
    text: String,
    calls: Vec<WireCall>,
    finish_reason: Option<FinishReason>,
    usage: WireUsage,
    model: Option<String>,
    id: Option<String>,
}

/// A body with status 200 that holds no complete answer.
#[derive(Debug)]
pub(crate) enum Unusable {
    /// It ended too early; what is missing.
    Cut(&'static str),
    /// It is not in the format; why.
    Garbled(String),
    /// It tells of an error; what stands at `error`.
    Error(Value),
}

#[derive(Deserialize)]
struct Completion {
    id: Option<Value>,
    model: Option<Value>,
    choices: Option<Vec<Choice>>,
    usage: Option<WireUsage>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    message: Option<WireMessage>,
    finish_reason: Option<Value>,
    error: Option<Value>,
}

#[derive(Default, Deserialize)]
struct WireMessage {
    content: Option<Value>,
    refusal: Option<Value>,
    tool_calls: Option<Vec<WireCall>>,
}

#[derive(Debug, Deserialize)]
struct WireCall {
    id: Option<Value>,
    function: Option<WireFunction>,
}

#[derive(Debug, Deserialize)]
struct WireFunction {
    name: Option<Value>,
    arguments: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
struct WireUsage {
    prompt_tokens: Option<Value>,
    completion_tokens: Option<Value>,
    /// Kept as its text: a binary fraction would not be exact.
    cost: Option<Box<RawValue>>,
}

impl Answer {
    pub(crate) fn read(body: &[u8]) -> Result<Self, Unusable> {
        let completion: Completion = serde_json::from_slice(body).map_err(|error| {
            if error.is_eof() {
                Unusable::Cut("its JSON ends too early")
            } else {
                Unusable::Garbled(error.to_string())
            }
        })?;
        let Some(choice) = completion.choices.into_iter().flatten().next() else {
            return Err(match completion.error {
                Some(error) => Unusable::Error(error),
                None => Unusable::Garbled("it has no choices".to_owned()),
            });
        };
        let finish = choice.finish_reason.as_ref().and_then(Value::as_str);
        if let Some(error) = choice.error.or(completion.error) {
            return Err(Unusable::Error(error));
        }
        if finish == Some("error") {
            return Err(Unusable::Error(Value::String(
                "the model failed".to_owned(),
            )));
        }
        let message = choice.message.unwrap_or_default();
        let refusal = message.refusal.map(text_of).filter(|text| !text.is_empty());
        let text = message.content.map(text_of).unwrap_or_default();
        let calls = message.tool_calls.unwrap_or_default();
        if finish.is_none() && text.is_empty() && calls.is_empty() && refusal.is_none() {
            return Err(Unusable::Cut("it has no content and no finish reason"));
        }
        let finish_reason = match refusal {
            Some(_) => Some(FinishReason::ContentFilter),
            None => finish.and_then(finish_reason),
        };
        Ok(Self {
            text: if text.is_empty() {
                refusal.unwrap_or_default()
            } else {
                text
            },
            calls,
            finish_reason,
            usage: completion.usage.unwrap_or_default(),
            model: completion.model.and_then(name_of),
            id: completion.id.and_then(name_of),
        })
    }

    /// The turn, with what the answer leaves open taken from the request.
    pub(crate) fn into_turn(self, request: &TurnRequest<'_>) -> Turn {
        let tool_calls = tool_calls(self.calls, request.place.turn);
        let finish_reason = match self.finish_reason {
            Some(reason @ (FinishReason::Length | FinishReason::ContentFilter)) => reason,
            // Some servers say "stop" beside tool calls, and some the other way round.
            Some(FinishReason::Stop | FinishReason::ToolCalls) | None => {
                if tool_calls.is_empty() {
                    FinishReason::Stop
                } else {
                    FinishReason::ToolCalls
                }
            }
        };
        let estimated = estimate_usage(request, &self.text, &tool_calls);
        let cost = self.usage.cost.as_deref().and_then(cost);
        let count = |told: &Option<Value>| told.as_ref().and_then(Value::as_u64);
        let input_tokens = count(&self.usage.prompt_tokens);
        let output_tokens = count(&self.usage.completion_tokens);
        let is_told = input_tokens.is_some() && output_tokens.is_some();
        Turn {
            finish_reason,
            usage: Usage {
                turns: 1,
                input_tokens: input_tokens.unwrap_or(estimated.input_tokens),
                output_tokens: output_tokens.unwrap_or(estimated.output_tokens),
                cost: cost.unwrap_or(Cost::ZERO),
            },
            reasoning: None,
            tokens_are_estimated: !is_told,
            cost_source: if cost.is_some() {
                CostSource::Provider
            } else {
                CostSource::Unknown
            },
            served_by: None,
            model: self.model.unwrap_or_else(|| request.model.to_owned()),
            generation_id: self.id,
            text: self.text,
            tool_calls,
        }
    }
}

/// `None` for a word that is not known: the rest of the answer then decides.
fn finish_reason(word: &str) -> Option<FinishReason> {
    match word {
        "stop" => Some(FinishReason::Stop),
        "tool_calls" | "function_call" => Some(FinishReason::ToolCalls),
        "length" | "max_tokens" => Some(FinishReason::Length),
        "content_filter" => Some(FinishReason::ContentFilter),
        _ => None,
    }
}

/// A text, or the texts of a list of parts.
fn text_of(content: Value) -> String {
    match content {
        Value::String(text) => text,
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part.get("text").and_then(Value::as_str))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => String::new(),
    }
}

fn name_of(value: Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text),
        Value::Number(number) => Some(number.to_string()),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            None
        }
    }
}

fn tool_calls(calls: Vec<WireCall>, turn: u32) -> Vec<ToolCall> {
    let mut read: Vec<ToolCall> = Vec::with_capacity(calls.len());
    for (index, call) in calls.into_iter().enumerate() {
        let (name, arguments) = call
            .function
            .map_or((None, None), |function| (function.name, function.arguments));
        let id = call
            .id
            .and_then(name_of)
            .filter(|id| read.iter().all(|earlier| earlier.id != *id))
            .unwrap_or_else(|| ToolCall::made_up_id(turn, index));
        read.push(ToolCall {
            id,
            name: name.and_then(name_of).unwrap_or_default(),
            arguments: arguments_of(arguments),
        });
    }
    read
}

/// Arguments come as JSON in a string, as JSON, or not at all.
fn arguments_of(arguments: Option<Value>) -> Value {
    match arguments {
        None | Some(Value::Null) => Value::Object(Map::new()),
        Some(Value::String(text)) if text.trim().is_empty() => Value::Object(Map::new()),
        Some(Value::String(text)) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        Some(other) => other,
    }
}

/// Exact US dollars; `None` for what is no amount of money.
fn cost(raw: &RawValue) -> Option<Cost> {
    let text = raw.get().trim_matches('"');
    let usd = if text.contains(['e', 'E']) {
        Decimal::from_scientific(text)
    } else {
        text.parse::<Decimal>()
    };
    Cost::from_usd(usd.ok().filter(|usd| !usd.is_sign_negative())?)
}
