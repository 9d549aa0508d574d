//! What leaves an answer whole, however it comes.

use std::time::Duration;

use fusion_testkit::Act;

use super::Expected::Whole;
use super::{Case, EVENTS, JSON, MOMENT, between, case, chunked, closing, head, in_pieces, sized};

pub(super) const CASES: &[Case] = &[
    case("chunks of random sizes", Whole, |sample, random| {
        vec![Act::Send(chunked(sample.stream().as_bytes(), random))]
    }),
    case("pieces of random sizes", Whole, |sample, random| {
        let bytes = chunked(sample.stream().as_bytes(), random);
        in_pieces(&bytes, random)
    }),
    case("row 53: one byte at a time", Whole, |sample, random| {
        let bytes = chunked(sample.stream().as_bytes(), random);
        bytes
            .chunks(1)
            .map(|byte| Act::Send(byte.to_vec()))
            .collect()
    }),
    case("ended by the connection", Whole, |sample, _| {
        closing(EVENTS, sample.stream())
    }),
    case("told by its length", Whole, |sample, _| {
        sized(EVENTS, &sample.stream())
    }),
    case("row 53: lines that end in CRLF", Whole, |sample, random| {
        let bytes = sample.stream().replace('\n', "\r\n");
        vec![Act::Send(chunked(bytes.as_bytes(), random))]
    }),
    case("lines that end in CR", Whole, |sample, random| {
        let bytes = sample.stream().replace('\n', "\r");
        vec![Act::Send(chunked(bytes.as_bytes(), random))]
    }),
    case("row 53: no space after the colon", Whole, |sample, _| {
        closing(EVENTS, sample.stream().replace("data: ", "data:"))
    }),
    case("row 52: comments between events", Whole, |sample, _| {
        closing(EVENTS, between(sample, ": OPENROUTER PROCESSING\n\n"))
    }),
    case("row 52: blank lines between events", Whole, |sample, _| {
        closing(EVENTS, between(sample, "\n\n\n"))
    }),
    case("row 52: fields that nobody knows", Whole, |sample, _| {
        closing(
            EVENTS,
            between(sample, "id: 7\nretry: 10\nnews: x\nevent: y\n"),
        )
    }),
    case(
        "row 52: events that stand for nothing",
        Whole,
        |sample, _| closing(EVENTS, between(sample, &sample.idle_event)),
    ),
    case("a byte order mark", Whole, |sample, _| {
        closing(EVENTS, format!("\u{feff}{}", sample.stream()))
    }),
    case("a stream labelled as JSON", Whole, |sample, _| {
        closing(JSON, sample.stream())
    }),
    case("a stream without a label", Whole, |sample, _| {
        closing("", sample.stream())
    }),
    case(
        "one piece where a stream was asked for",
        Whole,
        |sample, _| sized(JSON, &sample.whole),
    ),
    case("one piece labelled as a stream", Whole, |sample, _| {
        sized(EVENTS, &sample.whole)
    }),
    case("one piece after much space", Whole, |sample, _| {
        sized(JSON, &format!("{}{}", "\n ".repeat(500), sample.whole))
    }),
    case("row 56: no end marker", Whole, |sample, _| {
        closing(EVENTS, sample.events[..sample.events.len() - 1].concat())
    }),
    case("no blank line at the end", Whole, |sample, _| {
        closing(EVENTS, sample.stream().trim_end().to_owned())
    }),
    case("rubbish after the end marker", Whole, |sample, _| {
        closing(EVENTS, sample.stream() + "data: {rubbish\n\n\u{0}\u{0}")
    }),
    case("an error after the end marker", Whole, |sample, _| {
        closing(EVENTS, sample.stream() + &sample.error_event)
    }),
    case("silence after the end marker", Whole, |sample, _| {
        let bytes = head("200 OK", EVENTS) + &sample.stream();
        vec![Act::Send(bytes.into()), Act::Hang]
    }),
    case("an interim answer before", Whole, |sample, _| {
        let mut acts = vec![Act::Send(
            b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n".to_vec(),
        )];
        acts.extend(sized(EVENTS, &sample.stream()));
        acts
    }),
    case(
        "signs of life before the first content",
        Whole,
        |sample, random| {
            let bytes = chunked(
                format!(": hi\n\n: hi\n\n{}", sample.stream()).as_bytes(),
                random,
            );
            let (first, rest) = bytes.split_at(90);
            vec![
                Act::Send(first.to_vec()),
                Act::Wait(MOMENT),
                Act::Send(rest.to_vec()),
            ]
        },
    ),
    case("slow, but not too slow", Whole, |sample, random| {
        let bytes = chunked(sample.stream().as_bytes(), random);
        let pieces = in_pieces(&bytes, random).into_iter();
        pieces
            .flat_map(|piece| [piece, Act::Wait(Duration::from_millis(1))])
            .collect()
    }),
];
