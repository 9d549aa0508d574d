//! `glob` and `grep`: finds files by their names and by their text.

use async_trait::async_trait;
use fusion_core::EffectClass;
use fusion_providers::ToolSpec;
use fusion_workspaces::{Matches, TextQuery};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{LIST_LIMIT, in_workspace, path_schema};
use crate::entry::ToolOutcome;
use crate::toolbox::{Place, Stopped, Tool, arguments};

/// Characters of a pattern.
const PATTERN_MAX: usize = 1_000;
/// Matches that one `grep` gives when it is asked for no number.
const MATCHES: usize = 100;
/// Matches that one `grep` gives at most.
const MATCHES_MAX: usize = 1_000;
/// Lines around a match that one `grep` gives at most.
const CONTEXT_MAX: usize = 10;

const GLOB_HELP: &str =
    "From the workspace's root: `*` stays in a folder, `**` crosses folders; `projects/**/*.md`.";

pub(super) struct Glob;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GlobArguments {
    pattern: String,
}

#[async_trait]
impl Tool for Glob {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: "glob".to_owned(),
            description: "Finds files of the workspace by their paths.".to_owned(),
            parameters: json!({
                "type": "object",
                "properties": {
                    "pattern": {
                        "type": "string", "minLength": 1, "maxLength": PATTERN_MAX, "description": GLOB_HELP
                    }
                },
                "required": ["pattern"],
                "additionalProperties": false,
            }),
        }
    }

    fn effect(&self) -> EffectClass {
        EffectClass::Read
    }

    async fn call(&self, value: Value, place: &Place<'_>) -> Result<ToolOutcome, Stopped> {
        let GlobArguments { pattern } = match arguments("glob", value) {
            Ok(given) => given,
            Err(refused) => return Ok(refused),
        };
        Ok(in_workspace(place, move |workspace| {
            let mut paths = workspace.matching(&[pattern])?;
            let found = paths.len();
            if found == 0 {
                return Ok(ToolOutcome::done("[no file has such a path]".to_owned()));
            }
            if found > LIST_LIMIT {
                paths.truncate(LIST_LIMIT);
                paths.push(format!(
                    "[{} more: choose a narrower pattern]",
                    found - LIST_LIMIT
                ));
            }
            Ok(ToolOutcome::done(paths.join("\n")))
        })
        .await)
    }
}

pub(super) struct Grep;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GrepArguments {
    pattern: String,
    #[serde(default)]
    path: Option<String>,
    #[serde(default)]
    glob: Option<String>,
    #[serde(default)]
    literal: bool,
    #[serde(default)]
    ignore_case: bool,
    #[serde(default)]
    context: Option<usize>,
    #[serde(default)]
    limit: Option<usize>,
}

#[async_trait]
impl Tool for Grep {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: "grep".to_owned(),
            description: "Finds lines of text in the files of the workspace.".to_owned(),
            parameters: json!({
                "type": "object",
                "properties": {
                    "pattern": {
                        "type": "string", "minLength": 1, "maxLength": PATTERN_MAX,
                        "description": "A regular expression of Rust's regex crate, for one line."
                    },
                    "path": path_schema("A folder or a file; the whole workspace when left out."),
                    "glob": {
                        "type": "string", "minLength": 1, "maxLength": PATTERN_MAX,
                        "description": format!("Only files whose path fits. {GLOB_HELP}")
                    },
                    "literal": { "type": "boolean", "description": "The pattern is a plain text." },
                    "ignore_case": { "type": "boolean" },
                    "context": {
                        "type": "integer", "minimum": 0, "maximum": CONTEXT_MAX,
                        "description": "Lines to show around each match; 0 when left out."
                    },
                    "limit": {
                        "type": "integer", "minimum": 1, "maximum": MATCHES_MAX,
                        "description": format!("Matches at most; {MATCHES} when left out.")
                    }
                },
                "required": ["pattern"],
                "additionalProperties": false,
            }),
        }
    }

    fn effect(&self) -> EffectClass {
        EffectClass::Read
    }

    async fn call(&self, value: Value, place: &Place<'_>) -> Result<ToolOutcome, Stopped> {
        let given: GrepArguments = match arguments("grep", value) {
            Ok(given) => given,
            Err(refused) => return Ok(refused),
        };
        let query = TextQuery {
            pattern: given.pattern,
            literal: given.literal,
            ignore_case: given.ignore_case,
            path: given.path.unwrap_or_else(|| ".".to_owned()),
            glob: given.glob,
            context: given.context.unwrap_or(0),
            limit: given.limit.unwrap_or(MATCHES),
        };
        Ok(in_workspace(place, move |workspace| {
            workspace
                .search_text(&query)
                .map(|matches| ToolOutcome::done(told(&matches)))
        })
        .await)
    }
}

/// As `grep -n` writes it, with a line between files.
fn told(matches: &Matches) -> String {
    let files = matches.files.iter().map(|file| {
        let lines = file.lines.iter().map(|line| {
            let mark = if line.is_match { ':' } else { '-' };
            format!("{}{mark}{}{mark}{}", file.path, line.number, line.text)
        });
        lines.collect::<Vec<String>>().join("\n")
    });
    let mut parts: Vec<String> = files.collect();
    if parts.is_empty() {
        parts.push("[no line matches]".to_owned());
    }
    if matches.cut {
        parts.push("[there may be more: narrow the pattern, the path or the glob]".to_owned());
    }
    if matches.skipped > 0 {
        parts.push(format!(
            "[files left out, no text or not readable: {}]",
            matches.skipped
        ));
    }
    parts.join("\n")
}
