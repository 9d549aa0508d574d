//! Worktrees: a repository's files in a workspace, and what the agent made of them.
//!
//! What crosses between a workspace and this program is one file each way, a bundle of commits. In the
//! workspace git runs as the agent's commands run. Outside it runs on repositories of this program
//! only, which no agent can write, with none of the machine's, the user's or the source's settings
//! but theirs; of the source it reads objects and names.

mod checkout;
mod diff;

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub use checkout::{Checkout, Merge, Merged, NotMerged, Strategy};
pub use diff::{ChangedFile, Diff};

use crate::process::PATH;
use crate::{Command, Error, Exit, Launcher, Program, Result, WorkspaceDir};

/// How long one call of git may take.
const PATIENCE: Duration = Duration::from_mins(10);
/// How much of what git says is told, in bytes.
const TOLD: usize = 1_000;
/// The longest name of a revision, in bytes.
const MAX_REVISION: usize = 255;
/// The name of the commit that a worktree began with.
const BASE: &str = "refs/fusion/base";
/// Where bundles are in a workspace, in `.agent`.
const SEED: &str = "seed.bundle";
const RESULT: &str = "result.bundle";

/// What makes git do as it is told and nothing else.
const SETTINGS: [&str; 8] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.logAllRefUpdates=always",
    "fetch.fsckObjects=true",
    "gc.auto=0",
    "maintenance.auto=false",
    "protocol.allow=never",
    "protocol.file.allow=always",
];

/// Makes the worktree anew, from the bundle.
const SOW: &str = r#"set -e
rm -rf -- "$FOLDER"
git init -q --template= -- "$FOLDER"
cd -- "$FOLDER"
git config user.name "$NAME"
git config user.email "$MAIL"
git fetch -q --no-tags "$BUNDLE" "+$REF:$REF"
git checkout -q -B "$BRANCH" "$REF""#;

/// Commits what is not committed, and packs all that is new. There is nothing to pack when there is
/// nothing new.
const REAP: &str = r#"set -e
rm -f -- "$BUNDLE"
cd -- "$FOLDER"
git add -A
git diff --cached --quiet HEAD || git -c core.hooksPath=/dev/null commit -q -m "$MESSAGE"
test -z "$(git rev-list --max-count=1 "^$BASE" HEAD)" || git bundle create -q "$BUNDLE" "^$BASE" HEAD"#;

/// A bare repository of this program, for the worktree of one agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    path: PathBuf,
}

/// The worktree of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worktree {
    /// Its folder, in `projects/` of the workspace.
    pub folder: String,
    /// Whose commits these are.
    pub author: String,
    /// The commit that it began with, in hexadecimal.
    pub base: String,
    /// The branch that is checked out at first.
    pub branch: String,
}

impl Repository {
    /// The repository of this name in a folder of repositories; nothing is made yet.
    #[must_use]
    pub fn new(root: &Path, name: &str) -> Self {
        Self {
            path: root.join(format!("{name}.git")),
        }
    }

    /// The repository in this folder.
    #[must_use]
    pub const fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes a revision of another repository in, with all that came before it; says which commit it
    /// is. `HEAD` is what is checked out there.
    ///
    /// # Errors
    /// There is no git here, no repository there, or no such revision in it.
    pub async fn take(&self, source: &Path, revision: &str) -> Result<String> {
        check_revision(revision)?;
        self.make(source)?;
        self.git(&["init", "--quiet", "--bare", "--template="])
            .await?;
        let place = source
            .to_str()
            .ok_or_else(|| failed("its path is not UTF-8"))?;
        let refspec = format!("+{revision}:{BASE}");
        self.fetch(place, &refspec).await?;
        let commit = format!("{BASE}^{{commit}}");
        let found = self
            .git(&["rev-parse", "--verify", "--end-of-options", &commit])
            .await?;
        Ok(found.trim().to_owned())
    }

    /// Puts the worktree into a workspace, in the place of whatever is in its folder.
    ///
    /// # Errors
    /// There is no room, or git fails.
    pub async fn sow(&self, at: &Worktree, dir: &WorkspaceDir, launcher: &Launcher) -> Result<()> {
        let bundle = self.beside("seed");
        let name = bundle
            .to_str()
            .ok_or_else(|| failed("its path is not UTF-8"))?;
        self.git(&["bundle", "create", "--quiet", name, BASE])
            .await?;
        let into = dir.clone();
        let put = blocking(move || {
            let file = File::open(&bundle).map_err(Error::io("read", &bundle))?;
            let put = into.put_private(SEED, file);
            fs::remove_file(&bundle).map_err(Error::io("remove", &bundle))?;
            put
        });
        put.await?;
        let more = [("REF", BASE.to_owned()), ("BRANCH", at.branch.clone())];
        at.run((SOW, SEED), &more, dir, launcher).await
    }

    /// Takes what the agent made of its worktree in, committed or not, as a branch; says whether
    /// there is anything.
    ///
    /// # Errors
    /// The worktree is not one any more, or what came of it is none of git's.
    pub async fn reap(
        &self,
        at: &Worktree,
        (branch, message): (&str, &str),
        dir: &WorkspaceDir,
        launcher: &Launcher,
    ) -> Result<bool> {
        let more = [("MESSAGE", message.to_owned())];
        at.run((REAP, RESULT), &more, dir, launcher).await?;
        let (from, bundle) = (dir.clone(), self.beside("result"));
        let into = bundle.clone();
        let is_there = blocking(move || from.take_private(RESULT, &into)).await?;
        if !is_there {
            return Ok(false);
        }
        let refspec = format!("+HEAD:refs/heads/{branch}");
        let name = bundle
            .to_str()
            .ok_or_else(|| failed("its path is not UTF-8"))?;
        let taken = self.fetch(name, &refspec).await;
        fs::remove_file(&bundle).map_err(Error::io("remove", &bundle))?;
        taken.map(|_| true)
    }

    /// Its branches, sorted by name.
    ///
    /// # Errors
    /// There is no git here, or no repository that this user may use.
    pub async fn branches(&self) -> Result<Vec<String>> {
        let format = "--format=%(refname:lstrip=2)";
        let said = self.git(&["for-each-ref", format, "refs/heads/"]).await?;
        Ok(said.lines().map(str::to_owned).collect())
    }

    /// The commit that a branch is at; `None` where there is no such branch.
    ///
    /// # Errors
    /// As [`branches`](Self::branches).
    pub async fn tip(&self, branch: &str) -> Result<Option<String>> {
        check_revision(branch)?;
        let name = format!("refs/heads/{branch}");
        let format = "--format=%(refname)%00%(objectname)";
        let said = self.git(&["for-each-ref", format, &name]).await?;
        // Branches below a folder of this name are told of too.
        let mut found = said.lines().filter_map(|line| line.split_once('\0'));
        let found = found.find(|(known, _)| *known == name);
        Ok(found.map(|(_, tip)| tip.to_owned()))
    }

    /// Removes it with everything in it; it is no fault when it is not there. Blocks.
    ///
    /// # Errors
    /// Something of it can't be removed.
    pub fn discard(&self) -> Result<()> {
        let gone = |removed: io::Result<()>| match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        };
        let files = ["gitconfig", "seed", "result"].map(|what| self.beside(what));
        gone(fs::remove_dir_all(&self.path))
            .and_then(|()| {
                files
                    .iter()
                    .try_for_each(|file| gone(fs::remove_file(file)))
            })
            .map_err(Error::io("remove", &self.path))
    }

    async fn fetch(&self, from: &str, refspec: &str) -> Result<String> {
        let quiet = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head"];
        let alone = ["--no-recurse-submodules", "--no-auto-maintenance", "--"];
        let all: Vec<&str> = quiet
            .into_iter()
            .chain(alone)
            .chain([from, refspec])
            .collect();
        self.git(&all).await
    }

    /// A file of its own beside it.
    fn beside(&self, what: &str) -> PathBuf {
        self.path.with_extension(what)
    }

    /// Makes its folder, and says in a file that the source may belong to somebody else.
    fn make(&self, source: &Path) -> Result<()> {
        let made = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.path);
        made.map_err(Error::io("make", &self.path))?;
        let safe = [source.to_owned(), source.join(".git")];
        let lines = safe.map(|path| format!("\tdirectory = {}\n", quoted(&path)));
        let settings = self.beside("gitconfig");
        fs::write(&settings, format!("[safe]\n{}", lines.concat()))
            .map_err(Error::io("write", &settings))
    }

    async fn git(&self, words: &[&str]) -> Result<String> {
        let ended = tokio::time::timeout(PATIENCE, self.command(words).output()).await;
        match ended {
            Ok(Ok(output)) => said(&output),
            Ok(Err(error)) => Err(not_started(&error)),
            Err(_) => Err(failed("it took too long")),
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this and the launcher are what starts processes"
    )]
    fn command(&self, words: &[&str]) -> tokio::process::Command {
        let mut git = tokio::process::Command::new("git");
        for setting in SETTINGS {
            git.args(["-c", setting]);
        }
        git.args(words)
            .env_clear()
            .env("PATH", PATH)
            .env("HOME", &self.path)
            .env("LC_ALL", "C")
            .env("GIT_DIR", ".")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", self.beside("gitconfig"))
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .current_dir(&self.path)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        git
    }
}

impl Worktree {
    /// Runs a script of ours as a command of the agent.
    async fn run(
        &self,
        (script, bundle): (&str, &str),
        more: &[(&str, String)],
        dir: &WorkspaceDir,
        launcher: &Launcher,
    ) -> Result<()> {
        let place = |path: &Path| path.display().to_string();
        let mail = format!("{}@fusion-kit.invalid", self.author);
        let env = [
            ("FOLDER", place(&dir.projects_path().join(&self.folder))),
            ("BUNDLE", place(&dir.path().join(".agent").join(bundle))),
            ("BASE", self.base.clone()),
            ("NAME", self.author.clone()),
            ("MAIL", mail),
        ];
        let env = env.into_iter().chain(more.iter().cloned());
        let command = Command {
            program: Program::Shell(script.to_owned()),
            env: env
                .map(|(name, value)| (name.to_owned(), value))
                .collect::<BTreeMap<_, _>>(),
            stdin: String::new(),
            timeout: PATIENCE,
            output_limit: TOLD,
            output_file: None,
        };
        let ended = launcher
            .run(dir, &command, &CancellationToken::new())
            .await?;
        match ended.exit {
            Exit::Code(0) => Ok(()),
            Exit::Code(127) if ended.output.contains("git: not found") => Err(Error::NoGit),
            Exit::Code(_)
            | Exit::Signal(_)
            | Exit::TimedOut
            | Exit::Cancelled
            | Exit::OverLimit(_) => Err(failed(ended.output.trim())),
        }
    }
}

/// Refuses what can't be the name of a branch, a tag or a commit, and what git would read as
/// something else.
fn check_revision(revision: &str) -> Result<()> {
    let is_plain = |c: char| !c.is_whitespace() && !c.is_control() && !"~^:?*[\\".contains(c);
    let is_name = (1..=MAX_REVISION).contains(&revision.len())
        && revision.chars().all(is_plain)
        && !revision.starts_with(['-', '+', '/'])
        && !revision.contains("..");
    if is_name {
        Ok(())
    } else {
        Err(failed(
            "the revision is no name of a branch, a tag or a commit",
        ))
    }
}

/// A path as a file of git's settings has it.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    let text = text
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n");
    format!("\"{text}\"")
}

fn said(output: &Output) -> Result<String> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(failed(String::from_utf8_lossy(&output.stderr).trim()))
}

fn not_started(error: &io::Error) -> Error {
    if error.kind() == io::ErrorKind::NotFound {
        Error::NoGit
    } else {
        failed(&error.to_string())
    }
}

fn failed(why: &str) -> Error {
    let end = why.floor_char_boundary(TOLD);
    Error::Git {
        why: why.get(..end).unwrap_or_default().to_owned(),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| failed(&error.to_string()))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_would_read_as_something_else_is_no_revision() {
        for name in ["HEAD", "main", "v1.2", "feature/x-1", "0123abcd"] {
            assert!(check_revision(name).is_ok(), "{name}");
        }
        let long = "a".repeat(256);
        for name in [
            "", "-x", "+main", "main:x", "a..b", "HEAD~1", "a b", "*", "/x", &long,
        ] {
            assert!(check_revision(name).is_err(), "{name}");
        }
    }
}
