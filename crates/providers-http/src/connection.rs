//! The way to one server: its address, its key, its HTTP client.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, Url};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::timeout;

use fusion_providers::{Error, Result};

use crate::address::{CheckedResolver, base_url, is_loopback};
use crate::options::{Limits, Options, Quirks};
use crate::origin::{Origin, shown};
use crate::transport;
use crate::wire::Wire;

/// The way to one server. Follows no redirect, goes around a configured proxy for a server on this
/// machine, sends the key to the base URL's own host only, and keeps its connections for later calls.
pub(crate) struct Connection {
    pub(crate) origin: Origin,
    pub(crate) limits: Limits,
    base: Url,
    headers: HeaderMap,
    allow_private_addresses: bool,
    /// Made at the first call, because it reads the certificates of the system.
    http: OnceLock<Client>,
}

impl Connection {
    /// Checks the options; makes no connection.
    pub(crate) fn new(options: Options, wire: &dyn Wire) -> Result<Self> {
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
        let base = base_url(
            &origin,
            &options.base_url,
            options.allow_plain_http,
            options.allow_private_addresses,
        )?;
        origin.endpoint = shown(&base);
        let mut headers = headers(&origin, options.quirks, &options.headers)?;
        if let Some(key) = &origin.key
            && !wire.authorize(&mut headers, key)
        {
            let problem = "the key contains characters that no key has";
            return Err(origin.setup(problem.to_owned()));
        }
        Ok(Self {
            origin,
            limits: options.limits,
            base,
            headers,
            allow_private_addresses: options.allow_private_addresses,
            http: OnceLock::new(),
        })
    }

    pub(crate) fn http(&self) -> Result<&Client> {
        if let Some(client) = self.http.get() {
            return Ok(client);
        }
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            let problem = "this program has not installed a crypto provider for TLS";
            return Err(self.origin.setup(problem.to_owned()));
        }
        let resolver = CheckedResolver::new(&self.base, self.allow_private_addresses);
        let mut builder = Client::builder()
            .user_agent(concat!("fusion-kit/", env!("CARGO_PKG_VERSION")))
            .default_headers(self.headers.clone())
            .redirect(Policy::none())
            .dns_resolver(Arc::new(resolver))
            .tcp_nodelay(true)
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

    /// An address below the base URL.
    pub(crate) fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    /// Sends a request; gives back any answer that is not a redirect. `limit` is for its first bytes.
    pub(crate) async fn send(&self, request: RequestBuilder, limit: Duration) -> Result<Response> {
        self.origin.key()?;
        let response = match timeout(limit, request.send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                return Err(transport::no_answer(
                    &self.origin,
                    error,
                    limit.min(self.limits.total),
                ));
            }
            Err(_) => return Err(self.origin.timeout(limit)),
        };
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

    /// Asks for a list or an account.
    pub(crate) async fn get(&self, url: Url) -> Result<Response> {
        let limit = self.limits.lookup;
        self.send(self.http()?.get(url).timeout(limit), limit).await
    }

    /// The body of a good answer to that, all of it.
    pub(crate) async fn body(&self, response: Response) -> Result<Vec<u8>> {
        transport::body(&self.origin, response, self.limits.lookup).await
    }
}

/// Without the base URL itself, whose query may hold a key.
impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("origin", &self.origin)
            .field("limits", &self.limits)
            .field("headers", &self.headers)
            .finish_non_exhaustive()
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
