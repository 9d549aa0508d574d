//! The question that a step asks a person.

use fusion_core::{ApprovalSpec, OnExpiry};

use crate::fault::{Faults, RawFault};
use crate::read::section::{Keys, Section};
use crate::read::{Template, TemplateKind, duration, value};
use crate::tree::Kind;

const APPROVAL: Keys = Keys {
    known: &["message", "expires", "on_expiry"],
    later: &[],
};

/// The longest time that a question may wait, in hours: a year.
const LONGEST: u64 = 365 * 24;

/// The `approval` of a step: a message, or a section with one.
pub(super) fn read<'n>(
    section: &Section<'n>,
    templates: &mut Vec<Template<'n>>,
    faults: &mut Faults,
) -> Option<ApprovalSpec> {
    let node = section.get("approval", faults)?;
    let mut spec = ApprovalSpec {
        message: String::new(),
        expires_seconds: None,
        on_expiry: OnExpiry::Reject,
    };
    let message = if let Kind::Text(_) = node.kind {
        node
    } else {
        let owner = format!("`approval` of {}", section.owner());
        let approval = Section::open(node, owner, &APPROVAL, faults)?;
        spec.expires_seconds = approval
            .get("expires", faults)
            .and_then(|node| duration::seconds_up_to(node, "expires", LONGEST, faults));
        if let Some(node) = approval.get("on_expiry", faults)
            && let Some(word) = value::text(node, "on_expiry", faults)
        {
            match OnExpiry::from_text(word.text) {
                Some(on_expiry) => spec.on_expiry = on_expiry,
                None => {
                    let words = OnExpiry::ALL.iter().map(|word| word.as_str());
                    let help = faults.hint(word.text, "words", words);
                    let message = format!("unknown `on_expiry` `{}`", word.text);
                    faults.add(RawFault::new(message, &word.span).help(help));
                }
            }
        }
        approval.required("message", faults)?
    };
    let text = value::long_text(message, "message", faults)?;
    templates.push(Template {
        text: text.text,
        written: &message.written,
        kind: TemplateKind::Text,
        locals: Vec::new(),
    });
    text.text.clone_into(&mut spec.message);
    Some(spec)
}
