//! What a server, or something on the way to it, can do to an answer.

mod cut;
mod rubbish;
mod silence;
mod whole;

use std::time::Duration;

use fusion_providers_http::Limits;
use fusion_testkit::Act;

use super::Random;
use super::samples::Sample;

/// One way to misbehave.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) limits: fn(Limits) -> Limits,
    pub(crate) script: fn(&Sample, &mut Random) -> Vec<Act>,
    pub(crate) expected: Expected,
}

/// What has to come of it.
#[derive(Clone, Copy)]
pub(crate) enum Expected {
    /// The turn.
    Whole,
    /// An error of one of these variants.
    Class(&'static [&'static str]),
    /// Either, by where the answer was cut.
    WholeOr(&'static [&'static str]),
}

use Expected::{Class, WholeOr};

/// An answer that began and did not end.
const CUT: Expected = Class(&["Truncated"]);
const GARBLED: Expected = Class(&["Malformed"]);

/// Cut anywhere in the stream: within its end marker it is whole all the same.
const CUT_OR_WHOLE: Expected = WholeOr(&["Truncated"]);

const fn case(
    name: &'static str,
    expected: Expected,
    script: fn(&Sample, &mut Random) -> Vec<Act>,
) -> Case {
    Case {
        name,
        limits: |limits| limits,
        script,
        expected,
    }
}

const EVENTS: &str = "content-type: text/event-stream\r\n";
const JSON: &str = "content-type: application/json\r\n";
const MOMENT: Duration = Duration::from_millis(5);

fn head(status: &str, headers: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}\r\n")
}

/// A good answer that ends with the connection.
fn closing(headers: &str, body: impl Into<Vec<u8>>) -> Vec<Act> {
    vec![
        Act::Send(head("200 OK", headers).into()),
        Act::Send(body.into()),
        Act::Close,
    ]
}

/// A good answer that tells its length.
fn sized(headers: &str, body: &str) -> Vec<Act> {
    answer("200 OK", headers, body)
}

fn answer(status: &str, headers: &str, body: &str) -> Vec<Act> {
    let length = format!("{headers}content-length: {}\r\n", body.len());
    vec![Act::Send((head(status, &length) + body).into())]
}

/// A good answer in chunks of random sizes.
fn chunked(body: &[u8], random: &mut Random) -> Vec<u8> {
    let headers = format!("{EVENTS}transfer-encoding: chunked\r\n");
    let mut bytes = head("200 OK", &headers).into_bytes();
    let mut rest = body;
    while !rest.is_empty() {
        let (chunk, tail) = rest.split_at(1 + random.below(rest.len().min(90)));
        bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
        bytes.extend(chunk);
        bytes.extend(b"\r\n");
        rest = tail;
    }
    bytes.extend(b"0\r\n\r\n");
    bytes
}

/// The same bytes in pieces of random sizes.
fn in_pieces(bytes: &[u8], random: &mut Random) -> Vec<Act> {
    let mut acts = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (piece, tail) = rest.split_at(1 + random.below(rest.len().min(400)));
        acts.push(Act::Send(piece.to_vec()));
        rest = tail;
    }
    acts
}

/// A random part of the beginning, at least one byte shorter than all of it.
fn cut<'a>(bytes: &'a [u8], random: &mut Random) -> &'a [u8] {
    &bytes[..random.below(bytes.len())]
}

/// The events before the one that says how the answer ended.
fn unfinished(sample: &Sample) -> String {
    sample.events[..sample.events_to_finish - 1].concat()
}

/// Some of the events before that one.
fn some(sample: &Sample, random: &mut Random) -> String {
    sample.events[..1 + random.below(sample.events_to_finish - 1)].concat()
}

fn with(mut acts: Vec<Act>, act: Act) -> Vec<Act> {
    acts.push(act);
    acts
}

/// The stream with something between its events.
fn between(sample: &Sample, what: &str) -> String {
    let events = sample.events.iter().map(|event| format!("{what}{event}"));
    events.collect()
}

/// All of them.
pub(crate) fn all() -> impl Iterator<Item = &'static Case> {
    [whole::CASES, cut::CASES, rubbish::CASES, silence::CASES]
        .into_iter()
        .flatten()
}
