//! What a new agent is to work in, as a body describes it.

use fusion_core::WorkspaceSpec;

use super::path::MAX_PATH;
use crate::input::Fields;

const TEMPLATE: &str = "template";
const REPOSITORY: &str = "repository";
const REVISION: &str = "revision";

/// The workspace of a new agent: an empty directory when the body names none.
pub(super) fn workspace(fields: &mut Fields<'_>) -> WorkspaceSpec {
    let known = ["type", TEMPLATE, REPOSITORY, REVISION];
    let Some(mut within) = fields.within("workspace", &known) else {
        return WorkspaceSpec::default();
    };
    let spec = match within.needed_name("type").as_str() {
        "directory" => {
            foreign(&mut within, &[REPOSITORY, REVISION], "worktree");
            WorkspaceSpec::Directory {
                template: within.read(TEMPLATE, path),
            }
        }
        "worktree" => {
            foreign(&mut within, &[TEMPLATE], "directory");
            WorkspaceSpec::Worktree {
                repository: within.needed(REPOSITORY, path).unwrap_or_default(),
                revision: within.name(REVISION).map(str::to_owned),
            }
        }
        "" => WorkspaceSpec::default(),
        _ => {
            within.add("type", "must be one of directory, worktree");
            WorkspaceSpec::default()
        }
    };
    fields.absorb(within);
    spec
}

fn path(text: &str) -> Result<String, String> {
    if (1..=MAX_PATH).contains(&text.len()) {
        Ok(text.to_owned())
    } else {
        Err(format!("must have 1 to {MAX_PATH} bytes"))
    }
}

/// What belongs to another kind is a mistake, not something to pass over.
fn foreign(fields: &mut Fields<'_>, names: &[&str], kind: &str) {
    for name in names {
        if fields.text(name, MAX_PATH).is_some() {
            fields.add(name, format!("belongs to the type {kind}"));
        }
    }
}
