//! The chat-completions format.

mod answer;
mod models;
mod request;
mod stream;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use fusion_providers::TurnRequest;

use crate::answer::{Answer, Unusable};
use crate::options::Quirks;
use crate::wire::{Assembler, Page, Wire};

/// The chat-completions format.
#[derive(Debug)]
pub(crate) struct Chat;

impl Wire for Chat {
    fn path(&self) -> &'static [&'static str] {
        &["chat", "completions"]
    }

    fn authorize(&self, headers: &mut HeaderMap, key: &SecretString) -> bool {
        let value = HeaderValue::from_str(&format!("Bearer {}", key.expose_secret()));
        value.is_ok_and(|mut value| {
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
            true
        })
    }

    fn body(
        &self,
        request: &TurnRequest<'_>,
        quirks: &Quirks,
        _: Option<u64>,
    ) -> Result<Map<String, Value>, String> {
        request::body(request, quirks)
    }

    fn answer(&self, body: &[u8]) -> Result<Answer, Unusable> {
        answer::read(body)
    }

    fn assembler(&self) -> Box<dyn Assembler> {
        Box::new(stream::Chunks::default())
    }

    fn models(&self, body: &[u8]) -> serde_json::Result<Page> {
        models::read(body)
    }
}
