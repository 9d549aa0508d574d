//! Where the server is, and who we are to it.

use std::fmt;
use std::str::FromStr;

use redis::{ConnectionInfo, IntoConnectionInfo, ProtocolVersion};

use crate::{Error, Result};

/// The forms of a URL, for messages.
const FORMS: &str = "write redis://USER:PASSWORD@HOST:PORT, rediss:// for TLS, \
     redis+cluster://HOST:PORT,HOST:PORT for a cluster, or redis+unix:///PATH for a socket";

/// One server, or some nodes of a cluster, any of which will do: nodes pass on to each other what is
/// published.
///
/// Read from a URL with one of the schemes `redis`, `rediss` (TLS), `redis+cluster`, `rediss+cluster`
/// and `redis+unix`. Neither `Debug` nor `Display` shows the user or the password.
#[derive(Clone)]
pub struct Address {
    nodes: Vec<ConnectionInfo>,
}

impl Address {
    /// Each place to try, and its name without credentials.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = (&ConnectionInfo, String)> + Clone {
        self.nodes.iter().map(|node| (node, name(node)))
    }
}

fn name(node: &ConnectionInfo) -> String {
    node.addr().to_string()
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(url: &str) -> Result<Self> {
        let parts = Parts::of(url.trim())?;
        let nodes = parts.hosts.iter().map(|host| parts.node(host));
        Ok(Self {
            nodes: nodes.collect::<Result<_>>()?,
        })
    }
}

/// A URL taken apart as far as it takes to see several hosts in it.
struct Parts<'a> {
    scheme: &'static str,
    credentials: &'a str,
    hosts: Vec<&'a str>,
    tail: &'a str,
}

impl<'a> Parts<'a> {
    fn of(url: &'a str) -> Result<Self> {
        let (scheme, rest) = url.split_once("://").ok_or_else(|| refused(FORMS))?;
        let (scheme, is_cluster) = match scheme {
            "redis" => ("redis", false),
            "rediss" => ("rediss", false),
            "redis+cluster" => ("redis", true),
            "rediss+cluster" => ("rediss", true),
            "redis+unix" => ("redis+unix", false),
            _ => return Err(refused(FORMS)),
        };
        if rest.contains('#') {
            return Err(refused("it has a '#'; in a password write %23"));
        }
        let (authority, tail) = rest
            .find(['/', '?'])
            .and_then(|end| rest.split_at_checked(end))
            .unwrap_or((rest, ""));
        let (credentials, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let hosts: Vec<&str> = hosts.split(',').collect();
        if hosts.len() > 1 && !is_cluster {
            return Err(refused(
                "it names several hosts: write redis+cluster:// or rediss+cluster://",
            ));
        }
        if hosts.iter().any(|host| host.is_empty()) && scheme != "redis+unix" {
            return Err(refused("a host is missing"));
        }
        Ok(Self {
            scheme,
            credentials,
            hosts,
            tail,
        })
    }

    fn node(&self, host: &str) -> Result<ConnectionInfo> {
        let Self {
            scheme,
            credentials,
            tail,
            ..
        } = self;
        let at = if credentials.is_empty() { "" } else { "@" };
        let url = format!("{scheme}://{credentials}{at}{host}{tail}");
        // The library's words may repeat the URL, and with it the password.
        let node = url
            .into_connection_info()
            .map_err(|_| refused(&format!("a part of it can't be read: {FORMS}")))?;
        // With the third version of the protocol, one connection can publish and listen. Saying the
        // library's name would be one more thing that a user has to be allowed.
        let settings = node.redis_settings().clone();
        let settings = settings
            .set_protocol(ProtocolVersion::RESP3)
            .set_skip_set_lib_name();
        // Else a batch waits for the answer to the one before, and the server for more of it: 40 ms.
        let tcp = node.tcp_settings().clone().set_nodelay(true);
        Ok(node.set_redis_settings(settings).set_tcp_settings(tcp))
    }
}

fn refused(fault: &str) -> Error {
    Error::Url {
        fault: fault.to_owned(),
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.nodes().map(|(_, name)| name).collect();
        f.write_str(&names.join(", "))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

#[cfg(test)]
mod tests {
    use redis::{ConnectionAddr, ProtocolVersion};

    use super::Address;
    use crate::Error;

    fn address(url: &str) -> Address {
        url.parse().unwrap()
    }

    /// Address, TLS, user and password of each node.
    fn nodes(url: &str) -> Vec<(String, bool, Option<String>, Option<String>)> {
        let address = address(url);
        let nodes = address.nodes().map(|(node, name)| {
            let settings = node.redis_settings();
            assert_eq!(settings.protocol(), ProtocolVersion::RESP3);
            (
                name,
                matches!(node.addr(), ConnectionAddr::TcpTls { .. }),
                settings.username().map(str::to_owned),
                settings.password().map(str::to_owned),
            )
        });
        nodes.collect()
    }

    #[test]
    fn every_form_is_read() {
        let (user, password) = (Some("me".to_owned()), Some("se/cret@".to_owned()));
        let node = |name: &str, tls| (name.to_owned(), tls, user.clone(), password.clone());
        for (url, expected) in [
            (
                "redis://me:se%2Fcret%40@h:7000/2",
                vec![node("h:7000", false)],
            ),
            ("rediss://me:se%2Fcret%40@h", vec![node("h:6379", true)]),
            (
                "redis+cluster://me:se%2Fcret%40@a:7000,b,[::1]:7001",
                vec![
                    node("a:7000", false),
                    node("b:6379", false),
                    node("::1:7001", false),
                ],
            ),
            (
                "rediss+cluster://me:se%2Fcret%40@a,b/",
                vec![node("a:6379", true), node("b:6379", true)],
            ),
            (
                " redis://localhost ",
                vec![("localhost:6379".to_owned(), false, None, None)],
            ),
            (
                "redis+unix:///run/redis.sock",
                vec![("/run/redis.sock".to_owned(), false, None, None)],
            ),
        ] {
            assert_eq!(nodes(url), expected, "{url}");
        }
    }

    #[test]
    fn what_is_no_url_of_redis_is_refused_without_repeating_it() {
        for url in [
            "",
            "canary",
            "canary@localhost",
            "http://me:canary@h",
            "redis://",
            "redis://me:canary@",
            "redis://me:canary@a,b",
            "redis+cluster://me:canary@a,,b",
            "redis://me:canary@h:port",
            "redis://me:canary@h:70000",
            "redis://me:canary@h/canary",
            "redis://me:can#ary@h",
            "redis://me:canary@0.0.0.0",
            "redis://me:canary@h:1:2",
        ] {
            let refused = url.parse::<Address>().unwrap_err();
            assert!(matches!(refused, Error::Url { .. }), "{url}: {refused}");
            assert!(
                !format!("{refused} {refused:?}").contains("ary"),
                "{refused}"
            );
        }
    }

    #[test]
    fn no_credentials_show() {
        let address = address("redis+cluster://canary:canary@a:1,b:2");
        assert_eq!(format!("{address}"), "a:1, b:2");
        assert_eq!(format!("{address:?}"), "Address(a:1, b:2)");
    }
}
