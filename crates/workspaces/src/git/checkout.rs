//! A person's own checkout, into which a person merges what an agent made of its worktree: the only
//! place where git runs with the settings of whoever calls.
//!
//! What comes of it is known before anything of the checkout is touched: it is merged among objects,
//! and only what is whole moves a branch.

mod moves;
mod runs;
mod state;

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use tokio::io::AsyncWriteExt;

use super::diff::{ChangedFile, changed};
use super::{PATIENCE, Repository, check_revision, failed, not_started, said};
use crate::{Error, Result};

/// What counts over the person's own settings: nothing that a branch can bring is started, and nothing
/// is fetched but the branch.
const SETTINGS: [&str; 8] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "fetch.fsckObjects=true",
    "fetch.recurseSubmodules=false",
    "submodule.recurse=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "protocol.file.allow=always",
];

/// Variables that would lead git to another repository than that of the checkout.
const MISLEADING: [&str; 12] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_COMMON_DIR",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_GRAFT_FILE",
    "GIT_SHALLOW_FILE",
    "GIT_REPLACE_REF_BASE",
    "GIT_CONFIG",
];

/// How git ends when it does not know an option.
const USAGE: i32 = 129;

/// A folder with a person's working tree, or a bare repository of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkout {
    path: PathBuf,
}

/// How a branch is merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// One commit with everything; the branch's own commits stay out.
    Squash,
    /// A commit with both parents, also where none is needed.
    Merge,
    /// No commit: the target moves on to the branch, or it is refused.
    FastForward,
}

/// What is to be merged into what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Merge<'a> {
    /// Where the branch is.
    pub from: &'a Repository,
    /// The branch.
    pub branch: &'a str,
    /// The branch that takes it in; the one that is checked out without it.
    pub into: Option<&'a str>,
    /// How.
    pub strategy: Strategy,
    /// What the new commit says; a text that names the branch without it.
    pub message: Option<&'a str>,
}

/// A merge that is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// The branch that took it in.
    pub into: String,
    /// The commit that it was at.
    pub before: String,
    /// The commit that it is at now; the same where it had everything already.
    pub commit: String,
    /// What is different, sorted by path.
    pub files: Vec<ChangedFile>,
}

/// Why nothing was merged: the checkout is as it was.
#[derive(Debug, thiserror::Error)]
pub enum NotMerged {
    /// Something else is under way there.
    #[error("{path} is in the middle of a {operation}: end it or undo it first")]
    UnderWay {
        /// The checkout.
        path: PathBuf,
        /// `merge`, `rebase` and the like.
        operation: &'static str,
    },
    /// There is work that is not committed.
    #[error("{path} has changes that are not committed: {}", named(files))]
    Dirty {
        /// The checkout.
        path: PathBuf,
        /// What is changed.
        files: Vec<String>,
    },
    /// No branch is checked out, and none is named.
    #[error("no branch is checked out in {path}: name the one that takes it in")]
    Detached {
        /// The checkout.
        path: PathBuf,
    },
    /// There is no such branch in the checkout.
    #[error("there is no branch '{branch}' in {path}")]
    NoTarget {
        /// The checkout.
        path: PathBuf,
        /// The branch.
        branch: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// Another folder has the branch checked out.
    #[error("the branch '{branch}' is checked out in {path}: merge it there")]
    Elsewhere {
        /// The branch.
        branch: String,
        /// The folder that has it.
        path: PathBuf,
    },
    /// The target has commits that the branch has not.
    #[error("'{into}' has gone on since: it can't just move on to the branch")]
    Diverged {
        /// The branch that should have moved.
        into: String,
    },
    /// Both changed the same places.
    #[error("both changed {}", named(files))]
    Conflict {
        /// The files.
        files: Vec<String>,
    },
    /// The person's git would run something that the branch brings.
    #[error("the branch changes {file}, which your git runs or reads as {setting}")]
    Runs {
        /// The file.
        file: String,
        /// The setting that names it.
        setting: String,
    },
    /// git broke off while it wrote files: a filter of the person's failed, or the disk is full.
    #[error(
        "{fault}; git had begun to write files of {path}, which is at {before} as before: {}",
        named(files)
    )]
    BrokenOff {
        /// The checkout.
        path: PathBuf,
        /// The commit that its branch is at.
        before: String,
        /// What is not as it was committed.
        files: Vec<String>,
        /// What git said.
        fault: Error,
    },
    /// git can't merge among objects.
    #[error("the git here can't merge without touching the checkout: it needs git 2.38 or newer")]
    TooOld,
    /// git refused or failed.
    #[error(transparent)]
    Git(#[from] Error),
}

/// Where a merge goes.
struct Target {
    branch: String,
    commit: String,
    /// It is checked out here, so files have to move with it.
    is_here: bool,
}

impl Checkout {
    /// The checkout in a folder; nothing is looked at yet.
    #[must_use]
    pub const fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Makes an empty repository of the folder, as the user of this process and with that user's settings.
    ///
    /// # Errors
    /// The folder is not there, or git fails.
    pub async fn begin(&self) -> Result<()> {
        self.git(&["init", "--quiet"]).await.map(|_| ())
    }

    /// Merges a branch of an agent, as the user of this process and with that user's settings. Hooks do
    /// not run, submodules are left alone, and untracked files are not overwritten.
    ///
    /// # Errors
    /// The state of the checkout does not allow it, both changed the same, or git fails. Nothing that git
    /// tracks there, no branch and no file was changed then, unless it is told ([`NotMerged::BrokenOff`]);
    /// the branch's objects may have been fetched.
    pub async fn merge(&self, wanted: Merge<'_>) -> Result<Merged, NotMerged> {
        let target = self.target(wanted.into).await?;
        let tip = self.fetch(wanted.from, wanted.branch).await?;
        let before = target.commit.clone();
        let Some(commit) = self.made(&wanted, &target, &tip).await? else {
            return Ok(Merged {
                into: target.branch,
                commit: before.clone(),
                before,
                files: Vec::new(),
            });
        };
        let files = self.changes(&before, &commit).await?;
        self.refuse_what_runs(&files).await?;
        let why = format!("fusion-kit: merge {}", wanted.branch);
        self.advance(&target, &commit, &why).await?;
        Ok(Merged {
            into: target.branch,
            before,
            commit,
            files,
        })
    }

    /// Takes the objects of a branch in, under no name; says which commit it is.
    async fn fetch(&self, from: &Repository, branch: &str) -> Result<String> {
        check_revision(branch)?;
        let tip = from
            .tip(branch)
            .await?
            .ok_or_else(|| failed("the branch is gone"))?;
        let place = from.path().to_str();
        let place = place.ok_or_else(|| failed("its path is not UTF-8"))?;
        let name = format!("refs/heads/{branch}");
        self.git(&[
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-recurse-submodules",
            "--no-auto-maintenance",
            "--",
            place,
            &name,
        ])
        .await?;
        Ok(tip)
    }

    /// What is different between two commits.
    async fn changes(&self, before: &str, after: &str) -> Result<Vec<ChangedFile>> {
        let said = self
            .git(&[
                "diff",
                "--numstat",
                "-z",
                "--no-renames",
                "--no-ext-diff",
                "--no-textconv",
                "--no-relative",
                before,
                after,
                "--",
            ])
            .await?;
        Ok(said.split('\0').filter_map(changed).collect())
    }

    /// What git says, without the end of its last line.
    async fn git(&self, words: &[&str]) -> Result<String> {
        let output = self.run(words).await?;
        Ok(said(&output)?.trim_end_matches('\n').to_owned())
    }

    /// Whether git says yes.
    async fn holds(&self, words: &[&str]) -> Result<bool> {
        let output = self.run(words).await?;
        match output.status.code() {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
            Some(_) | None => said(&output).map(|_| true),
        }
    }

    async fn run(&self, words: &[&str]) -> Result<Output> {
        self.ended(self.command(words), "").await
    }

    /// What became of a command that is given this on stdin.
    async fn ended(&self, mut git: tokio::process::Command, input: &str) -> Result<Output> {
        let output = async {
            let mut child = git.spawn()?;
            if let Some(mut stdin) = child.stdin.take() {
                // One that does not read it tells more by how it ends.
                stdin.write_all(input.as_bytes()).await.ok();
            }
            child.wait_with_output().await
        };
        let ended = tokio::time::timeout(PATIENCE, output).await;
        match ended {
            Ok(Ok(output)) => Ok(output),
            Ok(Err(error)) if !self.path.is_dir() => {
                Err(Error::io("use the checkout", &self.path)(error))
            }
            Ok(Err(error)) => Err(not_started(&error)),
            Err(_) => Err(failed("it took too long")),
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this crate is what starts processes"
    )]
    fn command(&self, words: &[&str]) -> tokio::process::Command {
        let mut git = tokio::process::Command::new("git");
        git.arg("--no-optional-locks");
        for setting in SETTINGS {
            git.args(["-c", setting]);
        }
        for name in MISLEADING {
            git.env_remove(name);
        }
        // What is no repository any more is not looked for in the folders above.
        let above = self.path.parent().unwrap_or_else(|| Path::new("/"));
        git.args(words)
            .env("GIT_CEILING_DIRECTORIES", above)
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .current_dir(&self.path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        git
    }
}

/// The first few of many names.
fn named(files: &[String]) -> String {
    const MOST: usize = 10;
    let shown: Vec<&str> = files.iter().take(MOST).map(String::as_str).collect();
    let shown = shown.join(", ");
    match files.len().saturating_sub(MOST) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_files_the_first_ten_are_named_and_the_rest_counted() {
        let files = |count: usize| (0..count).map(|it| it.to_string()).collect::<Vec<_>>();
        assert_eq!(named(&files(2)), "0, 1");
        assert_eq!(named(&files(12)), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more");
    }
}
