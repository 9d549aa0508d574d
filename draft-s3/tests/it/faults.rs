use std::io::ErrorKind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fusion_testkit::{Act, MisbehavingHttp, S3Server};
use fusion_workspaces::{Depot as _, Shelf};
use fusion_workspaces_s3::{S3Depot, S3Place};

use crate::support::{BUCKET, depot, place};

const SHELF: Shelf<'_> = Shelf {
    owner: "owner",
    writer: "writer",
};

/// Enough for a test that waits for it to pass.
const SHORT: Duration = Duration::from_millis(400);

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
    let refused = S3Depot::new(&wrong, SHORT).unwrap().preflight();
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::PermissionDenied, "{refused}");
    says(&refused, "AWS_SECRET_ACCESS_KEY");
    assert!(!refused.to_string().contains("of-somebody-else"));
}

#[test]
fn a_bucket_that_is_not_there_is_named() {
    let server = S3Server::start(&[BUCKET]).unwrap();
    let depot = depot(&server.at(), "another");
    let missing = [depot.preflight(), depot.put(SHELF, "a", b"a")];
    for missing in missing {
        says(&missing.unwrap_err(), "there is no bucket another");
    }
}

#[test]
fn a_server_that_is_not_there_is_told_in_time() {
    let server = S3Server::start(&[BUCKET]).unwrap();
    let at = place(&server.at(), BUCKET);
    drop(server);
    let depot = S3Depot::new(&at, SHORT).unwrap();
    says(&depot.preflight().unwrap_err(), "error sending request");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_is_given_up() {
    let server = MisbehavingHttp::start(|_| vec![Act::Hang]).await.unwrap();
    let at = place(&server.url(), BUCKET);
    let depot = S3Depot::new(&at, SHORT).unwrap();
    let put = depot.put(SHELF, "a", b"a").unwrap_err();
    says(&put, "error");
    let got = depot.get(SHELF, "a", 10).unwrap_err();
    assert_ne!(got.kind(), ErrorKind::NotFound, "{got}");
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
    depot(&server.url(), BUCKET).put(SHELF, "a", b"content").unwrap();
    let bodies: Vec<_> = server.requests().into_iter().map(|it| it.body).collect();
    assert_eq!(bodies, vec![b"content".to_vec(); 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stays_busy_is_told_without_what_it_wrote() {
    let server = MisbehavingHttp::start(|_| vec![answer("503 Slow Down")]);
    let server = server.await.unwrap();
    let at = place(&server.url(), BUCKET);
    let depot = S3Depot::new(&at, SHORT).unwrap();
    let refused = depot.put(SHELF, "a", b"a").unwrap_err();
    says(&refused, "503");
    assert!(!refused.to_string().contains("<Error>"), "{refused}");
}

fn answer(status: &str) -> Act {
    let body = format!("<Error><AWSAccessKeyId>{}</AWSAccessKeyId></Error>", S3Server::KEY_ID);
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n");
    Act::Send((head + &body).into_bytes())
}

#[test]
fn an_address_has_a_bucket_and_a_prefix() {
    let named = ["s3://b", "s3://b/", "s3://b/p/q/", "s3://", "s3:///p", "/mnt/b"];
    let found = named.map(S3Place::named);
    let none = None;
    assert_eq!(
        found,
        [Some(("b", "")), Some(("b", "")), Some(("b", "p/q")), none, none, none]
    );
}
