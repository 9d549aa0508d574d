//! How often a step is done, and what its failure does to others.

use fusion_core::{Backoff, ForeachSpec, OnFailure, OnMax, RepeatSpec, RetrySpec};

use crate::fault::{Faults, RawFault};
use crate::read::section::{Keys, Section};
use crate::read::{Local, Template, TemplateKind, duration, value};
use crate::tree::{Kind, Node};

/// Attempts and rounds at most.
const MAX_TIMES: u32 = 100;
/// Items of a list that can be at work at once.
const MAX_PARALLEL: u32 = 10_000;
/// Seconds before the second attempt when nobody says.
const DELAY_SECONDS: u64 = 5;

const RETRY: Keys = Keys {
    known: &["max_attempts", "backoff", "delay"],
    later: &[],
};

const REPEAT: Keys = Keys {
    known: &["until", "max", "on_max"],
    later: &[],
};

/// The `retry` of a step or of the defaults.
pub(in crate::read) fn retry(
    node: &Node<'_>,
    owner: &str,
    faults: &mut Faults,
) -> Option<RetrySpec> {
    let section = Section::open(node, format!("`retry` of {owner}"), &RETRY, faults)?;
    let attempts = section
        .required("max_attempts", faults)
        .and_then(|node| value::whole_number(node, "max_attempts", 1..=MAX_TIMES, faults));
    let backoff = section
        .get("backoff", faults)
        .and_then(|node| word(node, "backoff", Backoff::ALL, faults));
    let delay = section
        .get("delay", faults)
        .and_then(|node| duration::seconds(node, "delay", faults));
    Some(RetrySpec {
        max_attempts: attempts.unwrap_or(1),
        backoff: backoff.unwrap_or(Backoff::Exponential),
        delay_seconds: delay.unwrap_or(DELAY_SECONDS),
    })
}

/// The `on_failure` of a step.
pub(super) fn on_failure(section: &Section<'_>, faults: &mut Faults) -> OnFailure {
    let node = section.get("on_failure", faults);
    node.and_then(|node| word(node, "on_failure", OnFailure::ALL, faults))
        .unwrap_or_default()
}

/// The `foreach` of a step, with its `max_parallel`.
pub(super) fn foreach<'n>(
    section: &Section<'n>,
    templates: &mut Vec<Template<'n>>,
    faults: &mut Faults,
) -> Option<ForeachSpec> {
    let at_once = section
        .get("max_parallel", faults)
        .and_then(|node| value::whole_number(node, "max_parallel", 1..=MAX_PARALLEL, faults));
    if let (Some(key), None) = (section.key("max_parallel"), section.key("foreach")) {
        let fault = RawFault::new("`max_parallel` is for a step with `foreach`", key);
        faults.add(fault.help("leave it out, or say with `foreach` what the step is done for"));
    }
    let node = section.get("foreach", faults)?;
    let text = value::long_text(node, "foreach", faults)?;
    templates.push(Template {
        text: text.text,
        written: &node.written,
        kind: TemplateKind::List,
        locals: Vec::new(),
    });
    Some(ForeachSpec {
        items: text.text.to_owned(),
        max_parallel: at_once,
    })
}

/// The `repeat` of a step; `locals` are the names that its condition sees beside others.
pub(super) fn repeat<'n>(
    section: &Section<'n>,
    locals: &[Local],
    templates: &mut Vec<Template<'n>>,
    faults: &mut Faults,
) -> Option<RepeatSpec> {
    let node = section.get("repeat", faults)?;
    let owner = format!("`repeat` of {}", section.owner());
    let repeat = Section::open(node, owner, &REPEAT, faults)?;
    let until = repeat.required("until", faults).and_then(|node| {
        let text = value::long_text(node, "until", faults)?;
        let own = [Local::Outputs, Local::Round, Local::Previous];
        templates.push(Template {
            text: text.text,
            written: &node.written,
            kind: TemplateKind::Condition,
            locals: own.iter().chain(locals).copied().collect(),
        });
        Some(text.text.to_owned())
    });
    let max = repeat
        .required("max", faults)
        .and_then(|node| value::whole_number(node, "max", 1..=MAX_TIMES, faults));
    let on_max = repeat
        .get("on_max", faults)
        .and_then(|node| word(node, "on_max", OnMax::ALL, faults));
    Some(RepeatSpec {
        until: until.unwrap_or_default(),
        max: max.unwrap_or(1),
        on_max: on_max.unwrap_or(OnMax::Fail),
    })
}

/// One of a few words.
fn word<T: Copy + std::fmt::Display>(
    node: &Node<'_>,
    key: &str,
    words: &[T],
    faults: &mut Faults,
) -> Option<T> {
    let text = match &node.kind {
        Kind::Text(text) => text.as_ref(),
        Kind::Map(_) | Kind::List(_) | Kind::Number(_) | Kind::Boolean(_) | Kind::Null => "",
    };
    let found = words.iter().find(|word| word.to_string() == text).copied();
    if found.is_none() {
        let known: Vec<String> = words.iter().map(ToString::to_string).collect();
        let message = format!("`{key}` must be one of: {}", known.join(", "));
        faults.add(RawFault::new(message, &node.span));
    }
    found
}
