//! The Messages format of Anthropic.

mod answer;
mod models;
mod request;
mod stream;

use reqwest::header::{HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use fusion_providers::TurnRequest;

use crate::answer::{Answer, Unusable};
use crate::options::Quirks;
use crate::wire::{Assembler, Page, Wire};

/// The Messages format of Anthropic.
#[derive(Debug)]
pub(crate) struct Messages;

impl Wire for Messages {
    fn path(&self) -> &'static [&'static str] {
        &["messages"]
    }

    fn authorize(&self, headers: &mut HeaderMap, key: &SecretString) -> bool {
        HeaderValue::from_str(key.expose_secret()).is_ok_and(|mut value| {
            value.set_sensitive(true);
            headers.insert("x-api-key", value);
            true
        })
    }

    /// By a tool that must be called: it leaves no room for other tools, nor for thinking.
    fn can_bind(&self, request: &TurnRequest<'_>) -> bool {
        let thinks = |options: &Map<String, Value>| options.contains_key("thinking");
        request.tools.is_empty() && !request.options.is_some_and(thinks)
    }

    fn body(
        &self,
        request: &TurnRequest<'_>,
        quirks: &Quirks,
        max_output: Option<u64>,
    ) -> Result<Map<String, Value>, String> {
        request::body(request, quirks, max_output)
    }

    fn answer(&self, body: &[u8]) -> Result<Answer, Unusable> {
        answer::read(body)
    }

    fn assembler(&self) -> Box<dyn Assembler> {
        Box::new(stream::Blocks::default())
    }

    fn models(&self, body: &[u8]) -> serde_json::Result<Page> {
        models::read(body)
    }
}
