//! One answer of a model, whichever format it came in.

use serde_json::{Map, Value};

use fusion_core::{Cost, Usage};
use fusion_providers::{
    CostSource, FinishReason, Price, ToolCall, Turn, TurnRequest, estimate_usage,
};

use crate::sse::Broken;

/// A model that reads less than this share of what was sent has not got all of it.
const CUT_SHARE: u64 = 4;

/// Below so many tokens an estimate says too little.
const CUT_FLOOR: u64 = 1_000;

/// A complete answer.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Answer {
    pub(crate) text: String,
    pub(crate) calls: Vec<RawCall>,
    /// What the provider wants to read again, as it came.
    pub(crate) reasoning: Option<Value>,
    /// `None` for a word that is not known: the rest of the answer then decides.
    pub(crate) finish_reason: Option<FinishReason>,
    pub(crate) usage: ToldUsage,
    pub(crate) model: Option<String>,
    pub(crate) id: Option<String>,
}

/// A tool call as it came.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct RawCall {
    pub(crate) id: Option<String>,
    pub(crate) name: String,
    /// JSON in a string, JSON, or nothing.
    pub(crate) arguments: Value,
}

/// What the provider tells of the usage.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ToldUsage {
    pub(crate) input: Option<u64>,
    pub(crate) output: Option<u64>,
    pub(crate) cost: Option<Cost>,
}

/// What came with status 200 and holds no complete answer.
#[derive(Debug)]
pub(crate) enum Unusable {
    /// It ended too early; what is missing.
    Cut(&'static str),
    /// It is not in the format; why.
    Garbled(String),
    /// It tells of an error; what stands at `error`.
    Error(Value),
    /// It is longer than any real one; the limit in bytes.
    TooLarge(usize),
}

impl From<Broken> for Unusable {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::TooLong => Self::TooLarge(crate::sse::MAX_EVENT),
            Broken::NotText => Self::Garbled("an event is not UTF-8".to_owned()),
        }
    }
}

impl Answer {
    /// The turn, with what the answer leaves open taken from the request. `price` counts where the
    /// provider tells no cost.
    pub(crate) fn into_turn(self, request: &TurnRequest<'_>, price: Option<Price>) -> Turn {
        let tool_calls = tool_calls(self.calls, request.place.turn);
        let finish_reason = match self.finish_reason {
            Some(
                reason
                @ (FinishReason::Length | FinishReason::ContentFilter | FinishReason::Paused),
            ) => reason,
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
        warn_of_a_cut_prompt(request, self.usage.input, estimated.input_tokens);
        let mut usage = Usage {
            turns: 1,
            input_tokens: self.usage.input.unwrap_or(estimated.input_tokens),
            output_tokens: self.usage.output.unwrap_or(estimated.output_tokens),
            cost: Cost::ZERO,
        };
        let (cost, cost_source) = match (self.usage.cost, price) {
            (Some(cost), _) => (cost, CostSource::Provider),
            (None, Some(price)) => (price.of(&usage), CostSource::Computed),
            (None, None) => (Cost::ZERO, CostSource::Unknown),
        };
        usage.cost = cost;
        Turn {
            finish_reason,
            usage,
            reasoning: self.reasoning,
            tokens_are_estimated: self.usage.input.is_none() || self.usage.output.is_none(),
            cost_source,
            served_by: None,
            model: self.model.unwrap_or_else(|| request.model.to_owned()),
            generation_id: self.id,
            text: self.text,
            tool_calls,
        }
    }
}

/// Some servers drop the beginning of a prompt that is too long for them and say nothing.
fn warn_of_a_cut_prompt(request: &TurnRequest<'_>, told: Option<u64>, estimated: u64) {
    if let Some(told) = told
        && estimated >= CUT_FLOOR
        && told < estimated / CUT_SHARE
    {
        tracing::warn!(
            step = request.place.step,
            model = request.model,
            read = told,
            sent_about = estimated,
            "the server seems to have cut the prompt"
        );
    }
}

fn tool_calls(calls: Vec<RawCall>, turn: u32) -> Vec<ToolCall> {
    let mut read: Vec<ToolCall> = Vec::with_capacity(calls.len());
    for (index, call) in calls.into_iter().enumerate() {
        let id = call
            .id
            .filter(|id| read.iter().all(|earlier| earlier.id != *id))
            .unwrap_or_else(|| ToolCall::made_up_id(turn, index));
        read.push(ToolCall {
            id,
            name: call.name,
            arguments: arguments_of(call.arguments),
        });
    }
    read
}

/// Arguments come as JSON in a string, as JSON, or not at all.
fn arguments_of(arguments: Value) -> Value {
    match arguments {
        Value::Null => Value::Object(Map::new()),
        Value::String(text) if text.trim().is_empty() => Value::Object(Map::new()),
        Value::String(text) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => other,
    }
}

/// A name or an id, which some servers write as a number.
pub(crate) fn name_of(value: Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text),
        Value::Number(number) => Some(number.to_string()),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            None
        }
    }
}
