//! Fetches web pages for agents over HTTP.
//!
//! Each place on the way, from the address that was asked for over every redirect, must be granted,
//! and a name must lead to a public address: the connection goes to the address that was checked.
//! Proxies of the environment are not used: they would look names up themselves. The caller installs
//! a `rustls` crypto provider before the first page.

mod body;
mod client;
mod html;
mod post;
mod text;

use std::time::Duration;

use async_trait::async_trait;
use fusion_web::{Hosts, MAX_URL, NoPage, Page, Reach, Web};
use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::{Response, StatusCode};
use tokio::time::timeout;
use url::Url;

use client::Clients;

pub use post::{HttpPost, POST_TIMEOUT};

/// Places that one address may lead on to.
const MAX_REDIRECTS: usize = 5;

/// The longest that one page may take, with all its redirects.
pub const PAGE_TIMEOUT: Duration = Duration::from_secs(30);

/// Fetches pages; keeps connections for later ones.
#[derive(Debug)]
pub struct HttpWeb {
    clients: Clients,
    timeout: Duration,
}

impl Default for HttpWeb {
    fn default() -> Self {
        Self::with_timeout(PAGE_TIMEOUT)
    }
}

impl HttpWeb {
    /// One that gives a page so much time.
    #[must_use]
    pub fn with_timeout(timeout: Duration) -> Self {
        Self {
            clients: Clients::default(),
            timeout,
        }
    }

    async fn follow(&self, mut url: Url, is_raw: bool, hosts: &Hosts) -> Result<Page, NoPage> {
        for _ in 0..=MAX_REDIRECTS {
            let reach = granted(&url, hosts)?;
            let response = self.ask(&url, reach).await?;
            match next(&url, &response)? {
                Some(place) => url = place,
                None => return page(url, response, is_raw).await,
            }
        }
        Err(NoPage(format!(
            "{url} was reached after more than {MAX_REDIRECTS} redirects"
        )))
    }

    async fn ask(&self, url: &Url, reach: Reach) -> Result<Response, NoPage> {
        let client = self.clients.get(reach)?;
        let asked = client.get(url.clone()).send().await;
        asked.map_err(|error| no_answer(url, error))
    }
}

#[async_trait]
impl Web for HttpWeb {
    async fn fetch(&self, url: &str, is_raw: bool, hosts: &Hosts) -> Result<Page, NoPage> {
        let url = address(url)?;
        let told = url.to_string();
        match timeout(self.timeout, self.follow(url, is_raw, hosts)).await {
            Ok(page) => page,
            Err(_) => Err(NoPage(format!(
                "{told} gave no page within {} seconds",
                self.timeout.as_secs()
            ))),
        }
    }
}

/// Reads an address, without the part that names a place in the page.
fn address(text: &str) -> Result<Url, NoPage> {
    if text.len() > MAX_URL {
        let size = text.len();
        return Err(NoPage(format!(
            "the address has {size} bytes and the limit is {MAX_URL}"
        )));
    }
    let mut url = Url::parse(text).map_err(|error| {
        NoPage(format!(
            "'{text}' is no address ({error}); it looks like https://docs.rs/tokio"
        ))
    })?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(NoPage(
            "an address with a user or password is not fetched".to_owned(),
        ));
    }
    url.set_fragment(None);
    Ok(url)
}

fn granted(url: &Url, hosts: &Hosts) -> Result<Reach, NoPage> {
    hosts.reach(url).ok_or_else(|| {
        let granted = if hosts.is_empty() {
            "no host is granted".to_owned()
        } else {
            format!("granted are: {hosts}")
        };
        NoPage(format!("{url} is not granted; {granted}"))
    })
}

/// Where an answer leads on to.
fn next(url: &Url, response: &Response) -> Result<Option<Url>, NoPage> {
    let leads_on = matches!(
        response.status(),
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    let Some(place) = response.headers().get(LOCATION).filter(|_| leads_on) else {
        return Ok(None);
    };
    let place = String::from_utf8_lossy(place.as_bytes());
    let place = url
        .join(&place)
        .map_err(|error| NoPage(format!("{url} leads on to no address ({error})")))?;
    address(place.as_str()).map(Some)
}

async fn page(url: Url, response: Response, is_raw: bool) -> Result<Page, NoPage> {
    let status = response.status().as_u16();
    let declared = response.headers().get(CONTENT_TYPE);
    let declared = declared.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let kind = text::Kind::of(declared.as_deref().unwrap_or_default());
    if !kind.is_text() {
        return Err(NoPage(format!("{url} is no text: it is {}", kind.name)));
    }
    let body = body::read(response)
        .await
        .map_err(|error| no_answer(&url, error))?;
    let content_type = kind.name.clone();
    let text = tokio::task::spawn_blocking(move || kind.text(&body.bytes, is_raw))
        .await
        .map_err(|error| NoPage(format!("the page could not be read: {error}")))?
        .ok_or_else(|| NoPage(format!("{url} is no text")))?;
    Ok(Page {
        url: url.into(),
        status,
        content_type,
        text,
        is_cut: body.is_cut,
    })
}

/// What went wrong, in its own words down to the cause; the address is told once.
fn no_answer(url: &Url, error: reqwest::Error) -> NoPage {
    let told = fusion_core::error_chain(&error.without_url());
    NoPage(format!("{url} can't be fetched: {told}"))
}
