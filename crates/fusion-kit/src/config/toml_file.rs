//! Changes of the user's file: what else stands in it stays as it is.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use fusion_api_types::{Problem, ProblemKind};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use toml_edit::{DocumentMut, Item, Table, TableLike, Value};

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
    let mode = match fs::metadata(&target) {
        Ok(known) => known.mode() & 0o7777,
        Err(error) if error.kind() == ErrorKind::NotFound => 0o600,
        Err(error) => return Err(error),
    };
    write_whole_as(&target, bytes, mode)
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
        let none = changed((Path::new("f"), TEXT), Within::Profile("none"), "x", None);
        assert!(none.is_err());
    }
}
