//! Which names may be chosen.

use fusion_core::{MAX_LABEL, is_label};

use crate::fault::{Faults, RawFault};
use crate::read::Marked;

/// The longest name that expressions use, in characters.
const MAX_IDENTIFIER: usize = 64;

/// A name of a workflow, an agent or a capability: see [`is_label`].
pub(super) fn label<'n>(name: &Marked<'n>, what: &str, faults: &mut Faults) -> Option<&'n str> {
    if is_label(name.text) {
        return Some(name.text);
    }
    let message = format!("{what} must have 1 to {MAX_LABEL} letters, digits, `_`, `-` or `.`");
    faults.add(RawFault::new(message, &name.span));
    None
}

/// A name that expressions use. It has no `-`, which is a minus there.
pub(super) fn identifier<'n>(
    name: &Marked<'n>,
    what: &str,
    faults: &mut Faults,
) -> Option<&'n str> {
    let mut characters = name.text.chars();
    let starts = characters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_');
    let goes_on = characters.all(|next| next.is_ascii_alphanumeric() || next == '_');
    if starts && goes_on && name.text.len() <= MAX_IDENTIFIER {
        return Some(name.text);
    }
    let message = format!(
        "{what} must start with a letter or `_` and go on with letters, digits and `_`, \
         {MAX_IDENTIFIER} at most"
    );
    let fault = RawFault::new(message, &name.span);
    faults.add(if name.text.contains('-') {
        fault.help(format!(
            "write `{}`: in an expression `-` is a minus",
            name.text.replace('-', "_")
        ))
    } else {
        fault
    });
    None
}
