//! What a workspace holds that is nowhere else.

use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;

use super::READ_LIMIT;
use super::walk::{EntryKind, walk};
use crate::{Error, Result, Usage, WorkspaceDir};

/// The folder of an agent's results.
const RESULTS: &str = "projects";

/// What is nowhere but in a workspace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OnlyHere {
    /// Files, folders and links, and the bytes of the files.
    pub usage: Usage,
    /// Branches, tags and stashes of the worktree that what is taken in of it may lack.
    pub branches: u64,
}

impl OnlyHere {
    /// Whether there is nothing.
    #[must_use]
    pub const fn is_nothing(&self) -> bool {
        self.usage.files == 0 && self.branches == 0
    }
}

impl WorkspaceDir {
    /// What is in `projects` outside of the folder of a worktree; within it, repositories of their own and
    /// what its branches have beyond the one that is checked out and the commit that it began with. Blocks.
    ///
    /// # Errors
    /// The folder can't be read.
    pub fn only_here(&self, worktree: Option<(&str, &str)>) -> Result<OnlyHere> {
        let folder = worktree.map(|(folder, _)| format!("{RESULTS}/{folder}"));
        let own_git = folder.as_ref().map(|folder| format!("{folder}/.git"));
        let mut usage = Usage::default();
        let walked = walk(self.dir(), RESULTS, &mut |entry| {
            let is_of = |folder: &String| {
                let rest = entry.path.strip_prefix(folder.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            // Of a repository within the worktree git takes the name of a commit in, and nothing else.
            let is_inner = entry.path.ends_with("/.git") && own_git.as_ref() != Some(&entry.path);
            if is_inner || !folder.as_ref().is_some_and(is_of) {
                usage = usage.plus(Usage {
                    bytes: entry.size,
                    files: 1,
                });
            }
            ControlFlow::Continue(())
        });
        match walked {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::io("look at the results in", self.path())(error));
            }
            Ok(()) | Err(_) => {}
        }
        let branches = match (&own_git, worktree) {
            (Some(git), Some((_, base))) => self.left_out(git, base),
            (None, _) | (_, None) => 0,
        };
        Ok(OnlyHere { usage, branches })
    }

    /// References of a repository that are neither at the commit that it began with nor at the one that is
    /// checked out. It is the agent's: what can't be read is counted by who takes its work in, and fails.
    fn left_out(&self, git: &str, base: &str) -> u64 {
        let refs = self.references(git);
        let head = self.line_of(&format!("{git}/HEAD"));
        let head = match head.strip_prefix("ref: ") {
            Some(name) => refs.get(name).cloned().unwrap_or_default(),
            None => head,
        };
        let is_counted = |name: &str| {
            let kinds = ["refs/heads/", "refs/tags/", "refs/stash"];
            kinds.iter().any(|kind| name.starts_with(kind))
        };
        let lost = refs
            .iter()
            .filter(|(name, at)| is_counted(name) && *at != base && **at != head);
        u64::try_from(lost.count()).unwrap_or(u64::MAX)
    }

    /// Where the references of a repository are, by name.
    fn references(&self, git: &str) -> BTreeMap<String, String> {
        let mut refs = BTreeMap::new();
        let packed = self.read_file(&format!("{git}/packed-refs"), READ_LIMIT);
        for line in packed.map(|packed| packed.text).unwrap_or_default().lines() {
            if let Some((at, name)) = line.split_once(' ') {
                refs.insert(name.trim().to_owned(), at.to_owned());
            }
        }
        let mut loose = Vec::new();
        let start = format!("{git}/refs");
        let walked = walk(self.dir(), &start, &mut |entry| {
            if entry.kind == EntryKind::File {
                loose.push(entry.path);
            }
            ControlFlow::Continue(())
        });
        // A repository without references, or none, has none to lose.
        walked.ok();
        let below = format!("{git}/");
        for path in loose {
            if let Some(name) = path.strip_prefix(&below) {
                refs.insert(name.to_owned(), self.line_of(&path));
            }
        }
        refs
    }

    fn line_of(&self, path: &str) -> String {
        let text = self.read_file(path, READ_LIMIT);
        let text = text.map(|text| text.text).unwrap_or_default();
        text.lines().next().unwrap_or_default().trim().to_owned()
    }
}
