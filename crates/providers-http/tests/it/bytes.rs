//! Servers that misbehave below HTTP.

use std::future::pending;
use std::time::Duration;

use fusion_core::Coded;
use fusion_providers::{Error, Result, Turn};
use fusion_providers_http::{Limits, Options};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::support::{ask, client, client_with};

const LIMIT: Duration = Duration::from_secs(20);

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    (listener, address)
}

/// Takes one connection and reads one request from it to the end.
async fn take_request(listener: &TcpListener) -> TcpStream {
    let (mut socket, _) = listener.accept().await.unwrap();
    let mut request = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let count = socket.read(&mut chunk).await.unwrap();
        assert!(count > 0, "the client left in the middle of its request");
        request.extend_from_slice(&chunk[..count]);
        let text = String::from_utf8_lossy(&request);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                line.to_lowercase()
                    .strip_prefix("content-length: ")?
                    .parse()
                    .ok()
            });
            if body.len() >= length.unwrap_or(0) {
                return socket;
            }
        }
    }
}

/// The result of a turn at a server that answers with these bytes again and again, or once.
async fn turn_at(start: &str, repeated: Option<&[u8]>) -> Result<Turn> {
    let (listener, address) = listen().await;
    let server = async {
        let mut socket = take_request(&listener).await;
        socket.write_all(start.as_bytes()).await.unwrap();
        while let Some(bytes) = repeated {
            if socket.write_all(bytes).await.is_err() {
                break;
            }
        }
        drop(socket);
        pending::<()>().await;
    };
    let client = client(&address);
    tokio::select! {
        result = timeout(LIMIT, ask(&client)) => result.unwrap(),
        () = server => unreachable!("the server never ends"),
    }
}

#[tokio::test]
async fn a_body_that_is_cut_off_is_not_a_turn() {
    let start = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"choices\":[";
    let error = turn_at(start, None).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the answer of openai-compatible is not complete: the connection broke after 12 bytes"
    );
    assert!(error.is_transient());
}

#[tokio::test]
async fn a_body_without_end_is_left_at_the_limit() {
    let start = "HTTP/1.1 200 OK\r\n\r\n";
    let error = turn_at(start, Some(&[b' '; 65_536])).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::TooLarge {
                limit: 8_388_608,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(!error.is_transient());
}

#[tokio::test]
async fn an_error_without_end_still_gives_its_status() {
    let start = "HTTP/1.1 403 Forbidden\r\n\r\n{\"error\":\"";
    let error = turn_at(start, Some(&[b'a'; 65_536])).await.unwrap_err();
    assert!(
        matches!(error, Error::Refused { status: 403, .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_connection_that_closes_without_an_answer_may_be_tried_again() {
    let error = turn_at("", None).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert!(error.is_transient());
}

#[tokio::test]
async fn bytes_that_are_not_http_are_an_error() {
    let error = turn_at("SSH-2.0-OpenSSH_9.2\r\n", None).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_with_a_way_out() {
    let (listener, address) = listen().await;
    drop(listener);
    let error = ask(&client(&address)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("openai-compatible can't be reached at {address}/v1")
    );
    assert_eq!(
        error.help(),
        Some(format!(
            "start the model server at {address}/v1, or correct the provider's base URL"
        ))
    );
    assert!(error.is_transient());
}

#[tokio::test]
async fn silence_ends_at_the_total_timeout_before_and_within_the_body() {
    for start in ["", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"] {
        let (listener, address) = listen().await;
        let server = async {
            let mut socket = take_request(&listener).await;
            socket.write_all(start.as_bytes()).await.unwrap();
            pending::<()>().await;
        };
        let limit = Duration::from_millis(300);
        let client = client_with(Options {
            limits: Limits {
                total: limit,
                ..Limits::default()
            },
            ..Options::openai_compatible(address, None)
        });
        let result = tokio::select! {
            result = timeout(LIMIT, ask(&client)) => result.unwrap(),
            () = server => unreachable!("the server never ends"),
        };
        let error = result.unwrap_err();
        assert_eq!(
            error.to_string(),
            "openai-compatible gave no complete answer within 0.3 s"
        );
        assert!(error.is_transient());
    }
}

#[tokio::test]
async fn dropping_the_call_closes_the_connection() {
    let (listener, address) = listen().await;
    let client = client(&address);
    let mut call = Box::pin(ask(&client));
    let mut socket = tokio::select! {
        result = &mut call => panic!("{result:?}"),
        socket = timeout(LIMIT, take_request(&listener)) => socket.unwrap(),
    };
    drop(call);
    let mut rest = [0; 16];
    let end = timeout(LIMIT, socket.read(&mut rest)).await.unwrap();
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
}

#[tokio::test]
async fn a_server_that_does_not_speak_tls_is_a_fault_of_the_setting() {
    let (listener, address) = listen().await;
    let server = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        socket
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .await
            .unwrap();
        pending::<()>().await;
    };
    let client = client(&address.replace("http:", "https:"));
    let result = tokio::select! {
        result = timeout(LIMIT, ask(&client)) => result.unwrap(),
        () = server => unreachable!("the server never ends"),
    };
    let error = result.unwrap_err();
    assert!(matches!(error, Error::Setup { .. }), "{error:?}");
    assert!(!error.is_transient());
}
