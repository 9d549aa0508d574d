//! How long what is past is kept.

use std::time::Duration;

use fusion_api_types::{Problem, ProblemKind};

use crate::config::Config;

const DAY: Duration = Duration::from_hours(24);

/// How long events and metrics are kept when nothing else is configured.
const DEFAULT_RETENTION: Duration = Duration::from_hours(30 * 24);

/// A hundred years.
const MOST_DAYS: u32 = 36_500;

/// How long events, messages and metrics are kept; `None` is for ever.
pub(super) fn events(config: &Config) -> Result<Option<Duration>, Problem> {
    match &config.kept.retention_days {
        Some(text) => days("FUSION_RETENTION_DAYS", text),
        None => Ok(Some(DEFAULT_RETENTION)),
    }
}

/// How long runs are kept that have ended; `None` is for ever, also when nothing is configured.
pub(super) fn runs(config: &Config) -> Result<Option<Duration>, Problem> {
    match &config.kept.run_days {
        Some(text) => days("FUSION_KEEP_RUNS_DAYS", text),
        None => Ok(None),
    }
}

fn days(name: &str, text: &str) -> Result<Option<Duration>, Problem> {
    match text.trim().parse::<u32>() {
        Ok(0) => Ok(None),
        Ok(days) if days <= MOST_DAYS => Ok(Some(DAY * days)),
        Ok(_) | Err(_) => Err(Problem::new(
            ProblemKind::InvalidInput,
            format!("{name} is '{text}'"),
        )
        .with_help(format!(
            "write a number of days from 1 to {MOST_DAYS}, or 0 to keep everything"
        ))),
    }
}
