//! The file of settings of the current folder: read as `dotenvy` reads it, changed line by line.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use dotenvy::{Error, Iter};

/// What it is called.
pub(super) const FILE: &str = ".env";

/// What a file sets.
pub(super) type Variables = BTreeMap<String, String>;

/// The variables of a file, and what is wrong with it. Only this very file is read: one in a folder above
/// may be somebody else's, and could send a key to their server.
pub(super) fn read(file: &Path) -> (Variables, Option<String>) {
    match dotenvy::from_path_iter(file) {
        Ok(lines) => collected(lines),
        Err(error) if error.not_found() => (Variables::new(), None),
        Err(_) => (Variables::new(), Some(".env can't be read".to_owned())),
    }
}

/// The same of the text of one.
pub(super) fn parse(text: &str) -> (Variables, Option<String>) {
    collected(dotenvy::from_read_iter(text.as_bytes()))
}

fn collected<R: Read>(lines: Iter<R>) -> (Variables, Option<String>) {
    let mut variables = Variables::new();
    for line in lines {
        match line {
            Ok((name, value)) => {
                variables.entry(name).or_insert(value);
            }
            // The line may hold a key, so its text is not shown.
            Err(_) => {
                let fault = ".env has a line that is not NAME=value; the rest of it is not read";
                return (variables, Some(fault.to_owned()));
            }
        }
    }
    (variables, None)
}

/// The number of the first line that can't be read, from 1.
pub(super) fn wrong_line(text: &str) -> Option<usize> {
    let wrong = dotenvy::from_read_iter(text.as_bytes()).find_map(|line| match line {
        Err(Error::LineParse(line, _)) => Some(line),
        Ok(_) | Err(_) => None,
    })?;
    let wrong = wrong.lines().next().unwrap_or_default().trim();
    let at = text.lines().position(|line| line.trim() == wrong)?;
    Some(at + 1)
}

/// The number of the line that sets a variable, from 1.
pub(super) fn line_of(text: &str, name: &str) -> Option<usize> {
    let at = text.lines().position(|line| name_of(line) == Some(name))?;
    Some(at + 1)
}

/// The text with a variable set to a value, or without it; all else stays as it is. `None` where the reader
/// of the file would not find just that in it.
pub(super) fn changed(text: &str, name: &str, value: Option<&str>) -> Option<String> {
    let (mut wanted, fault) = parse(text);
    match value {
        Some(value) => wanted.insert(name.to_owned(), value.to_owned()),
        None => wanted.remove(name),
    };
    let mut after = String::with_capacity(text.len());
    let mut missing = value;
    for line in text.split_inclusive('\n') {
        if name_of(line) != Some(name) {
            after.push_str(line);
        } else if let Some(value) = missing.take() {
            after.push_str(&with_value(line, value)?);
        } else if value.is_some() {
            // The first one counts.
            after.push_str(line);
        }
    }
    if let Some(value) = missing {
        if !after.is_empty() && !after.ends_with('\n') {
            after.push('\n');
        }
        after.push_str(&format!("{name}={}\n", quoted(value)?));
    }
    (parse(&after) == (wanted, fault)).then_some(after)
}

/// The variable that a line sets.
fn name_of(line: &str) -> Option<&str> {
    let (name, _) = line.split_once('=')?;
    let name = name.trim();
    Some(name.strip_prefix("export ").unwrap_or(name).trim_start())
}

/// A line with another value; what stands before and behind it stays.
fn with_value(line: &str, value: &str) -> Option<String> {
    let text = line.trim_end_matches(['\r', '\n']);
    let end = line.get(text.len()..)?;
    let (before, old) = text.split_once('=')?;
    let old_value = parse(text).0;
    let comment = old.match_indices(" #").map(|(at, _)| old.split_at(at));
    // Behind a value, not in it: the value is the same without.
    let mut comment = comment.filter(|(old, _)| parse(&format!("{before}={old}")).0 == old_value);
    let comment = comment.next().map_or("", |(_, comment)| comment);
    Some(format!("{before}={}{comment}{end}", quoted(value)?))
}

/// A value as it stands in the file, so that nothing in it is replaced.
fn quoted(value: &str) -> Option<String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@,+=%".contains(c);
    if value.chars().all(is_plain) {
        return Some(value.to_owned());
    }
    if !value.contains('\'') {
        return Some(format!("'{value}'"));
    }
    if value.contains(['\n', '\r']) {
        return None;
    }
    let mut text = String::from("\"");
    for c in value.chars() {
        if matches!(c, '"' | '\\' | '$') {
            text.push('\\');
        }
        text.push(c);
    }
    Some(text + "\"")
}

#[cfg(test)]
mod tests {
    use super::{changed, line_of, parse, wrong_line};

    const TEXT: &str = "# mine\nexport A=1 # one\n\nB='two # 2' # b\r\nC=3\nA=again\n";

    #[test]
    fn a_variable_is_set_where_it_stands_and_all_else_stays() {
        assert_eq!(
            [
                changed(TEXT, "A", Some("x y")),
                changed(TEXT, "B", Some("it's $5 \\ \"so\"")),
                changed(TEXT, "D", Some("http://127.0.0.1:80/v1")),
                changed(TEXT, "A", None),
                changed(TEXT, "D", None),
                changed("", "D", Some("a#b")),
                changed("C=3", "D", Some("4")),
            ],
            [
                Some("# mine\nexport A='x y' # one\n\nB='two # 2' # b\r\nC=3\nA=again\n"),
                Some("# mine\nexport A=1 # one\n\nB=\"it's \\$5 \\\\ \\\"so\\\"\" # b\r\nC=3\nA=again\n"),
                Some("# mine\nexport A=1 # one\n\nB='two # 2' # b\r\nC=3\nA=again\nD=http://127.0.0.1:80/v1\n"),
                Some("# mine\n\nB='two # 2' # b\r\nC=3\n"),
                Some(TEXT),
                Some("D='a#b'\n"),
                Some("C=3\nD=4\n"),
            ]
            .map(|text| text.map(str::to_owned))
        );
    }

    #[test]
    fn what_its_reader_would_not_find_is_not_written() {
        let later = "A=1\nno setting\nB=2\n";
        assert_eq!(changed(later, "B", Some("3")), None);
        assert_eq!(
            changed(later, "A", Some("3")).as_deref(),
            Some("A=3\nno setting\nB=2\n")
        );
        // The value of another one would change with it, and a text over several lines is one value.
        assert_eq!(changed("A=1\nB=${A}\n", "A", Some("2")), None);
        assert_eq!(changed("A=\"\nB=1\n\"\n", "B", Some("2")), None);
    }

    #[test]
    fn a_fault_is_told_with_its_line() {
        assert_eq!(wrong_line("# a\nA=1\n  no setting\nB=2\n"), Some(3));
        assert_eq!(wrong_line("A=1\n"), None);
        assert_eq!(line_of("# A=2\nexport A=1\n", "A"), Some(2));
        assert_eq!(parse("A=1\nA=2\n").0["A"], "1");
    }
}
