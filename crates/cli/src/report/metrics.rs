//! What agents use, as text for a person.

use fusion_api_types::UsageView;
use fusion_api_types::api::{CostLine, CostReport, MetricsSample};

use super::{cost, local};
use crate::session::Session;
use crate::table::{Align, Table};
use crate::text::{clean_line, thousands};

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

/// A table of costs, and their total.
pub(crate) fn costs(report: &CostReport, session: &Session<'_>) -> String {
    let columns = [
        (title(&report.by), Align::Left),
        ("ID", Align::Whole),
        ("CALLS", Align::Right),
        ("READ", Align::Right),
        ("WRITTEN", Align::Right),
        ("COST", Align::Right),
        ("NO PRICE", Align::Right),
    ];
    let mut table = Table::new(&columns).wide(session.is_wide());
    for line in &report.costs {
        let id = line
            .id
            .as_deref()
            .map_or_else(|| "-".to_owned(), clean_line);
        let figures = figures(&line.usage, line.calls_without_price);
        table.row(row(named(&report.by, line), id, figures));
    }
    let total = &report.total;
    let figures = figures(&total.usage, total.calls_without_price);
    table.row(row("(total)".to_owned(), "-".to_owned(), figures));
    table.render()
}

fn row(name: String, id: String, figures: [String; 5]) -> [String; 7] {
    let [calls, read, written, cost, without_price] = figures;
    [name, id, calls, read, written, cost, without_price]
}

fn figures(usage: &UsageView, without_price: u64) -> [String; 5] {
    [
        thousands(usage.turns),
        thousands(usage.input_tokens),
        thousands(usage.output_tokens),
        cost(usage),
        thousands(without_price),
    ]
}

/// What is not in the table.
pub(crate) fn beside(report: &CostReport) -> String {
    let mut text = String::new();
    if report.rows_left_out > 0 {
        let (rows, left_out) = (thousands(report.rows_left_out), &report.left_out.usage);
        text.push_str(&format!(
            "{rows} more in the total, {}; --limit shows more\n",
            cost(left_out)
        ));
    }
    let undated = &report.undated;
    if undated.turns + undated.tokens() > 0 || undated.cost_usd != "0" {
        text.push_str(&format!(
            "not in the total: calls whose end nobody heard, {} and {} tokens; when they ended is not known\n",
            cost(undated),
            thousands(undated.tokens())
        ));
    }
    text
}

fn title(by: &str) -> &'static str {
    match by {
        "agent" => "AGENT",
        "model" => "MODEL",
        "task" => "TASK",
        "workflow" => "WORKFLOW",
        "project" => "PROJECT",
        "day" => "DAY",
        _ => "NAME",
    }
}

/// What a row is called; one without a name by what it has none of.
fn named(by: &str, line: &CostLine) -> String {
    let nobody = || match by {
        "agent" => "(no agent)",
        "model" | "day" => "(lost calls)",
        "workflow" => "(tasks of their own)",
        "project" => "(no project)",
        _ => "-",
    };
    line.name
        .as_deref()
        .map_or_else(|| nobody().to_owned(), clean_line)
}
