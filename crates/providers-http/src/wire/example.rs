//! A wire format in one file, to copy from: an invented server that is asked for one text and answers
//! with one. Only tests know it.

use std::sync::Arc;

use fusion_core::{Clock, Timestamp};
use fusion_providers::{
    DeltaSink, FinishReason, Message, NoDeltas, Provider, TurnPlace, TurnRequest,
};
use reqwest::header::{HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use wiremock::matchers::{body_json, header, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::{Assembler, Page, Progress, Wire};
use crate::answer::{Answer, Unusable};
use crate::client::HttpProvider;
use crate::options::{Options, Quirks};

/// `POST /say` with `{"voice": ..., "text": ...}`, answered with `{"said": ...}`.
#[derive(Debug)]
struct Say;

#[derive(Deserialize)]
struct Said {
    said: Option<String>,
}

impl Wire for Say {
    fn path(&self) -> &'static [&'static str] {
        &["say"]
    }

    fn authorize(&self, headers: &mut HeaderMap, key: &SecretString) -> bool {
        let Ok(mut value) = HeaderValue::from_str(key.expose_secret()) else {
            return false;
        };
        value.set_sensitive(true);
        headers.insert("x-say-key", value);
        true
    }

    /// The schema is then told in words.
    fn can_bind(&self, _: &TurnRequest<'_>) -> bool {
        false
    }

    fn body(
        &self,
        request: &TurnRequest<'_>,
        _: &Quirks,
        _: Option<u64>,
    ) -> Result<Map<String, Value>, String> {
        let said = |message: &Message| match message {
            Message::User { text } | Message::Assistant { text, .. } => text.clone(),
            Message::Tool { content, .. } => content.clone(),
        };
        let system = Some(request.system.to_owned()).filter(|system| !system.is_empty());
        let said = request.messages.iter().map(said);
        let text: Vec<String> = system.into_iter().chain(said).collect();
        Ok(Map::from_iter([
            ("voice".to_owned(), json!(request.model)),
            ("text".to_owned(), json!(text.join("\n"))),
        ]))
    }

    fn answer(&self, body: &[u8]) -> Result<Answer, Unusable> {
        let answer: Said =
            serde_json::from_slice(body).map_err(|error| Unusable::Garbled(error.to_string()))?;
        let text = answer.said.ok_or(Unusable::Cut("it says nothing"))?;
        Ok(Answer {
            text,
            finish_reason: Some(FinishReason::Stop),
            ..Answer::default()
        })
    }

    fn assembler(&self) -> Box<dyn Assembler> {
        Box::new(Unstreamed)
    }

    fn models(&self, _: &[u8]) -> serde_json::Result<Page> {
        Ok(Page {
            models: Vec::new(),
            next: None,
        })
    }
}

/// The server does not stream: an event from it is not in the format.
struct Unstreamed;

impl Assembler for Unstreamed {
    fn take(&mut self, _: &str, _: &dyn DeltaSink) -> Result<Progress, Unusable> {
        Err(Unusable::Garbled("it does not stream".to_owned()))
    }

    fn finish(self: Box<Self>) -> Result<Answer, Unusable> {
        Err(Unusable::Cut("it does not stream"))
    }
}

#[tokio::test]
async fn a_format_is_one_file() {
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    let server = MockServer::start().await;
    let asked = json!({ "voice": "alto", "text": "Be kind.\nHello?" });
    Mock::given(path("/say"))
        .and(header("x-say-key", "a key"))
        .and(body_json(asked))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({ "said": "Hello." })))
        .mount(&server)
        .await;
    let options = Options::openai_compatible(server.uri(), Some("a key".into()));
    let say = HttpProvider::speaking(&Say, options, Arc::new(Stopped)).unwrap();
    let request = TurnRequest {
        model: "alto",
        system: "Be kind.",
        messages: &[Message::User {
            text: "Hello?".to_owned(),
        }],
        tools: &[],
        output_schema: None,
        max_tokens: None,
        temperature: None,
        options: None,
        may_wait: false,
        place: TurnPlace {
            run: "run",
            task: "task",
            step: "greet",
            turn: 1,
            agent: "a",
            key: "greet-1",
        },
    };
    let turn = say.send_message(&request, &NoDeltas).await.unwrap();
    assert_eq!(turn.text, "Hello.");
}

/// It is never later than this here.
#[derive(Debug)]
struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
}
