//! What comes back for one turn in one piece, read leniently.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use fusion_providers::FinishReason;

use crate::answer::{Answer, RawCall, ToldUsage, Unusable, name_of};
use crate::money;

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
    reasoning: Option<Value>,
    reasoning_content: Option<Value>,
    reasoning_details: Option<Value>,
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

/// Tokens and money, as this format tells them.
#[derive(Debug, Default, Deserialize)]
pub(super) struct WireUsage {
    prompt_tokens: Option<Value>,
    completion_tokens: Option<Value>,
    cost: Option<Box<RawValue>>,
}

impl WireUsage {
    pub(super) fn told(&self) -> ToldUsage {
        let count = |told: &Option<Value>| told.as_ref().and_then(Value::as_u64);
        ToldUsage {
            input: count(&self.prompt_tokens),
            output: count(&self.completion_tokens),
            cost: self.cost.as_deref().and_then(money::cost),
        }
    }
}

/// Reads an answer that came in one piece.
pub(super) fn read(body: &[u8]) -> Result<Answer, Unusable> {
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
    if let Some(error) = choice.error.or(completion.error) {
        return Err(Unusable::Error(error));
    }
    let finish = choice.finish_reason.as_ref().and_then(Value::as_str);
    let message = choice.message.unwrap_or_default();
    let calls = message.tool_calls.unwrap_or_default();
    let mut spoken = Spoken {
        text: message.content.map(text_of).unwrap_or_default(),
        refusal: message.refusal.map(text_of).unwrap_or_default(),
        reasoning: reasoning([
            ("reasoning", message.reasoning),
            ("reasoning_content", message.reasoning_content),
            ("reasoning_details", message.reasoning_details),
        ]),
        calls: calls.into_iter().map(raw_call).collect(),
    };
    if finish.is_none() && spoken.is_empty() {
        return Err(Unusable::Cut("it has no content and no finish reason"));
    }
    let finish_reason = spoken.end(finish)?;
    Ok(Answer {
        text: spoken.text,
        calls: spoken.calls,
        reasoning: spoken.reasoning,
        finish_reason,
        usage: completion.usage.unwrap_or_default().told(),
        model: completion.model.and_then(name_of),
        id: completion.id.and_then(name_of),
    })
}

/// What the model said.
#[derive(Default)]
pub(super) struct Spoken {
    pub(super) text: String,
    pub(super) refusal: String,
    pub(super) reasoning: Option<Value>,
    pub(super) calls: Vec<RawCall>,
}

impl Spoken {
    fn is_empty(&self) -> bool {
        self.text.is_empty() && self.refusal.is_empty() && self.calls.is_empty()
    }

    /// What the word for the end means beside what was said; a refusal becomes the text where there is
    /// no other.
    pub(super) fn end(&mut self, word: Option<&str>) -> Result<Option<FinishReason>, Unusable> {
        if word == Some("error") {
            return Err(Unusable::Error("the model failed".into()));
        }
        if self.refusal.is_empty() {
            return Ok(word.and_then(finish_reason));
        }
        if self.text.is_empty() {
            self.text = std::mem::take(&mut self.refusal);
        }
        Ok(Some(FinishReason::ContentFilter))
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
pub(super) fn text_of(content: Value) -> String {
    match content {
        Value::String(text) => text,
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part.get("text").and_then(Value::as_str))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => String::new(),
    }
}

/// The fields that say something, by their names on the wire.
pub(super) fn reasoning<const N: usize>(fields: [(&str, Option<Value>); N]) -> Option<Value> {
    let says_something = |value: &Value| match value {
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    };
    let fields: Map<String, Value> = fields
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value.filter(says_something)?)))
        .collect();
    (!fields.is_empty()).then_some(Value::Object(fields))
}

fn raw_call(call: WireCall) -> RawCall {
    let (name, arguments) = call
        .function
        .map_or((None, None), |function| (function.name, function.arguments));
    RawCall {
        id: call.id.and_then(name_of),
        name: name.and_then(name_of).unwrap_or_default(),
        arguments: arguments.unwrap_or_default(),
    }
}
