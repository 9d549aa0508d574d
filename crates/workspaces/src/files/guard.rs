//! Which paths the file tools take, and what they say to the others.

use std::io;

use fusion_core::ErrorCode;
use rustix::io::Errno;

use super::EntryKind;
use super::show::{PACK_LIMIT, is_secret};
use crate::{Error, Result, Usage};

/// The longest path that is looked at, in bytes (Linux `PATH_MAX`).
const PATH_LIMIT: usize = 4096;
/// How much of a path an error repeats, in characters.
const SHOWN: usize = 200;
/// What agents' file tools don't write at the top of a workspace.
const PROTECTED: [&str; 3] = [".agent", ".env", "logs"];

/// Why a path or a file is refused, and what to do instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nothing was given.
    #[error("the path is empty; give one such as projects/report.md, or . for the workspace")]
    Empty,
    /// No file system holds such a name.
    #[error("a path can't hold a NUL character")]
    Nul,
    /// Longer than any path can be.
    #[error("the path is longer than {PATH_LIMIT} bytes")]
    TooLong,
    /// It starts at the root of the file system.
    #[error("give the path from the workspace's root, such as projects/report.md")]
    Absolute,
    /// It goes up.
    #[error("'..' is not taken; give the path from the workspace's root")]
    Parent,
    /// A link in it leads out of the workspace.
    #[error("a symbolic link in it leads out of the workspace")]
    Outside,
    /// It must be a regular file and is not.
    #[error("it is {}, not a regular file", kind.described())]
    NotAFile {
        /// What it is.
        kind: EntryKind,
    },
    /// A part of the path must be a folder and is not.
    #[error("'{folder}' is {}, not a folder", kind.described())]
    NotAFolder {
        /// The part of the path.
        folder: String,
        /// What it is.
        kind: EntryKind,
    },
    /// The same file may have a name outside of the workspace.
    #[error("the file has more than one name (hard links); copy it first")]
    HardLinked,
    /// The content is not text.
    #[error("it is not UTF-8 text ({size} bytes)")]
    NotText {
        /// Bytes of the file.
        size: u64,
    },
    /// The content is too big.
    #[error("{size} bytes are more than the {limit} that one write takes")]
    TooLarge {
        /// Bytes given.
        size: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// There is more than one pack holds.
    #[error("{size} bytes are more than the {} MiB that one pack takes: choose a folder", PACK_LIMIT >> 20)]
    TooMuch {
        /// Bytes of all files.
        size: u64,
    },
    /// The workspace would take more of the disk than it may.
    #[error(
        "the workspace may take {} MiB and {} files, and has no room for it: remove what is not \
         needed, or write less",
        quota.bytes >> 20, quota.files
    )]
    NoRoom {
        /// What the workspace may take.
        quota: Usage,
    },
    /// It leads somewhere else, and people are shown files themselves only.
    #[error("a part of it is a symbolic link, and links are not followed here")]
    Link,
    /// It may hold keys.
    #[error("files that may hold keys, '.agent' and '.git' are not shown")]
    Secret,
    /// Part of the workspace that the agent's tools don't write.
    #[error("'.agent', '.env', 'logs' and '.git' are not written by tools; use projects/ instead")]
    Protected,
}

impl Refusal {
    pub(crate) const fn code(&self) -> ErrorCode {
        match self {
            Self::Outside | Self::HardLinked | Self::Link | Self::Secret | Self::Protected => {
                ErrorCode::Denied
            }
            Self::NoRoom { .. } => ErrorCode::Limited,
            Self::Empty
            | Self::Nul
            | Self::TooLong
            | Self::Absolute
            | Self::Parent
            | Self::NotAFile { .. }
            | Self::NotAFolder { .. }
            | Self::NotText { .. }
            | Self::TooLarge { .. }
            | Self::TooMuch { .. } => ErrorCode::InvalidInput,
        }
    }
}

/// A path below the workspace as far as its text tells: plain names only.
#[derive(Debug)]
pub(super) struct RelativePath {
    text: String,
    parts: Vec<String>,
}

impl RelativePath {
    /// Takes any path but absolute ones and those with `..`. `.` is the workspace.
    pub(super) fn parse(path: &str) -> Result<Self> {
        match parts(path) {
            Ok(parts) if parts.is_empty() => Ok(Self {
                text: ".".to_owned(),
                parts,
            }),
            Ok(parts) => Ok(Self {
                text: parts.join("/"),
                parts,
            }),
            Err(refusal) => Err(refused(path, refusal)),
        }
    }

    /// Takes only paths that people are shown.
    pub(super) fn for_showing(path: &str) -> Result<Self> {
        let target = Self::parse(path)?;
        if is_secret(&target.text) {
            return Err(target.refused(Refusal::Secret));
        }
        Ok(target)
    }

    /// Takes only paths that a file tool may write.
    pub(super) fn for_writing(path: &str) -> Result<Self> {
        let target = Self::parse(path)?;
        let is = |part: &String, name: &str| part.eq_ignore_ascii_case(name);
        let protected = target.parts.iter().any(|part| is(part, ".git"))
            || target
                .parts
                .first()
                .is_some_and(|first| PROTECTED.iter().any(|name| is(first, name)));
        if protected {
            return Err(target.refused(Refusal::Protected));
        }
        if path.ends_with('/') {
            let kind = EntryKind::Directory;
            return Err(target.refused(Refusal::NotAFile { kind }));
        }
        Ok(target)
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Its parts; none for the workspace itself.
    pub(super) fn parts(&self) -> &[String] {
        &self.parts
    }

    /// The folders on the way and the name of the file.
    pub(super) fn split(&self) -> Result<(&[String], &str)> {
        let kind = EntryKind::Directory;
        let (name, folders) = self
            .parts
            .split_last()
            .ok_or_else(|| self.refused(Refusal::NotAFile { kind }))?;
        Ok((folders, name))
    }

    pub(super) fn refused(&self, refusal: Refusal) -> Error {
        refused(&self.text, refusal)
    }

    /// Makes an error of what the system said when `action` was tried; for `map_err`.
    pub(super) fn failed(&self, action: &'static str) -> impl FnOnce(io::Error) -> Error {
        let text = self.text.clone();
        move |error| match refusal_of(&error) {
            Some(refusal) => refused(&text, refusal),
            None => Error::io(action, shown(&text))(error),
        }
    }
}

fn parts(path: &str) -> Result<Vec<String>, Refusal> {
    if path.is_empty() {
        return Err(Refusal::Empty);
    }
    if path.len() > PATH_LIMIT {
        return Err(Refusal::TooLong);
    }
    if path.contains('\0') {
        return Err(Refusal::Nul);
    }
    if path.starts_with('/') {
        return Err(Refusal::Absolute);
    }
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => return Err(Refusal::Parent),
            part => parts.push(part.to_owned()),
        }
    }
    Ok(parts)
}

/// Reads errors that are refusals: of the guarded open, and of opening what is not a file.
fn refusal_of(error: &io::Error) -> Option<Refusal> {
    match Errno::from_io_error(error) {
        // The guarded open's own error carries no number; it gives it for every way out.
        None if error.kind() == io::ErrorKind::PermissionDenied => Some(Refusal::Outside),
        Some(Errno::NXIO | Errno::NODEV) => Some(Refusal::NotAFile {
            kind: EntryKind::Other,
        }),
        Some(Errno::ISDIR) => Some(Refusal::NotAFile {
            kind: EntryKind::Directory,
        }),
        Some(_) | None => None,
    }
}

fn refused(path: &str, refusal: Refusal) -> Error {
    Error::Refused {
        path: shown(path),
        refusal,
    }
}

/// A path for a message: control characters spelled out, not longer than anyone reads.
fn shown(path: &str) -> String {
    let mut shown = String::new();
    for character in path.chars().take(SHOWN) {
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    if path.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}
