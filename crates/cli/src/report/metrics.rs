//! What agents use, as text for a person.

use fusion_api_types::api::MetricsSample;

use super::local;
use crate::session::Session;
use crate::table::{Align, Table};
use crate::text::clean_line;

/// A table of samples.
pub(crate) fn table(samples: &[MetricsSample], session: &Session<'_>) -> String {
    let mut table = Table::new(&[
        ("TAKEN", Align::Left),
        ("CPU", Align::Right),
        ("MEMORY", Align::Right),
        ("READ", Align::Right),
        ("WRITTEN", Align::Right),
        ("CALLS", Align::Right),
        ("TOKENS", Align::Right),
        ("COST", Align::Right),
        ("PROVIDER", Align::Left),
    ]);
    for sample in samples {
        let mib = |figure: f64| format!("{figure:.1} MiB");
        let provider = sample.api_provider.as_deref();
        table.row([
            local(sample.timestamp, session),
            format!("{:.0} %", sample.cpu_percent),
            mib(sample.memory_mb),
            mib(sample.disk_io_read_mb),
            mib(sample.disk_io_write_mb),
            sample.api_calls_count.to_string(),
            sample.api_tokens_used.to_string(),
            format!("${}", clean_line(&sample.api_cost_usd)),
            provider.map_or_else(|| "-".to_owned(), clean_line),
        ]);
    }
    table.render()
}
