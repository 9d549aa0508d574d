use std::time::Duration;

use fusion_testkit::{Act, HttpRequest, MisbehavingHttp};
use fusion_web::{Answered, NoAnswer, Parcel, Post, Target};
use fusion_web_http::HttpPost;

async fn server(
    script: impl Fn(&HttpRequest) -> Vec<Act> + Send + Sync + 'static,
) -> MisbehavingHttp {
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    MisbehavingHttp::start(script).await.unwrap()
}

fn parcel(url: &str) -> Parcel {
    Parcel {
        target: Target::new(url, true).unwrap(),
        headers: vec![("webhook-id", "msg_1".to_owned())],
        body: "{\"a\":1}".to_owned(),
    }
}

async fn post(url: &str) -> Result<Answered, NoAnswer> {
    let post = HttpPost::with_timeout(Duration::from_secs(5));
    post.post(&parcel(url)).await
}

#[tokio::test]
async fn a_message_is_sent_once_and_a_redirect_is_an_answer() {
    let server = server(|_| {
        let head =
            "HTTP/1.1 302 Found\r\nlocation: /other\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n";
        vec![Act::Send(head.into())]
    })
    .await;
    let answered = post(&format!("{}/hook?key=x", server.url())).await;
    let expected = Answered {
        status: 302,
        retry_after: Some(Duration::from_secs(7)),
    };
    assert_eq!(answered, Ok(expected));
    let asked = server.requests();
    assert_eq!(asked.len(), 1);
    let is = (asked[0].method.as_str(), asked[0].path.as_str());
    assert_eq!(is, ("POST", "/hook?key=x"));
    assert_eq!(asked[0].header("webhook-id"), Some("msg_1"));
    assert_eq!(asked[0].header("content-type"), Some("application/json"));
    assert_eq!(asked[0].body, b"{\"a\":1}");
}

#[tokio::test]
async fn a_flood_of_an_answer_is_not_read_to_its_end() {
    let server = server(|_| {
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        let chunk = format!("4000\r\n{}\r\n", "x".repeat(0x4000));
        vec![
            Act::Send(head.into()),
            Act::Repeat(chunk.into(), Duration::ZERO),
        ]
    })
    .await;
    let answered = post(&server.url()).await.map(|answered| answered.status);
    assert_eq!(answered, Ok(200));
    server.clients_left(1).await;
}

#[tokio::test]
async fn who_does_not_answer_in_time_or_at_all_is_told_without_the_url() {
    let server = server(|_| vec![Act::Hang]).await;
    let post = HttpPost::with_timeout(Duration::from_millis(200));
    let silent = post
        .post(&parcel(&format!("{}/secret", server.url())))
        .await;
    assert_eq!(
        silent,
        Err(NoAnswer("it did not answer in time".to_owned()))
    );
    let url = server.url();
    drop(server);
    let NoAnswer(why) = post
        .post(&parcel(&format!("{url}/secret")))
        .await
        .unwrap_err();
    assert!(!why.contains("secret"), "{why}");
}

#[tokio::test]
async fn a_name_leads_only_where_it_may() {
    let target = |url, allows_private| Parcel {
        target: Target::new(url, allows_private).unwrap(),
        ..parcel("http://127.0.0.1/")
    };
    let server = server(|_| vec![Act::Hang]).await;
    let post = HttpPost::with_timeout(Duration::from_secs(5));
    let port = server.url().rsplit_once(':').unwrap().1.to_owned();
    let public = format!("https://localhost:{port}/");
    let NoAnswer(why) = post.post(&target(&public, false)).await.unwrap_err();
    assert!(why.contains("which is not a public address"), "{why}");
    assert_eq!(server.connections(), 0);
}
