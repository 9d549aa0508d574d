//! What says nothing, or nothing that matters, for too long.

use std::time::Duration;

use fusion_providers_http::Limits;
use fusion_testkit::Act;

use super::Expected::Class;
use super::{CUT, Case, EVENTS, JSON, MOMENT, case, head, some, unfinished};

pub(super) const CASES: &[Case] = &[
    Case {
        limits: |limits| Limits {
            first_content: Duration::from_millis(60),
            ..limits
        },
        ..case("silence before the head", Class(&["Timeout"]), |_, _| {
            vec![Act::Hang]
        })
    },
    Case {
        limits: |limits| Limits {
            first_content: Duration::from_millis(60),
            ..limits
        },
        ..case("silence after the head", Class(&["Timeout"]), |_, _| {
            vec![Act::Send(head("200 OK", EVENTS).into()), Act::Hang]
        })
    },
    Case {
        limits: |limits| Limits {
            first_content: Duration::from_millis(90),
            ..limits
        },
        ..case(
            "F28: nothing but signs of life for ever",
            Class(&["Timeout"]),
            |_, _| {
                vec![
                    Act::Send(head("200 OK", EVENTS).into()),
                    Act::Repeat(b": hi\n\n".to_vec(), MOMENT),
                ]
            },
        )
    },
    Case {
        limits: |limits| Limits {
            first_content: Duration::from_millis(90),
            ..limits
        },
        ..case(
            "F28: one byte at a time for ever",
            Class(&["Timeout"]),
            |_, _| {
                vec![
                    Act::Send((head("200 OK", EVENTS) + "data: ").into()),
                    Act::Repeat(b"x".to_vec(), MOMENT),
                ]
            },
        )
    },
    Case {
        limits: |limits| Limits {
            idle_bytes: Duration::from_millis(60),
            ..limits
        },
        ..case("row 59: silence in the middle", CUT, |sample, random| {
            let bytes = head("200 OK", EVENTS) + &some(sample, random);
            vec![Act::Send(bytes.into()), Act::Hang]
        })
    },
    Case {
        limits: |limits| Limits {
            idle_bytes: Duration::from_millis(60),
            ..limits
        },
        ..case(
            "silence in the middle of one piece",
            CUT,
            |sample, random| {
                let length = format!("{JSON}content-length: {}\r\n", sample.whole.len());
                let half = &sample.whole.as_bytes()[..1 + random.below(40)];
                vec![
                    Act::Send([head("200 OK", &length).as_bytes(), half].concat()),
                    Act::Hang,
                ]
            },
        )
    },
    Case {
        limits: |limits| Limits {
            idle_content: Duration::from_millis(90),
            ..limits
        },
        ..case(
            "F28: content, then signs of life for ever",
            CUT,
            |sample, _| {
                let bytes = head("200 OK", EVENTS) + &unfinished(sample);
                vec![
                    Act::Send(bytes.into()),
                    Act::Repeat(b": hi\n\n".to_vec(), MOMENT),
                ]
            },
        )
    },
    Case {
        limits: |limits| Limits {
            idle_content: Duration::from_millis(90),
            ..limits
        },
        ..case("content, then empty events for ever", CUT, |sample, _| {
            let bytes = head("200 OK", EVENTS) + &unfinished(sample);
            vec![
                Act::Send(bytes.into()),
                Act::Repeat(sample.idle_event.clone().into(), MOMENT),
            ]
        })
    },
    Case {
        limits: |limits| Limits {
            total: Duration::from_millis(90),
            ..limits
        },
        ..case(
            "row 60: content for ever",
            Class(&["Timeout"]),
            |sample, _| {
                let bytes = head("200 OK", EVENTS) + &sample.events[..4].concat();
                vec![
                    Act::Send(bytes.into()),
                    Act::Repeat(sample.events[4].clone().into(), MOMENT),
                ]
            },
        )
    },
];
