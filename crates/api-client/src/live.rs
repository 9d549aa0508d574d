//! The live stream of events.

use fusion_api_types::api::Frame;
use fusion_api_types::{Problem, ProblemKind};
use reqwest::Response;

use crate::Client;

/// Bytes of one frame at most.
const MAX_FRAME: usize = 16 * 1024 * 1024;

/// Frames as they come.
#[derive(Debug)]
pub struct Live {
    client: Client,
    response: Response,
    lines: Lines,
}

impl Live {
    pub(crate) fn new(response: Response, client: Client) -> Self {
        Self {
            client,
            response,
            lines: Lines::default(),
        }
    }

    /// The next frame; `None` once the server has ended the stream. A call that is dropped loses
    /// nothing.
    ///
    /// # Errors
    /// The server is gone, or what it sends is no frame of ours.
    pub async fn next(&mut self) -> Result<Option<Frame>, Problem> {
        loop {
            if let Some(data) = self.lines.data() {
                return serde_json::from_str(&data).map(Some).map_err(|error| {
                    let url = self.client.url();
                    let text = format!("a frame of {url} can't be read: {error}");
                    Problem::new(ProblemKind::Internal, text)
                });
            }
            let chunk = self.response.chunk().await;
            match chunk.map_err(|error| self.client.unreachable(&error))? {
                Some(chunk) => self.lines.add(&chunk)?,
                None => return Ok(None),
            }
        }
    }
}

/// The lines of server-sent events of which each `data` is on one line.
#[derive(Debug, Default)]
struct Lines {
    bytes: Vec<u8>,
    /// Bytes that were looked through.
    read: usize,
}

impl Lines {
    fn add(&mut self, chunk: &[u8]) -> Result<(), Problem> {
        self.bytes.drain(..self.read);
        self.read = 0;
        if self.bytes.len() + chunk.len() > MAX_FRAME {
            let text = "a frame of the live stream is longer than any of ours";
            return Err(Problem::new(ProblemKind::Internal, text));
        }
        self.bytes.extend_from_slice(chunk);
        Ok(())
    }

    /// The next `data` that is there whole.
    fn data(&mut self) -> Option<String> {
        loop {
            let rest = self.bytes.get(self.read..)?;
            let end = rest.iter().position(|byte| *byte == b'\n')?;
            let line = String::from_utf8_lossy(rest.get(..end)?).into_owned();
            self.read += end + 1;
            if let Some(data) = line.strip_prefix("data:") {
                return Some(data.trim().to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Lines, MAX_FRAME};

    #[test]
    fn data_is_found_however_it_is_cut() {
        let text = "id: 1\ndata: {\"a\":\"ü\"}\n\n: nothing\ndata: 2\n\ndata: 3";
        let expected = ["{\"a\":\"ü\"}", "2"];
        for size in 1..text.len() {
            let mut lines = Lines::default();
            let mut found = Vec::new();
            for chunk in text.as_bytes().chunks(size) {
                lines.add(chunk).unwrap();
                while let Some(data) = lines.data() {
                    found.push(data);
                }
            }
            assert_eq!(found, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut lines = Lines::default();
        lines.add(&vec![b'x'; MAX_FRAME]).unwrap();
        assert_eq!(lines.data(), None);
        assert!(lines.add(b"x").is_err());
    }
}
