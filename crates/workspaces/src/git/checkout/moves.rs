//! What a merge comes to, and the move of the branch onto it.

use std::collections::BTreeSet;

use super::{Checkout, Merge, NotMerged, Strategy, Target, USAGE};
use crate::Result;
use crate::git::{failed, said};

impl Checkout {
    /// The commit that a merge comes to, made among objects only; `None` where the target has everything
    /// already.
    pub(super) async fn made(
        &self,
        wanted: &Merge<'_>,
        target: &Target,
        tip: &str,
    ) -> Result<Option<String>, NotMerged> {
        let before = target.commit.as_str();
        if self.is_in(tip, before).await? {
            return Ok(None);
        }
        let title = |what: &str| format!("{what} branch '{}'", wanted.branch);
        match wanted.strategy {
            Strategy::FastForward if self.is_in(before, tip).await? => Ok(Some(tip.to_owned())),
            Strategy::FastForward => Err(NotMerged::Diverged {
                into: target.branch.clone(),
            }),
            Strategy::Merge => {
                let tree = self.tree(before, tip).await?;
                let message = format!("{} into {}", title("Merge"), target.branch);
                let message = wanted.message.unwrap_or(&message);
                let made = self.commit(&tree, &[before, tip], message).await?;
                Ok(Some(made))
            }
            Strategy::Squash => {
                let tree = self.tree(before, tip).await?;
                let same = format!("{before}^{{tree}}");
                if self.git(&["rev-parse", "--verify", &same]).await? == tree {
                    return Ok(None);
                }
                let subjects = self.subjects(&format!("{before}..{tip}")).await?;
                let message = format!("{}\n\n{subjects}", title("Squash"));
                let message = wanted.message.unwrap_or(&message);
                Ok(Some(self.commit(&tree, &[before], message).await?))
            }
        }
    }

    /// Whether a commit is the other one or came before it.
    async fn is_in(&self, commit: &str, other: &str) -> Result<bool> {
        self.holds(&["merge-base", "--is-ancestor", commit, other])
            .await
    }

    /// The files of both, merged.
    async fn tree(&self, ours: &str, theirs: &str) -> Result<String, NotMerged> {
        let words = ["merge-tree", "--write-tree", "-z", "--name-only"];
        let words = [&words[..], &["--no-messages", ours, theirs]].concat();
        let output = self.run(&words).await?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut parts = text.split('\0').filter(|part| !part.is_empty());
        let tree = parts.next().unwrap_or_default().trim().to_owned();
        match output.status.code() {
            Some(0) => Ok(tree),
            Some(1) => Err(NotMerged::Conflict {
                files: parts.map(str::to_owned).collect(),
            }),
            Some(USAGE) => Err(NotMerged::TooOld),
            Some(_) | None => Ok(said(&output)?),
        }
    }

    /// A commit of the person's; signed where the person's settings say so.
    async fn commit(&self, tree: &str, parents: &[&str], message: &str) -> Result<String> {
        let signs = ["config", "--type=bool", "--get", "commit.gpgSign"];
        let mut words = vec!["commit-tree"];
        if self.holds(&signs).await? && self.git(&signs).await? == "true" {
            words.push("-S");
        }
        for parent in parents {
            words.extend(["-p", parent]);
        }
        words.extend(["-F", "-", tree]);
        // By stdin: one argument has no room for a long message.
        let output = self.ended(self.command(&words), message).await?;
        Ok(said(&output)?.trim_end().to_owned())
    }

    /// What the commits of a branch say in one line each, the oldest first; of many, the newest.
    async fn subjects(&self, since: &str) -> Result<String> {
        const MOST: usize = 100;
        let words = ["log", "--no-show-signature", "--format=* %s", since, "--"];
        let said = self.git(&words).await?;
        let mut lines: Vec<String> = said.lines().take(MOST).map(str::to_owned).collect();
        let more = said.lines().count().saturating_sub(MOST);
        if more > 0 {
            lines.push(format!("* and {more} earlier ones"));
        }
        lines.reverse();
        Ok(lines.join("\n"))
    }

    /// Moves the target on, and with it the files where it is checked out.
    pub(super) async fn advance(
        &self,
        target: &Target,
        to: &str,
        why: &str,
    ) -> Result<(), NotMerged> {
        let name = format!("refs/heads/{}", target.branch);
        if !target.is_here {
            let words = ["update-ref", "-m", why, &name, to, &target.commit];
            self.git(&words).await?;
            return Ok(());
        }
        let before = self.lying().await?;
        let moved = self.fast_forward(to, why).await;
        let is_there = self.git(&["rev-parse", "--verify", &name]).await? == to;
        let fault = match moved {
            Ok(()) if is_there => return Ok(()),
            Ok(()) => failed("it did not move the branch"),
            Err(fault) => fault,
        };
        let files: Vec<String> = self.lying().await?.difference(&before).cloned().collect();
        if files.is_empty() {
            return Err(fault.into());
        }
        Err(NotMerged::BrokenOff {
            path: self.path.clone(),
            before: target.commit.clone(),
            files,
            fault,
        })
    }

    async fn fast_forward(&self, to: &str, why: &str) -> Result<()> {
        let words = [
            "merge",
            "--quiet",
            "--ff-only",
            "--no-squash",
            "--no-autostash",
        ];
        let words = [&words[..], &["--no-stat", "--no-overwrite-ignore", to]].concat();
        let mut git = self.command(&words);
        git.env("GIT_REFLOG_ACTION", why);
        let output = self.ended(git, "").await?;
        said(&output).map(|_| ())
    }

    /// What lies there that is not as it was committed, also untracked.
    async fn lying(&self) -> Result<BTreeSet<String>> {
        let words = ["status", "--porcelain", "-z", "--untracked-files=all"];
        let said = self.git(&[&words[..], &["--no-renames"]].concat()).await?;
        let files = said.split('\0').filter_map(|line| line.get(3..));
        Ok(files.map(str::to_owned).collect())
    }
}
