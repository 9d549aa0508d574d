//! Storages that refuse, hang, are not there or are no storages.

use std::io::ErrorKind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fusion_testkit::{Act, MisbehavingHttp, S3Server};
use fusion_workspaces::Depot as _;

use crate::support::{BUCKET, PATIENCE, SHELF, SHORT, depot, opened, place};

/// Far more than an operation with a short patience takes, and far less than one without a limit.
const BOUND: Duration = Duration::from_secs(12);

fn says(error: &std::io::Error, what: &str) {
    let text = error.to_string();
    assert!(text.contains(what), "{text}");
    for key in [S3Server::KEY_ID, S3Server::KEY] {
        assert!(!text.contains(key), "{text}");
    }
}

#[test]
fn a_wrong_key_is_told_and_not_shown() {
    let server = S3Server::start(&[BUCKET]).unwrap();
    let mut wrong = place(&server.at(), BUCKET);
    wrong.key = "of-somebody-else".into();
    let refused = opened(&wrong, PATIENCE)
        .unwrap()
        .preflight("id")
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::PermissionDenied, "{refused}");
    says(
        &refused,
        "the storage refuses the key (SignatureDoesNotMatch)",
    );
    assert!(!refused.to_string().contains("of-somebody-else"));
}

#[test]
fn a_depot_does_not_show_its_key() {
    let depot = depot("http://127.0.0.1:9", BUCKET);
    let shown = format!("{depot:?} {:?}", place("http://127.0.0.1:9", BUCKET));
    assert!(shown.contains(BUCKET), "{shown}");
    for key in [S3Server::KEY_ID, S3Server::KEY] {
        assert!(!shown.contains(key), "{shown}");
    }
}

#[test]
fn a_bucket_that_is_not_there_is_named_and_not_made() {
    let server = S3Server::start(&[BUCKET]).unwrap();
    let missing = depot(&server.at(), "another").preflight("id").unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound, "{missing}");
    says(&missing, "there is no bucket another");
    assert!(!server.bucket("another").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_gone_is_named_by_who_writes() {
    let server = MisbehavingHttp::start(|_| vec![answer("404 Not Found")]);
    let server = server.await.unwrap();
    let depot = depot(&server.url(), "another");
    let many = vec![("a".to_owned(), vec![])];
    for gone in [depot.put(SHELF, "a", b"a"), depot.put_all(SHELF, many)] {
        says(&gone.unwrap_err(), "there is no bucket another");
    }
}

#[test]
fn a_server_that_is_not_there_is_told_in_time() {
    let server = S3Server::start(&[BUCKET]).unwrap();
    let at = place(&server.at(), BUCKET);
    drop(server);
    let begun = Instant::now();
    let refused = opened(&at, SHORT).unwrap().preflight("id").unwrap_err();
    assert!(begun.elapsed() < BOUND, "{:?}", begun.elapsed());
    assert_eq!(refused.kind(), ErrorKind::NotConnected, "{refused}");
    says(&refused, "Connection refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_is_given_up() {
    let server = MisbehavingHttp::start(|_| vec![Act::Hang]).await.unwrap();
    let at = place(&server.url(), BUCKET);
    let depot = opened(&at, SHORT).unwrap();
    let begun = Instant::now();
    let put = depot.put(SHELF, "a", b"a").unwrap_err();
    let got = depot.get(SHELF, "a", 10).unwrap_err();
    assert!(begun.elapsed() < BOUND, "{:?}", begun.elapsed());
    for late in [put, got] {
        let kind = late.kind();
        let is_late = kind == ErrorKind::NotConnected || kind == ErrorKind::TimedOut;
        assert!(is_late, "{late}");
        says(&late, "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_busy_server_refused_is_put_again() {
    let asked = AtomicUsize::new(0);
    let server = MisbehavingHttp::start(move |_| {
        let is_first = asked.fetch_add(1, Ordering::Relaxed) < 2;
        let status = if is_first {
            "503 Slow Down"
        } else {
            "200 OK\r\nETag: \"a\""
        };
        vec![answer(status)]
    });
    let server = server.await.unwrap();
    let depot = depot(&server.url(), BUCKET);
    depot.put(SHELF, "a", b"content").unwrap();
    let bodies: Vec<_> = server.requests().into_iter().map(|it| it.body).collect();
    assert_eq!(bodies, vec![b"content".to_vec(); 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stays_busy_is_told_without_what_it_wrote() {
    let server = MisbehavingHttp::start(|_| vec![answer("503 Slow Down")]);
    let server = server.await.unwrap();
    let at = place(&server.url(), BUCKET);
    let refused = opened(&at, SHORT)
        .unwrap()
        .put(SHELF, "a", b"a")
        .unwrap_err();
    says(&refused, "503");
    says(&refused, "(SlowDown)");
    assert!(!refused.to_string().contains("<Error>"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_not_followed() {
    let asked = MisbehavingHttp::start(|_| vec![answer("200 OK")])
        .await
        .unwrap();
    let there = asked.url();
    let server = MisbehavingHttp::start(move |_| {
        vec![answer(&format!(
            "307 Temporary Redirect\r\nLocation: {there}/fusion/a"
        ))]
    });
    let server = server.await.unwrap();
    let at = place(&server.url(), BUCKET);
    opened(&at, SHORT)
        .unwrap()
        .put(SHELF, "a", b"a")
        .unwrap_err();
    assert_eq!(asked.requests(), vec![]);
}

fn answer(status: &str) -> Act {
    let id = S3Server::KEY_ID;
    let body = format!("<Error><Code>SlowDown</Code><AWSAccessKeyId>{id}</AWSAccessKeyId></Error>");
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n");
    Act::Send((head + &body).into_bytes())
}

#[test]
fn an_address_of_another_machine_must_not_be_open_to_those_on_the_way() {
    let open = |endpoint: &str, allow_plain_http| {
        let at = fusion_workspaces_s3::S3Place {
            allow_plain_http,
            ..place(endpoint, BUCKET)
        };
        opened(&at, SHORT).map(drop)
    };
    for good in [
        "https://s3.example.com",
        "http://127.0.0.1:9",
        "http://localhost:9",
        "http://[::1]:9",
    ] {
        open(good, false).unwrap();
    }
    let refused = open("http://s3.example.com", false).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    says(&refused, "use https://");
    open("http://s3.example.com", true).unwrap();
    for none in [
        "ftp://s3.example.com",
        "s3.example.com",
        "https://me:canary@s3.example.com",
    ] {
        let refused = open(none, true).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput);
        says(&refused, "the address of the storage");
        assert!(!refused.to_string().contains("canary"));
    }
}
