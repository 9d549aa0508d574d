//! What bounds messages, from the settings.

use std::ops::RangeInclusive;

use fusion_api_types::{Problem, ProblemKind};
use fusion_core::MessageLimits;

use crate::config::Config;

/// Messages that may be let wait for one agent.
const INBOX: RangeInclusive<u32> = 1..=100_000;

/// Messages that may be let go to and fro. Each costs a turn of a model.
const HOPS: RangeInclusive<u32> = 1..=1_000;

/// The limits that are set, or those without settings.
///
/// # Errors
/// One is no number within its bounds.
pub(crate) fn limits(config: &Config) -> Result<MessageLimits, Problem> {
    let usual = MessageLimits::default();
    Ok(MessageLimits {
        inbox: read("FUSION_INBOX_LIMIT", config.inbox_limit.as_deref(), INBOX)?
            .unwrap_or(usual.inbox),
        hops: read("FUSION_MAX_HOPS", config.max_hops.as_deref(), HOPS)?.unwrap_or(usual.hops),
    })
}

/// A number that is set.
///
/// # Errors
/// It is none, or beyond its bounds.
pub(crate) fn read(
    name: &str,
    text: Option<&str>,
    allowed: RangeInclusive<u32>,
) -> Result<Option<u32>, Problem> {
    let Some(text) = text else {
        return Ok(None);
    };
    match text.trim().parse() {
        Ok(number) if allowed.contains(&number) => Ok(Some(number)),
        Ok(_) | Err(_) => Err(Problem::new(
            ProblemKind::InvalidInput,
            format!("{name} is '{text}'"),
        )
        .with_help(format!(
            "write a number from {} to {}",
            allowed.start(),
            allowed.end()
        ))),
    }
}
