//! Files that steps hand over: kept outside of every workspace, each content once, under the SHA-256 of
//! it. Workspaces are left and entered through the path guard only.

mod holding;

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use fusion_core::is_hash;
use rustix::fs::Mode;

use crate::bundle::Summed;
use crate::descriptor::{Draft, open_dir};
use crate::{Error, Result, WorkspaceDir};

pub use holding::Holding;

/// Bytes of one file at most.
pub const ARTIFACT_LIMIT: u64 = 256 * 1024 * 1024;

/// The folder of files that are being written.
const DRAFTS: &str = "drafts";

/// A file that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The SHA-256 of its content, in lower-case hexadecimal digits.
    pub sha256: String,
    /// How long it is.
    pub bytes: u64,
}

/// The folder of kept files. Every method blocks.
#[derive(Debug, Clone)]
pub struct Artifacts {
    root: PathBuf,
}

impl Artifacts {
    /// Those in a folder, which is made with the first of them.
    #[must_use]
    pub const fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Keeps a copy of a file of a workspace, in place of one with the same content. When this returns well
    /// the copy is on the disk; cut off, nothing of it is ever taken for a whole one.
    ///
    /// # Errors
    /// The path is refused, leads out, or is no regular file with one name; it has more than
    /// [`ARTIFACT_LIMIT`] bytes, or a step failed.
    pub fn keep(&self, workspace: &WorkspaceDir, path: &str) -> Result<Kept> {
        let mut from = workspace.open_result(path)?;
        let kept = self.keep_copy(&mut from);
        kept.map_err(Error::io("keep the artifact", Path::new(path)))
    }

    /// Keeps a copy of a content that comes from outside, as [`keep`](Self::keep) does.
    ///
    /// # Errors
    /// It has more than [`ARTIFACT_LIMIT`] bytes, or a step failed.
    pub fn keep_copy(&self, from: &mut dyn Read) -> io::Result<Kept> {
        self.keep_newly(from).map(|(kept, _)| kept)
    }

    /// The same; says also whether the content was not kept before.
    ///
    /// # Errors
    /// As [`keep_copy`](Self::keep_copy).
    pub fn keep_newly(&self, from: &mut dyn Read) -> io::Result<(Kept, bool)> {
        let drafts = self.root.join(DRAFTS);
        fs::create_dir_all(&drafts)?;
        let drafts = open_dir(File::open(&drafts)?, ".")?;
        let mut summed = Summed::new(from.take(ARTIFACT_LIMIT.saturating_add(1)));
        let draft = Draft::copy(drafts.as_fd(), &mut summed, Mode::RUSR | Mode::WUSR, None)?;
        let (_, sha256, bytes) = summed.finish();
        let kept = Kept { sha256, bytes };
        if kept.bytes > ARTIFACT_LIMIT {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        let place = self.place_of(&kept.sha256);
        let folder = place.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder)?;
        let folder = open_dir(File::open(folder)?, ".")?;
        let is_new = !fs::metadata(&place).is_ok_and(|there| there.len() == kept.bytes);
        draft.place(folder.as_fd(), &kept.sha256)?;
        Ok((kept, is_new))
    }

    /// Opens a kept file, once its content was found to be the one of its name; `None` when there is none.
    ///
    /// # Errors
    /// It can't be read, or its content is another one.
    pub fn open(&self, sha256: &str) -> Result<Option<File>> {
        if !is_hash(sha256) {
            return Ok(None);
        }
        let place = self.place_of(sha256);
        let failed = || Error::io("read the artifact", &place);
        let file = match File::open(&place) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(failed())?,
        };
        let mut summed = Summed::new(file.take(ARTIFACT_LIMIT.saturating_add(1)));
        io::copy(&mut summed, &mut io::sink()).map_err(failed())?;
        if summed.finish().1 != sha256 {
            let damaged = io::Error::other("its content is not the one that it is named after");
            return Err(failed()(damaged));
        }
        File::open(&place).map(Some).map_err(failed())
    }

    /// Where a kept file is, and how long it is, once its content was found to be the one of its name; `None`
    /// when there is none.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn find(&self, sha256: &str) -> Result<Option<(PathBuf, u64)>> {
        let Some(file) = self.open(sha256)? else {
            return Ok(None);
        };
        let place = self.place_of(sha256);
        let read = file
            .metadata()
            .map_err(Error::io("read the artifact", &place));
        Ok(Some((place, read?.len())))
    }

    /// Puts a copy of a kept file into a workspace, in place of the file that has its name; says whether
    /// there is such a kept file.
    ///
    /// # Errors
    /// It is damaged or can't be read, the path is refused or goes through a link, or the workspace has no
    /// room for it.
    pub fn put(&self, sha256: &str, workspace: &WorkspaceDir, path: &str) -> Result<bool> {
        let Some(file) = self.open(sha256)? else {
            return Ok(false);
        };
        workspace.place_copy(path, file)?;
        Ok(true)
    }

    fn place_of(&self, sha256: &str) -> PathBuf {
        let (first, _) = sha256.split_at_checked(2).unwrap_or_default();
        self.root.join(first).join(sha256)
    }
}
