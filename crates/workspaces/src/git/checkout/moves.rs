//! What a merge comes to, and the move of the branch onto it.

use super::{Checkout, Merge, NotMerged, Strategy, Target, USAGE};
use crate::Result;
use crate::git::said;

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
                let since = format!("{before}..{tip}");
                let subjects = ["log", "--reverse", "--format=* %s", &since, "--"];
                let subjects = self.git(&subjects).await?;
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
        words.extend(["-m", message, tree]);
        self.git(&words).await
    }

    /// Moves the target on, and with it the files where it is checked out.
    pub(super) async fn advance(&self, target: &Target, to: &str, why: &str) -> Result<()> {
        if !target.is_here {
            let name = format!("refs/heads/{}", target.branch);
            let words = ["update-ref", "-m", why, &name, to, &target.commit];
            return self.git(&words).await.map(|_| ());
        }
        let words = ["merge", "--quiet", "--ff-only", "--no-autostash"];
        let words = [&words[..], &["--no-stat", "--no-overwrite-ignore", to]].concat();
        let mut git = self.command(&words);
        git.env("GIT_REFLOG_ACTION", why);
        let output = self.ended(git).await?;
        said(&output).map(|_| ())
    }
}
