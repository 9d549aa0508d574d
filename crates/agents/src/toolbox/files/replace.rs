//! Replaces a text by another, and tells what stands in the way when it can't.

use std::fmt;

/// Comparisons of a line that the search for a near text makes at most.
const COMPARISONS: usize = 200_000;
/// Bytes of a line that are compared.
const COMPARED: usize = 200;
/// How like two texts must be, of 1, for one to be told as near the other.
const NEAR: f64 = 0.6;
/// Bytes of a near text that are told.
const TOLD: usize = 1_500;
/// Places of several that are told.
const PLACES: usize = 20;

/// Why nothing was replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// There is nothing to look for.
    Empty,
    /// Nothing would change.
    Same,
    /// The text is not there; what is nearest to it, where something is.
    Missing(Option<Near>),
    /// The text is there more than once: how often, and in which lines.
    Several(usize, Vec<usize>),
}

/// A text that is nearly what was looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Near {
    /// Its first line, from 1.
    line: usize,
    /// The text as it stands there.
    text: String,
    /// Only blanks and ends of lines differ.
    blanks_only: bool,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("old_text is empty: write_file makes new files"),
            Self::Same => f.write_str("old_text and new_text are the same: nothing would change"),
            Self::Missing(None) => {
                f.write_str("old_text is not in the file, nor anything near it: read the file")
            }
            Self::Missing(Some(near)) => {
                let differs = if near.blanks_only {
                    "differs from it only in blanks or ends of lines"
                } else {
                    "is nearest to it"
                };
                write!(
                    f,
                    "old_text is not in the file. What stands at line {} {differs}:\n{}",
                    near.line, near.text
                )
            }
            Self::Several(count, lines) => {
                let told: Vec<String> = lines.iter().take(PLACES).map(usize::to_string).collect();
                let more = if lines.len() > PLACES { ", ..." } else { "" };
                write!(
                    f,
                    "old_text is in the file {count} times, at the lines {}{more}: give more of the text \
                     around the one you mean, or set replace_all",
                    told.join(", ")
                )
            }
        }
    }
}

/// The text with `old` replaced by `new`, and how often that was done: once, or with `all`
/// wherever it stands.
pub(super) fn replace(
    text: &str,
    old: &str,
    new: &str,
    all: bool,
) -> Result<(String, usize), Fault> {
    if old.is_empty() {
        return Err(Fault::Empty);
    }
    if old == new {
        return Err(Fault::Same);
    }
    let places: Vec<usize> = text.match_indices(old).map(|(at, _)| at).collect();
    match places.len() {
        0 => Err(Fault::Missing(near(text, old))),
        1 => Ok((text.replacen(old, new, 1), 1)),
        count if all => Ok((text.replace(old, new), count)),
        count => Err(Fault::Several(count, lines_at(text, &places))),
    }
}

/// The numbers of the lines in which these places are.
fn lines_at(text: &str, places: &[usize]) -> Vec<usize> {
    let (mut line, mut from) = (1, 0);
    let mut lines = Vec::new();
    for place in places {
        let between = text.get(from..*place).unwrap_or_default();
        line += between.matches('\n').count();
        from = *place;
        lines.push(line);
    }
    lines.dedup();
    lines
}

/// The lines that are most like the text looked for.
fn near(text: &str, old: &str) -> Option<Near> {
    let lines: Vec<&str> = text.lines().collect();
    let wanted: Vec<&str> = old.trim_matches('\n').lines().collect();
    let height = wanted.len();
    if height == 0 || lines.len().saturating_mul(height) > COMPARISONS {
        return None;
    }
    let mut best: Option<(f64, usize)> = None;
    for (at, window) in lines.windows(height).enumerate() {
        let likeness = likeness(window, &wanted);
        if likeness >= NEAR && best.is_none_or(|(most, _)| likeness > most) {
            best = Some((likeness, at));
        }
    }
    let (_, at) = best?;
    let window = lines.get(at..at + height)?;
    let text = window.join("\n");
    Some(Near {
        line: at + 1,
        blanks_only: words(&text) == words(old),
        text: super::shorten(&text, TOLD),
    })
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

/// From 0, nothing in common, to 1: the same but for blanks around each line.
fn likeness(window: &[&str], wanted: &[&str]) -> f64 {
    let lines = window.iter().zip(wanted);
    let total: f64 = lines.map(|(a, b)| line_likeness(a.trim(), b.trim())).sum();
    let count = u32::try_from(wanted.len()).unwrap_or(u32::MAX);
    total / f64::from(count)
}

fn line_likeness(a: &str, b: &str) -> f64 {
    if a == b {
        return 1.0;
    }
    let start = |text: &str| text.chars().take(COMPARED).collect::<String>();
    strsim::sorensen_dice(&start(a), &start(b))
}

#[cfg(test)]
mod tests {
    use super::{Fault, Near, replace};
    use proptest::prelude::*;

    const TEXT: &str = "fn a() {\n    one();\n}\nfn b() {\n    one();\n}\n";

    fn told(old: &str) -> String {
        replace(TEXT, old, "x", false).unwrap_err().to_string()
    }

    #[test]
    fn the_one_place_is_replaced_and_with_all_every_one() {
        let once = replace(TEXT, "fn b() {\n    one", "fn b() {\n    two", false);
        let changed = "fn a() {\n    one();\n}\nfn b() {\n    two();\n}\n";
        assert_eq!(once, Ok((changed.to_owned(), 1)));
        let all = replace(TEXT, "one();", "", true);
        let changed = "fn a() {\n    \n}\nfn b() {\n    \n}\n";
        assert_eq!(all, Ok((changed.to_owned(), 2)));
    }

    #[test]
    fn several_places_are_refused_with_their_lines() {
        assert_eq!(
            told("one()"),
            "old_text is in the file 2 times, at the lines 2, 5: give more of the text around the one you \
             mean, or set replace_all"
        );
    }

    #[test]
    fn a_text_that_differs_in_blanks_only_is_told_as_it_stands() {
        let fault = replace(TEXT, "fn b() {\n\tone();\n}", "x", false).unwrap_err();
        let near = Near {
            line: 4,
            text: "fn b() {\n    one();\n}".to_owned(),
            blanks_only: true,
        };
        assert_eq!(fault, Fault::Missing(Some(near)));
        assert_eq!(
            fault.to_string(),
            "old_text is not in the file. What stands at line 4 differs from it only in blanks or ends of \
             lines:\nfn b() {\n    one();\n}"
        );
    }

    #[test]
    fn the_nearest_text_is_told_and_nothing_that_is_far() {
        assert_eq!(
            told("    ones();"),
            "old_text is not in the file. What stands at line 2 is nearest to it:\n    one();"
        );
        assert_eq!(
            told("struct Far;"),
            "old_text is not in the file, nor anything near it: read the file"
        );
    }

    #[test]
    fn ends_of_lines_that_differ_are_told() {
        let fault = replace("a\r\nb\r\n", "a\nb", "c", false).unwrap_err();
        assert!(
            fault
                .to_string()
                .contains("only in blanks or ends of lines"),
            "{fault}"
        );
    }

    #[test]
    fn nothing_to_do_is_refused() {
        assert_eq!(replace(TEXT, "", "x", true), Err(Fault::Empty));
        assert_eq!(replace(TEXT, "one", "one", true), Err(Fault::Same));
    }

    proptest! {
        #[test]
        fn what_was_replaced_once_can_be_put_back(
            head in "[ab\n]{0,20}", old in "[xy]{1,5}", new in "[zw]{1,5}", tail in "[ab\n]{0,20}"
        ) {
            let text = format!("{head}{old}{tail}");
            let (changed, count) = replace(&text, &old, &new, false).unwrap();
            prop_assert_eq!(count, 1);
            prop_assert_eq!(replace(&changed, &new, &old, false).unwrap().0, text);
        }

        #[test]
        fn no_text_makes_it_break(text in "\\PC{0,60}", old in "\\PC{1,20}", all: bool) {
            if let Err(fault) = replace(&text, &old, "\u{1F980}", all) {
                prop_assert!(!fault.to_string().is_empty());
            }
        }
    }
}
