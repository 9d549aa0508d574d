//! Reads as much of an answer as a page may have.

use reqwest::Response;

/// Bytes of a page that are read.
pub(crate) const BODY_LIMIT: usize = 2 * 1024 * 1024;

/// The beginning of an answer, or all of it.
pub(crate) struct Body {
    pub(crate) bytes: Vec<u8>,
    pub(crate) is_cut: bool,
}

pub(crate) async fn read(mut response: Response) -> reqwest::Result<Body> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        let room = BODY_LIMIT - bytes.len();
        if let Some(fitting) = chunk.get(..room).filter(|_| chunk.len() > room) {
            bytes.extend_from_slice(fitting);
            return Ok(Body {
                bytes,
                is_cut: true,
            });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Body {
        bytes,
        is_cut: false,
    })
}
