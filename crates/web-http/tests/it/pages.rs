use std::time::Duration;

use fusion_testkit::{Act, HttpRequest, MisbehavingHttp};
use fusion_web::{Hosts, NoPage, Page, Web};
use fusion_web_http::HttpWeb;

fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<Act> {
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n",
        body.len()
    );
    vec![Act::Send([head.as_bytes(), body].concat())]
}

async fn server(
    script: impl Fn(&HttpRequest) -> Vec<Act> + Send + Sync + 'static,
) -> (MisbehavingHttp, Hosts) {
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    let server = MisbehavingHttp::start(script).await.unwrap();
    let hosts = Hosts::try_from(vec![server.url()]).unwrap();
    (server, hosts)
}

async fn fetch(url: &str, hosts: &Hosts) -> Result<Page, NoPage> {
    HttpWeb::default().fetch(url, false, hosts).await
}

#[tokio::test]
async fn a_granted_page_is_read_and_its_status_is_told() {
    let (server, hosts) = server(|request| match request.path.as_str() {
        "/a?b=1" => answer("200 OK", "content-type: text/plain\r\n", b"a page"),
        _ => answer(
            "404 Not Found",
            "content-type: text/html\r\n",
            b"<p>no <b>page</b></p>",
        ),
    })
    .await;
    let page = |path: &str, status, content_type: &str, text: &str| Page {
        url: format!("{}{path}", server.url()),
        status,
        content_type: content_type.to_owned(),
        text: text.to_owned(),
        is_cut: false,
    };
    let found = fetch(&format!("{}/a?b=1#c", server.url()), &hosts).await;
    assert_eq!(found, Ok(page("/a?b=1", 200, "text/plain", "a page")));
    let missing = fetch(&format!("{}/x", server.url()), &hosts).await;
    assert_eq!(missing, Ok(page("/x", 404, "text/html", "no page\n")));
    let asked = server.requests();
    assert_eq!(asked[0].method, "GET");
    assert_eq!(asked[0].header("cookie"), None);
}

#[tokio::test]
async fn a_page_that_was_not_granted_is_not_asked_for() {
    let (server, hosts) = server(|_| answer("200 OK", "", b"x")).await;
    let other = Hosts::try_from(vec!["docs.rs".to_owned()]).unwrap();
    let url = format!("{}/a", server.url());
    let told = |granted: &str| Err(NoPage(format!("{url} is not granted; {granted}")));
    assert_eq!(fetch(&url, &other).await, told("granted are: docs.rs"));
    assert_eq!(
        fetch(&url, &Hosts::default()).await,
        told("no host is granted")
    );
    for (address, told) in [
        ("x", "'x' is no address"),
        (
            "http://user:key@127.0.0.1/",
            "an address with a user or password",
        ),
        ("file:///etc/passwd", "file:///etc/passwd is not granted"),
        (
            &format!("https://docs.rs/{}", "x".repeat(2_048)),
            "the address has 2064 bytes",
        ),
    ] {
        let refused = fetch(address, &hosts).await.unwrap_err().0;
        assert!(refused.starts_with(told), "{refused}");
    }
    assert_eq!(server.requests(), []);
}

#[tokio::test]
async fn a_redirect_is_followed_to_granted_places_only() {
    let (server, hosts) = server(|request| match request.path.as_str() {
        "/in" => answer("302 Found", "location: /page\r\n", b""),
        "/out" => answer("301 Moved", "location: http://127.0.0.1:1/secret\r\n", b""),
        "/away" => answer("307 Moved", "location: file:///etc/passwd\r\n", b""),
        "/round" => answer("308 Moved", "location: /round\r\n", b""),
        _ => answer("200 OK", "", b"here"),
    })
    .await;
    let url = |path: &str| format!("{}{path}", server.url());
    let page = fetch(&url("/in"), &hosts).await.unwrap();
    assert_eq!((page.url, page.text.as_str()), (url("/page"), "here"));
    for (path, told) in [
        (
            "/out",
            "http://127.0.0.1:1/secret is not granted".to_owned(),
        ),
        ("/away", "file:///etc/passwd is not granted".to_owned()),
        (
            "/round",
            format!("{} was reached after more than 5 redirects", url("/round")),
        ),
    ] {
        let refused = fetch(&url(path), &hosts).await.unwrap_err().0;
        assert!(refused.starts_with(&told), "{refused}");
    }
}

#[tokio::test]
async fn what_is_no_text_or_never_ends_gives_no_page_and_a_long_page_its_beginning() {
    let (server, hosts) = server(|request| match request.path.as_str() {
        "/image" => answer("200 OK", "content-type: image/png\r\n", b"\x89PNG"),
        "/nul" => answer("200 OK", "", b"a\0b"),
        "/hang" => vec![Act::Hang],
        "/cut" => vec![
            Act::Send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc".to_vec()),
            Act::Close,
        ],
        _ => vec![
            Act::Send(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n".to_vec()),
            Act::Repeat(vec![b'x'; 64 * 1024], Duration::ZERO),
        ],
    })
    .await;
    let web = HttpWeb::with_timeout(Duration::from_secs(2));
    let refused = async |path: &str| {
        let url = format!("{}{path}", server.url());
        let refused = web.fetch(&url, false, &hosts).await.unwrap_err().0;
        refused.replace(&url, "IT")
    };
    assert_eq!(refused("/image").await, "IT is no text: it is image/png");
    assert_eq!(refused("/nul").await, "IT is no text");
    assert_eq!(refused("/hang").await, "IT gave no page within 2 seconds");
    let cut = refused("/cut").await;
    assert!(cut.starts_with("IT can't be fetched: "), "{cut}");
    let long = fetch(&format!("{}/endless", server.url()), &hosts)
        .await
        .unwrap();
    assert_eq!((long.text.len(), long.is_cut), (2 * 1024 * 1024, true));
    server.clients_left(1).await;
}
