//! What would change, as text for a person.

use fusion_api_types::{AgentLeft, DryRunChange};

use crate::session::Session;
use crate::style::Tone;
use crate::table::{Align, Table};
use crate::text::{clean, clean_line};

/// A table of what would change.
pub(crate) fn changes(changes: &[DryRunChange], session: &Session<'_>) -> String {
    let columns = [
        ("KIND", Align::Left),
        ("ID", Align::Whole),
        ("NAME", Align::Left),
        ("STATE", Align::Left),
        ("WOULD BE", Align::Left),
    ];
    let mut table = Table::new(&columns).wide(session.is_wide());
    for one in changes {
        table.row([
            clean_line(&one.kind),
            clean_line(&one.id),
            clean_line(&one.name),
            one.state
                .as_deref()
                .map_or_else(|| "-".to_owned(), clean_line),
            clean_line(&one.becomes),
        ]);
    }
    table.render()
}

/// What would stay as it is, and why.
pub(crate) fn left(left: &[AgentLeft], session: &Session<'_>) -> String {
    let label = session.err.paint(Tone::Bad, "error:");
    let lines = left.iter().map(|agent| {
        let (name, id) = (clean_line(&agent.name), clean_line(&agent.id));
        format!("{label} {name} ({id}) would stay: {}\n", clean(&agent.why))
    });
    lines.collect()
}
