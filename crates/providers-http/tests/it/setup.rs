use std::net::{IpAddr, SocketAddr};

use fusion_providers::Error;
use fusion_providers_http::{HttpProvider, Options};
use wiremock::MockServer;

use crate::support::{ask, client_with, clock, spawn};

fn fault(options: Options) -> String {
    match HttpProvider::new(options, clock()) {
        Err(error @ Error::Setup { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

fn at(base_url: &str) -> Options {
    Options::openai_compatible(base_url, None)
}

#[test]
fn a_base_url_that_can_t_be_used_says_why() {
    let cases = [
        ("127.0.0.1:8080", "the base URL is not one"),
        ("ftp://example.com", "begins with ftp:"),
        (
            "http://example.com/v1",
            "http://example.com/v1 is another machine",
        ),
        ("http://127.0.0.1.example.com/v1", "is another machine"),
        ("http://192.168.1.7:11434/v1", "is another machine"),
        (
            "https://user:pass@example.com/v1",
            "contains a user or password",
        ),
    ];
    for (url, reason) in cases {
        let fault = fault(at(url));
        assert!(fault.contains(reason), "{url}: {fault}");
        assert!(!fault.contains("pass@"), "{fault}");
    }
}

#[test]
fn plain_http_is_for_this_machine_unless_it_is_allowed() {
    for url in [
        "http://localhost:1234/v1",
        "http://127.9.9.9",
        "http://[::1]:8080/v1",
    ] {
        assert!(HttpProvider::new(at(url), clock()).is_ok(), "{url}");
    }
    let allowed = Options {
        allow_plain_http: true,
        ..at("http://192.168.1.7:11434/v1")
    };
    assert!(HttpProvider::new(allowed, clock()).is_ok());
}

#[test]
fn an_address_where_no_public_server_is_is_refused_unless_it_is_allowed() {
    for host in [
        "10.0.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "[fd00::1]",
        "[::ffff:10.0.0.1]",
        "0.0.0.0",
    ] {
        let url = format!("https://{host}/v1");
        let fault = fault(at(&url));
        assert!(fault.contains("an address in a private network"), "{fault}");
        let allowed = Options {
            allow_private_addresses: true,
            ..at(&url)
        };
        assert!(HttpProvider::new(allowed, clock()).is_ok(), "{url}");
    }
    for url in ["https://127.0.0.1/v1", "https://1.1.1.1/v1"] {
        assert!(HttpProvider::new(at(url), clock()).is_ok(), "{url}");
    }
}

#[tokio::test]
async fn a_name_that_leads_to_this_machine_is_refused_before_a_connection() {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let name = name.trim();
    let is_near = |address: SocketAddr| match address.ip() {
        IpAddr::V4(address) => address.is_loopback() || address.is_private(),
        IpAddr::V6(address) => address.is_loopback(),
    };
    let found = tokio::net::lookup_host((name, 0)).await;
    if !found.is_ok_and(|mut addresses| addresses.any(is_near)) {
        println!("SKIPPED: the name of this machine leads to no address of its own");
        return;
    }
    let client = client_with(at(&format!("https://{name}:1/v1")));
    let error = ask(&client).await.unwrap_err();
    assert!(matches!(error, Error::Setup { .. }), "{error:?}");
    assert!(error.to_string().contains("its name leads to"), "{error}");
    let allowed = client_with(Options {
        allow_private_addresses: true,
        ..at(&format!("https://{name}:1/v1"))
    });
    let error = ask(&allowed).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
}

#[test]
fn a_header_that_can_t_be_sent_is_named() {
    let options = Options {
        headers: vec![("X Title".into(), "x".into())],
        ..at("https://example.com")
    };
    assert!(fault(options).contains("the header 'X Title' can't be sent"));
}

#[tokio::test]
async fn without_its_key_a_provider_is_not_even_asked() {
    let server = MockServer::start().await;
    for key in [None, Some("  \n".into())] {
        let client = client_with(Options {
            base_url: server.uri(),
            ..Options::openrouter(key)
        });
        for error in [
            spawn(&client, "tiny").await.unwrap_err(),
            ask(&client).await.unwrap_err(),
        ] {
            assert_eq!(
                error.to_string(),
                "openrouter needs a key and OPENROUTER_API_KEY is not set"
            );
            assert_eq!(error.help().as_deref(), Some("set OPENROUTER_API_KEY"));
        }
    }
    assert_eq!(server.received_requests().await.unwrap().len(), 0);
}
