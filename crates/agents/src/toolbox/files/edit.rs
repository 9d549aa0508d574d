//! `edit_file`: changes a part of a file.

use async_trait::async_trait;
use fusion_core::EffectClass;
use fusion_providers::ToolSpec;
use fusion_workspaces::READ_LIMIT;
use serde::Deserialize;
use serde_json::{Value, json};

use super::replace::replace;
use super::{CONTENT_MAX, in_workspace, path_schema};
use crate::entry::ToolOutcome;
use crate::toolbox::{Place, Stopped, Tool, arguments};

pub(super) struct EditFile;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EditArguments {
    path: String,
    old_text: String,
    new_text: String,
    #[serde(default)]
    replace_all: bool,
}

#[async_trait]
impl Tool for EditFile {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: "edit_file".to_owned(),
            description:
                "Replaces a text in a file of the workspace by another. The old text must stand in the file \
                 exactly as given, blanks and ends of lines included, and only once."
                    .to_owned(),
            parameters: json!({
                "type": "object",
                "properties": {
                    "path": path_schema("Relative to the workspace."),
                    "old_text": { "type": "string", "minLength": 1, "maxLength": CONTENT_MAX },
                    "new_text": { "type": "string", "maxLength": CONTENT_MAX },
                    "replace_all": {
                        "type": "boolean",
                        "description": "Replaces it wherever it stands. false when left out."
                    }
                },
                "required": ["path", "old_text", "new_text"],
                "additionalProperties": false,
            }),
        }
    }

    /// A second time, the old text may be part of the new one.
    fn effect(&self) -> EffectClass {
        EffectClass::Once
    }

    async fn call(&self, value: Value, place: &Place<'_>) -> Result<ToolOutcome, Stopped> {
        let EditArguments {
            path,
            old_text,
            new_text,
            replace_all,
        } = match arguments("edit_file", value) {
            Ok(given) => given,
            Err(refused) => return Ok(refused),
        };
        Ok(in_workspace(place, move |workspace| {
            let file = workspace.read_file(&path, READ_LIMIT)?;
            if file.truncated_bytes > 0 {
                return Ok(ToolOutcome::refused(format!(
                    "{path} has more than {READ_LIMIT} bytes: change it with a command"
                )));
            }
            match replace(&file.text, &old_text, &new_text, replace_all) {
                Ok((text, count)) => {
                    workspace.write_file(&path, text.as_bytes())?;
                    let places = if count == 1 { "place" } else { "places" };
                    Ok(ToolOutcome::done(format!(
                        "changed {count} {places} in {path}"
                    )))
                }
                Err(fault) => Ok(ToolOutcome::refused(format!(
                    "{path} was not changed: {fault}"
                ))),
            }
        })
        .await)
    }
}
