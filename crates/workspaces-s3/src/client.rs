//! What asks the service: as all of this program ask, with the machine's certificates and no redirects.

use std::time::Duration;

use object_store::client::{HttpClient, HttpConnector};
use object_store::{ClientOptions, Error};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use rustls::crypto::CryptoProvider;

use crate::place::is_loopback;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);

/// Makes the client of one service.
#[derive(Debug)]
pub(crate) struct Connector {
    is_plain: bool,
    is_here: bool,
    patience: Duration,
}

impl Connector {
    /// For the service at this address, that of AWS without it; a request may take so long.
    pub(crate) fn new(endpoint: Option<&Url>, patience: Duration) -> Self {
        Self {
            is_plain: endpoint.is_some_and(|url| url.scheme() == "http"),
            is_here: endpoint.is_some_and(is_loopback),
            patience,
        }
    }
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        if CryptoProvider::get_default().is_none() {
            let told = "this program has not installed a crypto provider for TLS";
            return Err(unmade(told));
        }
        let mut builder = Client::builder()
            .user_agent(concat!("fusion-kit/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .connect_timeout(CONNECT.min(self.patience))
            .timeout(self.patience);
        if self.is_here {
            builder = builder.no_proxy();
        }
        if self.is_plain {
            // A machine without certificates can still ask its own server.
            builder = builder.tls_certs_only([]);
        }
        builder.build().map(HttpClient::new).map_err(unmade)
    }
}

fn unmade(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Generic {
        store: "S3",
        source: why.into(),
    }
}
