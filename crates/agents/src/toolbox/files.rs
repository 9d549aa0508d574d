//! The workspace's files, through its path guard: `read_file`, `write_file`, `list_files` here.

mod edit;
mod replace;
mod search;

use std::sync::Arc;

use async_trait::async_trait;
use fusion_core::{EffectClass, error_chain};
use fusion_providers::ToolSpec;
use fusion_workspaces::{EntryKind, FileEntry, FileText, READ_LIMIT, WorkspaceDir};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Place, Stopped, Tool, arguments};
use crate::context::{CONTENT_LIMIT, shorten};
use crate::entry::ToolOutcome;

/// Bytes that one `write_file` takes.
const CONTENT_MAX: usize = 1_000_000;

/// Names in one listing.
const LIST_LIMIT: usize = 1_000;

pub(super) fn tools() -> Vec<Box<dyn Tool>> {
    vec![
        Box::new(ReadFile),
        Box::new(WriteFile),
        Box::new(edit::EditFile),
        Box::new(ListFiles),
        Box::new(search::Glob),
        Box::new(search::Grep),
    ]
}

/// The schema of a path.
fn path_schema(description: &str) -> Value {
    json!({ "type": "string", "maxLength": 4096, "description": description })
}

/// Runs blocking file work off the runtime's threads.
async fn in_workspace(
    place: &Place<'_>,
    work: impl FnOnce(&WorkspaceDir) -> Result<ToolOutcome, fusion_workspaces::Error> + Send + 'static,
) -> ToolOutcome {
    let workspace = match place.workspace() {
        Ok(workspace) => Arc::clone(workspace),
        Err(told) => return ToolOutcome::refused(told),
    };
    match tokio::task::spawn_blocking(move || work(&workspace)).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => ToolOutcome::refused(error_chain(&error)),
        Err(error) => ToolOutcome::refused(format!("the file operation broke off: {error}")),
    }
}

struct ReadFile;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadArguments {
    path: String,
    #[serde(default)]
    offset: Option<usize>,
    #[serde(default)]
    limit: Option<usize>,
}

#[async_trait]
impl Tool for ReadFile {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: "read_file".to_owned(),
            description: format!(
                "Reads a text file of the workspace, at most {CONTENT_LIMIT} bytes at once: of a longer one \
                 the part that `offset` and `limit` name."
            ),
            parameters: json!({
                "type": "object",
                "properties": {
                    "path": path_schema("Relative to the workspace."),
                    "offset": {
                        "type": "integer", "minimum": 1,
                        "description": "The first line to read, from 1. The beginning when left out."
                    },
                    "limit": {
                        "type": "integer", "minimum": 1,
                        "description": "Lines to read at most. As many as fit when left out."
                    }
                },
                "required": ["path"],
                "additionalProperties": false,
            }),
        }
    }

    fn effect(&self) -> EffectClass {
        EffectClass::Read
    }

    async fn call(&self, value: Value, place: &Place<'_>) -> Result<ToolOutcome, Stopped> {
        let ReadArguments {
            path,
            offset,
            limit,
        } = match arguments("read_file", value) {
            Ok(given) => given,
            Err(refused) => return Ok(refused),
        };
        Ok(in_workspace(place, move |workspace| {
            let file = workspace.read_file(&path, READ_LIMIT)?;
            Ok(part(
                &file,
                offset.unwrap_or(1),
                limit.unwrap_or(usize::MAX),
            ))
        })
        .await)
    }
}

/// The lines from `offset` on, at most `limit` and as many as fit, and what of the file that is when
/// it is not the whole.
fn part(file: &FileText, offset: usize, limit: usize) -> ToolOutcome {
    let total = file.text.lines().count();
    if offset > total.max(1) {
        return ToolOutcome::refused(format!(
            "there is no line {offset}: the file has {total} lines"
        ));
    }
    let mut text = String::new();
    let mut last = offset - 1;
    for line in file.text.split_inclusive('\n').skip(offset - 1).take(limit) {
        if text.len() + line.len() > CONTENT_LIMIT {
            break;
        }
        text.push_str(line);
        last += 1;
    }
    if last < offset && total > 0 {
        let line = file.text.lines().nth(offset - 1).unwrap_or_default();
        let bytes = line.len();
        let head = line.get(..line.floor_char_boundary(CONTENT_LIMIT));
        return ToolOutcome::done(format!(
            "{}\n[the beginning of line {offset}, which has {bytes} bytes]",
            head.unwrap_or_default()
        ));
    }
    let rest = match file.truncated_bytes {
        0 => String::new(),
        more => format!("; {more} more bytes are beyond what this tool reads"),
    };
    if offset == 1 && last == total && rest.is_empty() {
        return ToolOutcome::done(text);
    }
    let end = if text.ends_with('\n') { "" } else { "\n" };
    ToolOutcome::done(format!(
        "{text}{end}[lines {offset} to {last} of {total}{rest}]"
    ))
}

struct WriteFile;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WriteArguments {
    path: String,
    content: String,
}

#[async_trait]
impl Tool for WriteFile {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: "write_file".to_owned(),
            description:
                "Writes a text file of the workspace, whole: an existing file is replaced, missing \
                          folders are made."
                    .to_owned(),
            parameters: json!({
                "type": "object",
                "properties": {
                    "path": path_schema("Relative to the workspace."),
                    "content": { "type": "string", "maxLength": CONTENT_MAX }
                },
                "required": ["path", "content"],
                "additionalProperties": false,
            }),
        }
    }

    fn effect(&self) -> EffectClass {
        EffectClass::ConfinedWrite
    }

    async fn call(&self, value: Value, place: &Place<'_>) -> Result<ToolOutcome, Stopped> {
        let WriteArguments { path, content } = match arguments("write_file", value) {
            Ok(given) => given,
            Err(refused) => return Ok(refused),
        };
        if content.len() > CONTENT_MAX {
            let size = content.len();
            return Ok(ToolOutcome::refused(format!(
                "the content has {size} bytes and the limit is {CONTENT_MAX}: write it in parts"
            )));
        }
        Ok(in_workspace(place, move |workspace| {
            workspace.write_file(&path, content.as_bytes())?;
            let bytes = content.len();
            Ok(ToolOutcome::done(format!("wrote {bytes} bytes to {path}")))
        })
        .await)
    }
}

struct ListFiles;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListArguments {
    #[serde(default)]
    path: Option<String>,
}

#[async_trait]
impl Tool for ListFiles {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: "list_files".to_owned(),
            description: "Lists a folder of the workspace with everything below it.".to_owned(),
            parameters: json!({
                "type": "object",
                "properties": {
                    "path": path_schema("Relative to the workspace; the whole workspace when left out.")
                },
                "additionalProperties": false,
            }),
        }
    }

    fn effect(&self) -> EffectClass {
        EffectClass::Read
    }

    async fn call(&self, value: Value, place: &Place<'_>) -> Result<ToolOutcome, Stopped> {
        let ListArguments { path } = match arguments("list_files", value) {
            Ok(given) => given,
            Err(refused) => return Ok(refused),
        };
        Ok(in_workspace(place, move |workspace| {
            let entries = workspace.list_files(path.as_deref().unwrap_or("."), LIST_LIMIT)?;
            let mut lines: Vec<String> = entries.iter().map(line).collect();
            if lines.len() == LIST_LIMIT {
                lines.push("[there may be more: list a folder of it]".to_owned());
            }
            if lines.is_empty() {
                lines.push("[empty]".to_owned());
            }
            Ok(ToolOutcome::done(lines.join("\n")))
        })
        .await)
    }
}

fn line(entry: &FileEntry) -> String {
    match entry.kind {
        EntryKind::Directory => format!("{}/", entry.path),
        EntryKind::File => format!("{} ({} bytes)", entry.path, entry.size),
        EntryKind::Link => format!("{} (link)", entry.path),
        EntryKind::Other => format!("{} (special)", entry.path),
    }
}
