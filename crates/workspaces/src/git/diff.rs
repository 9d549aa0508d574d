//! What an agent made of its worktree, from the branch that was taken in: nothing in a workspace is read
//! for it, and no program but git is started.

use std::process::Stdio;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::{BASE, PATIENCE, Repository, check_revision, failed, not_started};
use crate::files::show::SECRET;
use crate::{Error, Result};

/// How much of the list of changed files is read, in bytes.
const MAX_LIST: usize = 4 * 1024 * 1024;

/// What git is told for every comparison: no program of a repository's settings has a say in it.
const PLAIN: [&str; 6] = [
    "diff",
    "--no-color",
    "--no-ext-diff",
    "--no-textconv",
    "--no-renames",
    "--no-relative",
];

/// The difference between what a worktree began with and a branch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diff {
    /// Every file that is different, sorted by path.
    pub files: Vec<ChangedFile>,
    /// All of it as a unified diff, cut at a character.
    pub text: String,
    /// Whether there is more.
    pub is_cut: bool,
}

/// A file that is different.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedFile {
    /// Its path in the worktree.
    pub path: String,
    /// Lines that were added; `None` for what is not text.
    pub added: Option<u64>,
    /// Lines that were removed.
    pub removed: Option<u64>,
}

impl Repository {
    /// Compares a branch with what the worktree began with. At most `limit` bytes of text are given;
    /// files that hold keys by their names are left out.
    ///
    /// # Errors
    /// There is no git here, or no such branch.
    pub async fn diff(&self, branch: &str, limit: usize) -> Result<Diff> {
        check_revision(branch)?;
        let branch = format!("refs/heads/{branch}");
        let (list, _) = self
            .compare(&["--numstat", "-z"], &branch, MAX_LIST)
            .await?;
        let (text, is_cut) = self.compare(&["--unified=3"], &branch, limit).await?;
        Ok(Diff {
            files: list.split('\0').filter_map(changed).collect(),
            text,
            is_cut,
        })
    }

    /// At most so many bytes of what git says, and whether there is more.
    async fn compare(&self, how: &[&str], branch: &str, limit: usize) -> Result<(String, bool)> {
        let left_out = left_out();
        let mut words = PLAIN.to_vec();
        words.extend_from_slice(how);
        words.extend(["--end-of-options", BASE, branch, "--", ":/"]);
        words.extend(left_out.iter().map(String::as_str));
        let mut git = self.command(&words);
        git.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut git = git.spawn().map_err(|error| not_started(&error))?;
        let (Some(stdout), Some(stderr)) = (git.stdout.take(), git.stderr.take()) else {
            return Err(failed("its output can't be read"));
        };
        // Closed after so much: git then ends, however much it has to say.
        let said =
            async { tokio::join!(beginning(stdout, limit + 1), beginning(stderr, MAX_LIST)) };
        let (said, wrong) = tokio::time::timeout(PATIENCE, said)
            .await
            .map_err(|_| failed("it took too long"))?;
        let mut said = said?;
        let is_cut = said.len() > limit;
        let ended = git.wait().await.map_err(|error| not_started(&error))?;
        if !ended.success() && !is_cut {
            return Err(failed(String::from_utf8_lossy(&wrong?).trim()));
        }
        said.truncate(limit);
        Ok((text(said), is_cut))
    }
}

/// The paths that are not shown, as git reads them.
fn left_out() -> Vec<String> {
    let without = |pattern: String| format!(":(top,exclude,icase,glob)**/{pattern}");
    let names = SECRET.iter();
    let names = names.flat_map(|name| [(*name).to_owned(), format!("{name}/**")]);
    names.chain([".env.*".to_owned()]).map(without).collect()
}

async fn beginning(from: impl AsyncRead + Unpin, most: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let most = u64::try_from(most).unwrap_or(u64::MAX);
    from.take(most)
        .read_to_end(&mut bytes)
        .await
        .map_err(Error::io("read what git says of", "the worktree"))?;
    Ok(bytes)
}

/// Text, of which what is none is shown as such; a character that was cut is left out.
fn text(mut bytes: Vec<u8>) -> String {
    if let Err(error) = std::str::from_utf8(&bytes)
        && error.error_len().is_none()
    {
        bytes.truncate(error.valid_up_to());
    }
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(&error.into_bytes()).into_owned())
}

/// Reads `ADDED<TAB>REMOVED<TAB>PATH`, with `-` for what is not text.
pub(super) fn changed(line: &str) -> Option<ChangedFile> {
    let mut parts = line.splitn(3, '\t');
    let (added, removed, path) = (parts.next()?, parts.next()?, parts.next()?);
    Some(ChangedFile {
        path: path.to_owned(),
        added: added.parse().ok(),
        removed: removed.parse().ok(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_list_is_read_whatever_its_path_is_called() {
        let file = |path: &str, added, removed| {
            let path = path.to_owned();
            Some(ChangedFile {
                path,
                added,
                removed,
            })
        };
        assert_eq!(changed("3\t0\ta\tb c"), file("a\tb c", Some(3), Some(0)));
        assert_eq!(changed("-\t-\tlogo.png"), file("logo.png", None, None));
        assert_eq!(changed(""), None);
    }
}
