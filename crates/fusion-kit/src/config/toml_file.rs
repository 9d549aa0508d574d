//! Changes of the user's file: what else stands in it stays as it is.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use fusion_api_types::{Problem, ProblemKind};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use toml_edit::{Document, DocumentMut, Item, Table, TableLike, Value};

use crate::serve::write_whole_as;

/// Where in the file a value stands.
#[derive(Debug, Clone, Copy)]
pub(super) enum Within<'a> {
    /// At the top, for all.
    Top,
    /// In a profile, which must be there.
    Profile(&'a str),
    /// In a profile, which is made where it is not there.
    NewProfile(&'a str),
}

/// The text with a key set to a value, or without it, and what it was.
pub(super) fn changed(
    (file, text): (&Path, &str),
    within: Within<'_>,
    key: &str,
    value: Option<&str>,
) -> Result<(String, Option<String>), Problem> {
    let wrong = |error: &dyn std::fmt::Display| {
        let text = format!("{} can't be changed: {error}", file.display());
        Problem::new(ProblemKind::InvalidInput, text)
    };
    if value.is_none()
        && let Some(without) = without_line(text, within, key)
    {
        return Ok(without);
    }
    let mut document: DocumentMut = text.parse().map_err(|error| wrong(&error))?;
    let table: Option<&mut dyn TableLike> = match within {
        Within::Top => Some(document.as_table_mut()),
        Within::Profile(name) => {
            let found = profile(&mut document, name);
            let missing = format!("there is no table [profiles.{name}]");
            Some(found.ok_or_else(|| wrong(&missing))?)
        }
        Within::NewProfile(name) => {
            if value.is_some() {
                make_profile(&mut document, name);
            }
            profile(&mut document, name)
        }
    };
    let was = table.and_then(|table| put(table, key, value));
    Ok((document.to_string(), was))
}

/// The text without the lines of a key, and what it was: all else stays, also what stands above them.
/// `None` where the key has no lines of its own.
fn without_line(text: &str, within: Within<'_>, key: &str) -> Option<(String, Option<String>)> {
    let document = Document::parse(text).ok()?;
    let table: &dyn TableLike = match within {
        Within::Top => document.as_table(),
        Within::Profile(name) | Within::NewProfile(name) => {
            document.get("profiles")?.get(name)?.as_table_like()?
        }
    };
    let (name, item) = table.get_key_value(key)?;
    let (start, end) = (name.span()?.start, item.span()?.end);
    let start = text.get(..start)?.rfind('\n').map_or(0, |at| at + 1);
    let end = text
        .get(end..)?
        .find('\n')
        .map_or(text.len(), |at| end + at + 1);
    let without = format!("{}{}", text.get(..start)?, text.get(end..)?);
    let was = item.as_str().map(str::to_owned);
    let mut wanted: DocumentMut = text.parse().ok()?;
    let table: &mut dyn TableLike = match within {
        Within::Top => wanted.as_table_mut(),
        Within::Profile(name) | Within::NewProfile(name) => profile(&mut wanted, name)?,
    };
    table.remove(key);
    let is_just_that = means(&without)? == means(&wanted.to_string())?;
    is_just_that.then_some((without, was))
}

/// What its reader finds in a text.
fn means(text: &str) -> Option<toml::Table> {
    toml::from_str(text).ok()
}

fn profile<'a>(document: &'a mut DocumentMut, name: &str) -> Option<&'a mut dyn TableLike> {
    let all = document.get_mut("profiles")?;
    all.get_mut(name)?.as_table_like_mut()
}

fn make_profile(document: &mut DocumentMut, name: &str) {
    let all = document.entry("profiles").or_insert_with(|| {
        let mut all = Table::new();
        all.set_implicit(true);
        Item::Table(all)
    });
    if let Some(all) = all.as_table_like_mut() {
        all.entry(name).or_insert_with(toml_edit::table);
    }
}

/// Sets a key or takes it away; gives what it was. What stands around a value stays.
fn put(table: &mut dyn TableLike, key: &str, value: Option<&str>) -> Option<String> {
    let was = table.get(key).and_then(Item::as_str).map(str::to_owned);
    match value {
        Some(value) => {
            let mut fresh = Value::from(value);
            // Written into the place of the old one: what stands above belongs to the key.
            if let Some(old) = table.get_mut(key).and_then(Item::as_value_mut) {
                *fresh.decor_mut() = old.decor().clone();
                *old = fresh;
            } else {
                table.insert(key, Item::Value(fresh));
            }
        }
        None => {
            table.remove(key);
        }
    }
    was
}

/// Waits until nobody else who asks for it changes a file, and keeps others waiting until it is dropped: what
/// was read is then still what is written over.
pub(super) fn alone(file: &Path) -> io::Result<fs::File> {
    let folder = file.parent().unwrap_or_else(|| Path::new("/"));
    fs::create_dir_all(folder)?;
    let folder = fs::File::open(folder)?;
    loop {
        match flock(&folder, FlockOperation::LockExclusive) {
            Ok(()) => return Ok(folder),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Writes a file of the user anew, whole or not at all. A link stays one: what it leads to is written. Its
/// rights stay too; a new file is the user's alone.
pub(super) fn rewrite(file: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let target = match fs::canonicalize(file) {
        Ok(target) => target,
        Err(error) if error.kind() == ErrorKind::NotFound => pointed_at(file)?,
        Err(error) => return Err(error),
    };
    writable(&target)?;
    let mode = match fs::metadata(&target) {
        Ok(known) => known.mode() & 0o7777,
        Err(error) if error.kind() == ErrorKind::NotFound => 0o600,
        Err(error) => return Err(error),
    };
    write_whole_as(&target, bytes, mode)
}

/// Refuses a file that its owner keeps from being written, though another could be put in its place.
pub(super) fn writable(file: &Path) -> io::Result<()> {
    match fs::metadata(file) {
        Ok(known) if known.mode() & 0o200 == 0 => {
            let error = "its owner may only read it";
            Err(io::Error::new(ErrorKind::PermissionDenied, error))
        }
        _ => Ok(()),
    }
}

/// A file that can't be written, with the way out where its owner has one.
pub(super) fn unwritable(file: &Path, error: &io::Error) -> Problem {
    let shown = file.display();
    let text = format!("{shown} can't be written: {error}");
    if writable(file).is_err() {
        return Problem::new(ProblemKind::Denied, text)
            .with_help(format!("let it be changed with: chmod u+w {shown}"));
    }
    Problem::new(ProblemKind::Unavailable, text)
}

/// What a link leads to that is not there yet; a file that is no link is meant itself.
fn pointed_at(file: &Path) -> io::Result<PathBuf> {
    match fs::read_link(file) {
        Ok(target) => {
            let folder = file.parent().unwrap_or_else(|| Path::new("/"));
            let target = folder.join(target);
            // One link is followed: of several that lead nowhere nobody knows which is meant.
            match fs::symlink_metadata(&target) {
                Ok(_) => Err(io::Error::other("it is a link that leads nowhere")),
                Err(_) => Ok(target),
            }
        }
        Err(_) => Ok(file.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Within, changed};

    const TEXT: &str = "# mine\nproject = \"a\" # now\n\n[profiles.lab] # there\nserver = \"s\"\n";

    fn with(within: Within<'_>, key: &str, value: Option<&str>) -> (String, Option<String>) {
        changed((Path::new("f"), TEXT), within, key, value).unwrap()
    }

    #[test]
    fn a_value_is_changed_where_it_stands_and_comments_stay() {
        let a = Some("a".to_owned());
        let text = TEXT.replace("\"a\"", "\"b\"");
        assert_eq!(with(Within::Top, "project", Some("b")), (text, a));
        let more = format!("{TEXT}project = \"b\"\n");
        let set = with(Within::Profile("lab"), "project", Some("b"));
        assert_eq!(set, (more, None));
        let made = format!("{TEXT}\n[profiles.new]\nproject = \"b\"\n");
        let set = with(Within::NewProfile("new"), "project", Some("b"));
        assert_eq!(set, (made, None));
        let gone = TEXT.replace("server = \"s\"\n", "");
        let unset = with(Within::NewProfile("lab"), "server", None);
        assert_eq!(unset, (gone, Some("s".to_owned())));
        let unset = with(Within::NewProfile("none"), "server", None);
        assert_eq!(unset, (TEXT.to_owned(), None));
        let commented =
            "# of all\nproject = \"a\"\n\n[profiles.lab]\n# where it is\nserver = \"s\" # it\n";
        let without = |text: &'static str, within: Within<'_>, key: &str| {
            changed((Path::new("f"), text), within, key, None)
                .unwrap()
                .0
        };
        assert_eq!(
            [
                without(commented, Within::Top, "project"),
                without(commented, Within::NewProfile("lab"), "server"),
                without(
                    "profiles = { lab = { server = \"s\" } }\n",
                    Within::NewProfile("lab"),
                    "server"
                ),
                without(
                    "profiles.lab.server = \"s\"",
                    Within::NewProfile("lab"),
                    "server"
                ),
                without(
                    "project = \"\"\"\na\"\"\"\n[profiles]\n",
                    Within::Top,
                    "project"
                ),
            ],
            [
                commented.replace("project = \"a\"\n", ""),
                commented.replace("server = \"s\" # it\n", ""),
                "profiles = { lab = {} }\n".to_owned(),
                String::new(),
                "[profiles]\n".to_owned(),
            ]
        );
        let none = changed((Path::new("f"), TEXT), Within::Profile("none"), "x", None);
        assert!(none.is_err());
    }
}
