//! Long answers, a piece at a time.

use fusion_api_types::Problem;
use reqwest::Response;

use crate::Client;

/// An answer that is on its way.
#[derive(Debug)]
pub struct Download {
    pub(crate) client: Client,
    pub(crate) response: Response,
}

impl Download {
    /// The next piece; `None` after the last.
    ///
    /// # Errors
    /// The server is gone, or it broke off: what came until then is not whole.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, Problem> {
        let piece = self.response.chunk().await;
        let piece = piece.map_err(|error| self.client.unreachable(&error))?;
        Ok(piece.map(|piece| piece.to_vec()))
    }
}
