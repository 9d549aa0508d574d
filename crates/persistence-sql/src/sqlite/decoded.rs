//! How rows of a SQLite file become the models of their tables: each cell at once as the type of its
//! field. A list of a hundred rows has some two thousand of them.

use std::fmt;

use chrono::{DateTime, NaiveDate, Utc};
use rusqlite::types::{Type, ValueRef};
use rusqlite::{Row, Statement};
use sea_orm::prelude::Uuid;

use crate::error::corrupt;
use crate::failure::Result;

/// A model that can be read from a SQLite file.
pub(crate) trait Decoded: Sized {
    /// The columns of its table.
    const COLUMNS: &'static [&'static str];

    /// The same as they are written in a statement.
    const LIST: &'static str;

    /// Reads a row, column by column in their order.
    fn decoded(cells: &mut Cells<'_>) -> Result<Self>;
}

/// Where the columns of a table stand in what a statement gives. Looked up once for all its rows.
#[derive(Debug)]
pub(super) struct Places(Vec<usize>);

impl Places {
    pub(super) fn of<M: Decoded>(statement: &Statement<'_>) -> Result<Self> {
        let given = statement.column_names();
        let place = |(expected, name): (usize, &&'static str)| {
            // As a rule they stand in the order of the table.
            let found = match given.get(expected) {
                Some(there) if there == name => Some(expected),
                Some(_) | None => given.iter().position(|given| given == name),
            };
            found.ok_or_else(|| corrupt(name).into())
        };
        let places = M::COLUMNS.iter().enumerate().map(place);
        places.collect::<Result<_>>().map(Self)
    }

    /// Reads a row.
    pub(super) fn model<M: Decoded>(&self, row: &Row<'_>) -> Result<M> {
        M::decoded(&mut Cells {
            row,
            places: self.0.iter(),
        })
    }
}

/// The cells of a row that were not read yet.
pub(crate) struct Cells<'a> {
    row: &'a Row<'a>,
    places: std::slice::Iter<'a, usize>,
}

impl fmt::Debug for Cells<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cells").finish_non_exhaustive()
    }
}

impl Cells<'_> {
    /// The next cell. `column` is what is told of one that does not fit.
    pub(crate) fn next<T: Cell>(&mut self, column: &'static str) -> Result<T> {
        let place = self.places.next();
        let stored = place.and_then(|place| self.row.get_ref(*place).ok());
        let value = stored.and_then(T::read);
        value.ok_or_else(|| corrupt(column).into())
    }
}

/// A type that fields have.
pub(crate) trait Cell: Sized {
    /// A stored value as this type; `None` when it does not fit.
    fn read(stored: ValueRef<'_>) -> Option<Self>;
}

impl Cell for String {
    fn read(stored: ValueRef<'_>) -> Option<Self> {
        stored.as_str().ok().map(str::to_owned)
    }
}

impl Cell for i64 {
    fn read(stored: ValueRef<'_>) -> Option<Self> {
        stored.as_i64().ok()
    }
}

impl Cell for i32 {
    fn read(stored: ValueRef<'_>) -> Option<Self> {
        stored.as_i64().ok()?.try_into().ok()
    }
}

impl Cell for bool {
    fn read(stored: ValueRef<'_>) -> Option<Self> {
        stored.as_i64().ok().map(|value| value != 0)
    }
}

impl Cell for f64 {
    fn read(stored: ValueRef<'_>) -> Option<Self> {
        stored.as_f64().ok()
    }
}

impl Cell for Vec<u8> {
    fn read(stored: ValueRef<'_>) -> Option<Self> {
        stored.as_blob().ok().map(<[u8]>::to_vec)
    }
}

impl Cell for Uuid {
    fn read(stored: ValueRef<'_>) -> Option<Self> {
        Self::from_slice(stored.as_blob().ok()?).ok()
    }
}

impl Cell for DateTime<Utc> {
    fn read(stored: ValueRef<'_>) -> Option<Self> {
        let text = stored.as_str().ok()?;
        // Other tools may have written the time in another form of RFC 3339.
        ours(text.as_bytes()).or_else(|| {
            let time = DateTime::parse_from_rfc3339(text).ok()?;
            Some(time.with_timezone(&Utc))
        })
    }
}

impl<T: Cell> Cell for Option<T> {
    fn read(stored: ValueRef<'_>) -> Option<Self> {
        match stored.data_type() {
            Type::Null => Some(None),
            Type::Integer | Type::Real | Type::Text | Type::Blob => T::read(stored).map(Some),
        }
    }
}

/// A time as we write it, `2026-11-26T16:01:17.123456+00:00` with 0 to 9 digits of a second; `None` for
/// any other text. Several times as fast as a parser of all that RFC 3339 allows.
fn ours(text: &[u8]) -> Option<DateTime<Utc>> {
    let (moment, rest) = text.split_first_chunk::<19>()?;
    let [
        y1,
        y2,
        y3,
        y4,
        b'-',
        m1,
        m2,
        b'-',
        d1,
        d2,
        b'T',
        rest_of_day @ ..,
    ] = moment
    else {
        return None;
    };
    let [h1, h2, b':', n1, n2, b':', s1, s2] = rest_of_day else {
        return None;
    };
    let year = number([y1, y2, y3, y4])?;
    let date =
        NaiveDate::from_ymd_opt(year.try_into().ok()?, number([m1, m2])?, number([d1, d2])?)?;
    let nanos = nanos(rest.strip_suffix(b"+00:00")?)?;
    let time = date.and_hms_nano_opt(
        number([h1, h2])?,
        number([n1, n2])?,
        number([s1, s2])?,
        nanos,
    )?;
    Some(time.and_utc())
}

/// `.123` as nanoseconds; nothing is none.
fn nanos(fraction: &[u8]) -> Option<u32> {
    let Some((b'.', digits)) = fraction.split_first() else {
        return fraction.is_empty().then_some(0);
    };
    let missing = 9_u32.checked_sub(digits.len().try_into().ok()?)?;
    (!digits.is_empty()).then_some(())?;
    Some(number(digits)? * 10_u32.pow(missing))
}

/// At most nine digits as a number.
fn number<'a>(digits: impl IntoIterator<Item = &'a u8>) -> Option<u32> {
    digits.into_iter().try_fold(0, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u32::from(byte - b'0'))?;
        Some(number * 10 + digit)
    })
}

/// Reads a model by its fields. A field that is not in its list does not compile.
macro_rules! decoded {
    ($model:path { $first:ident $(, $field:ident)* $(,)? }) => {
        impl Decoded for $model {
            const COLUMNS: &'static [&'static str] =
                &[stringify!($first) $(, stringify!($field))*];
            const LIST: &'static str =
                concat!('"', stringify!($first), '"' $(, ", \"", stringify!($field), '"')*);

            fn decoded(cells: &mut Cells<'_>) -> Result<Self> {
                Ok(Self {
                    $first: cells.next(stringify!($first))?
                    $(, $field: cells.next(stringify!($field))?)*
                })
            }
        }
    };
}

decoded! { crate::accounts::table::Model {
    account, tokens, cost_picos, lost_tokens, lost_cost_picos,
} }

decoded! { crate::accounts::room::Model {
    task_id, account, fence, tokens, cost_picos,
} }

decoded! { crate::agents::table::Model {
    id, name, state, created_at, updated_at, last_heartbeat, workspace_path, provider,
    provider_id, model_name, capabilities, metadata, message_subscriptions, project_id,
    run_id, version,
} }

decoded! { crate::approvals::table::Model {
    id, task_id, run_id, question, subject, subject_hash, requested_by, state, requested_at,
    expires_at, expiry_ms, resolved_at, resolved_by, comment, version,
} }

decoded! { crate::capabilities::table::Model {
    id, name, description, category, metadata, created_at, version,
} }

decoded! { crate::deliveries::table::Model {
    agent_id, message_id, seq, status, settled_at, reason, expiry_ms,
} }

decoded! { crate::events::table::Model {
    seq, id, timestamp, event_type, severity, source_agent_id, source_component, run_id,
    data, message, message_queue_topic,
} }

decoded! { crate::idempotency::table::Model {
    scope, key, request_hash, answer, created_at, expires_at,
} }

decoded! { crate::journal::table::Model {
    id, task_id, run_id, seq, kind, name, effect, state, request, outcome, turns,
    input_tokens, output_tokens, cost_picos, attempts, started_at, finished_at,
} }

decoded! { crate::losses::table::Model {
    task_id, fence, node, at,
} }

decoded! { crate::messages::table::Model {
    id, seq, timestamp, sender_agent_id, recipient_agent_ids, topic, payload, message_type,
    run_id, reply_to, resends, hops, delivery_status, delivered_at, expiry_at,
} }

decoded! { crate::metrics::table::Model {
    id, agent_id, timestamp, cpu_percent, memory_mb, disk_io_read_mb, disk_io_write_mb,
    api_calls_count, api_provider, api_tokens_used, api_cost_picos,
} }

decoded! { crate::outbox::table::Model {
    seq, topic, payload, created_at,
} }

decoded! { crate::projects::table::Model {
    id, name, description, message_queue_config, default_provider_id, created_at,
    updated_at, metadata, version, budget, budget_per_day, archived_at,
} }

decoded! { crate::providers::table::Model {
    id, name, api_endpoint, auth_type, credentials, model_catalog, rate_limits,
    provider_type, custom_adapter, created_at, enabled, metadata, version,
} }

decoded! { crate::run_leases::table::Model {
    run_id, owner, fence, lease_until,
} }

decoded! { crate::runs::table::Model {
    id, workflow_id, workflow_name, state, standalone, inputs, outputs, error_message,
    total_tasks, open_tasks, turns, input_tokens, output_tokens, cost_picos, halt,
    continues, parent_run, parent_task, parent_step, called, raised, imported, created_at,
    started_at, completed_at, version,
} }

decoded! { crate::schedules::table::Model {
    id, name, workflow, inputs, cron, timezone, overlap, paused, next_at, last_at, last_run,
    last_error, created_at, updated_at, version,
} }

decoded! { crate::tasks::table::Model {
    id, name, description, agent_id, priority, required_capabilities, capability_key, state,
    queued_at, started_at, completed_at, dependencies, unmet_dependencies, input_artifacts,
    output_artifacts, error_message, cancel_reason, communication_channels, workflow_id,
    run_id, fence, lease_owner, lease_until, attempts, not_before, wait_reason, fan_out_id,
    item_index, course, pool, demanded, pool_rank, turns, input_tokens, output_tokens,
    cost_picos, version,
} }

decoded! { crate::tokens::table::Model {
    id, name, hash, scope, created_at, expires_at, last_used_at, revoked_at, issuer,
    version,
} }

decoded! { crate::webhooks::table::Model {
    id, name, url, events, severities, project_id, allows_private, secret, previous_secret,
    previous_until, state, reason, cursor_seq, attempts, failing_since, next_at, lease_owner,
    lease_until, created_at, updated_at, version,
} }

decoded! { crate::webhooks::attempts::table::Model {
    id, webhook_id, seq, event_type, attempt, status, error, duration_ms, at,
} }

decoded! { crate::workflows::table::Model {
    id, name, description, definition, source, base_dir, state, created_at, project_id,
    definition_version, version,
} }

decoded! { crate::workspaces::table::Model {
    id, agent_id, root_path, projects_path, logs_path, initialized, initialization_error,
    agent_config, environment_variables, process_uid, created_at, size_bytes, file_count,
    version,
} }

decoded! { crate::mail::waiting::Model {
    agent_id, messages,
} }

decoded! { crate::events::index::log::Model {
    seq, timestamp, event_type, severity, source_agent_id, run_id, message,
} }

decoded! { crate::events::keys::entry::Model {
    seq,
} }

decoded! { crate::workflows::versions::Model {
    id, name, definition_version,
} }

#[cfg(test)]
mod tests {
    use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
    use rusqlite::types::ValueRef;

    use super::{Cell, ours};

    fn read(text: &str) -> Option<DateTime<Utc>> {
        DateTime::<Utc>::read(ValueRef::Text(text.as_bytes()))
    }

    #[test]
    fn every_time_that_we_write_is_read_as_it_was() {
        let first: DateTime<Utc> = "1999-12-31T23:59:58Z".parse().unwrap();
        let steps = [0, 1, 1_000, 1_000_000, 999_999_999, 86_400_000_000_001];
        for step in steps.map(|step| first + TimeDelta::nanoseconds(step)) {
            let text = step.to_rfc3339_opts(SecondsFormat::AutoSi, false);
            assert_eq!(ours(text.as_bytes()), Some(step), "{text}");
        }
    }

    #[test]
    fn a_time_in_another_form_is_read_by_the_standard_and_what_is_none_is_refused() {
        let noon: Option<DateTime<Utc>> = Some("2026-11-26T12:00:00Z".parse().unwrap());
        assert_eq!(
            [
                read("2026-11-26T12:00:00+00:00"),
                read("2026-11-26T12:00:00Z"),
                read("2026-11-26 14:00:00+02:00"),
            ],
            [noon; 3]
        );
        for wrong in [
            "",
            "2026-11-26",
            "2026-02-30T12:00:00+00:00",
            "2026-11-26T24:00:00+00:00",
            "2026-11-26T12:00:00.+00:00",
            "2026-11-26T12:00:00.12x+00:00",
            "2026-11-26T12:00:00",
            "20é6-11-26T12:00:00+00:00",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_cell_is_read_as_its_type_or_not_at_all() {
        assert_eq!(
            (
                i32::read(ValueRef::Integer(7)),
                i32::read(ValueRef::Integer(1 << 40)),
                bool::read(ValueRef::Integer(1)),
                String::read(ValueRef::Integer(1)),
                String::read(ValueRef::Text(b"\xff")),
                Option::<i64>::read(ValueRef::Null),
                i64::read(ValueRef::Null),
                uuid::Uuid::read(ValueRef::Blob(&[0; 15])),
            ),
            (
                Some(7),
                None,
                Some(true),
                None,
                None,
                Some(None),
                None,
                None
            )
        );
    }
}
