//! The port behind `serve`.

use async_trait::async_trait;
use fusion_api_types::{Problem, ServerReady, SignInLink};

/// Where to listen, as it was typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServeRequest {
    /// The address.
    pub host: Option<String>,
    /// The port.
    pub port: Option<u16>,
    /// Other machines may reach it, although nothing is encrypted.
    pub allow_plain_http: bool,
    /// It answers requests.
    pub api: bool,
    /// It drives runs.
    pub worker: bool,
    /// How many at once.
    pub capacity: u32,
    /// Who sees what it says when it is ready.
    pub audience: Audience,
}

/// Who sees what a command says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Audience {
    /// A person at a terminal.
    Person,
    /// Whoever reads a log, or a program.
    #[default]
    Others,
}

/// Is told once that a server listens.
pub trait Ready: Send {
    /// Requests are answered from now on; with a link where one was asked for and could be made.
    ///
    /// # Errors
    /// It can't be said.
    fn ready(&mut self, server: &ServerReady, link: Option<&SignInLink>) -> Result<(), Problem>;
}

/// Serves the API.
#[async_trait]
pub trait Server {
    /// Serves until a signal ends it.
    ///
    /// # Errors
    /// The address can't be had or must not be, or the data directory can't be used.
    async fn serve(&self, request: &ServeRequest, ready: &mut dyn Ready) -> Result<(), Problem>;

    /// A link that signs a browser in to the server that is named, else to the one that owns the data
    /// directory.
    ///
    /// # Errors
    /// There is none, or it makes no link.
    async fn sign_in_link(&self) -> Result<SignInLink, Problem>;
}
