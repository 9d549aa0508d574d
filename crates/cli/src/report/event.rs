//! Events as text for a person.

use fusion_api_types::Replayed;
use fusion_api_types::api::Event;

use super::local;
use super::record::fields;
use crate::session::Session;
use crate::style::Tone;
use crate::table::{Align, Table};
use crate::text::{clean_line, count};

/// One line of `events tail`.
pub(crate) fn line(event: &Event, session: &Session<'_>) -> String {
    let now = (session.terminal.now)();
    let time = event.timestamp.with_timezone(now.offset());
    let severity = clean_line(&event.severity);
    let tone = match severity.as_str() {
        "error" | "critical" => Tone::Bad,
        "warning" => Tone::Warn,
        _ => Tone::Quiet,
    };
    format!(
        "{} {} {} {}  {}\n",
        event.seq,
        time.format("%H:%M:%S"),
        session.out.paint(tone, &format!("{severity:8}")),
        clean_line(&event.event_type),
        clean_line(&event.message),
    )
}

/// A table of events.
pub(crate) fn list(events: &[Event], session: &Session<'_>) -> String {
    let columns = [
        ("SEQ", Align::Right),
        ("WHEN", Align::Left),
        ("SEVERITY", Align::Left),
        ("TYPE", Align::Left),
        ("MESSAGE", Align::Left),
    ];
    let mut table = Table::new(&columns).wide(session.is_wide());
    for event in events {
        table.row([
            event.seq.to_string(),
            local(event.timestamp, session),
            clean_line(&event.severity),
            clean_line(&event.event_type),
            clean_line(&event.message),
        ]);
    }
    table.render()
}

/// All about one event.
pub(crate) fn one(event: &Event, session: &Session<'_>) -> String {
    fields(&[
        ("event", Some(&event.id)),
        ("seq", Some(&event.seq.to_string())),
        ("when", Some(&local(event.timestamp, session))),
        ("type", Some(&event.event_type)),
        ("severity", Some(&event.severity)),
        ("message", Some(&event.message)),
        ("agent", event.source_agent_id.as_ref()),
        ("run", event.run_id.as_ref()),
        ("from", Some(&event.source_component)),
        ("topic", event.message_queue_topic.as_ref()),
        ("data", Some(&event.data.to_string())),
    ])
}

/// What `events replay` did.
pub(crate) fn replayed(done: &Replayed, _: &Session<'_>) -> String {
    let (verb, to) = match done.dry_run {
        true => ("would send", clean_line(&done.to)),
        false => ("sent", clean_line(&done.to)),
    };
    match (done.first_seq, done.last_seq) {
        (Some(first), Some(last)) => format!(
            "{verb} {} to {to}: {first} to {last}\n",
            count(done.events, "event")
        ),
        _ => format!("{verb} no event to {to}\n"),
    }
}
