use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::glob::Glob;
use super::{MAX_PATTERN_BYTES, Pattern};
use crate::conformance::PATTERNS;
use crate::{Error, Subject};

#[test]
fn a_pattern_for_topics_has_no_character_that_no_topic_has() {
    for refused in ["a b", "a.\n*", "[\u{7f}]", "\u{2028}", " "] {
        let fault = Pattern::of_topics(refused).unwrap_err();
        let is_meant =
            matches!(&fault, Error::ForbiddenInPattern { pattern, .. } if pattern == refused);
        assert!(is_meant, "{refused:?}: {fault}");
    }
    assert_eq!(
        Pattern::of_topics("a.*é[b-c]").unwrap().as_str(),
        "a.*é[b-c]"
    );
    assert_eq!(Pattern::of_topics("").unwrap_err(), Error::EmptyPattern);
}

/// Redis's rules read straight off the pattern, trying every length for every star.
fn reference(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], _) => text.is_empty(),
        ([b'*', rest @ ..], _) => (0..=text.len()).any(|from| reference(rest, &text[from..])),
        (_, []) => false,
        ([b'?', rest @ ..], [_, text @ ..]) => reference(rest, text),
        ([b'[', b'^', rest @ ..], [byte, text @ ..]) => {
            let (is_member, rest) = class_reference(rest, *byte);
            !is_member && reference(rest, text)
        }
        ([b'[', rest @ ..], [byte, text @ ..]) => {
            let (is_member, rest) = class_reference(rest, *byte);
            is_member && reference(rest, text)
        }
        ([b'\\', own, rest @ ..] | [own, rest @ ..], [byte, text @ ..]) => {
            own == byte && reference(rest, text)
        }
    }
}

fn class_reference(class: &[u8], byte: u8) -> (bool, &[u8]) {
    let (is_member, rest) = match class {
        [] => return (false, class),
        [b'\\', own, rest @ ..] => (*own == byte, rest),
        [b']', rest @ ..] => return (false, rest),
        [from, b'-', to, rest @ ..] => {
            let is_between = (from <= to && *from <= byte && byte <= *to)
                || (to <= from && *to <= byte && byte <= *from);
            (is_between, rest)
        }
        [own, rest @ ..] => (*own == byte, rest),
    };
    let (is_later, rest) = class_reference(rest, byte);
    (is_member || is_later, rest)
}

#[test]
fn every_row_of_the_table_holds() {
    for row in PATTERNS {
        let pattern: Pattern = row.pattern.parse().unwrap();
        for (subjects, expected) in [(row.matches, true), (row.refuses, false)] {
            for text in subjects {
                let subject: Subject = text.parse().unwrap();
                assert_eq!(
                    pattern.matches(&subject),
                    expected,
                    "{pattern} on {subject}"
                );
            }
        }
    }
}

#[test]
fn a_pattern_of_stars_does_not_take_exponential_time() {
    let pattern: Pattern = "*a".repeat(127).parse().unwrap();
    let subject: Subject = format!("{}b", "a".repeat(254)).parse().unwrap();
    let start = Instant::now();
    assert!(!pattern.matches(&subject));
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[test]
fn an_empty_pattern_and_one_over_255_bytes_are_refused() {
    assert_eq!("".parse::<Pattern>(), Err(Error::EmptyPattern));
    assert!("x".repeat(MAX_PATTERN_BYTES).parse::<Pattern>().is_ok());
    assert_eq!(
        "x".repeat(MAX_PATTERN_BYTES + 1).parse::<Pattern>(),
        Err(Error::TooLong {
            bytes: 256,
            limit: 255
        })
    );
}

#[test]
fn a_range_with_an_end_outside_ascii_is_refused() {
    for text in ["[a-é]", "[é-a]", "x[^ab-ü"] {
        assert_eq!(
            text.parse::<Pattern>(),
            Err(Error::RangeOutsideAscii {
                pattern: text.to_owned()
            })
        );
    }
    assert!("[éü]*é-ü".parse::<Pattern>().is_ok());
}

#[test]
fn a_pattern_without_glob_characters_is_found_by_its_subject() {
    let literal = |text: &str| text.parse::<Pattern>().unwrap().literal();
    assert_eq!(
        literal(r"agent.\1.inbox"),
        Some(Box::from(*b"agent.1.inbox"))
    );
    for text in ["agent.*", "agent.?", "agent.[1]", "agent.["] {
        assert_eq!(literal(text), None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn the_matcher_agrees_with_the_naive_reading(
        pattern in r"[*?\[\]^\\ab\-]{0,12}",
        text in r"[\[\]^\\*abc\-]{0,10}",
    ) {
        let glob = Glob::compile(pattern.as_bytes()).unwrap();
        prop_assert_eq!(
            glob.matches(text.as_bytes()),
            reference(pattern.as_bytes(), text.as_bytes())
        );
    }
}
