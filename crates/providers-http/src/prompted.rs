//! What a server can't do by itself is asked of the model in words, and read from its text.

use std::sync::Arc;

use serde_json::{Value, json};

use fusion_providers::{Message, ToolSpec, TurnRequest};

use crate::answer::{Answer, RawCall};
use crate::options::ToolCalls;

/// The tool by which an answer is bound to a schema where a format has nothing else for it.
pub(crate) const ANSWER_TOOL: &str = "structured_answer";

/// Where the arguments of a call stand, in the words of different models.
const ARGUMENTS: [&str; 4] = ["arguments", "parameters", "args", "input"];

/// The parts of a turn that are told in words.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InWords<'a> {
    pub(crate) tools: bool,
    pub(crate) schema: Option<&'a Value>,
}

/// A system prompt and a conversation in which these parts are words.
#[derive(Debug)]
pub(crate) struct Worded {
    system: String,
    messages: Vec<Message>,
    has_tools: bool,
}

impl Worded {
    /// `None` where nothing has to be worded.
    pub(crate) fn new(request: &TurnRequest<'_>, parts: InWords<'_>) -> Option<Self> {
        let has_tools = parts.tools && !request.tools.is_empty();
        if !has_tools && parts.schema.is_none() && !parts.tools {
            return None;
        }
        let mut system = request.system.to_owned();
        let mut add = |text: String| {
            if !system.is_empty() {
                system.push_str("\n\n");
            }
            system.push_str(&text);
        };
        if has_tools {
            add(tools_in_words(request.tools));
        }
        if let Some(schema) = parts.schema {
            add(format!(
                "Your answer must be one JSON object that fits this JSON Schema, and no other text:\n{schema}"
            ));
        }
        let messages = if parts.tools {
            request.messages.iter().map(in_words).collect()
        } else {
            request.messages.to_vec()
        };
        Some(Self {
            system,
            messages,
            has_tools: parts.tools,
        })
    }

    /// The request to send.
    pub(crate) fn request<'a>(
        &'a self,
        request: &TurnRequest<'a>,
        keep_schema: bool,
    ) -> TurnRequest<'a> {
        TurnRequest {
            system: &self.system,
            messages: &self.messages,
            tools: if self.has_tools { &[] } else { request.tools },
            output_schema: request.output_schema.filter(|_| keep_schema),
            ..*request
        }
    }
}

fn tools_in_words(tools: &[Arc<ToolSpec>]) -> String {
    let mut text = String::from(
        "You can use tools. To use one, answer with nothing but a JSON object of this form; its result is then given to you:\n\
         {\"name\": \"the tool\", \"arguments\": {}}\nThe tools:",
    );
    for tool in tools {
        let line = json!({
            "name": tool.name, "description": tool.description, "arguments": tool.parameters,
        });
        text.push_str(&format!("\n{line}"));
    }
    text
}

fn in_words(message: &Message) -> Message {
    match message {
        Message::User { text } => Message::User { text: text.clone() },
        Message::Assistant {
            text, tool_calls, ..
        } => {
            let mut whole = text.clone();
            for call in tool_calls {
                if !whole.is_empty() {
                    whole.push('\n');
                }
                let call = json!({ "name": call.name, "arguments": call.arguments });
                whole.push_str(&call.to_string());
            }
            Message::Assistant {
                text: whole,
                tool_calls: vec![],
                reasoning: None,
            }
        }
        Message::Tool { name, content, .. } => Message::User {
            text: format!("The result of {name}:\n{content}"),
        },
    }
}

impl Answer {
    /// Takes what was written in the text for what it is: the answer of the answer tool, and calls of
    /// known tools where the options allow it. Any other text stays as it is.
    pub(crate) fn unworded(mut self, request: &TurnRequest<'_>, calls: ToolCalls) -> Self {
        if request.output_schema.is_some()
            && let [only] = self.calls.as_slice()
            && only.name == ANSWER_TOOL
        {
            self.text = match &only.arguments {
                Value::String(text) => text.clone(),
                other @ (Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::Array(_)
                | Value::Object(_)) => other.to_string(),
            };
            self.calls.clear();
        }
        let is_read = match calls {
            ToolCalls::Native => false,
            ToolCalls::NativeOrText | ToolCalls::Text => self.calls.is_empty(),
        };
        if is_read && let Some(calls) = calls_in(&self.text, request.tools) {
            self.text.clear();
            self.calls = calls;
        }
        self
    }
}

/// The calls that a text consists of: one JSON object, a list of them, or one to a line, with or
/// without a fence or tags around. `None` for anything else, so that an answer which only shows a
/// call stays an answer.
fn calls_in(text: &str, tools: &[Arc<ToolSpec>]) -> Option<Vec<RawCall>> {
    let inner = without_wrapping(text.trim());
    let mut calls = Vec::new();
    for value in serde_json::Deserializer::from_str(inner).into_iter::<Value>() {
        match value.ok()? {
            Value::Array(items) => {
                for item in &items {
                    calls.push(call_of(item, tools)?);
                }
            }
            value @ (Value::Object(_)
            | Value::String(_)
            | Value::Number(_)
            | Value::Bool(_)
            | Value::Null) => calls.push(call_of(&value, tools)?),
        }
    }
    (!calls.is_empty()).then_some(calls)
}

/// What stands inside a code fence or `<tool_call>` tags that hold the whole text.
fn without_wrapping(text: &str) -> &str {
    let fenced = text
        .strip_prefix("```")
        .and_then(|rest| rest.strip_suffix("```"))
        // After the fence stands the name of a language.
        .map(|inner| inner.trim_start_matches(|c: char| c.is_ascii_alphabetic() || c == '_'));
    let tagged = text
        .strip_prefix("<tool_call>")
        .and_then(|rest| rest.strip_suffix("</tool_call>"));
    fenced.or(tagged).unwrap_or(text).trim()
}

fn call_of(value: &Value, tools: &[Arc<ToolSpec>]) -> Option<RawCall> {
    let fields = value.as_object()?;
    let fields = fields
        .get("function")
        .and_then(Value::as_object)
        .unwrap_or(fields);
    let name = ["name", "tool", "function"]
        .into_iter()
        .find_map(|field| fields.get(field)?.as_str())?;
    let is_known = tools.iter().any(|tool| tool.name == name);
    let arguments = ARGUMENTS.into_iter().find_map(|field| fields.get(field));
    let is_call = match arguments {
        Some(Value::Object(_) | Value::String(_)) => true,
        // A call without arguments says nothing but the name.
        None => fields.len() == 1,
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_)) => false,
    };
    (is_known && is_call).then(|| RawCall {
        id: None,
        name: name.to_owned(),
        arguments: arguments.cloned().unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use fusion_providers::ToolSpec;
    use serde_json::{Value, json};

    use super::calls_in;

    fn read(text: &str) -> Option<Vec<(String, Value)>> {
        let tool = |name: &str| {
            Arc::new(ToolSpec {
                name: name.into(),
                description: String::new(),
                parameters: json!({}),
            })
        };
        let calls = calls_in(text, &[tool("read"), tool("list")])?;
        Some(
            calls
                .into_iter()
                .map(|call| (call.name, call.arguments))
                .collect(),
        )
    }

    #[test]
    fn a_text_that_is_a_call_of_a_known_tool_is_one() {
        let one = Some(vec![("read".to_owned(), json!({"p": 1}))]);
        for text in [
            r#"{"name": "read", "arguments": {"p": 1}}"#,
            " ```json\n{\"name\": \"read\", \"parameters\": {\"p\": 1}}\n``` ",
            "<tool_call>\n{\"tool\":\"read\",\"args\":{\"p\":1}}\n</tool_call>",
            r#"[{"type":"function","function":{"name":"read","arguments":{"p":1}}}]"#,
            "```tool_call\n{\"function\":\"read\",\"input\":{\"p\":1}}```",
        ] {
            assert_eq!(read(text), one, "{text}");
        }
        let two = "{\"name\":\"list\"}\n{\"name\":\"read\",\"arguments\":\"{\\\"p\\\":1}\"}";
        assert_eq!(
            read(two),
            Some(vec![
                ("list".to_owned(), Value::Null),
                ("read".to_owned(), json!("{\"p\":1}")),
            ])
        );
    }

    #[test]
    fn any_other_text_stays_an_answer() {
        for text in [
            "",
            "Hello",
            "Call it so: {\"name\": \"read\", \"arguments\": {}}",
            "{\"name\": \"read\", \"arguments\": {}} is how to call it",
            r#"{"name": "delete", "arguments": {}}"#,
            r#"{"name": "read", "born": 1990}"#,
            r#"{"name": "read", "arguments": 7}"#,
            r#"[{"name": "read", "arguments": {}}, 7]"#,
            r#"{"name": "read", "arguments": {"#,
            "```json\n{\"answer\": 42}\n```",
            "[]",
            "7",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
