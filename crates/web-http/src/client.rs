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
            Reach::Public => (
                &self.public,
                base().dns_resolver(Arc::new(Checked::new(is_public))),
            ),
            Reach::Any => (&self.any, base()),
        };
        if let Some(client) = cell.get() {
            return Ok(client);
        }
        let client = build(builder)?;
        Ok(cell.get_or_init(|| client))
    }
}

pub(crate) fn build(builder: ClientBuilder) -> Result<Client, NoPage> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        let told = "this program has not installed a crypto provider for TLS";
        return Err(NoPage(told.to_owned()));
    }
    builder.build().map_err(|error| {
        let told = fusion_core::error_chain(&error);
        NoPage(format!(
            "no HTTP client can be made, are the CA certificates of the system installed? {told}"
        ))
    })
}

pub(crate) fn base() -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("fusion-kit/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT)
}

/// Resolves names to addresses that all are allowed, or not.
#[derive(Debug)]
pub(crate) struct Checked<F>(F);

impl<F> Checked<F>
where
    F: Fn(IpAddr) -> bool + Clone + Send + Sync + 'static,
{
    pub(crate) const fn new(allows: F) -> Self {
        Self(allows)
    }
}

impl<F> Resolve for Checked<F>
where
    F: Fn(IpAddr) -> bool + Clone + Send + Sync + 'static,
{
    fn resolve(&self, name: Name) -> Resolving {
        let allows = self.0.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let addresses: Vec<SocketAddr> = found.collect();
            if let Some(other) = addresses.iter().find(|address| !allows(address.ip())) {
                return Err(Outside(other.ip()).into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// A name led where it must not: mostly where no public server is.
#[derive(Debug)]
struct Outside(IpAddr);

impl fmt::Display for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(address) = self;
        let kind = if is_public(*address) {
            "a public address, and what is sent there needs https://"
        } else {
            "not a public address"
        };
        write!(f, "its name leads to {address}, which is {kind}")
    }
}

impl StdError for Outside {}

#[cfg(test)]
mod tests {
    use fusion_core::is_public;
    use reqwest::dns::Resolve;

    use super::Checked;

    #[tokio::test]
    async fn a_name_that_leads_to_this_machine_is_not_public() {
        let name = "localhost".parse().unwrap();
        let refused = Checked::new(is_public)
            .resolve(name)
            .await
            .err()
            .unwrap()
            .to_string();
        assert!(
            refused.ends_with("which is not a public address"),
            "{refused}"
        );
    }
}
