//! Workspaces as text for a person.

use fusion_api_types::{WorkspaceDiff, WorkspaceExport, WorkspaceLine, WorkspaceTree};
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
    let columns = [
        ("ADDED", Align::Right),
        ("REMOVED", Align::Right),
        ("PATH", Align::Whole),
    ];
    let mut table = Table::new(&columns);
    for file in &diff.files {
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
