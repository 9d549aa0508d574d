//! Events as rows of CSV (RFC 4180).

use chrono::SecondsFormat;

use super::Event;

impl Event {
    /// The names of the columns, as the first line.
    pub const CSV_HEAD: &'static str = "seq,timestamp,event_type,severity,source_agent_id,\
                                        source_component,run_id,message,data\r\n";

    /// The line of this event.
    #[must_use]
    pub fn csv(&self) -> String {
        let cells = [
            self.seq.to_string(),
            self.timestamp.to_rfc3339_opts(SecondsFormat::Micros, true),
            self.event_type.clone(),
            self.severity.clone(),
            self.source_agent_id.clone().unwrap_or_default(),
            self.source_component.clone(),
            self.run_id.clone().unwrap_or_default(),
            self.message.clone(),
            plain_json(&self.data.to_string()),
        ];
        let cells: Vec<String> = cells.iter().map(|cell| quoted(cell)).collect();
        format!("{}\r\n", cells.join(","))
    }
}

/// JSON without the raw control characters that its grammar allows but a terminal may obey.
#[must_use]
pub fn plain_json(json: &str) -> String {
    let mut plain = String::with_capacity(json.len());
    for c in json.chars() {
        if matches!(c, '\u{7f}'..='\u{9f}') {
            plain.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            plain.push(c);
        }
    }
    plain
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
