//! A text in the hands of a person: a copy for their editor, in a folder that no repository picks up.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use fusion_api_types::{Problem, ProblemKind};
use rustix::process::geteuid;
use tempfile::TempPath;

use super::Config;
use crate::problems;

/// What a person left in their editor. It is gone once this is dropped.
#[derive(Debug)]
pub(crate) struct Edited {
    copy: TempPath,
    is_same: bool,
    /// Whether the editor ended well.
    pub(crate) ended_well: bool,
    pub(crate) text: String,
}

impl Config {
    /// Has a person edit a copy of a text, whose name ends so; `None` where there is no editor.
    ///
    /// # Errors
    /// There is no room for the copy, the editor can't be started, or what was written is no text: then it
    /// is kept.
    pub(crate) async fn edited(&self, text: &str, suffix: &str) -> Result<Option<Edited>, Problem> {
        let Some(editor) = self.editor.as_deref() else {
            return Ok(None);
        };
        let folder = self.of_user.edited_folder.as_deref();
        let copy = copied(folder, text, suffix).map_err(|error| {
            let text = format!("no file can be made for the editor: {error}");
            Problem::new(ProblemKind::Unavailable, text)
        })?;
        let ended = fusion_workspaces::edit(editor, &copy).await;
        let after = fs::read_to_string(&copy);
        let ended_well = match ended {
            Ok(ended_well) => ended_well,
            Err(error) => {
                let problem = problems::of_workspaces(&error);
                let is_same = after.is_ok_and(|after| after == text);
                return Err(if is_same {
                    problem
                } else {
                    kept(copy, problem)
                });
            }
        };
        match after {
            Ok(after) => Ok(Some(Edited {
                copy,
                is_same: after == text,
                ended_well,
                text: after,
            })),
            Err(error) => {
                let text = format!("what was written can't be read: {error}");
                Err(kept(copy, Problem::new(ProblemKind::InvalidInput, text)))
            }
        }
    }
}

impl Edited {
    /// Whether nothing was written.
    pub(crate) const fn is_same(&self) -> bool {
        self.is_same
    }

    /// A problem with what was written, which stays where it is: where that is stands with the way out.
    pub(crate) fn kept(self, problem: Problem) -> Problem {
        if self.is_same {
            return problem;
        }
        kept(self.copy, problem)
    }
}

fn kept(copy: TempPath, problem: Problem) -> Problem {
    let place = match keep(copy) {
        Ok(copy) => format!("what you wrote is in {}", copy.display()),
        Err(error) => format!("what you wrote can't be kept: {error}"),
    };
    let help = match &problem.help {
        Some(help) => format!("{help}; {place}"),
        None => place,
    };
    problem.with_help(help)
}

/// Copies that are kept in the folder for them.
const KEPT: usize = 10;

/// What the name of the folder for copies ends with.
const FOLDER: &str = "edited";

/// What the names of copies begin with that are in an editor.
const OPEN: &str = "edited-";

/// What the names of copies begin with that are kept.
const STAYS: &str = "kept-";

/// Gives a copy a name under which it stays; in the folder for copies the oldest ones go.
fn keep(copy: TempPath) -> io::Result<PathBuf> {
    let name = copy.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_prefix(OPEN).unwrap_or(&name);
    let stays = copy.with_file_name(format!("{STAYS}{name}"));
    copy.persist_noclobber(&stays)?;
    let folder = stays.parent().filter(|folder| folder.ends_with(FOLDER));
    if let Some(Err(error)) = folder.map(thin_out) {
        tracing::warn!(%error, "can't remove old copies of what was edited");
    }
    Ok(stays)
}

/// Removes the oldest of the copies that are kept, so that no more than [`KEPT`] are there.
fn thin_out(folder: &Path) -> io::Result<()> {
    let mut copies = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let is_kept = entry.file_name().to_string_lossy().starts_with(STAYS);
        if is_kept && entry.file_type()?.is_file() {
            let about = entry.metadata().and_then(|about| about.modified());
            copies.extend(about.ok().map(|changed| (changed, entry.path())));
        }
    }
    copies.sort();
    let more = copies.len().saturating_sub(KEPT);
    for (_, oldest) in copies.into_iter().take(more) {
        match fs::remove_file(oldest) {
            // Another command removes them too.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
    }
    Ok(())
}

/// A copy that its owner alone can read, in a folder that nobody else can look into; among the temporary
/// files where there is no such folder or it is another user's.
fn copied(folder: Option<&Path>, text: &str, suffix: &str) -> io::Result<TempPath> {
    let mut copy = tempfile::Builder::new();
    copy.prefix(OPEN).suffix(suffix);
    let mut copy = match folder {
        Some(folder) if is_ours(folder)? => copy.tempfile_in(folder)?,
        Some(_) | None => copy.tempfile()?,
    };
    copy.write_all(text.as_bytes())?;
    copy.flush()?;
    Ok(copy.into_temp_path())
}

/// Makes the folder for copies where it is missing, and closes it to others.
fn is_ours(folder: &Path) -> io::Result<bool> {
    let mut made = DirBuilder::new();
    made.recursive(true).mode(0o700).create(folder)?;
    let about = fs::symlink_metadata(folder)?;
    if !about.is_dir() || about.uid() != geteuid().as_raw() {
        return Ok(false);
    }
    // It may have been made by another hand, for all to look into.
    if about.mode() & 0o7777 != 0o700 {
        fs::set_permissions(folder, Permissions::from_mode(0o700))?;
    }
    Ok(true)
}
