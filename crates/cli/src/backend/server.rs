//! The port behind `serve`.

use std::ffi::OsString;
use std::time::Duration;

use async_trait::async_trait;
use fusion_api_types::{Problem, ServerReady, SignInLink};

/// Where to listen, as it was typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
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
    /// A browser of this machine is signed in when it is ready.
    pub open: bool,
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

    /// No browser was opened, for this reason; the server goes on.
    fn not_opened(&mut self, why: &str);
}

/// Serves the API.
#[async_trait]
pub trait Server {
    /// Serves until a signal ends it.
    ///
    /// # Errors
    /// The address can't be had or must not be, or the data directory can't be used.
    async fn serve(&self, request: &ServeRequest, ready: &mut dyn Ready) -> Result<(), Problem>;

    /// Starts a server of its own that goes on in the background, with these global options; `None` where a
    /// signal came before it was ready, and it was ended. `open` of the request is of no matter.
    ///
    /// # Errors
    /// As [`Server::serve`]; a server owns the data directory already.
    async fn start_server(
        &self,
        request: &ServeRequest,
        place: &[OsString],
    ) -> Result<Option<ServerReady>, Problem>;

    /// Signs the browser of this machine in to the server that owns the data directory.
    ///
    /// # Errors
    /// There is no such server, it makes no link, or no browser can be opened.
    async fn open_browser(&self) -> Result<(), Problem>;

    /// Ends the server that owns the data directory, and waits for that. What is under way is cut off `at_once`,
    /// else it gets the time that the server gives it, however often this is asked.
    ///
    /// # Errors
    /// There is none, it is of another machine, or it has not ended within this time.
    async fn stop_server(&self, within: Duration, at_once: bool) -> Result<ServerReady, Problem>;

    /// A link that signs a browser in to the server that is named, else to the one that owns the data
    /// directory.
    ///
    /// # Errors
    /// There is none, or it makes no link.
    async fn sign_in_link(&self) -> Result<SignInLink, Problem>;
}
