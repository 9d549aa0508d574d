//! The two HTTP clients: for servers that are there for everyone, and for those granted by address.

use std::error::Error as StdError;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use fusion_core::is_public;
use fusion_web::{NoPage, Reach};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder};

/// How long a server may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// Made at the first page, because they read the certificates of the system.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    public: OnceLock<Client>,
    any: OnceLock<Client>,
}

impl Clients {
    pub(crate) fn get(&self, reach: Reach) -> Result<&Client, NoPage> {
        let (cell, builder) = match reach {
            Reach::Public => (&self.public, base().dns_resolver(Arc::new(PublicOnly))),
            Reach::Any => (&self.any, base()),
        };
        if let Some(client) = cell.get() {
            return Ok(client);
        }
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            let told = "this program has not installed a crypto provider for TLS";
            return Err(NoPage(told.to_owned()));
        }
        let client = builder.build().map_err(|error| {
            let told = fusion_core::error_chain(&error);
            NoPage(format!(
                "no HTTP client can be made, are the CA certificates of the system installed? {told}"
            ))
        })?;
        Ok(cell.get_or_init(|| client))
    }
}

fn base() -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("fusion-kit/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT)
}

/// Resolves names to public addresses, or not.
#[derive(Debug)]
struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let addresses: Vec<SocketAddr> = found.collect();
            if let Some(other) = addresses.iter().find(|address| !is_public(address.ip())) {
                return Err(NotPublic(other.ip()).into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// A granted name led where no public server is.
#[derive(Debug)]
struct NotPublic(IpAddr);

impl fmt::Display for NotPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(address) = self;
        write!(
            f,
            "its name leads to {address}, which is not a public address"
        )
    }
}

impl StdError for NotPublic {}

#[cfg(test)]
mod tests {
    use reqwest::dns::Resolve;

    use super::PublicOnly;

    #[tokio::test]
    async fn a_name_that_leads_to_this_machine_is_not_public() {
        let name = "localhost".parse().unwrap();
        let refused = PublicOnly.resolve(name).await.err().unwrap().to_string();
        assert!(
            refused.ends_with("which is not a public address"),
            "{refused}"
        );
    }
}
