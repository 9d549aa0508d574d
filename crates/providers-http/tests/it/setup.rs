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
