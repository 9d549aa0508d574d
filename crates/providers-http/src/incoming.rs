//! A turn's answer while it comes in: streamed or in one piece, whichever the server chose.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::Response;
use tokio::time::{Instant, timeout, timeout_at};

use fusion_core::Usage;
use fusion_providers::{Delta, DeltaSink, Error, Result};

use crate::answer::{Answer, Unusable};
use crate::options::Limits;
use crate::origin::Origin;
use crate::sse::EventReader;
use crate::transport::{self, MAX_BODY};
use crate::wire::{Assembler, Progress, Wire};

/// A stream spends most of its bytes on what is around the content.
const MAX_STREAM: usize = 64 * 1024 * 1024;

/// How long the end of the connection's answer is waited for once the stream told its own.
const DRAIN: Duration = Duration::from_millis(20);

/// How much of an answer is kept to show how it begins.
const SAMPLE: usize = 512;

/// What came of an answer.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// All of it.
    Answer(Answer),
    /// Something else.
    Unusable(Broken),
}

/// An answer that can't be used.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) why: Unusable,
    /// How it begins.
    pub(crate) sample: Vec<u8>,
    /// The provider's name for it.
    pub(crate) id: Option<String>,
}

/// An answer that is coming in.
pub(crate) struct Incoming<'a> {
    wire: &'a dyn Wire,
    deltas: &'a dyn DeltaSink,
    pace: Pace,
    form: Form,
    sample: Vec<u8>,
    received: usize,
}

/// How an answer comes: told by its beginning, because its content type is often wrong.
enum Form {
    /// Nothing but space so far.
    Unknown,
    /// In one piece.
    Whole(Vec<u8>),
    /// As events.
    Events(EventReader, Box<dyn Assembler>),
}

impl<'a> Incoming<'a> {
    pub(crate) fn new(wire: &'a dyn Wire, deltas: &'a dyn DeltaSink, pace: Pace) -> Self {
        Self {
            wire,
            deltas,
            pace,
            form: Form::Unknown,
            sample: Vec::new(),
            received: 0,
        }
    }

    /// Reads to the end of the answer, or to where it can't be one any more.
    pub(crate) async fn read(mut self, origin: &Origin, mut response: Response) -> Result<Outcome> {
        loop {
            let chunk = match timeout_at(self.pace.deadline(), response.chunk()).await {
                Ok(Ok(Some(chunk))) => chunk,
                Ok(Ok(None)) => return Ok(self.finish()),
                Ok(Err(error)) => {
                    let limit = self.pace.limits.total;
                    let error = transport::broken(origin, error, self.received, limit);
                    return Err(error.of_generation(self.id()));
                }
                Err(_) => {
                    let error = self.pace.error(origin, self.received);
                    return Err(error.of_generation(self.id()));
                }
            };
            match self.take(&chunk) {
                Ok(Progress::End) => {
                    // Only a connection whose answer was read to its end can be used again.
                    timeout(DRAIN, response.chunk()).await.ok();
                    return Ok(self.finish());
                }
                Ok(progress) => self.pace.advance(progress),
                Err(why) => {
                    return Ok(Outcome::Unusable(Broken {
                        why,
                        id: self.id(),
                        sample: self.sample,
                    }));
                }
            }
        }
    }

    /// The provider's name for the answer, where it came.
    fn id(&self) -> Option<String> {
        match &self.form {
            Form::Unknown | Form::Whole(_) => None,
            Form::Events(_, assembler) => assembler.id().map(str::to_owned),
        }
    }

    fn take(&mut self, chunk: &[u8]) -> Result<Progress, Unusable> {
        self.received = self.received.saturating_add(chunk.len());
        let room = SAMPLE.saturating_sub(self.sample.len()).min(chunk.len());
        self.sample
            .extend_from_slice(chunk.get(..room).unwrap_or_default());
        if let Form::Unknown = self.form {
            self.form = match chunk.trim_ascii_start() {
                [] => Form::Unknown,
                begun if may_be_events(begun) => {
                    Form::Events(EventReader::default(), self.wire.assembler())
                }
                _ => Form::Whole(Vec::new()),
            };
        }
        match &mut self.form {
            Form::Unknown if self.received > MAX_BODY => Err(Unusable::TooLarge(MAX_BODY)),
            Form::Unknown => Ok(Progress::Nothing),
            Form::Whole(_) if self.received > MAX_BODY => Err(Unusable::TooLarge(MAX_BODY)),
            Form::Whole(body) => {
                body.extend_from_slice(chunk);
                Ok(Progress::Content)
            }
            Form::Events(..) if self.received > MAX_STREAM => Err(Unusable::TooLarge(MAX_STREAM)),
            Form::Events(reader, assembler) => {
                let mut furthest = Progress::Nothing;
                reader.push(chunk, |data| {
                    if furthest != Progress::End {
                        furthest = furthest.max(assembler.take(data, self.deltas)?);
                    }
                    Ok::<(), Unusable>(())
                })?;
                Ok(furthest)
            }
        }
    }

    fn finish(self) -> Outcome {
        let id = self.id();
        let result = match self.form {
            Form::Unknown => Err(Unusable::Cut("it is empty")),
            Form::Whole(body) => self.wire.answer(&body),
            Form::Events(mut reader, mut assembler) => {
                // An event that was cut is not in the format; what came before it decides.
                let rest = reader.finish(|data| {
                    assembler
                        .take(data, self.deltas)
                        .map(|_| ())
                        .or_else(|unusable| match unusable {
                            Unusable::Garbled(_) | Unusable::Cut(_) => Ok(()),
                            Unusable::Error(_) | Unusable::TooLarge(_) => Err(unusable),
                        })
                });
                match rest {
                    Ok(()) | Err(Unusable::Garbled(_)) => assembler.finish(),
                    Err(unusable) => Err(unusable),
                }
            }
        };
        match result {
            Ok(answer) => Outcome::Answer(answer),
            Err(why) => Outcome::Unusable(Broken {
                why,
                sample: self.sample,
                id,
            }),
        }
    }
}

/// Whether this is, or may become, the beginning of a stream of events.
fn may_be_events(begun: &[u8]) -> bool {
    const BEGINNINGS: [&[u8]; 6] = [b":", b"data", b"event", b"id", b"retry", b"\xef\xbb\xbf"];
    BEGINNINGS
        .iter()
        .any(|known| begun.starts_with(known) || known.starts_with(begun))
}

/// How long an answer may take, and to say nothing.
#[derive(Debug)]
pub(crate) struct Pace {
    limits: Limits,
    start: Instant,
    /// An answer in one piece may be silent until its end.
    is_streamed: bool,
    byte_at: Option<Instant>,
    content_at: Option<Instant>,
}

impl Pace {
    /// Of a call that begins now.
    pub(crate) fn new(limits: Limits, is_streamed: bool) -> Self {
        Self {
            limits,
            start: Instant::now(),
            is_streamed,
            byte_at: None,
            content_at: None,
        }
    }

    /// How long the first bytes of an answer may take.
    pub(crate) fn to_begin(&self) -> Duration {
        if self.is_streamed {
            self.limits.first_content
        } else {
            self.limits.total
        }
    }

    fn advance(&mut self, progress: Progress) {
        let now = Instant::now();
        self.byte_at = Some(now);
        match progress {
            Progress::Nothing => {}
            Progress::Content | Progress::End => self.content_at = Some(now),
        }
    }

    fn deadline(&self) -> Instant {
        self.next().0
    }

    /// The next moment at which something must have come, and which of the limits it keeps.
    fn next(&self) -> (Instant, Silence) {
        let total = (self.start + self.limits.total, Silence::Total);
        if !self.is_streamed {
            return total;
        }
        let content = match self.content_at {
            None => (
                self.start + self.limits.first_content,
                Silence::FirstContent,
            ),
            Some(at) => (at + self.limits.idle_content, Silence::Content),
        };
        let bytes = self
            .byte_at
            .map(|at| (at + self.limits.idle_bytes, Silence::Bytes));
        [Some(content), bytes]
            .into_iter()
            .flatten()
            .fold(
                total,
                |first, next| if next.0 < first.0 { next } else { first },
            )
    }

    fn error(&self, origin: &Origin, received: usize) -> Error {
        match self.next().1 {
            Silence::Total => origin.timeout(self.limits.total),
            Silence::FirstContent => origin.timeout(self.limits.first_content),
            Silence::Bytes => origin.truncated(format!(
                "it was silent for {} s after {received} bytes",
                self.limits.idle_bytes.as_secs_f64()
            )),
            Silence::Content => origin.truncated(format!(
                "no more of it came for {} s, only signs of life",
                self.limits.idle_content.as_secs_f64()
            )),
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Silence {
    Total,
    FirstContent,
    Bytes,
    Content,
}

/// Passes deltas on and knows whether there were any.
pub(crate) struct Watched<'a> {
    deltas: &'a dyn DeltaSink,
    is_used: AtomicBool,
}

impl<'a> Watched<'a> {
    pub(crate) const fn new(deltas: &'a dyn DeltaSink) -> Self {
        Self {
            deltas,
            is_used: AtomicBool::new(false),
        }
    }

    /// Takes back what was shown: the attempt failed.
    pub(crate) fn discard(&self) {
        if self.is_used.load(Ordering::Relaxed) {
            self.deltas.take(Delta::Discarded);
        }
    }
}

impl DeltaSink for Watched<'_> {
    fn take(&self, delta: Delta<'_>) {
        self.is_used.store(true, Ordering::Relaxed);
        self.deltas.take(delta);
    }

    fn began(&self, generation: &str) {
        self.deltas.began(generation);
    }

    fn lost(&self, cost: Option<Usage>) -> bool {
        self.deltas.lost(cost)
    }
}
