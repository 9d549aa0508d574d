//! Output of any length in a bounded place: its beginning and its end.

use std::collections::VecDeque;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio_util::sync::CancellationToken;

/// How much is read at once.
const CHUNK: usize = 16 * 1024;

/// The first and the last bytes of a stream.
#[derive(Debug)]
pub(super) struct Output {
    head: Vec<u8>,
    head_limit: usize,
    tail: VecDeque<u8>,
    tail_limit: usize,
    left_out: u64,
    /// Bytes after which it is a flood.
    flood: u64,
    seen: u64,
    flooded: CancellationToken,
}

impl Output {
    /// Keeps `limit` bytes, half of them from the end; more than `flood` are a flood.
    pub(super) fn new(limit: usize, flood: u64) -> Self {
        let tail_limit = limit / 2;
        Self {
            head: Vec::new(),
            head_limit: limit - tail_limit,
            tail: VecDeque::new(),
            tail_limit,
            left_out: 0,
            flood,
            seen: 0,
            flooded: CancellationToken::new(),
        }
    }

    /// Is cancelled when there is a flood.
    pub(super) fn flooded(&self) -> CancellationToken {
        self.flooded.clone()
    }

    /// Takes everything from a stream. A stream that fails has ended.
    pub(super) async fn fill(&mut self, mut stream: impl AsyncRead + Unpin) {
        let mut chunk = Vec::with_capacity(CHUNK);
        while let Ok(1..) = stream.read_buf(&mut chunk).await {
            self.push(&chunk);
            chunk.clear();
        }
    }

    /// The text, with a line in the place of what was left out.
    pub(super) fn into_text(mut self) -> String {
        if self.left_out == 0 {
            self.head.extend(self.tail);
            return String::from_utf8_lossy(&self.head).into_owned();
        }
        // Characters that were cut in two are left out as a whole.
        let half = self
            .head
            .utf8_chunks()
            .last()
            .map_or(0, |chunk| chunk.invalid().len());
        self.head.truncate(self.head.len() - half);
        let is_inner = |byte: &u8| byte & 0b1100_0000 == 0b1000_0000;
        let inner = self
            .tail
            .iter()
            .take(3)
            .take_while(|byte| is_inner(byte))
            .count();
        self.tail.drain(..inner);
        for dropped in [half, inner] {
            self.left_out += u64::try_from(dropped).unwrap_or_default();
        }
        let tail = Vec::from(self.tail);
        format!(
            "{}\n[... {} bytes left out ...]\n{}",
            String::from_utf8_lossy(&self.head),
            self.left_out,
            String::from_utf8_lossy(&tail)
        )
    }

    fn push(&mut self, bytes: &[u8]) {
        self.seen += u64::try_from(bytes.len()).unwrap_or_default();
        if self.seen > self.flood {
            self.flooded.cancel();
        }
        let room = self.head_limit - self.head.len();
        let (first, rest) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
        self.head.extend_from_slice(first);
        self.tail.extend(rest);
        let excess = self.tail.len().saturating_sub(self.tail_limit);
        self.tail.drain(..excess);
        self.left_out += u64::try_from(excess).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(limit: usize, chunks: &[&[u8]]) -> String {
        let mut output = Output::new(limit, u64::MAX);
        for chunk in chunks {
            output.push(chunk);
        }
        output.into_text()
    }

    #[test]
    fn output_within_the_limit_is_kept_as_it_is() {
        assert_eq!(kept(8, &[b"abc", b"", b"defgh"]), "abcdefgh");
        assert_eq!(kept(6, &["aéüb".as_bytes()]), "aéüb");
    }

    #[test]
    fn the_middle_of_long_output_is_replaced_by_its_length() {
        let text = "ab\n[... 5 bytes left out ...]\nhi";
        assert_eq!(kept(4, &[b"abcdefghi"]), text);
        assert_eq!(kept(4, &[b"a", b"bc", b"defghi"]), text);
        assert_eq!(kept(0, &[b"abc"]), "\n[... 3 bytes left out ...]\n");
    }

    #[test]
    fn a_character_that_was_cut_in_two_is_left_out() {
        let text = "a\n[... 8 bytes left out ...]\nz";
        assert_eq!(kept(4, &["aéxxxxéz".as_bytes()]), text);
    }

    #[test]
    fn more_than_its_limit_is_a_flood() {
        let mut output = Output::new(4, 6);
        output.push(b"abcdef");
        assert!(!output.flooded().is_cancelled());
        output.push(b"g");
        assert!(output.flooded().is_cancelled());
    }
}
