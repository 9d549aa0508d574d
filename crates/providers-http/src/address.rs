//! Where a provider may be: what a base URL may look like and what its name may lead to.

use std::error::Error as StdError;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use fusion_core::is_public;
use fusion_providers::Result;

use crate::origin::{Origin, shown};

/// Checks a base URL. `allow_private` allows an address where no public server is.
pub(crate) fn base_url(
    origin: &Origin,
    text: &str,
    allow_plain_http: bool,
    allow_private: bool,
) -> Result<Url> {
    let text = text.trim();
    if text.is_empty() {
        let problem =
            "it has no base URL; set it to the server's, such as http://127.0.0.1:8080/v1";
        return Err(origin.setup(problem.to_owned()));
    }
    let url = Url::parse(text).map_err(|error| {
        origin.setup(format!(
            "the base URL is not one ({error}); it looks like http://127.0.0.1:8080/v1"
        ))
    })?;
    if !url.username().is_empty() || url.password().is_some() {
        let problem = "the base URL contains a user or password; give the key by its own setting";
        return Err(origin.setup(problem.to_owned()));
    }
    match url.scheme() {
        "https" => match ip(&url) {
            Some(address) if !allow_private && !address.is_loopback() && !is_public(address) => {
                Err(origin.setup(format!("{} is {}", shown(&url), NotPublic::WORDS)))
            }
            Some(_) | None => Ok(url),
        },
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

/// Whether a URL names this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    url.host_str() == Some(LOCALHOST) || ip(url).is_some_and(|address| address.is_loopback())
}

const LOCALHOST: &str = "localhost";

fn ip(url: &Url) -> Option<IpAddr> {
    // The host of an IPv6 URL stands in brackets.
    let host = url.host_str()?;
    host.trim_start_matches('[')
        .trim_end_matches(']')
        .parse()
        .ok()
}

/// A name led to an address where no public server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotPublic(IpAddr);

impl NotPublic {
    const WORDS: &str = "an address in a private network or one with a special meaning; \
                         allow private addresses for this provider if it is meant";
}

impl fmt::Display for NotPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "its name leads to {}, {}", self.0, Self::WORDS)
    }
}

impl StdError for NotPublic {}

/// Resolves names, and refuses what a provider's own name must not lead to: the connection goes to
/// the very addresses that were checked. Other names, such as a proxy's, are not looked at.
#[derive(Debug, Clone)]
pub(crate) struct CheckedResolver {
    host: String,
    rule: Rule,
}

/// What the addresses of a name must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// On this machine.
    Loopback,
    /// Public.
    Public,
    /// Anything.
    Any,
}

impl CheckedResolver {
    pub(crate) fn new(base: &Url, allow_private: bool) -> Self {
        let host = base.host_str().unwrap_or_default().to_owned();
        let rule = match base.scheme() {
            _ if host == LOCALHOST => Rule::Loopback,
            "https" if !allow_private => Rule::Public,
            _ => Rule::Any,
        };
        Self { host, rule }
    }

    fn check(&self, name: &str, addresses: &[SocketAddr]) -> Result<(), NotPublic> {
        if name != self.host {
            return Ok(());
        }
        let is_fit = |address: IpAddr| match self.rule {
            Rule::Loopback => address.is_loopback(),
            Rule::Public => is_public(address),
            Rule::Any => true,
        };
        match addresses.iter().find(|address| !is_fit(address.ip())) {
            Some(address) => Err(NotPublic(address.ip())),
            None => Ok(()),
        }
    }
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let addresses: Vec<SocketAddr> = found.collect();
            resolver.check(name.as_str(), &addresses)?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use reqwest::Url;

    use super::{CheckedResolver, NotPublic};

    fn check(base: &str, allow_private: bool, name: &str, address: &str) -> Result<(), NotPublic> {
        let resolver = CheckedResolver::new(&Url::parse(base).unwrap(), allow_private);
        let address = SocketAddr::new(address.parse().unwrap(), 0);
        let public = SocketAddr::new("1.1.1.1".parse().unwrap(), 0);
        let first = if address.ip().is_loopback() {
            address
        } else {
            public
        };
        resolver.check(name, &[first, address])
    }

    #[test]
    fn a_name_may_lead_only_where_its_rule_allows() {
        let base = "https://api.example.com/v1";
        let private = "10.0.0.1";
        let refused = Err(NotPublic(private.parse().unwrap()));
        assert_eq!(check(base, false, "api.example.com", private), refused);
        assert_eq!(check(base, false, "api.example.com", "8.8.8.8"), Ok(()));
        assert_eq!(check(base, true, "api.example.com", private), Ok(()));
        assert_eq!(check(base, false, "proxy.example.com", private), Ok(()));
        let plain = "http://nas.example.com/v1";
        assert_eq!(check(plain, false, "nas.example.com", private), Ok(()));
        let local = "http://localhost:8080/v1";
        assert_eq!(check(local, false, "localhost", "127.0.0.1"), Ok(()));
        assert!(check(local, true, "localhost", private).is_err());
    }
}
