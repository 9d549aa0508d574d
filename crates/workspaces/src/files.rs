//! What agents' file tools do, and everything host-side that touches a workspace's files.

mod guard;
mod hand_over;
mod log;
mod only_here;
mod plant;
mod search;
pub(crate) mod show;
mod walk;

use std::fs::File;
use std::io::Read;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use cap_std::fs::{OpenOptions, OpenOptionsExt};
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, statat};
use rustix::io::Errno;

use crate::descriptor::{Draft, enter_dir_by, open_dir};
use crate::workspace::make_drafts;
use crate::{Error, Result, WorkspaceDir};
use guard::RelativePath;

pub use guard::Refusal;
pub use only_here::OnlyHere;
pub use search::{FileMatches, MatchedLine, Matches, TextQuery};
pub use show::{PACK_LIMIT, Pack, Packed};
pub use walk::{EntryKind, FileEntry};

/// The most bytes of a file that one read gives.
pub const READ_LIMIT: usize = 10 * 1024 * 1024;
/// The most bytes that one write takes.
pub const WRITE_LIMIT: usize = 10 * 1024 * 1024;
/// The most entries that one list gives.
pub const LIST_LIMIT: usize = 10_000;
/// The most entries that a search for patterns looks at.
const SEARCH_LIMIT: usize = 200_000;

/// The text of a file, or its beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileText {
    /// The text, cut at a character.
    pub text: String,
    /// How many bytes of the file come after it.
    pub truncated_bytes: u64,
}

impl WorkspaceDir {
    /// Reads at most `limit` bytes ([`READ_LIMIT`] at the most) of a text file. Links inside
    /// the workspace are followed.
    ///
    /// # Errors
    /// The path is refused, leads out, or is no regular file with one name and UTF-8 content.
    pub fn read_file(&self, path: &str, limit: usize) -> Result<FileText> {
        let target = RelativePath::parse(path)?;
        text_of(self.open_file(&target)?, &target, limit)
    }

    /// Writes a file: readers see the old content or the new one, and after a return without
    /// error the new one is on the disk. Missing folders are made. An existing file keeps its
    /// rights; a new one is open to the agent only.
    ///
    /// # Errors
    /// The path is refused or goes through a link, there are more than [`WRITE_LIMIT`] bytes or more
    /// than the workspace has room for, something else than a regular file has the name, or a step failed.
    pub fn write_file(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let target = RelativePath::for_writing(path)?;
        if bytes.len() > WRITE_LIMIT {
            return Err(target.refused(Refusal::TooLarge {
                size: bytes.len(),
                limit: WRITE_LIMIT,
            }));
        }
        let (folders, name) = target.split()?;
        let parent = self.make_folders(&target, folders)?;
        let (mode, before) = replaced(&target, &parent, name)?;
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if !self.has_room(size, before)? {
            let quota = self.quota();
            return Err(target.refused(Refusal::NoRoom { quota }));
        }
        make_drafts(self.dir(), self.uid())
            .and_then(|drafts| {
                Draft::write(drafts.as_fd(), bytes, mode, self.uid())?.place(parent.as_fd(), name)
            })
            .map_err(target.failed("write"))?;
        self.note_write(size, before);
        Ok(())
    }

    /// Everything below a folder (`.` is the workspace), sorted by path, at most `limit` and at
    /// most [`LIST_LIMIT`] entries: as many as that means that there may be more. What is in
    /// `.agent` and in a `.git` folder is left out. Links are named, not followed.
    ///
    /// # Errors
    /// The path is refused, leads out, or is no folder.
    pub fn list_files(&self, path: &str, limit: usize) -> Result<Vec<FileEntry>> {
        let start = RelativePath::parse(path)?;
        let limit = limit.min(LIST_LIMIT);
        let mut entries = Vec::new();
        if limit > 0 {
            walk::walk(self.dir(), start.as_str(), &mut |entry| {
                entries.push(entry);
                if entries.len() == limit {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            })
            .map_err(start.failed("list"))?;
        }
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(entries)
    }

    /// The paths of all regular files that match one of the patterns, sorted. `*` stays inside
    /// a folder, `**` crosses folders. `.agent` and `.git` folders are not searched.
    ///
    /// # Errors
    /// A pattern can't be read, more than [`LIST_LIMIT`] files match, or the workspace holds
    /// more entries than a search looks at.
    pub fn matching(&self, globs: &[String]) -> Result<Vec<String>> {
        let globs = glob_set(globs)?;
        let mut seen = 0;
        let mut paths = Vec::new();
        walk::walk(self.dir(), ".", &mut |entry| {
            seen += 1;
            if entry.kind == EntryKind::File && globs.is_match(&entry.path) {
                paths.push(entry.path);
            }
            if paths.len() > LIST_LIMIT || seen > SEARCH_LIMIT {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })
        .map_err(Error::io("search", self.path()))?;
        if paths.len() > LIST_LIMIT {
            return Err(Error::TooManyFiles { limit: LIST_LIMIT });
        }
        if seen > SEARCH_LIMIT {
            return Err(Error::TooManyFiles {
                limit: SEARCH_LIMIT,
            });
        }
        paths.sort();
        Ok(paths)
    }

    /// Opens a regular file with one name for reading. What is checked is the open descriptor.
    fn open_file(&self, path: &RelativePath) -> Result<File> {
        // Without NONBLOCK, opening a FIFO would wait for a writer.
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        let flags = i32::try_from(flags.bits()).unwrap_or_default();
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(flags);
        let file = self
            .dir()
            .open_with(path.as_str(), &options)
            .map_err(path.failed("read"))?
            .into_std();
        let metadata = file.metadata().map_err(path.failed("read"))?;
        if !metadata.is_file() {
            let kind = EntryKind::of(FileType::from_raw_mode(metadata.mode()));
            return Err(path.refused(Refusal::NotAFile { kind }));
        }
        if metadata.nlink() > 1 {
            return Err(path.refused(Refusal::HardLinked));
        }
        Ok(file)
    }

    /// Opens the folder that a file is written to, step by step without following links.
    fn make_folders(&self, target: &RelativePath, folders: &[String]) -> Result<OwnedFd> {
        let mut parent = open_dir(self.dir(), ".").map_err(target.failed("write"))?;
        for folder in folders {
            let drafts = || make_drafts(self.dir(), self.uid());
            parent = match enter_dir_by(drafts, &parent, folder, self.uid()) {
                Ok(dir) => dir,
                Err(error) => {
                    let kind = statat(&parent, folder.as_str(), AtFlags::SYMLINK_NOFOLLOW)
                        .map(|stat| EntryKind::of(FileType::from_raw_mode(stat.st_mode)));
                    return Err(match kind {
                        Ok(kind) if kind != EntryKind::Directory => {
                            target.refused(Refusal::NotAFolder {
                                folder: folder.clone(),
                                kind,
                            })
                        }
                        Ok(_) | Err(_) => target.failed("write")(error),
                    });
                }
            };
        }
        Ok(parent)
    }
}

/// The rights for a file that is written, which are those of the file it replaces, and that one's
/// length. What is swapped in after this look is replaced too, never followed.
fn replaced(target: &RelativePath, parent: &OwnedFd, name: &str) -> Result<(Mode, Option<u64>)> {
    let stat = match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return Ok((Mode::RUSR | Mode::WUSR, None)),
        Err(error) => return Err(target.failed("write")(error.into())),
    };
    match EntryKind::of(FileType::from_raw_mode(stat.st_mode)) {
        EntryKind::File => {
            let rights = Mode::RWXU | Mode::RWXG | Mode::RWXO;
            let size = u64::try_from(stat.st_size).unwrap_or_default();
            Ok((Mode::from_raw_mode(stat.st_mode) & rights, Some(size)))
        }
        kind @ (EntryKind::Directory | EntryKind::Link | EntryKind::Other) => {
            Err(target.refused(Refusal::NotAFile { kind }))
        }
    }
}

/// At most `limit` bytes of an open text file, and no more than [`READ_LIMIT`].
fn text_of(file: File, path: &RelativePath, limit: usize) -> Result<FileText> {
    let size = file.metadata().map_err(path.failed("read"))?.len();
    let limit = limit.min(READ_LIMIT);
    let mut bytes = Vec::new();
    file.take(u64::try_from(limit).unwrap_or(u64::MAX))
        .read_to_end(&mut bytes)
        .map_err(path.failed("read"))?;
    if bytes.len() == limit {
        drop_half_character(&mut bytes);
    }
    let taken = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let text = String::from_utf8(bytes).map_err(|_| path.refused(Refusal::NotText { size }))?;
    Ok(FileText {
        text,
        truncated_bytes: size.saturating_sub(taken),
    })
}

/// Drops the bytes of a last character that is not there as a whole.
fn drop_half_character(bytes: &mut Vec<u8>) {
    if let Err(error) = std::str::from_utf8(bytes)
        && error.error_len().is_none()
    {
        bytes.truncate(error.valid_up_to());
    }
}

fn glob_set(globs: &[String]) -> Result<GlobSet> {
    let failed = |pattern: &str| {
        let pattern = pattern.to_owned();
        move |source| Error::Pattern { pattern, source }
    };
    let mut set = GlobSetBuilder::new();
    for glob in globs {
        let glob = GlobBuilder::new(glob)
            .literal_separator(true)
            .build()
            .map_err(failed(glob))?;
        set.add(glob);
    }
    set.build().map_err(failed(&globs.join(", ")))
}
