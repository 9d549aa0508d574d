//! What people see of workspaces, as the wire types show it.

use fusion_api_types::{
    WorkspaceChange, WorkspaceCommit, WorkspaceDiff, WorkspaceEntry, WorkspaceFile, WorkspaceKept,
    WorkspaceLine, WorkspaceRemoved, WorkspaceTree, WorkspacesCollected,
};
use fusion_coordination::{Committed, Discarded, Left, Look, Result, worktree_of};
use fusion_core::{Agent, AgentState, Workspace};
use fusion_workspaces::{ChangedFile, Diff, EntryKind, FileEntry};
use serde_json::Value;

/// The longest diff that is told, in bytes.
const MAX_DIFF: usize = 4 * 1024 * 1024;

/// A workspace of an agent in a list.
#[must_use]
pub fn line(agent: &Agent, workspace: &Workspace) -> WorkspaceLine {
    let archive = archive_of(workspace);
    let state = if workspace.initialized {
        "ready"
    } else if workspace.is_imported() {
        "elsewhere"
    } else if workspace.initialization_error.is_some() {
        "failed"
    } else if archive.is_some() {
        "archived"
    } else if agent.state == AgentState::Terminated {
        "removed"
    } else {
        "pending"
    };
    let kind = match worktree_of(workspace) {
        Some(_) => "worktree",
        None => "directory",
    };
    let is_measured = workspace.file_count > 0;
    WorkspaceLine {
        id: agent.id.to_string(),
        name: agent.name.clone(),
        kind: kind.to_owned(),
        state: state.to_owned(),
        path: match workspace.is_imported() {
            true => String::new(),
            false => workspace.root_path.clone(),
        },
        size_bytes: is_measured.then_some(workspace.size_bytes),
        archive,
        created_at: workspace.created_at,
    }
}

/// The file that a workspace was packed into.
pub(crate) fn archive_of(workspace: &Workspace) -> Option<String> {
    let archive = workspace.agent_config.get("archive");
    archive.and_then(Value::as_str).map(str::to_owned)
}

/// What is below a folder, at most `limit` entries.
///
/// # Errors
/// As [`Look::tree`].
pub async fn tree(look: &Look, path: &str, limit: u32) -> Result<WorkspaceTree> {
    let (entries, truncated) = look.tree(path.to_owned(), limit as usize).await?;
    Ok(WorkspaceTree {
        agent: look.agent().id.to_string(),
        path: path.to_owned(),
        entries: entries.into_iter().map(entry).collect(),
        truncated,
    })
}

/// At most `limit` bytes of a text file.
///
/// # Errors
/// As [`Look::file`].
pub async fn file(look: &Look, path: &str, limit: u32) -> Result<WorkspaceFile> {
    let text = look.file(path.to_owned(), limit as usize).await?;
    Ok(WorkspaceFile {
        agent: look.agent().id.to_string(),
        path: path.to_owned(),
        text: text.text,
        truncated_bytes: text.truncated_bytes,
    })
}

/// What an agent made of its worktree; `None` where it has none.
///
/// # Errors
/// As [`Look::diff`].
pub async fn diff(look: &Look) -> Result<Option<WorkspaceDiff>> {
    let found = look.diff(MAX_DIFF).await?;
    Ok(found.map(
        |(
            record,
            Diff {
                files,
                text,
                is_cut,
            },
        )| WorkspaceDiff {
            agent: look.agent().id.to_string(),
            base: record.base,
            branch: record.branch,
            files: files.into_iter().map(change).collect(),
            diff: text,
            truncated: is_cut,
        },
    ))
}

/// What was taken in of the worktree of an agent.
#[must_use]
pub fn committed(agent: &Agent, done: Committed) -> WorkspaceCommit {
    WorkspaceCommit {
        agent: agent.id.to_string(),
        branch: done.branch,
        before: done.before,
        commit: done.commit,
    }
}

/// A workspace that is no more.
#[must_use]
pub fn removed(done: Discarded) -> WorkspaceRemoved {
    WorkspaceRemoved {
        agent: done.agent.id.to_string(),
        branch: worktree_of(&done.workspace).and_then(|record| record.branch),
        name: done.agent.name,
        path: done.workspace.root_path,
        files: done.usage.files,
        bytes: done.usage.bytes,
    }
}

/// Which workspaces went, and which stayed.
#[must_use]
pub fn collected(
    is_dry_run: bool,
    (gone, left): (Vec<Discarded>, Vec<Left>),
) -> WorkspacesCollected {
    let kept = left.into_iter().map(|one| WorkspaceKept {
        agent: one.agent.id.to_string(),
        name: one.agent.name,
        path: one.workspace.root_path,
        why: one.why,
    });
    WorkspacesCollected {
        dry_run: is_dry_run,
        removed: gone.into_iter().map(removed).collect(),
        kept: kept.collect(),
    }
}

/// What is said of an agent that has no worktree.
#[must_use]
pub fn no_worktree(agent: &str) -> String {
    format!("the agent '{agent}' has no worktree: there is nothing to compare with")
}

fn entry(entry: FileEntry) -> WorkspaceEntry {
    let kind = match entry.kind {
        EntryKind::File => "file",
        EntryKind::Directory => "directory",
        EntryKind::Link => "link",
        EntryKind::Other => "other",
    };
    WorkspaceEntry {
        path: entry.path,
        kind: kind.to_owned(),
        size: entry.size,
    }
}

/// A file that is different.
#[must_use]
pub fn change(file: ChangedFile) -> WorkspaceChange {
    WorkspaceChange {
        path: file.path,
        added: file.added,
        removed: file.removed,
    }
}
