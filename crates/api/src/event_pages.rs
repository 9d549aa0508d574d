//! Pages of the event log, and single events of it, as the API and the command line show them.

use std::fmt;
use std::str::FromStr;

use fusion_api_types::api::{self, EventPage};
use fusion_core::EventId;
use fusion_persistence::{Error as StoreError, EventFilter, Reader, Result};

use crate::views;

/// The largest place in a log.
const LAST_PLACE: u64 = i64::MAX as u64;

/// Where a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// After this one, in the order of the log.
    After(u64),
    /// Before this one, the newest first.
    Before(u64),
}

/// What an event is meant by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventName {
    /// Its place in the log.
    Seq(u64),
    /// Its id.
    Id(EventId),
}

impl FromStr for EventName {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let id = text.parse().map(Self::Id);
        id.or_else(|_| place(text).map(Self::Seq))
            .map_err(|_| "must be the UUID or the seq of an event".to_owned())
    }
}

impl fmt::Display for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seq(seq) => seq.fmt(f),
            Self::Id(id) => id.fmt(f),
        }
    }
}

/// One event; `None` where there is none, or none any more.
///
/// # Errors
/// The store fails.
pub async fn find(store: &dyn Reader, name: EventName) -> Result<Option<api::Event>> {
    let found = match name {
        EventName::Id(id) => store.event(id).await?,
        EventName::Seq(0) => None,
        EventName::Seq(seq) => {
            let next = store
                .events_after(&EventFilter::default(), seq - 1, 1)
                .await;
            match next {
                Err(StoreError::Gone { .. }) => None,
                next => next?.pop().filter(|event| event.seq == seq),
            }
        }
    };
    Ok(found.map(views::event))
}

/// A place in the log.
pub(crate) fn place(text: &str) -> std::result::Result<u64, String> {
    let number = text
        .parse::<u64>()
        .ok()
        .filter(|number| *number <= LAST_PLACE);
    number.ok_or_else(|| "must be the seq of an event, or 0".to_owned())
}

/// A page of the log: the newest events first, or after a place in the order of the log.
///
/// # Errors
/// The events after the place have been deleted by age, or the store fails.
pub async fn page(
    store: &dyn Reader,
    filter: &EventFilter,
    from: Option<Place>,
    limit: u32,
) -> Result<EventPage> {
    let (most, limit) = (limit as usize, limit.saturating_add(1));
    let mut events = match from {
        Some(Place::After(place)) => store.events_after(filter, place, limit).await?,
        Some(Place::Before(place)) => store.events_before(filter, Some(place), limit).await?,
        None => store.events_before(filter, None, limit).await?,
    };
    let has_more = events.len() > most;
    events.truncate(most);
    let next = events.last().filter(|_| has_more).map(|last| match from {
        Some(Place::After(_)) => Place::After(last.seq),
        Some(Place::Before(_)) | None => Place::Before(last.seq),
    });
    Ok(EventPage {
        events: events.into_iter().map(views::event).collect(),
        next_cursor: next.map(to_cursor),
    })
}

fn to_cursor(place: Place) -> String {
    match place {
        Place::After(seq) => format!("a{seq}"),
        Place::Before(seq) => format!("b{seq}"),
    }
}

/// The place that a cursor leads to.
///
/// # Errors
/// No page gave it.
pub fn from_cursor(text: &str) -> std::result::Result<Place, String> {
    let read = || {
        if let Some(seq) = text.strip_prefix('a') {
            return Some(Place::After(place(seq).ok()?));
        }
        Some(Place::Before(place(text.strip_prefix('b')?).ok()?))
    };
    read().ok_or_else(|| "is not a cursor that a page gave".to_owned())
}

#[cfg(test)]
mod tests {
    use super::{EventName, Place, from_cursor, to_cursor};

    #[test]
    fn a_cursor_leads_back_to_its_place() {
        let places = [
            Place::After(0),
            Place::After(u64::try_from(i64::MAX).unwrap()),
            Place::Before(7),
        ];
        assert_eq!(
            places.map(|place| from_cursor(&to_cursor(place))),
            places.map(Ok)
        );
        for wrong in [
            "",
            "a",
            "a-1",
            "a9223372036854775808",
            "b",
            "b1.2",
            "b99999999999999999999",
            "c1",
        ] {
            assert!(from_cursor(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_event_is_meant_by_its_place_or_its_id() {
        let id = "019ab3c4-0000-7000-8000-000000000001";
        for (text, shown) in [("7", "7"), (id, id)] {
            let name: EventName = text.parse().unwrap();
            assert_eq!(name.to_string(), shown);
        }
        for wrong in ["", "-1", "x", "9223372036854775808"] {
            assert!(wrong.parse::<EventName>().is_err(), "{wrong}");
        }
    }
}
