//! The provider: what the port asks for, over any wire format.

mod account;
mod generation;
mod models;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use reqwest::Response;
use reqwest::header::HeaderMap;

use fusion_core::{Clock, Usage};
use fusion_providers::{
    Ability, Catalog, DeltaSink, Error, Model, ModelInfo, ModelRequest, Provider, QuotaInfo,
    QuotaSource, Result, Turn, TurnRequest,
};

use crate::answer::{Answer, Unusable};
use crate::connection::Connection;
use crate::fault::{Details, UNSAID};
use crate::incoming::{Broken, Incoming, Outcome, Pace, Watched};
use crate::options::{Account, Options, Quirks, SchemaBinding, Streaming, ToolCalls};
use crate::prompted::{InWords, Worded};
use crate::quota::{self, Quota};
use crate::transport;
use crate::vendor::Format;
use crate::wire::Wire;
use crate::wire::chat::Chat;
use crate::wire::messages::Messages;

/// A provider over HTTP. What it was told of models and limits is kept for the next call.
#[derive(Debug)]
pub struct HttpProvider {
    connection: Connection,
    wire: &'static dyn Wire,
    quirks: Quirks,
    clock: Arc<dyn Clock>,
    catalog: Mutex<Option<Arc<Catalog>>>,
    quota: Quota,
    /// The server said that it was started without tools.
    refuses_tools: AtomicBool,
}

impl HttpProvider {
    /// Checks the options; makes no connection. The clock tells when a list or a quota was read.
    ///
    /// # Errors
    /// [`Error::Setup`] when the base URL, the key or a header can't be used, and for `http://` to
    /// another machine that is not allowed.
    pub fn new(options: Options, clock: Arc<dyn Clock>) -> Result<Self> {
        let wire: &'static dyn Wire = match options.format {
            Format::ChatCompletions => &Chat,
            Format::AnthropicMessages => &Messages,
        };
        Self::speaking(wire, options, clock)
    }

    /// The same with a wire format that is picked by the caller.
    pub(crate) fn speaking(
        wire: &'static dyn Wire,
        options: Options,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let quirks = options.quirks;
        Ok(Self {
            connection: Connection::new(options, wire)?,
            wire,
            quirks,
            clock,
            catalog: Mutex::new(None),
            quota: Quota::default(),
            refuses_tools: AtomicBool::new(false),
        })
    }

    fn provider(&self) -> String {
        self.connection.origin.provider.clone()
    }

    /// The error that an answer with a bad status is, and what it tells of limits.
    async fn fault(&self, response: Response, model: Option<&str>) -> Error {
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let body = transport::error_body(response).await;
        self.fault_of(status, &headers, &Details::of_body(&body), model)
    }

    fn fault_of(
        &self,
        status: u16,
        headers: &HeaderMap,
        details: &Details,
        model: Option<&str>,
    ) -> Error {
        self.quota
            .told(quota::of_error(&details.budget, self.clock.now()));
        if details.is_about_missing_tools() {
            self.refuses_tools.store(true, Ordering::Relaxed);
        }
        self.connection
            .origin
            .fault(status, headers, details, model)
    }

    /// What of this turn is told in words.
    fn in_words<'a>(&self, request: &TurnRequest<'a>, model: Option<&Model>) -> InWords<'a> {
        let tools = self.quirks.tool_calls == ToolCalls::Text;
        let can_bind = self.quirks.json_schema == SchemaBinding::Native
            && model.is_none_or(|model| model.json_schema != Ability::No)
            && self.wire.can_bind(request)
            // A text that is bound to a schema can be no call.
            && (!tools || request.tools.is_empty());
        InWords {
            tools,
            schema: request.output_schema.filter(|_| !can_bind),
        }
    }

    /// One call, from the request to the turn.
    async fn attempt(&self, request: &TurnRequest<'_>, deltas: &dyn DeltaSink) -> Result<Turn> {
        let model = self.known_model(request.model);
        let parts = self.in_words(request, model.as_ref());
        let worded = Worded::new(request, parts);
        let asked = worded.as_ref().map_or(*request, |worded| {
            worded.request(request, parts.schema.is_none())
        });
        let max_output = model.as_ref().and_then(|model| model.max_output_tokens);
        let body = self
            .wire
            .body(&asked, &self.quirks, max_output)
            .map_err(|name| {
                self.connection
                    .origin
                    .setup(format!("the option '{name}' can't be sent with a turn"))
            })?;
        let post = self
            .connection
            .http()?
            .post(self.connection.url(self.wire.path()))
            .header("Idempotency-Key", request.place.key)
            .json(&body);
        let pace = Pace::new(
            self.connection.limits,
            self.quirks.streaming != Streaming::Off,
        );
        let response = self.connection.send(post, pace.to_begin()).await?;
        let headers = response.headers().clone();
        self.quota
            .told(quota::of_headers(&headers, self.clock.now()));
        let id = generation_id(&headers);
        if !response.status().is_success() {
            let error = self.fault(response, Some(request.model)).await;
            return Err(error.of_generation(id));
        }
        if let (Some(id), Account::OpenRouter) = (&id, self.quirks.account) {
            deltas.began(id);
        }
        let incoming = Incoming::new(self.wire, deltas, pace);
        match incoming.read(&self.connection.origin, response).await {
            Ok(Outcome::Answer(answer)) => Ok(self.turn(answer, request, id)),
            Ok(Outcome::Unusable(broken)) => {
                let error = self.unusable(broken, &headers, request.model);
                Err(error.of_generation(id))
            }
            Err(error) => Err(error.of_generation(id)),
        }
    }

    fn turn(&self, answer: Answer, request: &TurnRequest<'_>, id: Option<String>) -> Turn {
        let mut answer = answer.unworded(request, self.quirks.tool_calls);
        answer.id = answer.id.or(id);
        let served = answer.model.as_deref().unwrap_or(request.model);
        let price = self
            .known_model(served)
            .or_else(|| self.known_model(request.model))
            .and_then(|model| model.price);
        answer.into_turn(request, price)
    }

    fn unusable(&self, broken: Broken, headers: &HeaderMap, model: &str) -> Error {
        let origin = &self.connection.origin;
        let error = match broken.why {
            Unusable::Cut(problem) => origin.truncated(problem),
            Unusable::Garbled(problem) => origin.malformed(&problem, &broken.sample),
            Unusable::TooLarge(limit) => Error::TooLarge {
                provider: self.provider(),
                limit,
                generation_id: None,
            },
            Unusable::Error(error) => {
                let details = Details::of_error(&error);
                let status = details.own_status().unwrap_or(UNSAID);
                self.fault_of(status, headers, &details, Some(model))
            }
        };
        error.of_generation(broken.id)
    }
}

/// The provider's name for an answer, told before it comes.
fn generation_id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get("x-generation-id")?.to_str().ok()?;
    Some(id.to_owned())
}

#[async_trait]
impl Provider for HttpProvider {
    async fn spawn_agent(&self, request: &ModelRequest<'_>) -> Result<ModelInfo> {
        self.connection.origin.key()?;
        let listed = match self.models_with(request.model).await? {
            None => None,
            Some(catalog) => Some(
                self.find(&catalog, request.model)
                    .cloned()
                    .ok_or_else(|| self.unknown_model(request.model, &catalog.models))?,
            ),
        };
        let tools = match self.quirks.tool_calls {
            ToolCalls::Text => Ability::Yes,
            ToolCalls::Native | ToolCalls::NativeOrText
                if self.refuses_tools.load(Ordering::Relaxed) =>
            {
                Ability::No
            }
            ToolCalls::Native | ToolCalls::NativeOrText => {
                listed.as_ref().map(|model| model.tools).unwrap_or_default()
            }
        };
        let json_schema = listed.as_ref().map(|model| model.json_schema);
        let json_schema = json_schema.unwrap_or_default();
        let (provider, model) = (self.provider(), request.model.to_owned());
        if request.needs_tools && tools == Ability::No {
            return Err(Error::NoTools { provider, model });
        }
        if request.needs_json_schema && json_schema == Ability::No {
            return Err(Error::NoJsonSchema { provider, model });
        }
        Ok(ModelInfo {
            model,
            scripted: false,
            context_length: listed.as_ref().and_then(|model| model.context_length),
            max_output_tokens: listed.as_ref().and_then(|model| model.max_output_tokens),
            price: listed.and_then(|model| model.price),
            tools,
            json_schema,
        })
    }

    async fn send_message(
        &self,
        request: &TurnRequest<'_>,
        deltas: &dyn DeltaSink,
    ) -> Result<Turn> {
        let watched = Watched::new(deltas);
        let result = self.attempt(request, &watched).await;
        if result.is_err() {
            watched.discard();
        }
        result
    }

    /// Where an account can be asked for, what it says; it is given as it was last told, with its age,
    /// when it can't be had now. Elsewhere what answers have told.
    async fn get_quota_info(&self) -> Result<QuotaInfo> {
        match self.quirks.account {
            Account::None => {}
            Account::OpenRouter => {
                if let Err(error) = self.ask_account().await {
                    if !self.quota.has(QuotaSource::Key) {
                        return Err(error);
                    }
                    tracing::warn!(%error, "the quota is shown as it was last told");
                }
            }
        }
        Ok(self.quota.info())
    }

    async fn list_models(&self) -> Result<Option<Catalog>> {
        let catalog = self.read_models().await?;
        Ok(catalog.map(Arc::unwrap_or_clone))
    }

    /// OpenRouter may not know an answer at once: it is asked three times.
    async fn get_generation(&self, id: &str) -> Result<Option<Usage>> {
        match self.quirks.account {
            Account::None => Ok(None),
            Account::OpenRouter => self.ask_generation(id).await,
        }
    }

    fn told_quota(&self) -> Option<QuotaInfo> {
        Some(self.quota.info()).filter(|told| !told.limits.is_empty())
    }
}
