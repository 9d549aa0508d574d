//! Whether a checkout can take a merge in, and where it goes.

use std::path::PathBuf;

use super::{Checkout, NotMerged, Target};
use crate::Result;
use crate::git::check_revision;

/// Files and folders of a repository that are there while something is under way.
const UNDER_WAY: [(&str, &str); 7] = [
    ("MERGE_HEAD", "merge"),
    ("rebase-merge", "rebase"),
    ("rebase-apply", "rebase"),
    ("CHERRY_PICK_HEAD", "cherry-pick"),
    ("REVERT_HEAD", "revert"),
    ("BISECT_LOG", "bisect"),
    ("sequencer", "row of commits to pick"),
];

/// What a branch is called in full.
const BRANCHES: &str = "refs/heads/";

impl Checkout {
    /// The branch that takes a merge in, once it is sure that it can.
    pub(super) async fn target(&self, into: Option<&str>) -> Result<Target, NotMerged> {
        self.nothing_under_way().await?;
        let checked_out = self.checked_out().await?;
        let is_bare = self.git(&["rev-parse", "--is-bare-repository"]).await? == "true";
        let branch = match into {
            Some(branch) => branch.to_owned(),
            None => checked_out.clone().ok_or_else(|| NotMerged::Detached {
                path: self.path.clone(),
            })?,
        };
        let commit = self.commit_of(&branch).await?;
        let is_here = !is_bare && checked_out.as_ref() == Some(&branch);
        if is_here {
            self.nothing_uncommitted().await?;
        } else {
            self.not_elsewhere(&branch).await?;
        }
        Ok(Target {
            branch,
            commit,
            is_here,
        })
    }

    async fn nothing_under_way(&self) -> Result<(), NotMerged> {
        for (name, operation) in UNDER_WAY {
            let place = self.git(&["rev-parse", "--git-path", name]).await?;
            if self.path.join(place).exists() {
                return Err(NotMerged::UnderWay {
                    path: self.path.clone(),
                    operation,
                });
            }
        }
        Ok(())
    }

    async fn nothing_uncommitted(&self) -> Result<(), NotMerged> {
        let words = ["status", "--porcelain", "-z", "--untracked-files=no"];
        let said = self.git(&[&words[..], &["--no-renames"]].concat()).await?;
        let files = said.split('\0').filter_map(|line| line.get(3..));
        let files: Vec<String> = files.map(str::to_owned).collect();
        if files.is_empty() {
            return Ok(());
        }
        Err(NotMerged::Dirty {
            path: self.path.clone(),
            files,
        })
    }

    /// The branch that is checked out, if one is.
    async fn checked_out(&self) -> Result<Option<String>> {
        let words = ["symbolic-ref", "--quiet", "HEAD"];
        if !self.holds(&words).await? {
            return Ok(None);
        }
        let head = self.git(&words).await?;
        Ok(head.strip_prefix(BRANCHES).map(str::to_owned))
    }

    async fn commit_of(&self, branch: &str) -> Result<String, NotMerged> {
        let is_there = check_revision(branch).is_ok() && {
            let name = format!("{BRANCHES}{branch}");
            self.holds(&["show-ref", "--verify", "--quiet", &name])
                .await?
        };
        if is_there {
            let name = format!("{BRANCHES}{branch}^{{commit}}");
            return Ok(self.git(&["rev-parse", "--verify", &name]).await?);
        }
        let known = self
            .git(&["for-each-ref", "--format=%(refname:lstrip=2)", BRANCHES])
            .await?;
        Err(NotMerged::NoTarget {
            path: self.path.clone(),
            branch: branch.to_owned(),
            known: known.lines().map(str::to_owned).collect(),
        })
    }

    /// A branch that another folder has checked out would no longer be what lies there.
    async fn not_elsewhere(&self, branch: &str) -> Result<(), NotMerged> {
        let said = self.git(&["worktree", "list", "--porcelain", "-z"]).await?;
        let wanted = format!("branch {BRANCHES}{branch}");
        let has_it = |one: &&str| one.split('\0').any(|line| line == wanted);
        let Some(one) = said.split("\0\0").find(has_it) else {
            return Ok(());
        };
        let path = one
            .split('\0')
            .find_map(|line| line.strip_prefix("worktree "));
        Err(NotMerged::Elsewhere {
            branch: branch.to_owned(),
            path: PathBuf::from(path.unwrap_or_default()),
        })
    }
}
