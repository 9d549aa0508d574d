//! What people see of workspaces, as the wire types show it.

use fusion_api_types::{
    WorkspaceChange, WorkspaceDiff, WorkspaceEntry, WorkspaceFile, WorkspaceTree,
};
use fusion_coordination::{Look, Result};
use fusion_workspaces::{ChangedFile, Diff, EntryKind, FileEntry};

/// The longest diff that is told, in bytes.
const MAX_DIFF: usize = 4 * 1024 * 1024;

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

fn change(file: ChangedFile) -> WorkspaceChange {
    WorkspaceChange {
        path: file.path,
        added: file.added,
        removed: file.removed,
    }
}
