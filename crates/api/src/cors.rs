//! Which pages of other sites may call this server
//! (CORS, <https://fetch.spec.whatwg.org/#http-cors-protocol>).

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};
use url::Url;

/// How long a browser need not ask again.
const KEPT: Duration = Duration::from_secs(600);

/// What such a page may send.
const SENT: [HeaderName; 8] = [
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("last-event-id"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("x-request-id"),
];

/// What such a page may read.
const READ: [HeaderName; 7] = [
    header::CONTENT_DISPOSITION,
    header::ETAG,
    header::LOCATION,
    header::RETRY_AFTER,
    HeaderName::from_static("idempotent-replayed"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("x-trace-id"),
];

/// The origins whose pages may call this server with a token of their own. Each is named: there is
/// no `*`, and what a browser keeps (cookies) is never let along.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins(Vec<HeaderValue>);

impl Origins {
    /// Of texts such as `https://ops.example:8443`, as browsers write them.
    ///
    /// # Errors
    /// The first text that is no origin.
    pub fn new<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, &'a str> {
        let origins = texts.into_iter().map(|text| origin(text).ok_or(text));
        origins.collect::<Result<_, _>>().map(Self)
    }

    pub(crate) fn has(&self, origin: &HeaderValue) -> bool {
        self.0.contains(origin)
    }

    /// What answers for them; `None` when there is none, so that nothing is said of CORS then.
    pub(crate) fn layer(&self) -> Option<CorsLayer> {
        if self.0.is_empty() {
            return None;
        }
        let methods = [
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ];
        let layer = CorsLayer::new()
            .allow_origin(AllowOrigin::list(self.0.clone()))
            .allow_methods(methods)
            .allow_headers(SENT)
            .expose_headers(READ)
            .max_age(KEPT);
        Some(layer)
    }
}

fn origin(text: &str) -> Option<HeaderValue> {
    let url = Url::parse(text).ok()?;
    let is_web = matches!(url.scheme(), "http" | "https");
    let is_whole = url.origin().ascii_serialization() == text;
    let is_one = !text.contains('*');
    (is_web && is_whole && is_one).then(|| HeaderValue::from_str(text).ok())?
}

#[cfg(test)]
mod tests {
    use super::Origins;

    #[test]
    fn an_origin_is_a_scheme_a_name_and_a_port_as_browsers_write_them() {
        let right = [
            "https://ops.example",
            "http://localhost:3000",
            "http://[::1]:1",
        ];
        assert!(Origins::new(right).is_ok());
        for wrong in [
            "*",
            "null",
            "ops.example",
            "https://ops.example/",
            "https://Ops.example",
            "https://ops.example:443",
            "https://me@ops.example",
            "https://*.example",
            "file:///tmp",
            "ftp://ops.example",
        ] {
            assert_eq!(Origins::new(["https://a.b", wrong]), Err(wrong));
        }
    }
}
