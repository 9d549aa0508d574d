//! The work of `workspace merge`: a person's own git, on the machine of the checkout.

use std::path::{Path, PathBuf};

use fusion_api::workspace_views as views;
use fusion_api_types::{Problem, ProblemKind, WorkspaceMerge, WorktreeView};
use fusion_cli::{Agents, MergeRequest, MergeStrategy, shell_word};
use fusion_core::nearest;
use fusion_workspaces::{Checkout, Error, Merge, NotMerged, Repository, Strategy};

use crate::backend::LocalBackend;
use crate::problems;

/// How many of the names that there are are told.
const NAMED: usize = 10;

impl LocalBackend {
    pub(super) async fn merge(&self, request: &MergeRequest) -> Result<WorkspaceMerge, Problem> {
        let shown = self.show_agent(&request.agent).await?;
        let name = &shown.summary.name;
        let worktree = shown.workspace.worktree.ok_or_else(|| {
            let text = views::no_worktree(name);
            Problem::new(ProblemKind::Conflict, text)
        })?;
        let newest = request.branch.as_ref().or(worktree.branch.as_ref());
        let branch = newest.ok_or_else(|| nothing_yet(name, &worktree))?;
        if !self.is_beside(&worktree) {
            return Err(elsewhere(&worktree, branch));
        }
        let repository = Repository::at(PathBuf::from(&worktree.repository));
        let branches = repository.branches().await;
        let branches = branches.map_err(|error| problems::of_workspaces(&error))?;
        if !branches.contains(branch) {
            return Err(no_branch(name, branch, &branches));
        }
        let merge = Merge {
            from: &repository,
            branch,
            into: request.into.as_deref(),
            strategy: strategy(request.strategy),
            message: request.message.as_deref(),
        };
        let merged = Checkout::new(PathBuf::from(&worktree.source))
            .merge(merge)
            .await
            .map_err(|error| not_merged(&error, &worktree, branch))?;
        Ok(WorkspaceMerge {
            agent: shown.summary.id,
            repository: worktree.source,
            branch: branch.clone(),
            branches: u64::try_from(branches.len()).unwrap_or(u64::MAX),
            into: merged.into,
            strategy: request.strategy.as_str().to_owned(),
            before: merged.before,
            commit: merged.commit,
            files: merged.files.into_iter().map(views::change).collect(),
            fault: worktree.fault.filter(|_| request.branch.is_none()),
        })
    }

    /// Whether both repositories are on this machine, where this user can get to them.
    fn is_beside(&self, worktree: &WorktreeView) -> bool {
        let is_ours = self
            .named_server()
            .is_none_or(fusion_api_client::is_of_this_machine);
        let is_there = |path: &str| Path::new(path).is_dir();
        is_ours && is_there(&worktree.repository) && is_there(&worktree.source)
    }
}

const fn strategy(wanted: MergeStrategy) -> Strategy {
    match wanted {
        MergeStrategy::Merge => Strategy::Merge,
        MergeStrategy::Squash => Strategy::Squash,
        MergeStrategy::Ff => Strategy::FastForward,
    }
}

fn nothing_yet(name: &str, worktree: &WorktreeView) -> Problem {
    let text = match &worktree.fault {
        Some(why) => format!("no work of '{name}' could be taken in yet: {why}"),
        None => format!("no work of '{name}' is taken in yet"),
    };
    Problem::new(ProblemKind::Conflict, text)
}

fn elsewhere(worktree: &WorktreeView, branch: &str) -> Problem {
    let text = format!(
        "{} can't be reached from here with the work on it ({}): a merge is done on the machine of both",
        worktree.source, worktree.repository
    );
    Problem::new(ProblemKind::Conflict, text).with_help(by_hand(worktree, branch))
}

fn no_branch(name: &str, branch: &str, known: &[String]) -> Problem {
    let text = format!("'{name}' has no branch '{branch}'");
    let problem = Problem::new(ProblemKind::NotFound, text);
    with_near(problem, branch, known)
}

fn with_near(problem: Problem, wanted: &str, known: &[String]) -> Problem {
    match nearest(wanted, known.iter().map(String::as_str)) {
        Some(near) => problem.with_help(format!("did you mean '{near}'?")),
        None if known.is_empty() => problem,
        None => {
            let shown: Vec<&str> = known.iter().take(NAMED).map(String::as_str).collect();
            let more = known.len().saturating_sub(NAMED);
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            problem.with_help(format!("there are: {}{more}", shown.join(", ")))
        }
    }
}

/// The commands that do it without this program.
fn by_hand(worktree: &WorktreeView, branch: &str) -> String {
    let source = shell_word(&worktree.source);
    let (repository, branch) = (shell_word(&worktree.repository), shell_word(branch));
    format!(
        "by hand: git -C {source} fetch {repository} {branch} && git -C {source} merge FETCH_HEAD"
    )
}

/// Why nothing was merged; the checkout is as it was.
fn not_merged(error: &NotMerged, worktree: &WorktreeView, branch: &str) -> Problem {
    let conflict = || {
        let text = format!("nothing is merged: {}", fusion_core::error_chain(error));
        Problem::new(ProblemKind::Conflict, text)
    };
    match error {
        NotMerged::UnderWay { .. } => conflict(),
        NotMerged::Dirty { path, .. } => {
            let path = shell_word(&path.to_string_lossy());
            conflict().with_help(format!(
                "commit them, or put them aside with: git -C {path} stash"
            ))
        }
        NotMerged::Detached { .. } => conflict().with_help("name it with --into BRANCH"),
        NotMerged::NoTarget { branch, known, .. } => {
            let problem = Problem::new(ProblemKind::NotFound, error.to_string());
            with_near(problem, branch, known)
        }
        NotMerged::Elsewhere { .. } => {
            conflict().with_help("name another branch with --into, or merge by hand there")
        }
        NotMerged::Diverged { .. } => conflict().with_help("use --strategy merge or squash"),
        NotMerged::Conflict { .. } | NotMerged::TooOld => {
            conflict().with_help(by_hand(worktree, branch))
        }
        NotMerged::Runs { file, .. } => {
            let hand = by_hand(worktree, branch);
            conflict().with_help(format!("look at {file} first; then {hand}"))
        }
        NotMerged::BrokenOff { path, before, .. } => {
            let path = shell_word(&path.to_string_lossy());
            conflict().with_help(format!(
                "look with: git -C {path} status; tracked files go back with: git -C {path} reset --hard {before}"
            ))
        }
        NotMerged::Git(Error::Git { .. }) => conflict(),
        NotMerged::Git(error) => problems::of_workspaces(error),
    }
}
