//! The hosts that an agent may fetch from.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use url::{Host, Url};

/// Entries of one list at most.
pub const MAX_HOSTS: usize = 100;

/// Hosts by name, each with its scheme and port.
///
/// | Entry | Allows |
/// |---|---|
/// | `docs.rs` | `https://docs.rs/...` |
/// | `*.python.org` | every name below `python.org`, not `python.org` itself |
/// | `https://example.org:8443` | this port |
/// | `http://localhost:3000` | plain HTTP, at this host and port only |
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Hosts(Vec<Entry>);

/// Where a granted address may lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// To servers that are there for everyone: what a name leads to has to be looked at.
    Public,
    /// To this machine or network too: the list names the address, this machine or plain HTTP.
    Any,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    is_plain: bool,
    /// Names below the host, and not the host.
    is_wild: bool,
    host: Host<String>,
    port: u16,
    text: String,
}

/// An entry that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is not a host: write one such as docs.rs, *.python.org, https://example.org:8443 or \
     http://localhost:3000"
)]
pub struct NotAHost(pub String);

impl Hosts {
    /// Whether no host is granted.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How far this address may lead; `None` when it is not granted.
    #[must_use]
    pub fn reach(&self, url: &Url) -> Option<Reach> {
        let entry = self.0.iter().find(|entry| entry.allows(url))?;
        Some(entry.reach())
    }

    /// The entries as they were written.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|entry| entry.text.as_str())
    }
}

impl fmt::Display for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<&str> = self.iter().collect();
        f.write_str(&texts.join(", "))
    }
}

impl TryFrom<Vec<String>> for Hosts {
    type Error = NotAHost;

    fn try_from(texts: Vec<String>) -> Result<Self, NotAHost> {
        let entries = texts.iter().map(|text| text.parse::<Entry>());
        Ok(Self(entries.collect::<Result<Vec<Entry>, NotAHost>>()?))
    }
}

impl From<Hosts> for Vec<String> {
    fn from(hosts: Hosts) -> Self {
        hosts.0.into_iter().map(|entry| entry.text).collect()
    }
}

impl Entry {
    fn allows(&self, url: &Url) -> bool {
        let scheme = if self.is_plain { "http" } else { "https" };
        let host = url.host().map(|host| host.to_owned());
        url.scheme() == scheme
            && url.port_or_known_default() == Some(self.port)
            && host.is_some_and(|host| self.names(&host))
    }

    fn names(&self, host: &Host<String>) -> bool {
        match (&self.host, host) {
            (Host::Domain(own), Host::Domain(name)) if self.is_wild => name
                .strip_suffix(own.as_str())
                .is_some_and(|below| below.len() > 1 && below.ends_with('.')),
            (own, host) => own == host,
        }
    }

    fn reach(&self) -> Reach {
        let is_own = match &self.host {
            Host::Domain(name) => name == "localhost",
            Host::Ipv4(_) | Host::Ipv6(_) => true,
        };
        if self.is_plain || is_own {
            Reach::Any
        } else {
            Reach::Public
        }
    }
}

impl FromStr for Entry {
    type Err = NotAHost;

    fn from_str(text: &str) -> Result<Self, NotAHost> {
        let refused = || NotAHost(text.to_owned());
        let (scheme, rest) = text.split_once("://").unwrap_or(("https", text));
        let is_plain = match scheme {
            "https" => false,
            "http" => true,
            _ => return Err(refused()),
        };
        let (is_wild, rest) = match rest.strip_prefix("*.") {
            Some(below) => (true, below),
            None => (false, rest),
        };
        if rest.contains(['/', '@', '?', '#', '*']) || rest.is_empty() {
            return Err(refused());
        }
        let url = Url::parse(&format!("{scheme}://{rest}/")).map_err(|_| refused())?;
        let host = url.host().map(|host| host.to_owned()).ok_or_else(refused)?;
        // `*.localhost`, `*.10.0.0.1`, `*.com`: nobody means these.
        let is_name = matches!(&host, Host::Domain(name) if name.contains('.'));
        if is_wild && (!is_name || is_plain) {
            return Err(refused());
        }
        Ok(Self {
            is_plain,
            is_wild,
            port: url.port_or_known_default().ok_or_else(refused)?,
            host,
            text: text.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::Url;

    use super::{Hosts, NotAHost, Reach};

    fn hosts(texts: &[&str]) -> Hosts {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        Hosts::try_from(texts).unwrap()
    }

    fn reach(entry: &str, url: &str) -> Option<Reach> {
        hosts(&[entry]).reach(&Url::parse(url).unwrap())
    }

    #[test]
    fn an_entry_allows_its_host_its_scheme_and_its_port() {
        let (any, public) = (Some(Reach::Any), Some(Reach::Public));
        for (entry, url, expected) in [
            ("docs.rs", "https://docs.rs/x?y#z", public),
            ("docs.rs", "https://DOCS.rs:443/", public),
            ("DOCS.rs", "https://docs.rs/", public),
            ("docs.rs", "http://docs.rs/", None),
            ("docs.rs", "https://docs.rs:8443/", None),
            ("docs.rs", "https://evil-docs.rs/", None),
            ("docs.rs", "https://a.docs.rs/", None),
            ("docs.rs", "https://docs.rs.evil.com/", None),
            ("docs.rs", "https://docs.rs@evil.com/", None),
            ("docs.rs", "ftp://docs.rs/", None),
            ("docs.rs", "file:///docs.rs", None),
            ("*.python.org", "https://docs.python.org/3", public),
            ("*.python.org", "https://a.b.python.org/3", public),
            ("*.python.org", "https://python.org/3", None),
            ("*.python.org", "https://evilpython.org/", None),
            ("*.python.org", "https://.python.org/", None),
            (
                "https://example.org:8443",
                "https://example.org:8443/",
                public,
            ),
            ("https://example.org:8443", "https://example.org/", None),
            ("http://localhost:3000", "http://localhost:3000/", any),
            ("http://localhost:3000", "http://localhost/", None),
            ("http://localhost:3000", "https://localhost:3000/", None),
            ("10.0.0.1", "https://10.0.0.1/", any),
            ("10.0.0.1", "https://0x0a000001/", any),
            ("[::1]:8443", "https://[::1]:8443/", any),
            ("bücher.example", "https://xn--bcher-kva.example/", public),
        ] {
            assert_eq!(reach(entry, url), expected, "{entry} {url}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in [
            "",
            "*",
            "*.",
            "*.com",
            "*.localhost",
            "*.10.0.0.1",
            "docs.rs/x",
            "user@docs.rs",
            "ftp://docs.rs",
            "http://*.docs.rs",
            "a b",
            "docs.rs:99999",
            "https://",
            "docs.*.rs",
        ] {
            let refused = Hosts::try_from(vec![text.to_owned()]);
            assert_eq!(refused, Err(NotAHost(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn a_list_is_stored_as_it_was_written() {
        let list = hosts(&["DOCS.rs", "*.python.org"]);
        assert_eq!(list.to_string(), "DOCS.rs, *.python.org");
        let texts: Vec<String> = list.clone().into();
        assert_eq!(Hosts::try_from(texts), Ok(list));
    }

    proptest! {
        #[test]
        fn nothing_but_the_host_is_granted(url in "https?://[a-z@.:/#?\\\\]{0,20}docs\\.rs[a-z@.:/#?\\\\]{0,20}") {
            if let Ok(url) = Url::parse(&url)
                && hosts(&["docs.rs"]).reach(&url).is_some()
            {
                prop_assert_eq!(url.host_str(), Some("docs.rs"));
                prop_assert_eq!(url.scheme(), "https");
            }
        }
    }
}
