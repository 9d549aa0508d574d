//! Single values: texts, lists of texts, numbers.

use std::ops::RangeInclusive;

use crate::fault::{Faults, RawFault};
use crate::read::section::Section;
use crate::read::{MAX_TEXT_BYTES, Marked};
use crate::tree::{Kind, Node};

/// A text that is not empty.
pub(super) fn text<'n>(node: &'n Node<'n>, key: &str, faults: &mut Faults) -> Option<Marked<'n>> {
    match &node.kind {
        Kind::Text(text) if text.trim().is_empty() => {
            faults.add(RawFault::new(format!("`{key}` is empty"), &node.span));
            None
        }
        Kind::Text(text) => Some(Marked {
            text: text.as_ref(),
            span: node.span.clone(),
        }),
        Kind::Number(_) | Kind::Boolean(_) => {
            let fault = RawFault::new(format!("`{key}` must be a text"), &node.span);
            faults.add(fault.help("put it in quotes"));
            None
        }
        Kind::Map(_) | Kind::List(_) | Kind::Null => {
            faults.add(RawFault::new(format!("`{key}` must be a text"), &node.span));
            None
        }
    }
}

/// A text that is not empty and has at most [`MAX_TEXT_BYTES`].
pub(super) fn long_text<'n>(
    node: &'n Node<'n>,
    key: &str,
    faults: &mut Faults,
) -> Option<Marked<'n>> {
    let text = text(node, key, faults)?;
    if text.text.len() > MAX_TEXT_BYTES {
        let message = format!("`{key}` has more than {MAX_TEXT_BYTES} bytes");
        faults.add(RawFault::new(message, &node.span));
        return None;
    }
    Some(text)
}

/// The `description` of a section; it may be left out or be empty.
pub(super) fn description(section: &Section<'_>, faults: &mut Faults) -> String {
    match section.get("description", faults) {
        Some(node) if matches!(&node.kind, Kind::Text(text) if text.is_empty()) => String::new(),
        Some(node) => match long_text(node, "description", faults) {
            Some(text) => text.text.to_owned(),
            None => String::new(),
        },
        None => String::new(),
    }
}

/// A list of texts, or one text that stands for a list of one. `items` says what they are.
pub(super) fn texts<'n>(
    node: &'n Node<'n>,
    key: &str,
    items: &str,
    faults: &mut Faults,
) -> Vec<Marked<'n>> {
    let nodes = match &node.kind {
        Kind::List(nodes) => nodes.as_slice(),
        Kind::Text(_) => std::slice::from_ref(node),
        Kind::Map(_) | Kind::Number(_) | Kind::Boolean(_) | Kind::Null => {
            let message = format!("`{key}` must be a list of {items}");
            faults.add(RawFault::new(message, &node.span));
            return Vec::new();
        }
    };
    nodes
        .iter()
        .filter_map(|item| match &item.kind {
            Kind::Text(text) if !text.trim().is_empty() => Some(Marked {
                text: text.as_ref(),
                span: item.span.clone(),
            }),
            Kind::Text(_)
            | Kind::Map(_)
            | Kind::List(_)
            | Kind::Number(_)
            | Kind::Boolean(_)
            | Kind::Null => {
                let message = format!("`{key}` must be a list of {items}");
                faults.add(RawFault::new(message, &item.span).help("this entry is not one"));
                None
            }
        })
        .collect()
}

/// A whole number within bounds.
pub(super) fn whole_number<T>(
    node: &Node<'_>,
    key: &str,
    bounds: RangeInclusive<T>,
    faults: &mut Faults,
) -> Option<T>
where
    T: TryFrom<i64> + PartialOrd + std::fmt::Display,
{
    let number = match &node.kind {
        Kind::Number(number) => number.as_i64().and_then(|number| T::try_from(number).ok()),
        Kind::Map(_) | Kind::List(_) | Kind::Text(_) | Kind::Boolean(_) | Kind::Null => None,
    };
    let found = number.filter(|number| bounds.contains(number));
    if found.is_none() {
        let (least, most) = (bounds.start(), bounds.end());
        let message = format!("`{key}` must be a whole number from {least} to {most}");
        faults.add(RawFault::new(message, &node.span));
    }
    found
}

/// true or false.
pub(super) fn boolean(node: &Node<'_>, key: &str, faults: &mut Faults) -> Option<bool> {
    if let Kind::Boolean(value) = &node.kind {
        return Some(*value);
    }
    faults.add(RawFault::new(
        format!("`{key}` must be true or false"),
        &node.span,
    ));
    None
}
