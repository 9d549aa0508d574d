//! The `budget` of a workflow or of an agent.

use fusion_core::{Budget, Cost};

use crate::fault::{Faults, RawFault};
use crate::read::section::{Keys, Section};
use crate::read::value;
use crate::tree::{Kind, Node};

const BUDGET: Keys = Keys {
    known: &["usd", "tokens"],
    later: &[],
};

/// Tokens that a budget may name at most: far more than any run can use.
const MAX_TOKENS: i64 = 1_000_000_000_000;

/// The budget of a section, empty where it has none.
pub(super) fn read(section: &Section<'_>, faults: &mut Faults) -> Budget {
    named("budget", section, faults)
}

/// A budget that stands under this key.
pub(super) fn named(key: &'static str, section: &Section<'_>, faults: &mut Faults) -> Budget {
    let Some(node) = section.get(key, faults) else {
        return Budget::default();
    };
    let owner = format!("the `{key}` of {}", section.owner());
    let Some(section) = Section::open(node, owner, &BUDGET, faults) else {
        return Budget::default();
    };
    if section.key("usd").is_none() && section.key("tokens").is_none() {
        let fault = RawFault::new(format!("`{key}` limits nothing"), &node.span);
        faults.add(fault.help("give it `usd`, `tokens` or both"));
    }
    let usd = section.get("usd", faults);
    let tokens = section.get("tokens", faults);
    Budget {
        usd: usd.and_then(|node| money(node, faults)),
        tokens: tokens
            .and_then(|node| value::whole_number(node, "tokens", 1..=MAX_TOKENS, faults))
            .map(i64::unsigned_abs),
    }
}

fn money(node: &Node<'_>, faults: &mut Faults) -> Option<Cost> {
    let text = match &node.kind {
        // The shortest text of a number is the one that was written, up to 15 digits.
        Kind::Number(number) => number.to_string(),
        Kind::Text(text) => text.to_string(),
        Kind::Map(_) | Kind::List(_) | Kind::Boolean(_) | Kind::Null => String::new(),
    };
    let found = text.parse().ok().filter(|cost| *cost > Cost::ZERO);
    if found.is_none() {
        let fault = RawFault::new("`usd` must be an amount of US dollars", &node.span);
        faults.add(fault.help("write a number above 0, such as 2.50"));
    }
    found
}
