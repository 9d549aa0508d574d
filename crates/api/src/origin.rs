//! By which names this server may be called. A page of another site that a name was bent for (DNS
//! rebinding), or that sends requests with the user's browser, is refused here.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, StatusCode, header};

use crate::cors::Origins;
use crate::problem::{Refusal, Result};

/// The names of this server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// Only this machine can reach it.
    is_loopback: bool,
    port: u16,
    /// Further names, in lower case.
    more: Vec<String>,
}

impl Names {
    /// The names of a server that listens here, and those that it was given besides.
    #[must_use]
    pub fn new(listening: SocketAddr, more: &[String]) -> Self {
        Self {
            is_loopback: listening.ip().is_loopback(),
            port: listening.port(),
            more: more.iter().map(|name| name.to_lowercase()).collect(),
        }
    }

    /// Whether clients may say `Host: host`. An address can't be bent as a name can; and where only
    /// this machine gets in, the port must be right too.
    fn has(&self, host: &str) -> bool {
        let host = host.to_lowercase();
        let (name, port) = split(&host);
        if self
            .more
            .iter()
            .any(|known| *known == host || *known == name)
        {
            return true;
        }
        let is_right_port = port.is_some_and(|port| port.parse() == Ok(self.port));
        let address = name
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<IpAddr>();
        match address {
            Ok(address) if self.is_loopback => address.is_loopback() && is_right_port,
            Ok(_) => true,
            Err(_) => name == "localhost" && (is_right_port || !self.is_loopback),
        }
    }

    /// Checks the headers that say who was called and by which page: one of this server, or of the
    /// `others`.
    pub(crate) fn check(&self, headers: &HeaderMap, others: &Origins) -> Result<()> {
        let mut hosts = headers.get_all(header::HOST).iter();
        let host = match (
            hosts.next().and_then(|host| host.to_str().ok()),
            hosts.next(),
        ) {
            (Some(host), None) => host,
            (_, _) => return Err(misdirected("exactly one Host header is needed")),
        };
        if !self.has(host) {
            return Err(misdirected("this server is not called so").with_hint(
                "call it by its address, or name it in API_ALLOWED_HOSTS when it is started",
            ));
        }
        for origin in headers.get_all(header::ORIGIN) {
            let same = origin.to_str().is_ok_and(|origin| {
                let authority = origin.split_once("://").map(|(_, authority)| authority);
                authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
            });
            if !same && !others.has(origin) {
                return Err(Refusal::new(
                    StatusCode::FORBIDDEN,
                    "origin",
                    "pages of other sites may not call this server",
                )
                .with_hint("name the site in API_CORS_ORIGINS when the server is started"));
            }
        }
        Ok(())
    }
}

fn misdirected(detail: &str) -> Refusal {
    Refusal::new(StatusCode::MISDIRECTED_REQUEST, "host", detail)
}

/// The name and the port of a `Host`.
fn split(host: &str) -> (&str, Option<&str>) {
    match host.rsplit_once(':') {
        // The colons of an address in brackets are no port.
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        Some(_) | None => (host, None),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue, header};

    use super::{Names, Origins};

    fn names(listening: &str, more: &[&str]) -> Names {
        let more: Vec<String> = more.iter().map(|name| (*name).to_owned()).collect();
        Names::new(listening.parse().unwrap(), &more)
    }

    fn may(names: &Names, host: &str, origin: Option<&str>) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_str(host).unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, HeaderValue::from_str(origin).unwrap());
        }
        names.check(&headers, &Origins::default()).is_ok()
    }

    #[test]
    fn on_loopback_only_the_names_of_loopback_with_our_port_are_ours() {
        let names = names("127.0.0.1:8000", &[]);
        let allowed = [
            "localhost:8000",
            "127.0.0.1:8000",
            "[::1]:8000",
            "LOCALHOST:8000",
        ];
        let refused = [
            "localhost",
            "localhost:80",
            "evil.example:8000",
            "127.0.0.1.evil.example:8000",
            "10.0.0.1:8000",
            "localhost:8000:8000",
            "",
            "localhost.:8000",
        ];
        assert_eq!(
            (
                allowed.map(|host| may(&names, host, None)),
                refused.map(|host| may(&names, host, None))
            ),
            ([true; 4], [false; 8])
        );
    }

    #[test]
    fn on_all_addresses_names_must_be_known() {
        let names = names("0.0.0.0:8000", &["fusion.example"]);
        let hosts = [
            "10.0.0.1:80",
            "fusion.example",
            "Fusion.Example:443",
            "evil.example",
        ];
        assert_eq!(
            hosts.map(|host| may(&names, host, None)),
            [true, true, true, false]
        );
    }

    #[test]
    fn a_page_of_another_origin_is_refused() {
        let names = names("127.0.0.1:8000", &[]);
        let origins = [
            "http://127.0.0.1:8000",
            "http://localhost:8000",
            "https://evil.example",
            "null",
            "http://127.0.0.1:8001",
        ];
        assert_eq!(
            origins.map(|origin| may(&names, "127.0.0.1:8000", Some(origin))),
            [true, false, false, false, false]
        );
    }

    #[test]
    fn two_hosts_are_none() {
        let names = names("127.0.0.1:8000", &[]);
        let mut headers = HeaderMap::new();
        let host = HeaderValue::from_static("127.0.0.1:8000");
        headers.append(header::HOST, host.clone());
        headers.append(header::HOST, host);
        let none = Origins::default();
        assert!(names.check(&headers, &none).is_err());
        assert!(names.check(&HeaderMap::new(), &none).is_err());
    }
}
