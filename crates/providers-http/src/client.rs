//! The client: one request for each call of the port.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};

use fusion_core::{Clock, nearest};
use fusion_providers::{
    Ability, Catalog, DeltaSink, Error, ModelInfo, ModelRequest, Provider, QuotaInfo, Result, Turn,
    TurnRequest,
};

use crate::fault::Details;
use crate::options::{Limits, Options, Quirks};
use crate::origin::{Origin, shown};
use crate::transport;
use crate::wire::{Answer, ChatRequest, ModelEntry, ModelPage, Unusable, find_model};

/// Thousands of models; a list without end stops here.
const MAX_PAGES: usize = 20;

/// An error inside an answer with status 200 that names no status of its own.
const UNSAID: u16 = 502;

/// A provider of the chat-completions format.
///
/// Follows no redirect, goes around a configured proxy for a server on this machine, and keeps its
/// connections for the next call.
#[derive(Debug)]
pub struct ChatCompletions {
    origin: Origin,
    base: Url,
    clock: Arc<dyn Clock>,
    headers: HeaderMap,
    quirks: Quirks,
    limits: Limits,
    /// Made at the first call, because it reads the certificates of the system.
    http: OnceLock<Client>,
}

impl ChatCompletions {
    /// Checks the options; makes no connection. The clock tells when a list or a quota was read.
    ///
    /// # Errors
    /// [`Error::Setup`] when the base URL, the key or a header can't be used, and for `http://` to
    /// another machine that is not allowed.
    pub fn new(options: Options, clock: Arc<dyn Clock>) -> Result<Self> {
        let key = options
            .api_key
            .as_ref()
            .map(|key| key.expose_secret().trim())
            .filter(|key| !key.is_empty())
            .map(SecretString::from);
        let mut origin = Origin {
            provider: options.name,
            key,
            key_variable: options.key_variable,
            endpoint: String::new(),
        };
        let base = base_url(&origin, &options.base_url, options.allow_plain_http)?;
        origin.endpoint = shown(&base);
        if let Some(key) = &origin.key
            && HeaderValue::from_str(key.expose_secret()).is_err()
        {
            let problem = "the key contains characters that no key has";
            return Err(origin.setup(problem.to_owned()));
        }
        Ok(Self {
            headers: headers(&origin, options.quirks, &options.headers)?,
            origin,
            base,
            clock,
            quirks: options.quirks,
            limits: options.limits,
            http: OnceLock::new(),
        })
    }

    fn http(&self) -> Result<&Client> {
        if let Some(client) = self.http.get() {
            return Ok(client);
        }
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            let problem = "this program has not installed a crypto provider for TLS";
            return Err(self.origin.setup(problem.to_owned()));
        }
        let mut builder = Client::builder()
            .user_agent(concat!("fusion-kit/", env!("CARGO_PKG_VERSION")))
            .default_headers(self.headers.clone())
            .redirect(Policy::none())
            .connect_timeout(self.limits.connect)
            .timeout(self.limits.total);
        if is_loopback(&self.base) {
            builder = builder.no_proxy();
        }
        if self.base.scheme() == "http" {
            // A machine without certificates can still ask its own server.
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build().map_err(|source| Error::Setup {
            provider: self.origin.provider.clone(),
            problem: "no HTTP client can be made; are the CA certificates of the system installed?"
                .to_owned(),
            source: Some(source.into()),
        })?;
        Ok(self.http.get_or_init(|| client))
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    /// Sends a request with the key; gives back any answer that is not a redirect.
    async fn send(&self, request: RequestBuilder) -> Result<Response> {
        let request = match self.origin.key()? {
            Some(key) => request.bearer_auth(key.expose_secret()),
            None => request,
        };
        let response = request
            .send()
            .await
            .map_err(|error| transport::no_answer(&self.origin, error, self.limits.total))?;
        if response.status().is_redirection() {
            let to = response.headers().get(LOCATION).map_or_else(
                || "another place".to_owned(),
                |to| self.origin.said(&String::from_utf8_lossy(to.as_bytes())),
            );
            return Err(self.origin.setup(format!(
                "{} redirects to {to}; set the base URL to the final place",
                self.origin.endpoint
            )));
        }
        Ok(response)
    }

    async fn fault(&self, response: Response, model: Option<&str>) -> Error {
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let body = transport::error_body(response).await;
        self.origin
            .fault(status, &headers, &Details::of_body(&body), model)
    }

    /// The models that the server offers; `None` when it has no such list.
    async fn models(&self) -> Result<Option<Vec<ModelEntry>>> {
        let mut url = self.url(&["models"]);
        let mut models = Vec::new();
        for _ in 0..MAX_PAGES {
            let response = self.send(self.http()?.get(url.clone())).await?;
            let status = response.status();
            let has_no_list = [
                StatusCode::NOT_FOUND,
                StatusCode::METHOD_NOT_ALLOWED,
                StatusCode::NOT_IMPLEMENTED,
            ];
            if has_no_list.contains(&status) {
                return Ok(None);
            }
            if !status.is_success() {
                return Err(self.fault(response, None).await);
            }
            let body = transport::body(&self.origin, response, self.limits.total).await?;
            let page: ModelPage = serde_json::from_slice(&body)
                .map_err(|error| self.origin.malformed(&error.to_string(), &body))?;
            let (mut entries, next) = page.into_parts();
            models.append(&mut entries);
            match next {
                Some(next) => url = self.next_page(&url, &next)?,
                None => break,
            }
        }
        Ok(Some(models))
    }

    /// The address of the next page, which gets the key only at the same server.
    fn next_page(&self, url: &Url, next: &str) -> Result<Url> {
        url.join(next)
            .ok()
            .filter(|next| next.origin() == url.origin())
            .ok_or_else(|| {
                let problem = "its list of models goes on at another server";
                self.origin.malformed(problem, next.as_bytes())
            })
    }

    fn unknown_model(&self, model: &str, models: &[ModelEntry]) -> Error {
        let only = match models {
            [only] => Some(only.id.as_str()),
            _ => None,
        };
        Error::UnknownModel {
            provider: self.origin.provider.clone(),
            model: model.to_owned(),
            nearest: nearest(model, models.iter().map(|entry| entry.id.as_str()))
                .or(only)
                .map(str::to_owned),
        }
    }
}

#[async_trait]
impl Provider for ChatCompletions {
    async fn spawn_agent(&self, request: &ModelRequest<'_>) -> Result<ModelInfo> {
        self.origin.key()?;
        let mut tools = Ability::Unknown;
        if let Some(models) = self.models().await? {
            let entry = find_model(&models, request.model, self.quirks.model_variants)
                .ok_or_else(|| self.unknown_model(request.model, &models))?;
            tools = entry.tools();
            if request.needs_tools && tools == Ability::No {
                return Err(Error::NoTools {
                    provider: self.origin.provider.clone(),
                    model: request.model.to_owned(),
                });
            }
        }
        Ok(ModelInfo {
            model: request.model.to_owned(),
            scripted: false,
            context_length: None,
            max_output_tokens: None,
            price: None,
            tools,
            json_schema: Ability::Unknown,
        })
    }

    async fn send_message(&self, request: &TurnRequest<'_>, _: &dyn DeltaSink) -> Result<Turn> {
        let body = ChatRequest::new(request, self.quirks.token_limit_field);
        let post = self
            .http()?
            .post(self.url(&["chat", "completions"]))
            .header("Idempotency-Key", request.place.key)
            .json(&body);
        let response = self.send(post).await?;
        if !response.status().is_success() {
            return Err(self.fault(response, Some(request.model)).await);
        }
        let headers = response.headers().clone();
        let body = transport::body(&self.origin, response, self.limits.total).await?;
        let answer = Answer::read(&body).map_err(|unusable| match unusable {
            Unusable::Cut(problem) => self.origin.truncated(problem),
            Unusable::Garbled(problem) => self.origin.malformed(&problem, &body),
            Unusable::Error(error) => {
                let details = Details::of_error(&error);
                let status = details.status.unwrap_or(UNSAID);
                self.origin
                    .fault(status, &headers, &details, Some(request.model))
            }
        })?;
        Ok(answer.into_turn(request))
    }

    /// Nothing was told: this format has no account to ask for.
    async fn get_quota_info(&self) -> Result<QuotaInfo> {
        Ok(QuotaInfo::default())
    }

    async fn list_models(&self) -> Result<Option<Catalog>> {
        let read_at = self.clock.now();
        let models = self.models().await?;
        Ok(models.map(|entries| Catalog {
            models: entries.into_iter().map(ModelEntry::into_model).collect(),
            read_at,
        }))
    }
}

fn base_url(origin: &Origin, text: &str, allow_plain_http: bool) -> Result<Url> {
    if text.trim().is_empty() {
        let problem =
            "it has no base URL; set it to the server's, such as http://127.0.0.1:8080/v1";
        return Err(origin.setup(problem.to_owned()));
    }
    let url = Url::parse(text.trim()).map_err(|error| {
        origin.setup(format!(
            "the base URL is not one ({error}); it looks like http://127.0.0.1:8080/v1"
        ))
    })?;
    if !url.username().is_empty() || url.password().is_some() {
        let problem = "the base URL contains a user or password; give the key by its own setting";
        return Err(origin.setup(problem.to_owned()));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if allow_plain_http || is_loopback(&url) => Ok(url),
        "http" => Err(origin.setup(format!(
            "{} is another machine and http:// shows key and prompts to everyone on the way; \
             use https:// or allow plain HTTP for this provider",
            shown(&url)
        ))),
        scheme => Err(origin.setup(format!(
            "the base URL begins with {scheme}:, it must be https:// or http://"
        ))),
    }
}

/// Those of the installation count before those of the vendor.
fn headers(origin: &Origin, quirks: Quirks, given: &[(String, String)]) -> Result<HeaderMap> {
    let vendor = quirks.headers.iter().copied();
    let given = given.iter();
    let given = given.map(|(name, value)| (name.as_str(), value.as_str()));
    let mut headers = HeaderMap::new();
    for (name, value) in vendor.chain(given) {
        let header = name
            .parse::<HeaderName>()
            .ok()
            .zip(value.parse::<HeaderValue>().ok());
        let Some((header, value)) = header else {
            return Err(origin.setup(format!("the header '{name}' can't be sent")));
        };
        headers.insert(header, value);
    }
    Ok(headers)
}

fn is_loopback(url: &Url) -> bool {
    // The host of an IPv6 URL stands in brackets.
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || address
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}
