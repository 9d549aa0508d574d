//! Times as people write them: `90s`, `20m`, `2h`.

use crate::fault::{Faults, RawFault};
use crate::tree::{Kind, Node};

/// The longest time a step may take, in hours.
const MAX_HOURS: u64 = 24;

/// The seconds of a time, from one second to a day.
pub(super) fn seconds(node: &Node<'_>, key: &str, faults: &mut Faults) -> Option<u64> {
    seconds_up_to(node, key, MAX_HOURS, faults)
}

/// The seconds of a time, from one second to so many hours.
pub(super) fn seconds_up_to(
    node: &Node<'_>,
    key: &str,
    hours: u64,
    faults: &mut Faults,
) -> Option<u64> {
    let parsed = match &node.kind {
        Kind::Text(text) => parse(text),
        Kind::Map(_) | Kind::List(_) | Kind::Number(_) | Kind::Boolean(_) | Kind::Null => None,
    };
    let Some(seconds) = parsed else {
        let message = format!("`{key}` must be a time such as 90s, 20m or 2h");
        let fault = RawFault::new(message, &node.span);
        faults.add(match plain_number(node) {
            Some(number) => fault.help(format!("write {number}s for seconds")),
            None => fault,
        });
        return None;
    };
    if !(1..=hours.saturating_mul(60 * 60)).contains(&seconds) {
        let message = format!("`{key}` must be from 1s to {hours}h");
        faults.add(RawFault::new(message, &node.span));
        return None;
    }
    Some(seconds)
}

fn parse(text: &str) -> Option<u64> {
    let units = [("s", 1), ("m", 60), ("h", 60 * 60)];
    let (digits, seconds) = units
        .iter()
        .find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)))?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(*seconds)
}

fn plain_number(node: &Node<'_>) -> Option<u64> {
    match &node.kind {
        Kind::Number(number) => number.as_u64(),
        Kind::Text(text) => text.parse().ok(),
        Kind::Map(_) | Kind::List(_) | Kind::Boolean(_) | Kind::Null => None,
    }
}
