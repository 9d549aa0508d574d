//! The port behind `mcp serve`.

use async_trait::async_trait;
use fusion_api_types::Problem;

use crate::mcp::Offer;

/// Serves commands to programs.
#[async_trait]
pub trait CommandTools {
    /// Serves commands as tools of the Model Context Protocol over stdin and stdout until the client
    /// goes away or a signal ends it. `place` are the global options that each command gets.
    ///
    /// # Errors
    /// The client speaks another protocol, or this program can't be started again.
    async fn serve_commands(&self, offers: Vec<Offer>, place: Vec<String>) -> Result<(), Problem>;
}
