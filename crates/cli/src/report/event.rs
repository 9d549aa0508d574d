//! Events as text for a person, and as rows of CSV.

use chrono::SecondsFormat;
use fusion_api_types::api::Event;

use crate::session::Session;
use crate::style::Tone;
use crate::text::{clean_json, clean_line};

/// The names of the columns.
pub(crate) const CSV_HEAD: &str = "seq,timestamp,event_type,severity,source_agent_id,\
                                   source_component,run_id,message,data\r\n";

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

/// One row of CSV (RFC 4180).
pub(crate) fn csv(event: &Event) -> String {
    let data = clean_json(&event.data.to_string());
    let cells = [
        event.seq.to_string(),
        event.timestamp.to_rfc3339_opts(SecondsFormat::Micros, true),
        event.event_type.clone(),
        event.severity.clone(),
        event.source_agent_id.clone().unwrap_or_default(),
        event.source_component.clone(),
        event.run_id.clone().unwrap_or_default(),
        event.message.clone(),
        data,
    ];
    let cells: Vec<String> = cells.iter().map(|cell| quoted(cell)).collect();
    format!("{}\r\n", cells.join(","))
}

/// A cell; in quotes where it must be, and with an apostrophe before what a spreadsheet would take for
/// a formula.
fn quoted(cell: &str) -> String {
    let is_formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let cell = if is_formula {
        format!("'{cell}")
    } else {
        cell.to_owned()
    };
    if cell.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_cell_is_one_value_and_no_formula() {
        assert_eq!(
            ["plain", "a,b", "say \"hi\"", "two\nlines", "=1+1", "-x,y"].map(quoted),
            [
                "plain",
                "\"a,b\"",
                "\"say \"\"hi\"\"\"",
                "\"two\nlines\"",
                "'=1+1",
                "\"'-x,y\"",
            ]
        );
    }
}
