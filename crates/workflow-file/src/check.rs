//! What only the whole file can tell: names that must exist, edges, and expressions.

mod ancestors;
mod assignees;
mod edges;
mod files;
mod templates;

use std::collections::HashMap;

use crate::called::CalledWorkflows;
use crate::fault::Faults;
use crate::read::Draft;

/// Tells every fault between the parts of a file; `called` are the workflows of its steps that are known.
pub(crate) fn whole(text: &str, draft: &Draft<'_>, called: &CalledWorkflows, faults: &mut Faults) {
    let numbers = edges::number_steps(draft, faults);
    let ancestors = edges::check(draft, &numbers, faults);
    edges::check_shared(draft, &numbers, ancestors.as_ref(), faults);
    files::Files {
        draft,
        numbers: &numbers,
        ancestors: ancestors.as_ref(),
        called,
    }
    .check(faults);
    assignees::check(draft, faults);
    templates::Checker {
        text,
        draft,
        numbers: &numbers,
        ancestors: ancestors.as_ref(),
        called,
    }
    .check(faults);
}

/// The steps by id; of an id used twice the first step counts.
type Numbers<'d> = HashMap<&'d str, usize>;
