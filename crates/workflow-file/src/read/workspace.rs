//! The `workspace` of an agent: what it works in at first.

use fusion_core::WorkspaceSpec;

use crate::fault::{Faults, RawFault};
use crate::read::section::{Keys, Section};
use crate::read::value;
use crate::tree::Node;

const WORKSPACE: Keys = Keys {
    known: &["type", "template", "repository", "revision"],
    later: &[],
};

/// The kinds, and the keys that each has.
const KINDS: [(&str, &[&str]); 2] = [
    ("directory", &["template"]),
    ("worktree", &["repository", "revision"]),
];

/// Linux' `PATH_MAX`, in bytes.
const MAX_PATH: usize = 4_096;

/// That of an agent, which may be left out.
pub(super) fn of_agent(agent: &Section<'_>, name: &str, faults: &mut Faults) -> WorkspaceSpec {
    let node = agent.get("workspace", faults);
    node.map_or_else(WorkspaceSpec::default, |node| read(node, name, faults))
}

fn read(node: &Node<'_>, agent: &str, faults: &mut Faults) -> WorkspaceSpec {
    let owner = format!("the `workspace` of agent '{agent}'");
    let Some(section) = Section::open(node, owner, &WORKSPACE, faults) else {
        return WorkspaceSpec::default();
    };
    let Some(kind) = section.required("type", faults) else {
        return WorkspaceSpec::default();
    };
    let Some(kind) = value::text(kind, "type", faults) else {
        return WorkspaceSpec::default();
    };
    let Some((_, own)) = KINDS.iter().find(|(name, _)| *name == kind.text) else {
        let known = KINDS.iter().map(|(name, _)| *name);
        let help = faults.hint(kind.text, "kinds of workspaces", known);
        let message = format!("there is no kind of workspace `{}`", kind.text);
        faults.add(RawFault::new(message, &kind.span).help(help));
        return WorkspaceSpec::default();
    };
    for (name, keys) in KINDS {
        for key in keys.iter().filter(|key| !own.contains(key)) {
            if let Some(span) = section.key(key) {
                let message = format!("`{key}` belongs to a workspace of the type `{name}`");
                faults.add(RawFault::new(message, span));
            }
        }
    }
    if kind.text == "directory" {
        let template = section.get("template", faults);
        let template = template.and_then(|node| path(node, "template", faults));
        return WorkspaceSpec::Directory { template };
    }
    let repository = section.required("repository", faults);
    let repository = repository.and_then(|node| path(node, "repository", faults));
    let revision = section.get("revision", faults);
    WorkspaceSpec::Worktree {
        repository: repository.unwrap_or_default(),
        revision: revision.and_then(|node| path(node, "revision", faults)),
    }
}

/// A text that is taken as it is.
fn path(node: &Node<'_>, key: &str, faults: &mut Faults) -> Option<String> {
    let text = value::text(node, key, faults)?;
    let fault = if text.text.contains("${{") {
        "has an expression, and is taken as it is"
    } else if text.text.is_empty() || text.text.len() > MAX_PATH || text.text.contains('\0') {
        "must have 1 to 4,096 bytes and no NUL"
    } else {
        return Some(text.text.to_owned());
    };
    faults.add(RawFault::new(format!("`{key}` {fault}"), &text.span));
    None
}
