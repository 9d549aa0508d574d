//! What a filter of events asks of the database.

use std::str::FromStr;

use fusion_core::{EventType, RunId};
use fusion_messaging::Pattern;
use fusion_persistence::{Error, EventFilter, Result};
use sea_orm::{ColumnTrait, Condition};

use super::{keys, table};
use crate::table::{any_of, exactly};

/// What an event must meet.
pub(super) struct Meant {
    /// The whole filter, but for the words.
    pub(super) condition: Condition,
    /// Keys of which an event has one; `None` where the filter names none.
    pub(super) keys: Option<Vec<String>>,
}

/// What a filter means; `None` when nothing can meet it.
pub(super) fn meant(filter: &EventFilter) -> Result<Option<Meant>> {
    let Some(types) = types(filter)? else {
        return Ok(None);
    };
    Ok(Some(Meant {
        condition: all_of(filter, &types),
        keys: keys::narrowest(filter, &types),
    }))
}

/// The types that a filter selects; `None` when its patterns match no type.
fn types(filter: &EventFilter) -> Result<Option<Vec<EventType>>> {
    if filter.types.is_empty() {
        return Ok(Some(Vec::new()));
    }
    let mut patterns = Vec::with_capacity(filter.types.len());
    for text in &filter.types {
        let pattern = Pattern::from_str(text).map_err(|error| Error::Invalid {
            reason: format!("'{text}' is not a pattern of event types: {error}"),
        })?;
        patterns.push(pattern);
    }
    let matching: Vec<EventType> = EventType::ALL
        .iter()
        .copied()
        .filter(|kind| {
            kind.as_str()
                .parse()
                .is_ok_and(|subject| patterns.iter().any(|pattern| pattern.matches(&subject)))
        })
        .collect();
    Ok((!matching.is_empty()).then_some(matching))
}

/// The whole filter in one condition.
fn all_of(filter: &EventFilter, types: &[EventType]) -> Condition {
    let since = filter
        .since
        .map(|since| table::Column::Timestamp.gte(since));
    let until = filter.until.map(|until| table::Column::Timestamp.lt(until));
    let times = Condition::all().add_option(since).add_option(until);
    let run = exactly(times, table::Column::RunId, filter.run.map(RunId::uuid));
    let types = types.iter().map(|kind| kind.as_str());
    let types = any_of(run, table::Column::EventType, types);
    let severities = filter.severities.iter().map(|severity| severity.as_str());
    let severities = any_of(types, table::Column::Severity, severities);
    if filter.agents.is_empty() {
        return severities;
    }
    let agents = filter.agents.iter().map(|agent| agent.uuid());
    severities.add(table::Column::SourceAgentId.is_in(agents))
}
