//! Steps that are commands, and the workspaces of steps.

use fusion_core::CommandSpec;

use crate::fault::{Faults, RawFault};
use crate::read::section::{Keys, Section};
use crate::read::{Local, Marked, Template, TemplateKind, value};
use crate::tree::Kind;

const WORKSPACE: Keys = Keys {
    known: &["type", "shared_with"],
    later: &[],
};

/// What a step with `run` has no use for.
const NOT_WITH_RUN: [&str; 4] = ["agent", "capabilities", "prompt", "outputs"];

/// The command of a step that is one; `locals` are the names that it sees beside others.
pub(super) fn read<'n>(
    section: &Section<'n>,
    locals: &[Local],
    templates: &mut Vec<Template<'n>>,
    faults: &mut Faults,
) -> Option<CommandSpec> {
    let repeatable = section
        .get("repeatable", faults)
        .and_then(|node| value::boolean(node, "repeatable", faults));
    if section.key("run").is_none() {
        if let Some(key) = section.key("repeatable") {
            let fault = RawFault::new("`repeatable` is for a step with `run`", key);
            faults.add(fault.help("leave it out: what an agent did is never repeated blindly"));
        }
        return None;
    }
    for name in NOT_WITH_RUN {
        if let Some(key) = section.key(name) {
            let message = format!("{} has both `run` and `{name}`", section.owner());
            let help = "a command is run by no agent and gives `exit_code` and `output`";
            faults.add(RawFault::new(message, key).help(help));
        }
    }
    let node = section.get("run", faults)?;
    let text = value::long_text(node, "run", faults)?;
    templates.push(Template {
        text: text.text,
        written: &node.written,
        kind: TemplateKind::Text,
        locals: locals.to_vec(),
    });
    Some(CommandSpec {
        script: text.text.to_owned(),
        repeatable: repeatable.unwrap_or(false),
        shared_with: None,
    })
}

/// The step whose workspace a step works in, where it is not its own.
pub(super) fn workspace<'n>(section: &Section<'n>, faults: &mut Faults) -> Option<Marked<'n>> {
    let node = section.get("workspace", faults)?;
    let kind = if let Kind::Text(_) = node.kind {
        node
    } else {
        let workspace = Section::open(node, "`workspace`", &WORKSPACE, faults)?;
        if workspace.key("shared_with").is_some() {
            return shared(section, &workspace, faults);
        }
        workspace.required("type", faults)?
    };
    let kind = value::text(kind, "type", faults)?;
    if kind.text == "worktree" {
        let fault = RawFault::new("a worktree belongs to an agent, not to a step", &kind.span);
        faults.add(fault.help("give the agent of the step this `workspace`"));
    } else if kind.text != "directory" {
        let help = match kind.text {
            "shared" => "write { shared_with: STEP }".to_owned(),
            other => faults.hint(other, "types", ["directory"].into_iter()),
        };
        let message = format!("unknown type of workspace `{}`", kind.text);
        faults.add(RawFault::new(message, &kind.span).help(help));
    }
    None
}

fn shared<'n>(
    step: &Section<'n>,
    workspace: &Section<'n>,
    faults: &mut Faults,
) -> Option<Marked<'n>> {
    if let Some(key) = workspace.key("type") {
        let fault = RawFault::new("`workspace` has both `type` and `shared_with`", key);
        faults.add(fault.help("keep one of them"));
    }
    let node = workspace.get("shared_with", faults)?;
    if step.key("run").is_none() {
        let fault = RawFault::new("only a step with `run` can share a workspace", &node.span);
        faults.add(fault.help("an agent works in its own"));
    }
    value::text(node, "shared_with", faults)
}
