//! Workspaces as text for a person.

use fusion_api_types::{
    WorkspaceChange, WorkspaceCommit, WorkspaceDiff, WorkspaceExport, WorkspaceLine,
    WorkspaceMerge, WorkspaceRemoved, WorkspaceTree, WorkspacesCollected,
};
use indicatif::HumanBytes;

use crate::session::Session;
use crate::style::Tone;
use crate::table::{Align, Table};
use crate::text::{clean, clean_line, thousands};

/// A table of workspaces.
pub(crate) fn list(workspaces: &[WorkspaceLine], session: &Session<'_>) -> String {
    let columns = [
        ("AGENT", Align::Whole),
        ("NAME", Align::Left),
        ("KIND", Align::Left),
        ("STATE", Align::Left),
        ("SIZE", Align::Right),
        ("PATH", Align::Whole),
    ];
    let mut table = Table::new(&columns).wide(session.is_wide());
    for one in workspaces {
        let size = one.size_bytes;
        table.row([
            clean_line(&one.id),
            clean_line(&one.name),
            clean_line(&one.kind),
            clean_line(&one.state),
            size.map_or_else(|| "-".to_owned(), |size| HumanBytes(size).to_string()),
            clean_line(one.archive.as_ref().unwrap_or(&one.path)),
        ]);
    }
    table.render()
}

/// A table of files.
pub(crate) fn tree(tree: &WorkspaceTree, session: &Session<'_>) -> String {
    let columns = [("SIZE", Align::Right), ("PATH", Align::Whole)];
    let mut table = Table::new(&columns).wide(session.is_wide());
    for entry in &tree.entries {
        let path = clean_line(&entry.path);
        let (size, path) = match entry.kind.as_str() {
            "file" => (thousands(entry.size), path),
            "directory" => ("-".to_owned(), format!("{path}/")),
            kind => (clean_line(kind), path),
        };
        table.row([size, path]);
    }
    table.render()
}

/// Which files are different, and by how many lines.
pub(crate) fn changes(diff: &WorkspaceDiff) -> String {
    changed_files(&diff.files)
}

/// The paths of the files that are different, one on a line.
pub(crate) fn names(diff: &WorkspaceDiff) -> String {
    let paths = diff.files.iter().map(|file| clean_line(&file.path));
    paths.map(|path| format!("{path}\n")).collect()
}

fn changed_files(files: &[WorkspaceChange]) -> String {
    let columns = [
        ("ADDED", Align::Right),
        ("REMOVED", Align::Right),
        ("PATH", Align::Whole),
    ];
    let mut table = Table::new(&columns);
    for file in files {
        let lines = |lines: Option<u64>| lines.map_or_else(|| "-".to_owned(), thousands);
        table.row([
            lines(file.added),
            lines(file.removed),
            clean_line(&file.path),
        ]);
    }
    table.render()
}

/// A unified diff, coloured as is usual.
pub(crate) fn diff(diff: &WorkspaceDiff, session: &Session<'_>) -> String {
    let mut text = String::new();
    for line in clean(&diff.diff).lines() {
        let tone = match line.as_bytes() {
            [b'+', rest @ ..] if !rest.starts_with(b"++") => Some(Tone::Good),
            [b'-', rest @ ..] if !rest.starts_with(b"--") => Some(Tone::Bad),
            _ => None,
        };
        match tone {
            Some(tone) => text.push_str(&session.out.paint(tone, line)),
            None => text.push_str(line),
        }
        text.push('\n');
    }
    if diff.truncated {
        text.push_str("... the rest is in the branch\n");
    }
    text
}

/// What `workspace export` made.
pub(crate) fn exported(made: &WorkspaceExport, _: &Session<'_>) -> String {
    let size = thousands(made.bytes);
    format!("wrote {} ({size} bytes)\n", clean_line(&made.file))
}

/// Files that change how git treats others, or where it fetches from.
const STEERING: [&str; 2] = [".gitattributes", ".gitmodules"];

/// What a person should know of a merge beside its result.
pub(crate) fn merge_notes(merged: &WorkspaceMerge, is_named: bool) -> String {
    let mut notes = String::new();
    if merged.branches > 1 && !is_named {
        notes.push_str(&format!(
            "{} is the newest of {} branches: name another with --branch\n",
            clean_line(&merged.branch),
            merged.branches
        ));
    }
    if let Some(why) = &merged.fault {
        notes.push_str(&format!(
            "the agent's newest work is only in its workspace: {}\n",
            clean_line(why)
        ));
    }
    for file in &merged.files {
        let name = file.path.rsplit('/').next().unwrap_or_default();
        if STEERING.contains(&name) {
            notes.push_str(&format!(
                "look at {}: it steers what git does with other files\n",
                clean_line(&file.path)
            ));
        }
    }
    notes
}

/// What a merge came to.
pub(crate) fn merged(merged: &WorkspaceMerge, _: &Session<'_>) -> String {
    let (branch, into) = (clean_line(&merged.branch), clean_line(&merged.into));
    if merged.commit == merged.before {
        return format!("{into} has all of {branch} already\n");
    }
    let how = match merged.strategy.as_str() {
        "squash" => "squashed",
        "ff" => "moved on to",
        _ => "merged",
    };
    let at = if merged.strategy == "ff" {
        format!("{into} {how} {branch}")
    } else {
        format!("{how} {branch} into {into}")
    };
    let commit: String = merged.commit.chars().take(12).collect();
    format!(
        "{at}: {commit} in {}\n{}",
        clean_line(&merged.repository),
        changed_files(&merged.files)
    )
}

/// What was taken in of a worktree.
pub(crate) fn committed(done: &WorkspaceCommit, _: &Session<'_>) -> String {
    match (&done.branch, &done.commit) {
        (Some(branch), Some(commit)) if done.before != done.commit => {
            let commit: String = commit.chars().take(12).collect();
            format!("{} is at {commit}\n", clean_line(branch))
        }
        (Some(branch), _) => format!("{} has everything already\n", clean_line(branch)),
        (None, _) => "nothing was made yet\n".to_owned(),
    }
}

/// A workspace that went, or would go.
pub(crate) fn removed(done: &WorkspaceRemoved, is_dry_run: bool) -> String {
    let (name, path) = (clean_line(&done.name), clean_line(&done.path));
    if done.files == 0 {
        return format!("{name}: {path} is gone already\n");
    }
    let what = if is_dry_run {
        "would remove"
    } else {
        "removed"
    };
    let (files, size) = (thousands(done.files), HumanBytes(done.bytes));
    let branch = match &done.branch {
        Some(branch) => format!("; its work stays in {}", clean_line(branch)),
        None => String::new(),
    };
    format!("{name}: {what} {path} ({files} files, {size}){branch}\n")
}

/// Which workspaces went, and which stayed and why.
pub(crate) fn collected(done: &WorkspacesCollected) -> String {
    let mut text = String::new();
    for one in &done.removed {
        text.push_str(&removed(one, done.dry_run));
    }
    for one in &done.kept {
        let (name, path) = (clean_line(&one.name), clean_line(&one.path));
        text.push_str(&format!("{name}: kept {path}: {}\n", clean_line(&one.why)));
    }
    if text.is_empty() {
        text.push_str("no agent that has ended has a workspace\n");
    }
    text
}
