//! Sending messages to places on the web that people named, and nowhere else.

use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use fusion_core::is_public;
use url::{Host, Url};

use crate::MAX_URL;

/// A message to be sent by POST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parcel {
    /// Where to.
    pub target: Target,
    /// Headers beside those that every request has.
    pub headers: Vec<(&'static str, String)>,
    /// JSON.
    pub body: String,
}

/// A place that was checked, and the addresses that its name may lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    url: Url,
    reach: Where,
}

/// Which addresses a name may lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Where {
    /// Those where servers are that are there for everyone.
    Public,
    /// Any.
    Any,
    /// Those in private networks and on this machine: what is sent there is not encrypted.
    Private,
}

/// Why a place is none to send to; begins with a verb.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoTarget(String);

impl Where {
    /// Whether a name may lead to this address.
    #[must_use]
    pub fn allows(self, address: IpAddr) -> bool {
        match self {
            Self::Public => is_public(address),
            Self::Any => true,
            Self::Private => !is_public(leads_to(address)),
        }
    }
}

/// Where an address leads in the end: some of IPv6 stand for one of IPv4 (RFC 4291, 6052, 3056).
fn leads_to(address: IpAddr) -> IpAddr {
    let IpAddr::V6(six) = address else {
        return address;
    };
    let four = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::from([a, b, c, d])
    };
    match six.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => four(high, low),
        _ => address,
    }
}

impl Target {
    /// Checks a URL. `allows_private` allows an address where no public server is, and there also
    /// `http://`.
    ///
    /// # Errors
    /// Why it is no place to send to.
    pub fn new(text: &str, allows_private: bool) -> Result<Self, NoTarget> {
        let refused = |why: &str| Err(NoTarget(why.to_owned()));
        if text.len() > MAX_URL {
            return Err(NoTarget(format!("has more than {MAX_URL} bytes")));
        }
        let Ok(url) = Url::parse(text) else {
            return refused("is no URL; it looks like https://hooks.example/fusion");
        };
        if !url.username().is_empty() || url.password().is_some() {
            return refused("holds a name or a password: what is sent is signed instead");
        }
        let reach = match (url.scheme(), allows_private) {
            ("https", false) => Where::Public,
            ("https", true) => Where::Any,
            ("http", true) => Where::Private,
            ("http", false) => {
                return refused(
                    "begins with http://, which is for private networks only and must be allowed",
                );
            }
            _ => return refused("begins with neither https:// nor http://"),
        };
        let target = Self { url, reach };
        match target.address() {
            Some(address) if !reach.allows(address) => Err(NoTarget(target.outside(address))),
            Some(_) | None => Ok(target),
        }
    }

    /// The URL.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// Which addresses its name may lead to.
    #[must_use]
    pub const fn reach(&self) -> Where {
        self.reach
    }

    /// What is wrong with an address that it leads to.
    #[must_use]
    pub fn outside(&self, address: IpAddr) -> String {
        match self.reach {
            Where::Public | Where::Any => format!(
                "leads to {address}, an address in a private network or one with a special meaning, \
                 and that is not allowed"
            ),
            Where::Private => {
                format!("leads to the public address {address}: what is sent there needs https://")
            }
        }
    }

    /// The address, where the URL has one instead of a name.
    fn address(&self) -> Option<IpAddr> {
        match self.url.host()? {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some(address.into()),
            Host::Ipv6(address) => Some(address.into()),
        }
    }
}

/// What a receiver answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answered {
    /// HTTP status.
    pub status: u16,
    /// How long it asks to be left alone.
    pub retry_after: Option<Duration>,
}

/// Why there was no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoAnswer(pub String);

/// Sends messages.
#[async_trait]
pub trait Post: std::fmt::Debug + Send + Sync {
    /// Sends a message once. A redirect is an answer and is not followed; what the answer holds is not
    /// kept.
    ///
    /// # Errors
    /// Nobody answers in time, or its name leads where it must not.
    async fn post(&self, parcel: &Parcel) -> Result<Answered, NoAnswer>;
}

#[cfg(test)]
mod tests {
    use super::{Target, Where};

    fn reach(text: &str, allows_private: bool) -> Option<Where> {
        let target = Target::new(text, allows_private).ok();
        target.map(|target| target.reach())
    }

    #[test]
    fn what_is_sent_goes_encrypted_to_public_places_unless_a_private_one_is_allowed() {
        for (text, public, private) in [
            (
                "https://hooks.example/a?b=c",
                Some(Where::Public),
                Some(Where::Any),
            ),
            (
                "https://8.8.8.8:8443/",
                Some(Where::Public),
                Some(Where::Any),
            ),
            ("https://10.0.0.1/", None, Some(Where::Any)),
            ("https://127.0.0.1/", None, Some(Where::Any)),
            ("https://169.254.169.254/", None, Some(Where::Any)),
            ("https://[::1]/", None, Some(Where::Any)),
            ("https://[::ffff:10.0.0.1]/", None, Some(Where::Any)),
            ("https://0x7f000001/", None, Some(Where::Any)),
            ("http://127.0.0.1:9000/", None, Some(Where::Private)),
            ("http://nas.local/", None, Some(Where::Private)),
            ("http://[::ffff:10.0.0.1]/", None, Some(Where::Private)),
            ("http://8.8.8.8/", None, None),
            ("http://[::ffff:8.8.8.8]/", None, None),
            ("http://[64:ff9b::808:808]/", None, None),
            ("http://[2002:808:808::1]/", None, None),
            ("https://me:secret@hooks.example/", None, None),
            ("ftp://hooks.example/", None, None),
            ("hooks.example", None, None),
            ("", None, None),
        ] {
            let found = (reach(text, false), reach(text, true));
            assert_eq!(found, (public, private), "{text}");
        }
    }
}
