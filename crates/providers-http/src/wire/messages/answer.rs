//! What comes back for one turn in one piece.

use serde::Deserialize;
use serde_json::Value;

use fusion_providers::FinishReason;

use crate::answer::{Answer, RawCall, ToldUsage, Unusable, name_of};

#[derive(Deserialize)]
struct WireMessage {
    id: Option<Value>,
    model: Option<Value>,
    content: Option<Vec<Value>>,
    stop_reason: Option<String>,
    usage: Option<WireUsage>,
    error: Option<Value>,
}

/// Tokens as this format tells them: those that were read from a cache or written to one are not
/// among the others.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(default)]
pub(super) struct WireUsage {
    input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    output_tokens: Option<u64>,
}

impl WireUsage {
    /// Takes over what a later word on the same answer says.
    pub(super) fn update(&mut self, later: Self) {
        let newest = |old: &mut Option<u64>, new: Option<u64>| *old = new.or(*old);
        newest(&mut self.input_tokens, later.input_tokens);
        newest(
            &mut self.cache_creation_input_tokens,
            later.cache_creation_input_tokens,
        );
        newest(
            &mut self.cache_read_input_tokens,
            later.cache_read_input_tokens,
        );
        newest(&mut self.output_tokens, later.output_tokens);
    }

    pub(super) fn told(self) -> ToldUsage {
        ToldUsage {
            input: self.input_tokens.map(|fresh| {
                fresh
                    .saturating_add(self.cache_creation_input_tokens.unwrap_or_default())
                    .saturating_add(self.cache_read_input_tokens.unwrap_or_default())
            }),
            output: self.output_tokens,
            cost: None,
        }
    }
}

/// Reads an answer that came in one piece.
pub(super) fn read(body: &[u8]) -> Result<Answer, Unusable> {
    let message: WireMessage = serde_json::from_slice(body).map_err(|error| {
        if error.is_eof() {
            Unusable::Cut("its JSON ends too early")
        } else {
            Unusable::Garbled(error.to_string())
        }
    })?;
    if let Some(error) = message.error {
        return Err(Unusable::Error(error));
    }
    let Some(content) = message.content else {
        return Err(Unusable::Garbled("it has no content".to_owned()));
    };
    let Some(stop_reason) = message.stop_reason else {
        return Err(Unusable::Cut("it has no stop reason"));
    };
    let mut answer = answer(content, &stop_reason);
    answer.usage = message.usage.unwrap_or_default().told();
    answer.model = message.model.and_then(name_of);
    answer.id = message.id.and_then(name_of);
    Ok(answer)
}

/// An answer of these blocks. They are kept as they are where there is more in them than text and
/// calls, and where the answer goes on.
pub(super) fn answer(content: Vec<Value>, stop_reason: &str) -> Answer {
    let finish_reason = finish_reason(stop_reason);
    let kind = |block: &Value| {
        block
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let text = content
        .iter()
        .filter(|block| kind(block) == "text")
        .filter_map(|block| block.get("text")?.as_str())
        .collect();
    let calls = content
        .iter()
        .filter(|block| kind(block) == "tool_use")
        .map(|block| RawCall {
            id: block.get("id").cloned().and_then(name_of),
            name: block
                .get("name")
                .cloned()
                .and_then(name_of)
                .unwrap_or_default(),
            arguments: block.get("input").cloned().unwrap_or_default(),
        })
        .collect();
    let has_more = content
        .iter()
        .any(|block| !["text", "tool_use"].contains(&kind(block).as_str()));
    let is_kept = has_more || finish_reason == Some(FinishReason::Paused);
    Answer {
        text,
        calls,
        reasoning: is_kept.then_some(Value::Array(content)),
        finish_reason,
        ..Answer::default()
    }
}

/// `None` for a word that is not known: the rest of the answer then decides.
fn finish_reason(word: &str) -> Option<FinishReason> {
    match word {
        "end_turn" | "stop_sequence" => Some(FinishReason::Stop),
        "tool_use" => Some(FinishReason::ToolCalls),
        "max_tokens" | "model_context_window_exceeded" => Some(FinishReason::Length),
        "refusal" => Some(FinishReason::ContentFilter),
        "pause_turn" => Some(FinishReason::Paused),
        _ => None,
    }
}
