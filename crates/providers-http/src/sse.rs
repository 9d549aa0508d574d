//! Server-sent events, read piece by piece as they arrive.

/// Far above any real event of a model.
pub(crate) const MAX_EVENT: usize = 2 * 1024 * 1024;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Why a stream of events can't be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// An event has more than [`MAX_EVENT`] bytes.
    TooLong,
    /// An event is not UTF-8.
    NotText,
}

/// Cuts a stream of bytes into the data of its events. Comments, names, ids and unknown fields are
/// passed over: the formats spoken here say in the data what an event is.
///
/// Lines may end in LF, CR or CRLF. Holds at most one event.
#[derive(Debug, Default)]
pub(crate) struct EventReader {
    /// The line that has no end yet.
    line: Vec<u8>,
    /// The data of the event that has no end yet.
    data: Vec<u8>,
    has_data: bool,
    /// The last byte was CR: an LF now is no line of its own.
    after_cr: bool,
    is_begun: bool,
}

impl EventReader {
    /// Takes the next bytes; gives the data of each event that they complete to `each`.
    pub(crate) fn push<E: From<Broken>>(
        &mut self,
        bytes: &[u8],
        mut each: impl FnMut(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            let (piece, tail) = rest.split_at(end);
            let is_cr = tail.first() == Some(&b'\r');
            rest = tail.get(1..).unwrap_or_default();
            if end == 0 && !is_cr && self.after_cr {
                self.after_cr = false;
                continue;
            }
            self.after_cr = is_cr;
            self.add(piece)?;
            self.end_line(&mut each)?;
        }
        if !rest.is_empty() {
            self.after_cr = false;
        }
        Ok(self.add(rest)?)
    }

    /// The stream is at its end: gives what an event that was not ended holds.
    pub(crate) fn finish<E: From<Broken>>(
        &mut self,
        mut each: impl FnMut(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        if !self.line.is_empty() {
            self.end_line(&mut each)?;
        }
        self.end_event(&mut each)
    }

    fn add(&mut self, piece: &[u8]) -> Result<(), Broken> {
        if self.line.len() + self.data.len() + piece.len() > MAX_EVENT {
            return Err(Broken::TooLong);
        }
        self.line.extend_from_slice(piece);
        Ok(())
    }

    fn end_line<E: From<Broken>>(
        &mut self,
        each: &mut impl FnMut(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut line = std::mem::take(&mut self.line);
        if !self.is_begun {
            self.is_begun = true;
            if line.starts_with(BYTE_ORDER_MARK) {
                line.drain(..BYTE_ORDER_MARK.len());
            }
        }
        if line.is_empty() {
            return self.end_event(each);
        }
        if let Some(value) = data_of(&line) {
            if self.has_data {
                self.data.push(b'\n');
            }
            self.data.extend_from_slice(value);
            self.has_data = true;
        }
        // The room is kept for the next line.
        line.clear();
        self.line = line;
        Ok(())
    }

    fn end_event<E: From<Broken>>(
        &mut self,
        each: &mut impl FnMut(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        if !std::mem::take(&mut self.has_data) {
            return Ok(());
        }
        let text = std::str::from_utf8(&self.data).map_err(|_| Broken::NotText)?;
        each(text)?;
        self.data.clear();
        Ok(())
    }
}

/// What follows `data:`, without the one space that may stand before it.
fn data_of(line: &[u8]) -> Option<&[u8]> {
    let value = line.strip_prefix(b"data")?;
    if value.is_empty() {
        return Some(value);
    }
    let value = value.strip_prefix(b":")?;
    Some(value.strip_prefix(b" ").unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use super::{Broken, EventReader, MAX_EVENT};

    /// The events of a stream that comes in pieces of this size, and how it ended.
    fn events(stream: &[u8], size: usize) -> (Vec<String>, Result<(), Broken>) {
        let mut reader = EventReader::default();
        let mut events = Vec::new();
        let mut each = |data: &str| {
            events.push(data.to_owned());
            Ok(())
        };
        let end = stream
            .chunks(size)
            .try_for_each(|piece| reader.push(piece, &mut each))
            .and_then(|()| reader.finish(&mut each));
        (events, end)
    }

    #[test]
    fn every_way_to_write_an_event_reads_the_same_in_pieces_of_any_size() {
        let stream = "\u{feff}: hello\ndata: é1\n\nevent: x\nid: 7\ndata:2\r\n\r\n\
                      retry: 5\rdata: a\rdata: b\r\r\n\n\n:\ndata\n\ndata:  two spaces\n\ndata: end";
        for size in 1..=stream.len() {
            assert_eq!(
                events(stream.as_bytes(), size),
                (
                    ["é1", "2", "a\nb", "", " two spaces", "end"]
                        .map(str::to_owned)
                        .to_vec(),
                    Ok(())
                ),
                "{size}"
            );
        }
    }

    #[test]
    fn an_event_without_end_is_left_at_the_limit() {
        let one_line = vec![b'x'; MAX_EVENT + 1];
        assert_eq!(events(&one_line, 4096), (vec![], Err(Broken::TooLong)));
        let many_lines = b"data: 0123456789\n".repeat(MAX_EVENT / 10 + 1);
        assert_eq!(events(&many_lines, 4096), (vec![], Err(Broken::TooLong)));
    }

    #[test]
    fn an_event_that_is_not_text_is_refused() {
        let stream = b"data: ok\n\ndata: \xff\n\n";
        assert_eq!(
            events(stream, 3),
            (vec!["ok".to_owned()], Err(Broken::NotText))
        );
    }
}
