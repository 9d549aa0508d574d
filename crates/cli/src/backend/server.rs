//! The port behind `serve`.

use async_trait::async_trait;
use fusion_api_types::{Problem, ServerReady};

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
}

/// Is told once that a server listens.
pub trait Ready: Send {
    /// Requests are answered from now on.
    ///
    /// # Errors
    /// It can't be said.
    fn ready(&mut self, server: &ServerReady) -> Result<(), Problem>;
}

/// Serves the API.
#[async_trait]
pub trait Server {
    /// Serves until a signal ends it.
    ///
    /// # Errors
    /// The address can't be had or must not be, or the data directory can't be used.
    async fn serve(&self, request: &ServeRequest, ready: &mut dyn Ready) -> Result<(), Problem>;
}
