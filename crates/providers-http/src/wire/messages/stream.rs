//! A streamed answer, put together from its blocks.

use serde::Deserialize;
use serde_json::{Value, json};

use fusion_providers::{Delta, DeltaSink};

use super::answer::{self, WireUsage};
use crate::answer::{Answer, Unusable, name_of};
use crate::wire::{Assembler, Progress};

/// More blocks than any turn has.
const MAX_BLOCKS: usize = 1_024;

/// The answer so far.
#[derive(Default)]
pub(super) struct Blocks {
    blocks: Vec<Block>,
    stop_reason: Option<String>,
    usage: WireUsage,
    model: Option<String>,
    id: Option<String>,
}

/// One block of the content.
struct Block {
    index: u64,
    /// As it began.
    value: Value,
    /// The input of a tool, as text.
    input: String,
    /// Which call of the turn it is.
    call: Option<usize>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event {
    MessageStart {
        message: Start,
    },
    ContentBlockStart {
        index: u64,
        content_block: Value,
    },
    ContentBlockDelta {
        index: u64,
        delta: Piece,
    },
    MessageDelta {
        delta: End,
        usage: Option<WireUsage>,
    },
    MessageStop,
    Error {
        error: Value,
    },
    /// `ping`, `content_block_stop`, and what may come to be.
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Start {
    id: Option<Value>,
    model: Option<Value>,
    usage: Option<WireUsage>,
}

#[derive(Deserialize)]
struct End {
    stop_reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Piece {
    TextDelta {
        text: String,
    },
    InputJsonDelta {
        partial_json: String,
    },
    ThinkingDelta {
        thinking: String,
    },
    SignatureDelta {
        signature: String,
    },
    CitationsDelta {
        citation: Value,
    },
    #[serde(other)]
    Other,
}

impl Assembler for Blocks {
    fn take(&mut self, data: &str, deltas: &dyn DeltaSink) -> Result<Progress, Unusable> {
        if data.trim().is_empty() {
            return Ok(Progress::Nothing);
        }
        let event: Event = serde_json::from_str(data).map_err(|error| {
            // Other servers of this format tell an error without its type.
            match serde_json::from_str::<Value>(data) {
                Ok(Value::Object(mut fields)) if fields.contains_key("error") => {
                    Unusable::Error(fields.remove("error").unwrap_or_default())
                }
                Ok(_) | Err(_) => Unusable::Garbled(error.to_string()),
            }
        })?;
        match event {
            Event::MessageStart { message } => {
                self.id = message.id.and_then(name_of);
                self.model = message.model.and_then(name_of);
                self.usage.update(message.usage.unwrap_or_default());
                Ok(Progress::Nothing)
            }
            Event::ContentBlockStart {
                index,
                content_block,
            } => self.begin(index, content_block, deltas),
            Event::ContentBlockDelta { index, delta } => self.go_on(index, delta, deltas),
            Event::MessageDelta { delta, usage } => {
                self.stop_reason = delta.stop_reason.or_else(|| self.stop_reason.take());
                self.usage.update(usage.unwrap_or_default());
                Ok(Progress::Content)
            }
            Event::MessageStop => Ok(Progress::End),
            Event::Error { error } => Err(Unusable::Error(error)),
            Event::Other => Ok(Progress::Nothing),
        }
    }

    fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    fn finish(self: Box<Self>) -> Result<Answer, Unusable> {
        let Some(stop_reason) = self.stop_reason else {
            return Err(Unusable::Cut("its stream ended without a stop reason"));
        };
        let content = self.blocks.into_iter().map(Block::whole).collect();
        let mut answer = answer::answer(content, &stop_reason);
        answer.usage = self.usage.told();
        answer.model = self.model;
        answer.id = self.id;
        Ok(answer)
    }
}

impl Blocks {
    fn begin(
        &mut self,
        index: u64,
        value: Value,
        deltas: &dyn DeltaSink,
    ) -> Result<Progress, Unusable> {
        if self.blocks.len() == MAX_BLOCKS {
            let problem = format!("it has more than {MAX_BLOCKS} blocks");
            return Err(Unusable::Garbled(problem));
        }
        let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default();
        let is_call = text("type") == "tool_use";
        let call = is_call.then(|| self.blocks.iter().flat_map(|block| block.call).count());
        match call {
            Some(index) => deltas.take(Delta::ToolCall {
                index,
                name: text("name"),
                arguments: "",
            }),
            None if !text("text").is_empty() => deltas.take(Delta::Text(text("text"))),
            None => {}
        }
        self.blocks.push(Block {
            index,
            value,
            input: String::new(),
            call,
        });
        Ok(Progress::Content)
    }

    fn go_on(
        &mut self,
        index: u64,
        piece: Piece,
        deltas: &dyn DeltaSink,
    ) -> Result<Progress, Unusable> {
        let Some(block) = self.blocks.iter_mut().rfind(|block| block.index == index) else {
            let problem = format!("block {index} goes on and never began");
            return Err(Unusable::Garbled(problem));
        };
        match piece {
            Piece::TextDelta { text } => {
                deltas.take(Delta::Text(&text));
                block.append("text", &text);
            }
            Piece::ThinkingDelta { thinking } => {
                deltas.take(Delta::Reasoning(&thinking));
                block.append("thinking", &thinking);
            }
            Piece::SignatureDelta { signature } => block.append("signature", &signature),
            Piece::InputJsonDelta { partial_json } => {
                if let Some(index) = block.call {
                    deltas.take(Delta::ToolCall {
                        index,
                        name: "",
                        arguments: &partial_json,
                    });
                }
                block.input.push_str(&partial_json);
            }
            Piece::CitationsDelta { citation } => block.cite(citation),
            Piece::Other => return Ok(Progress::Nothing),
        }
        Ok(Progress::Content)
    }
}

impl Block {
    fn append(&mut self, field: &str, more: &str) {
        match self.value.get_mut(field) {
            Some(Value::String(whole)) => whole.push_str(more),
            Some(_) | None => {
                if let Some(fields) = self.value.as_object_mut() {
                    fields.insert(field.to_owned(), more.into());
                }
            }
        }
    }

    fn cite(&mut self, citation: Value) {
        match self.value.get_mut("citations") {
            Some(Value::Array(citations)) => citations.push(citation),
            Some(_) | None => {
                if let Some(fields) = self.value.as_object_mut() {
                    fields.insert("citations".to_owned(), json!([citation]));
                }
            }
        }
    }

    /// The block as it came in the end. An input that is not JSON stays as its text.
    fn whole(mut self) -> Value {
        if !self.input.is_empty()
            && let Some(fields) = self.value.as_object_mut()
        {
            let input = serde_json::from_str(&self.input).unwrap_or(Value::String(self.input));
            fields.insert("input".to_owned(), input);
        }
        self.value
    }
}
