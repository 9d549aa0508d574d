//! A streamed answer, put together from its chunks.

use serde::Deserialize;
use serde_json::Value;

use fusion_providers::{Delta, DeltaSink};

use super::answer::{Spoken, WireUsage, reasoning, text_of};
use crate::answer::{Answer, RawCall, ToldUsage, Unusable, name_of};
use crate::wire::{Assembler, Progress};

/// The data of the last event.
const DONE: &str = "[DONE]";

/// More calls than any turn makes.
const MAX_CALLS: usize = 256;

/// The answer so far.
#[derive(Default)]
pub(super) struct Chunks {
    spoken: Spoken,
    reasoning: String,
    reasoning_content: String,
    details: Vec<Value>,
    calls: Vec<PartCall>,
    finish: Option<String>,
    usage: ToldUsage,
    model: Option<String>,
    id: Option<String>,
}

#[derive(Default)]
struct PartCall {
    /// As the server counts the calls; `None` where it does not.
    index: Option<u64>,
    id: Option<String>,
    name: String,
    arguments: String,
}

#[derive(Deserialize)]
struct Chunk {
    id: Option<Value>,
    model: Option<Value>,
    choices: Option<Vec<Choice>>,
    usage: Option<WireUsage>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    index: Option<u64>,
    delta: Option<Piece>,
    finish_reason: Option<Value>,
    error: Option<Value>,
}

#[derive(Default, Deserialize)]
struct Piece {
    content: Option<Value>,
    refusal: Option<Value>,
    reasoning: Option<Value>,
    reasoning_content: Option<Value>,
    reasoning_details: Option<Vec<Value>>,
    tool_calls: Option<Vec<CallPiece>>,
}

#[derive(Deserialize)]
struct CallPiece {
    index: Option<u64>,
    id: Option<Value>,
    function: Option<FunctionPiece>,
}

#[derive(Default, Deserialize)]
struct FunctionPiece {
    name: Option<Value>,
    arguments: Option<Value>,
}

impl Assembler for Chunks {
    fn take(&mut self, data: &str, deltas: &dyn DeltaSink) -> Result<Progress, Unusable> {
        let data = data.trim();
        if data == DONE {
            return Ok(Progress::End);
        }
        if data.is_empty() {
            return Ok(Progress::Nothing);
        }
        let chunk: Chunk =
            serde_json::from_str(data).map_err(|error| Unusable::Garbled(error.to_string()))?;
        if let Some(usage) = chunk.usage {
            self.usage = usage.told();
        }
        self.id = self.id.take().or_else(|| chunk.id.and_then(name_of));
        self.model = self.model.take().or_else(|| chunk.model.and_then(name_of));
        // Of several answers the first counts.
        let choice = chunk
            .choices
            .into_iter()
            .flatten()
            .find(|choice| choice.index.is_none_or(|index| index == 0));
        let Some(choice) = choice else {
            return chunk
                .error
                .map_or(Ok(Progress::Nothing), |error| Err(Unusable::Error(error)));
        };
        if let Some(error) = choice.error.or(chunk.error) {
            return Err(Unusable::Error(error));
        }
        let finish = choice.finish_reason.and_then(name_of);
        let is_finish = finish.is_some();
        self.finish = finish.or_else(|| self.finish.take());
        let is_content = self.take_piece(choice.delta.unwrap_or_default(), deltas)?;
        Ok(if is_content || is_finish {
            Progress::Content
        } else {
            Progress::Nothing
        })
    }

    fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    fn finish(self: Box<Self>) -> Result<Answer, Unusable> {
        let Some(word) = self.finish else {
            return Err(Unusable::Cut("its stream ended without a finish reason"));
        };
        let mut spoken = self.spoken;
        spoken.reasoning = reasoning([
            ("reasoning", Some(self.reasoning.into())),
            ("reasoning_content", Some(self.reasoning_content.into())),
            ("reasoning_details", Some(self.details.into())),
        ]);
        spoken.calls = self.calls.into_iter().map(PartCall::whole).collect();
        let finish_reason = spoken.end(Some(&word))?;
        Ok(Answer {
            text: spoken.text,
            calls: spoken.calls,
            reasoning: spoken.reasoning,
            finish_reason,
            usage: self.usage,
            model: self.model,
            id: self.id,
        })
    }
}

impl Chunks {
    /// Takes what is new; tells whether anything is.
    fn take_piece(&mut self, piece: Piece, deltas: &dyn DeltaSink) -> Result<bool, Unusable> {
        let text = |value: Option<Value>| value.map(text_of).unwrap_or_default();
        let mut is_content = false;
        let mut show = |new: String, whole: &mut String, delta: fn(&str) -> Delta<'_>| {
            if !new.is_empty() {
                deltas.take(delta(&new));
                whole.push_str(&new);
                is_content = true;
            }
        };
        let thought = text(piece.reasoning);
        let thought_content = text(piece.reasoning_content);
        // Some servers write the same under both names.
        if thought_content != thought {
            let whole = &mut self.reasoning_content;
            show(thought_content, whole, |new| Delta::Reasoning(new));
        }
        show(thought, &mut self.reasoning, |new| Delta::Reasoning(new));
        show(text(piece.content), &mut self.spoken.text, |new| {
            Delta::Text(new)
        });
        show(text(piece.refusal), &mut self.spoken.refusal, |new| {
            Delta::Text(new)
        });
        for detail in piece.reasoning_details.into_iter().flatten() {
            is_content = true;
            add_detail(&mut self.details, detail);
        }
        for call in piece.tool_calls.into_iter().flatten() {
            is_content = true;
            self.take_call(call, deltas)?;
        }
        Ok(is_content)
    }

    fn take_call(&mut self, piece: CallPiece, deltas: &dyn DeltaSink) -> Result<(), Unusable> {
        let function = piece.function.unwrap_or_default();
        let id = piece.id.and_then(name_of);
        let name = function.name.and_then(name_of).unwrap_or_default();
        let arguments = match function.arguments {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text,
            Some(other) => other.to_string(),
        };
        let position = match self.position(piece.index, id.as_deref(), &name) {
            Some(position) => position,
            None if self.calls.len() == MAX_CALLS => {
                return Err(Unusable::Garbled(format!(
                    "it makes more than {MAX_CALLS} calls"
                )));
            }
            None => {
                self.calls.push(PartCall {
                    index: piece.index,
                    ..PartCall::default()
                });
                self.calls.len() - 1
            }
        };
        let Some(call) = self.calls.get_mut(position) else {
            return Ok(());
        };
        let is_named_now = call.name.is_empty() && !name.is_empty();
        deltas.take(Delta::ToolCall {
            index: position,
            name: if is_named_now { &name } else { "" },
            arguments: &arguments,
        });
        if is_named_now {
            call.name = name;
        }
        call.id = call.id.take().or(id);
        call.arguments.push_str(&arguments);
        Ok(())
    }

    /// The call that a piece goes on with; `None` for a new one. Some servers count no calls, and
    /// some give all of them the number 0.
    fn position(&self, index: Option<u64>, id: Option<&str>, name: &str) -> Option<usize> {
        let position = match index {
            Some(_) => self.calls.iter().rposition(|call| call.index == index)?,
            None if id.is_some() => self
                .calls
                .iter()
                .rposition(|call| call.id.as_deref() == id)?,
            None if name.is_empty() => self.calls.len().checked_sub(1)?,
            None => return None,
        };
        let known = self.calls.get(position)?.id.as_deref();
        let is_another = !name.is_empty() && id.is_some() && known.is_some() && known != id;
        (!is_another).then_some(position)
    }
}

impl PartCall {
    fn whole(self) -> RawCall {
        RawCall {
            id: self.id,
            name: self.name,
            arguments: Value::String(self.arguments),
        }
    }
}

/// Adds a piece of `reasoning_details` to the item that it goes on with, or as a new one.
fn add_detail(details: &mut Vec<Value>, piece: Value) {
    let same = |field: &str, item: &Value| item.get(field) == piece.get(field);
    let open = details
        .last_mut()
        .filter(|item| same("type", item) && same("index", item))
        .and_then(Value::as_object_mut);
    match (open, piece) {
        (Some(item), Value::Object(fields)) => {
            for (name, value) in fields {
                let is_text = ["text", "summary", "data"].contains(&name.as_str());
                match (item.get_mut(&name), value) {
                    (_, Value::Null) => {}
                    (Some(Value::String(whole)), Value::String(more)) if is_text => {
                        whole.push_str(&more);
                    }
                    (_, value) => {
                        item.insert(name, value);
                    }
                }
            }
        }
        (_, piece) => details.push(piece),
    }
}
