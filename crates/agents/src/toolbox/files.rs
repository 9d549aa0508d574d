//! `read_file`, `write_file`, `list_files`: the workspace's files, through its path guard.

use std::sync::Arc;

use async_trait::async_trait;
use fusion_core::{EffectClass, error_chain};
use fusion_providers::ToolSpec;
use fusion_workspaces::{EntryKind, FileEntry, WorkspaceDir};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Place, Stopped, Tool, arguments};
use crate::context::CONTENT_LIMIT;
use crate::entry::ToolOutcome;

/// Bytes that one `write_file` takes.
const CONTENT_MAX: usize = 1_000_000;

/// Names in one listing.
const LIST_LIMIT: usize = 1_000;

pub(super) fn tools() -> Vec<Box<dyn Tool>> {
    vec![Box::new(ReadFile), Box::new(WriteFile), Box::new(ListFiles)]
}

/// Runs blocking file work off the runtime's threads.
async fn in_workspace(
    place: &Place<'_>,
    work: impl FnOnce(&WorkspaceDir) -> Result<String, fusion_workspaces::Error> + Send + 'static,
) -> ToolOutcome {
    let workspace = Arc::clone(&place.workspace);
    match tokio::task::spawn_blocking(move || work(&workspace)).await {
        Ok(Ok(content)) => ToolOutcome::done(content),
        Ok(Err(error)) => ToolOutcome::refused(error_chain(&error)),
        Err(error) => ToolOutcome::refused(format!("the file operation broke off: {error}")),
    }
}

struct ReadFile;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadArguments {
    path: String,
}

#[async_trait]
impl Tool for ReadFile {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: "read_file".to_owned(),
            description: "Reads a text file of the workspace.".to_owned(),
            parameters: json!({
                "type": "object",
                "properties": {
                    "path": { "type": "string", "maxLength": 4096, "description": "Relative to the workspace." }
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
        let ReadArguments { path } = match arguments("read_file", value) {
            Ok(given) => given,
            Err(refused) => return Ok(refused),
        };
        Ok(in_workspace(place, move |workspace| {
            let file = workspace.read_file(&path, CONTENT_LIMIT)?;
            if file.truncated_bytes == 0 {
                return Ok(file.text);
            }
            Ok(format!(
                "{}\n[... {} more bytes]",
                file.text, file.truncated_bytes
            ))
        })
        .await)
    }
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
                    "path": { "type": "string", "maxLength": 4096, "description": "Relative to the workspace." },
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
            Ok(format!("wrote {} bytes to {path}", content.len()))
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
                    "path": {
                        "type": "string", "maxLength": 4096,
                        "description": "Relative to the workspace; the whole workspace when left out."
                    }
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
            Ok(lines.join("\n"))
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
