//! Schedules as text for a person.

use fusion_api_types::api;

use super::local;
use super::record::fields;
use crate::session::Session;
use crate::table::{Align, Table};
use crate::text::clean_line;

/// A table of schedules.
pub(crate) fn list(schedules: &[api::Schedule], session: &Session<'_>) -> String {
    let mut table = Table::new(&[
        ("SCHEDULE", Align::Left),
        ("WORKFLOW", Align::Left),
        ("CRON", Align::Left),
        ("ZONE", Align::Left),
        ("NEXT", Align::Left),
    ])
    .wide(session.is_wide());
    for schedule in schedules {
        table.row([
            clean_line(&schedule.name),
            clean_line(&schedule.workflow),
            clean_line(&schedule.cron),
            clean_line(&schedule.timezone),
            next(schedule, session),
        ]);
    }
    table.render()
}

/// One schedule.
pub(crate) fn one(schedule: &api::Schedule, session: &Session<'_>) -> String {
    let when = format!("{} ({})", schedule.cron, schedule.timezone);
    let time = |at: Option<chrono::DateTime<chrono::Utc>>| at.map(|at| local(at, session));
    let inputs = serde_json::to_string(&schedule.inputs).unwrap_or_default();
    fields(&[
        ("schedule", Some(&schedule.name)),
        ("workflow", Some(&schedule.workflow)),
        ("when", Some(&when)),
        ("next", Some(&next(schedule, session))),
        (
            "inputs",
            Some(&inputs).filter(|_| !schedule.inputs.is_empty()),
        ),
        ("overlap", Some(&schedule.overlap)),
        ("last", time(schedule.last_at).as_ref()),
        ("run", schedule.last_run.as_ref()),
        ("failed", schedule.last_error.as_ref()),
    ])
}

fn next(schedule: &api::Schedule, session: &Session<'_>) -> String {
    match schedule.next_at {
        _ if schedule.paused => "paused".to_owned(),
        Some(at) => local(at, session),
        None => "never".to_owned(),
    }
}
