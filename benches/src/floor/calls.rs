//! The calls.

use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::{Client, Url};
use serde::Deserialize;
use serde_json::{Value, json};

/// A server that answers.
pub(super) struct Model {
    client: Client,
    url: Url,
}

/// What was said so far.
pub(super) struct Conversation {
    messages: Vec<Value>,
    calls_tools: bool,
}

#[derive(Deserialize)]
struct Answer {
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    message: Said,
}

#[derive(Deserialize)]
struct Said {
    content: Option<String>,
    #[serde(default)]
    tool_calls: Vec<Call>,
}

#[derive(Deserialize)]
struct Call {
    id: String,
}

impl Conversation {
    pub(super) fn new(calls_tools: bool) -> Self {
        let messages = vec![
            json!({ "role": "system", "content": "You are a worker." }),
            json!({ "role": "user", "content": "Say hello." }),
        ];
        Self {
            messages,
            calls_tools,
        }
    }

    fn request(&self) -> Value {
        if !self.calls_tools {
            return json!({ "model": "mock", "messages": self.messages });
        }
        let parameters = json!({ "type": "object", "properties": {} });
        let function =
            json!({ "name": "list_files", "description": "Lists.", "parameters": parameters });
        json!({
            "model": "tool-turns-10", "messages": self.messages,
            "tools": [{ "type": "function", "function": function }],
        })
    }
}

impl Model {
    pub(super) fn new(url: &str) -> Result<Self> {
        let client = Client::builder()
            .timeout(Duration::from_secs(30))
            .no_proxy();
        Ok(Self {
            client: client.build()?,
            url: Url::parse(url)?.join("/v1/chat/completions")?,
        })
    }

    /// The next answer.
    pub(super) async fn ask(&self, conversation: &mut Conversation) -> Result<String> {
        let request = self
            .client
            .post(self.url.clone())
            .json(&conversation.request());
        let answer: Answer = request.send().await?.error_for_status()?.json().await?;
        let choice = answer
            .choices
            .into_iter()
            .next()
            .context("an answer without a choice")?;
        for call in choice.message.tool_calls {
            let made = json!([{ "id": call.id, "type": "function",
                "function": { "name": "list_files", "arguments": "{}" } }]);
            conversation
                .messages
                .push(json!({ "role": "assistant", "content": null, "tool_calls": made }));
            conversation
                .messages
                .push(json!({ "role": "tool", "tool_call_id": call.id, "content": "" }));
        }
        Ok(choice.message.content.unwrap_or_default())
    }
}
