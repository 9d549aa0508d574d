//! Events as text for a person.

use fusion_api_types::api::Event;

use crate::session::Session;
use crate::style::Tone;
use crate::text::clean_line;

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
