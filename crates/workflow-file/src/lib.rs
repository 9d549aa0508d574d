//! The workflow file: from its text to a checked definition, and the expressions inside it.
//!
//! [`parse`] reads YAML (JSON is YAML) and tells all faults at once, each with its place and,
//! where one is near, the name that was meant. A file that parses has a graph that can run and
//! expressions that name only what exists; [`render`], [`render_text`] and [`condition`]
//! evaluate them when a run has the values.

mod called;
mod check;
mod choice;
mod expression;
mod fault;
mod grants;
mod place;
mod read;
mod tree;
mod warning;

pub use called::{Called, CalledWorkflows, call_faults, check_called, missing_outputs};
pub use choice::{Choice, ChoiceError, ChoicePart, chosen_models};
pub use expression::{
    ExpressionError, condition, is_one_expression, render, render_text, render_within,
    steps_named_in, steps_named_in_condition, steps_named_within,
};
pub use fault::{Fault, Position};
pub use grants::{GrantList, Granted, GrantedFolders, granted_folders};
pub use place::{place_in_agent, place_of_grant};
pub use warning::{Rule, Warning, warnings};

use fusion_core::WorkflowDefinition;

use crate::fault::Faults;

/// Reads and checks a workflow file.
///
/// Never changes its answer for the same text and needs memory in proportion to it: aliases
/// can't multiply a file beyond 4 MiB of text.
///
/// # Errors
/// The first 50 faults, sorted by their place in the text. Text that is not YAML has one.
pub fn parse(text: &str) -> Result<WorkflowDefinition, Vec<Fault>> {
    let mut faults = Faults::default();
    let definition = read_and_check(text, &mut faults);
    match definition {
        Some(definition) if faults.is_empty() => Ok(definition),
        Some(_) | None => Err(faults.sorted(text)),
    }
}

fn read_and_check(text: &str, faults: &mut Faults) -> Option<WorkflowDefinition> {
    let root = tree::grow(text, faults)?;
    let draft = read::workflow(&root, faults)?;
    check::whole(text, &draft, &CalledWorkflows::new(), faults);
    Some(draft.into_definition())
}
