//! Output of any length in a bounded place: its beginning and its end.

use std::collections::VecDeque;
use std::fs::File;
use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
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
    spool: Spool,
}

/// Where the whole of a long output goes.
#[derive(Debug)]
enum Spool {
    /// Nowhere.
    Off,
    /// To a file without a name, once something would be left out.
    Waiting,
    Open(tokio::fs::File),
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
            spool: Spool::Off,
        }
    }

    /// Keeps the whole too, on the disk, when some of it would be left out.
    pub(super) fn spooled(mut self) -> Self {
        self.spool = Spool::Waiting;
        self
    }

    /// The whole of it, from the beginning, where that was kept and something was left out.
    pub(super) async fn take_whole(&mut self) -> io::Result<Option<File>> {
        match std::mem::replace(&mut self.spool, Spool::Off) {
            Spool::Off | Spool::Waiting => Ok(None),
            Spool::Open(mut file) => {
                file.flush().await?;
                file.rewind().await?;
                Ok(Some(file.into_std().await))
            }
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
            if let Err(error) = self.spool(&chunk).await {
                tracing::warn!(%error, "the whole output of a command can't be kept");
                self.spool = Spool::Off;
            }
            self.push(&chunk);
            chunk.clear();
        }
    }

    /// Writes what comes next to the spool, and before it what is kept here when it is just begun.
    async fn spool(&mut self, chunk: &[u8]) -> io::Result<()> {
        let kept = self.head.len() + self.tail.len();
        let is_long = kept + chunk.len() > self.head_limit + self.tail_limit;
        if matches!(self.spool, Spool::Waiting) && is_long {
            let mut file = tokio::fs::File::from_std(tempfile::tempfile()?);
            let (tail, more) = self.tail.as_slices();
            for part in [self.head.as_slice(), tail, more] {
                file.write_all(part).await?;
            }
            self.spool = Spool::Open(file);
        }
        match &mut self.spool {
            Spool::Off | Spool::Waiting => Ok(()),
            Spool::Open(file) => file.write_all(chunk).await,
        }
    }

    /// The text, with a line in the place of what was left out, which names where the `whole` is.
    pub(super) fn into_text(mut self, whole: Option<&str>) -> String {
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
        let place = whole.map_or_else(String::new, |path| format!("; the whole is in {path}"));
        format!(
            "{}\n[... {} bytes left out{place} ...]\n{}",
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
        output.into_text(None)
    }

    #[tokio::test]
    async fn the_whole_of_long_output_is_kept_from_its_first_byte() {
        for (text, whole) in [("abcdef", None), ("abcdefg", Some("abcdefg"))] {
            let mut output = Output::new(6, u64::MAX).spooled();
            let (first, rest) = text.as_bytes().split_at(5);
            output.fill(first).await;
            output.fill(rest).await;
            let kept = output.take_whole().await.unwrap();
            assert_eq!(
                kept.map(|file| io::read_to_string(file).unwrap())
                    .as_deref(),
                whole
            );
        }
        let mut output = Output::new(2, u64::MAX);
        output.push(b"abc");
        assert_eq!(
            output.into_text(Some("logs/x")),
            "a\n[... 1 bytes left out; the whole is in logs/x ...]\nc"
        );
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
