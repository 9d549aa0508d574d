//! What ends an answer before its end.

use fusion_testkit::Act;

use super::Expected::{Class, WholeOr};
use super::{
    CUT, CUT_OR_WHOLE, Case, EVENTS, JSON, MOMENT, case, chunked, closing, cut, head, sized, some,
    unfinished,
};

pub(super) const CASES: &[Case] = &[
    case("cut in a chunk", CUT_OR_WHOLE, |sample, random| {
        let bytes = chunked(sample.stream().as_bytes(), random);
        let body = bytes.len() - bytes.len() / 2;
        vec![
            Act::Send(bytes[..body + random.below(bytes.len() - body)].to_vec()),
            Act::Close,
        ]
    }),
    case(
        "cut at any byte, in good order",
        CUT_OR_WHOLE,
        |sample, random| closing(EVENTS, cut(sample.stream().as_bytes(), random)),
    ),
    case(
        "cut at any byte, short of its length",
        CUT_OR_WHOLE,
        |sample, random| {
            let stream = sample.stream();
            let headers = format!("{EVENTS}content-length: {}\r\n", stream.len());
            closing(&headers, cut(stream.as_bytes(), random))
        },
    ),
    case(
        "broken off at any byte",
        WholeOr(&["Truncated", "Unreachable"]),
        |sample, random| {
            let stream = sample.stream();
            let bytes = [
                head("200 OK", EVENTS).as_bytes(),
                cut(stream.as_bytes(), random),
            ]
            .concat();
            vec![Act::Send(bytes), Act::Wait(MOMENT), Act::Reset]
        },
    ),
    case("cut in the head", Class(&["Unreachable"]), |_, random| {
        let head = head("200 OK", EVENTS);
        vec![Act::Send(cut(head.as_bytes(), random).to_vec()), Act::Close]
    }),
    case(
        "row 35: closed without an answer",
        Class(&["Unreachable"]),
        |_, _| vec![Act::Close],
    ),
    case(
        "row 35: broken off without an answer",
        Class(&["Unreachable"]),
        |_, _| vec![Act::Reset],
    ),
    case(
        "one piece cut, short of its length",
        CUT,
        |sample, random| {
            let headers = format!("{JSON}content-length: {}\r\n", sample.whole.len());
            closing(&headers, cut(sample.whole.as_bytes(), random))
        },
    ),
    case(
        "row 31: one piece cut, in good order",
        CUT,
        |sample, random| closing(JSON, cut(sample.whole.as_bytes(), random)),
    ),
    case(
        "one piece that tells too short a length",
        CUT,
        |sample, random| {
            let length = random.below(sample.whole.len());
            closing(
                &format!("{JSON}content-length: {length}\r\n"),
                sample.whole.clone(),
            )
        },
    ),
    case(
        "a stream that tells too short a length",
        CUT_OR_WHOLE,
        |sample, random| {
            let length = random.below(sample.stream().len());
            closing(
                &format!("{EVENTS}content-length: {length}\r\n"),
                sample.stream(),
            )
        },
    ),
    case("half the size of a chunk", CUT, |sample, random| {
        let mut acts = closing(&format!("{EVENTS}transfer-encoding: chunked\r\n"), "5f");
        acts.insert(1, Act::Send(format!("0{}", random.below(9)).into()));
        acts.insert(2, Act::Send(unfinished(sample).into_bytes()[..1].to_vec()));
        acts
    }),
    case("a chunk that promises more", CUT, |sample, random| {
        let events = some(sample, random);
        let chunk = format!("{:x}\r\n{events}", events.len() + 1 + random.below(1000));
        closing(&format!("{EVENTS}transfer-encoding: chunked\r\n"), chunk)
    }),
    case("a chunk whose size is no number", CUT, |sample, random| {
        let events = some(sample, random);
        let chunk = format!("{:x}\r\n{events}\r\nzz\r\n", events.len());
        closing(&format!("{EVENTS}transfer-encoding: chunked\r\n"), chunk)
    }),
    case("row 57: ended before its finish", CUT, |sample, random| {
        closing(EVENTS, some(sample, random))
    }),
    case(
        "ended before its finish, with an end marker",
        CUT,
        |sample, random| closing(EVENTS, some(sample, random) + sample.events.last().unwrap()),
    ),
    case("nothing but the end marker", CUT, |sample, _| {
        closing(EVENTS, sample.events.last().unwrap().clone())
    }),
    case("nothing but signs of life", CUT, |sample, _| {
        closing(EVENTS, format!(": hi\n\n: hi\n\n{}", sample.idle_event))
    }),
    case("an empty stream", CUT, |_, _| sized(EVENTS, "")),
    case("row 31: an empty answer in one piece", CUT, |_, _| {
        sized(JSON, "")
    }),
    case("nothing but space", CUT, |_, random| {
        sized(JSON, &" \n".repeat(random.below(2000)))
    }),
    case("no content at all", CUT, |_, _| {
        vec![Act::Send(head("204 No Content", "").into())]
    }),
];
