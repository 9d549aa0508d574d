//! What is no answer: rubbish and errors.

use std::time::Duration;

use fusion_testkit::Act;

use super::Expected::Class;
use super::{Case, EVENTS, GARBLED, JSON, answer, case, closing, head, sized, some, with};

pub(super) const CASES: &[Case] = &[
    case("row 31: a web page", GARBLED, |_, _| {
        sized("content-type: text/html\r\n", "<html>Sign in</html>")
    }),
    case("JSON of something else", GARBLED, |_, _| {
        sized(JSON, r#"{"object":"list"}"#)
    }),
    case("a list", GARBLED, |_, _| sized(JSON, "[1, 2, 3]")),
    case("row 31: plain words", GARBLED, |_, _| {
        sized("content-type: text/plain\r\n", "OK, working on it")
    }),
    case(
        "random bytes",
        Class(&["Truncated", "Malformed"]),
        |_, random| {
            let bytes: Vec<u8> = (0..2000)
                .map(|_| u8::try_from(random.below(256)).unwrap())
                .collect();
            closing(EVENTS, bytes)
        },
    ),
    case("an event that is not UTF-8", GARBLED, |sample, random| {
        let mut bytes = some(sample, random).into_bytes();
        bytes.extend(b"data: {\"x\": \"\xff\xfe\"}\n\n");
        closing(EVENTS, bytes)
    }),
    case("an event that is not JSON", GARBLED, |sample, random| {
        closing(
            EVENTS,
            some(sample, random) + "data: {\"choices\": [}\n\n" + &sample.stream(),
        )
    }),
    case(
        "an event that is cut and goes on",
        GARBLED,
        |sample, random| {
            let event = &sample.events[4];
            let data = event.rfind("data: ").unwrap();
            let end = data + 7 + random.below(event.len() - data - 12);
            let begun = String::from_utf8_lossy(&event.as_bytes()[..end]);
            closing(EVENTS, format!("{begun}\n\n{}", sample.stream()))
        },
    ),
    case("JSON of endless depth", GARBLED, |sample, random| {
        let deep = format!("data: {{\"choices\": {}\n\n", "[".repeat(100_000));
        closing(EVENTS, some(sample, random) + &deep)
    }),
    case("more parts than any turn has", GARBLED, |sample, random| {
        closing(
            EVENTS,
            some(sample, random) + &sample.many_parts + &sample.stream(),
        )
    }),
    case("not HTTP", Class(&["Unreachable"]), |_, _| {
        vec![Act::Send(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()), Act::Close]
    }),
    case("an endless line", Class(&["TooLarge"]), |_, _| {
        let mut acts = vec![Act::Send((head("200 OK", EVENTS) + "data: ").into())];
        acts.push(Act::Repeat(vec![b'x'; 65_536], Duration::ZERO));
        acts
    }),
    case("an endless event", Class(&["TooLarge"]), |_, _| {
        let line = format!("data: {}\n", "x".repeat(8_000));
        let mut acts = vec![Act::Send(head("200 OK", EVENTS).into())];
        acts.push(Act::Repeat(line.into(), Duration::ZERO));
        acts
    }),
    case("an endless piece of JSON", Class(&["TooLarge"]), |_, _| {
        let mut acts = vec![Act::Send((head("200 OK", JSON) + "{\"x\": \"").into())];
        acts.push(Act::Repeat(vec![b'x'; 65_536], Duration::ZERO));
        acts
    }),
    case("an endless head", Class(&["Unreachable"]), |_, _| {
        let line = format!("x-more: {}\r\n", "x".repeat(4_000));
        vec![
            Act::Send(b"HTTP/1.1 200 OK\r\n".to_vec()),
            Act::Repeat(line.into(), Duration::ZERO),
        ]
    }),
    case(
        "an error instead of a stream",
        Class(&["Server"]),
        |sample, _| closing(EVENTS, sample.error_event.clone()),
    ),
    case(
        "rows 37, 58, 76: an error in the middle",
        Class(&["Server"]),
        |sample, random| closing(EVENTS, some(sample, random) + &sample.error_event),
    ),
    case(
        "an error in the middle, and the rest behind it",
        Class(&["Server"]),
        |sample, random| {
            closing(
                EVENTS,
                some(sample, random) + &sample.error_event + &sample.stream(),
            )
        },
    ),
    case("an error at the finish", Class(&["Server"]), |sample, _| {
        let finished = sample.events[..sample.events_to_finish].concat();
        closing(EVENTS, finished + &sample.error_event)
    }),
    case(
        "an error in one piece where a stream was asked for",
        Class(&["Limited"]),
        |_, _| {
            sized(
                JSON,
                r#"{"type":"error","error":{"code":429,"type":"rate_limit_error","message":"so"}}"#,
            )
        },
    ),
    case(
        "row 30: a bad gateway's page",
        Class(&["Server"]),
        |_, _| answer("502 Bad Gateway", "", "<html><h1>502</h1></html>"),
    ),
    case("an error whose body hangs", Class(&["Server"]), |_, _| {
        let length = format!("{JSON}content-length: 100\r\n");
        vec![
            Act::Send((head("503 Busy", &length) + "{\"error\"").into()),
            Act::Close,
        ]
    }),
    case(
        "an error whose body never ends",
        Class(&["Refused"]),
        |_, _| {
            with(
                vec![Act::Send(head("401 Who?", JSON).into())],
                Act::Repeat(vec![b'x'; 65_536], Duration::ZERO),
            )
        },
    ),
    case("too many requests", Class(&["Limited"]), |_, _| {
        answer("429 Slow", "retry-after: 1\r\n", "{}")
    }),
    case("row 32: a redirect", Class(&["Setup"]), |_, _| {
        answer("307 Over there", "location: https://example.com/v1\r\n", "")
    }),
    case("not the API", Class(&["Setup"]), |_, _| {
        answer("404 Not Found", "", "nothing here")
    }),
];
