//! The web as agents see it: the hosts that were granted, and nothing else.
//!
//! An adapter of [`Web`] fetches; which pages it may fetch is decided here, by [`Hosts`], for the
//! address asked for and for each place that it leads on to.

mod hosts;
mod post;

use async_trait::async_trait;

pub use hosts::{Hosts, MAX_HOSTS, NotAHost, Reach};
pub use post::{Answered, NoAnswer, NoTarget, Parcel, Post, Target, Where};

/// The longest address that is fetched, in bytes.
pub const MAX_URL: usize = 2_048;

/// A page, or what a server answered instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Where it was found in the end.
    pub url: String,
    /// HTTP status.
    pub status: u16,
    /// As the server says, without parameters; empty when it says nothing.
    pub content_type: String,
    /// Its text, for HTML the text that a person would read with its links.
    pub text: String,
    /// It was longer than what is read: this is its beginning.
    pub is_cut: bool,
}

/// Why no page was fetched, in words that a model can act on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoPage(pub String);

/// Fetches nothing: where there is no web.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoWeb;

#[async_trait]
impl Web for NoWeb {
    async fn fetch(&self, _url: &str, _is_raw: bool, _hosts: &Hosts) -> Result<Page, NoPage> {
        Err(NoPage("no page can be fetched here".to_owned()))
    }
}

/// Fetches pages.
#[async_trait]
pub trait Web: std::fmt::Debug + Send + Sync {
    /// Reads a page with GET, where `hosts` allow it. With `is_raw`, HTML is given as it is.
    ///
    /// # Errors
    /// The address is none or not granted, leads to one that is not, nobody answers in time, or the
    /// answer is no text.
    async fn fetch(&self, url: &str, is_raw: bool, hosts: &Hosts) -> Result<Page, NoPage>;
}
