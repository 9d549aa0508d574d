//! Text for people: made harmless, shortened, counted.

use std::borrow::Cow;

use chrono::TimeDelta;
use console::truncate_str;

/// The text without anything that a terminal would obey or that would reorder what is seen.
///
/// Line breaks and tabs stay; other control characters become visible signs, so that no text of
/// a model can move the cursor, recolour the screen or set the window's title.
pub(crate) fn clean(text: &str) -> String {
    text.replace("\r\n", "\n").chars().map(visible).collect()
}

/// [`clean`] on one line: every run of white space becomes one space.
pub(crate) fn clean_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    clean(&words.join(" "))
}

/// [`clean_line`] cut to `width` columns.
pub(crate) fn shorten(text: &str, width: usize) -> String {
    let line = clean_line(text);
    match truncate_str(&line, width, "…") {
        Cow::Borrowed(part) => part.to_owned(),
        Cow::Owned(part) => part,
    }
}

/// `0.4s`, `4m12s`, `1h03m`; a negative time (a clock that went back) is no time.
pub(crate) fn duration(time: TimeDelta) -> String {
    let tenths = time.num_milliseconds().max(0) / 100;
    let seconds = tenths / 10;
    if seconds < 60 {
        format!("{seconds}.{}s", tenths % 10)
    } else if seconds < 3600 {
        format!("{}m{:02}s", seconds / 60, seconds % 60)
    } else {
        format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60)
    }
}

/// `1,204`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `1 step`, `1,204 steps`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {noun}{ending}", thousands(number))
}

/// Every line of `text` moved to the right.
pub(crate) fn indent(text: &str, by: usize) -> String {
    let margin = " ".repeat(by);
    let mut lines = String::new();
    for line in text.lines() {
        if !line.is_empty() {
            lines.push_str(&margin);
            lines.push_str(line);
        }
        lines.push('\n');
    }
    lines
}

/// `word` as a shell reads it back: quoted where it must be, and safe to print.
#[must_use]
pub fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", clean(word).replace('\'', r"'\''"))
}

fn visible(c: char) -> char {
    match c {
        '\n' | '\t' => c,
        '\u{0}'..='\u{1f}' => char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}'),
        '\u{7f}' => '\u{2421}',
        '\u{80}'..='\u{9f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use fusion_api_types::api::plain_json;

    use super::{clean, clean_line, count, duration, indent, shell_word, shorten};
    use chrono::TimeDelta;

    #[test]
    fn nothing_a_terminal_obeys_survives() {
        assert_eq!(
            clean("a\u{1b}[31mred\u{1b}]0;title\u{7} \u{9b}2J\u{202e}\u{7f}\r\nb\tc\rd"),
            "a␛[31mred␛]0;title␇ \u{fffd}2J\u{fffd}␡\nb\tc␍d"
        );
    }

    #[test]
    fn json_stays_json_and_holds_no_raw_control_character() {
        let json = serde_json::to_string("a\u{1b}\u{9b}\u{7f}ü").unwrap();
        let safe = plain_json(&json);
        assert!(!safe.chars().any(char::is_control));
        assert_eq!(
            serde_json::from_str::<String>(&safe).unwrap(),
            "a\u{1b}\u{9b}\u{7f}ü"
        );
    }

    #[test]
    fn a_long_text_is_cut_to_one_line_of_its_columns() {
        assert_eq!(clean_line(" one\n\n two\t three "), "one two three");
        assert_eq!(shorten("one\ntwo three", 8), "one two…");
        assert_eq!(shorten("日本語テキスト", 7), "日本語…");
    }

    #[test]
    fn times_and_counts_read_like_a_person_says_them() {
        let said = |ms| duration(TimeDelta::milliseconds(ms));
        assert_eq!(
            [-5, 0, 449, 59_999, 60_000, 252_000, 3_780_000].map(said),
            ["0.0s", "0.0s", "0.4s", "59.9s", "1m00s", "4m12s", "1h03m"]
        );
        assert_eq!(
            [0, 1, 999, 1204, 1_000_000].map(|number| count(number, "step")),
            [
                "0 steps",
                "1 step",
                "999 steps",
                "1,204 steps",
                "1,000,000 steps"
            ]
        );
    }

    #[test]
    fn a_path_survives_being_pasted_into_a_shell() {
        assert_eq!(shell_word("/data/run-1"), "/data/run-1");
        assert_eq!(shell_word("my data"), "'my data'");
        assert_eq!(shell_word("it's"), r"'it'\''s'");
        assert_eq!(shell_word(""), "''");
    }

    #[test]
    fn an_empty_line_gets_no_trailing_margin() {
        assert_eq!(indent("a\n\nb", 2), "  a\n\n  b\n");
    }
}
