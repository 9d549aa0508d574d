//! Clients that cost little, so that what is measured is the server: one connection each, kept open, and a
//! request that is written once.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use axum::body::Bytes;
use axum::http::{Request, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use reqwest::Url;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// What is asked again and again.
#[derive(Debug, Clone)]
pub struct Asked {
    /// `host:port`.
    address: String,
    /// Without its body, which is cheap to share.
    head: Request<()>,
    body: Bytes,
}

impl Asked {
    /// What is at a URL; with a body, it is put there by `POST` as JSON.
    ///
    /// # Errors
    /// The URL is none of a server, or the token is no header.
    pub fn at(url: &str, token: &str, body: Option<String>) -> Result<Self> {
        let parsed = Url::parse(url)?;
        let host = parsed.host_str().context("a URL without a host")?;
        let port = parsed.port().context("a URL without a port")?;
        let address = format!("{host}:{port}");
        let path = match parsed.query() {
            Some(query) => format!("{}?{query}", parsed.path()),
            None => parsed.path().to_owned(),
        };
        let mut head = Request::builder()
            .uri(path)
            .method(if body.is_some() { "POST" } else { "GET" })
            .header(header::HOST, &address)
            .header(header::AUTHORIZATION, format!("Bearer {token}"));
        if body.is_some() {
            head = head.header(header::CONTENT_TYPE, "application/json");
        }
        Ok(Self {
            address,
            head: head.body(())?,
            body: Bytes::from(body.unwrap_or_default()),
        })
    }

    fn request(&self) -> Request<Full<Bytes>> {
        self.head.clone().map(|()| Full::new(self.body.clone()))
    }
}

/// Answers a second that so many clients get, each of which asks again once it is answered.
///
/// # Errors
/// A connection breaks, or an answer is not a success.
pub async fn rate(asked: &Asked, clients: usize, time: Duration) -> Result<f64> {
    let began = Instant::now();
    let end = began + time;
    let mut asking = JoinSet::new();
    for _ in 0..clients {
        let asked = asked.clone();
        asking.spawn(async move { client(&asked, end).await });
    }
    let mut answered = 0_u32;
    while let Some(done) = asking.join_next().await {
        answered += done??;
    }
    Ok(f64::from(answered) / began.elapsed().as_secs_f64())
}

/// Asks until a time is reached; says how often it was answered.
async fn client(asked: &Asked, end: Instant) -> Result<u32> {
    let stream = TcpStream::connect(&asked.address).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // In one task: a second one for the connection would have to be woken for each request.
    let asking = async {
        let mut answered = 0;
        while Instant::now() < end {
            ask(&mut sender, asked).await?;
            answered += 1;
        }
        Ok(answered)
    };
    tokio::select! {
        biased;
        answered = asking => answered,
        ended = connection => {
            ended?;
            bail!("the server closed the connection")
        }
    }
}

async fn ask(sender: &mut SendRequest<Full<Bytes>>, asked: &Asked) -> Result<()> {
    let answer = sender.send_request(asked.request()).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?;
    ensure!(status.is_success(), "{status}: {:?}", body.to_bytes());
    Ok(())
}
