//! What agents use, as text for a person.

use fusion_api_types::UsageView;
use fusion_api_types::api::{CostLine, CostReport, MetricsSample, TopLine, TopReport};

use super::{cost, local};
use crate::session::Session;
use crate::table::{Align, Table};
use crate::text::{clean_line, count, thousands};

/// A table of samples, or of steps of time.
pub(crate) fn table(samples: &[MetricsSample], is_stepped: bool, session: &Session<'_>) -> String {
    let mut table = Table::new(&[
        (if is_stepped { "FROM" } else { "TAKEN" }, Align::Left),
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

fn mib(figure: f64) -> String {
    format!("{figure:.1} MiB")
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
    text + &lost(&report.undated)
}

fn lost(undated: &UsageView) -> String {
    if undated.turns + undated.tokens() > 0 || undated.cost_usd != "0" {
        format!(
            "not in the total: calls whose end nobody heard and calls of deleted runs, {} and {} tokens; whether they \
             ended in that time is not known\n",
            cost(undated),
            thousands(undated.tokens())
        )
    } else {
        String::new()
    }
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
    let name = line.name.as_deref();
    name.map_or_else(|| nobody(by).to_owned(), clean_line)
}

fn nobody(by: &str) -> &'static str {
    match by {
        "agent" => "(no agent)",
        "model" | "day" => "(lost calls)",
        "workflow" => "(tasks of their own)",
        "project" => "(no project)",
        _ => "-",
    }
}

/// A table of who used most, and the total. What commands used is told where rows are agents.
pub(crate) fn top(report: &TopReport, session: &Session<'_>) -> String {
    let who = [(title(&report.per), Align::Left), ("ID", Align::Whole)];
    let machine = ["CPU", "MEMORY", "READ", "WRITTEN"];
    let calls = ["CALLS", "TOKENS", "COST"];
    let machine = machine.iter().filter(|_| report.sampled.is_some());
    let figures = machine.chain(&calls).map(|title| (*title, Align::Right));
    let columns: Vec<(&str, Align)> = who.into_iter().chain(figures).collect();
    let mut table = Table::new(&columns).wide(session.is_wide());
    let mut row = |who: [String; 2], machine: [String; 4], usage: &UsageView| {
        let [name, id] = who;
        let [cpu, memory, read, written] = machine;
        let (calls, tokens) = (thousands(usage.turns), thousands(usage.tokens()));
        let cost = cost(usage);
        if report.sampled.is_some() {
            table.row([name, id, cpu, memory, read, written, calls, tokens, cost]);
        } else {
            table.row([name, id, calls, tokens, cost]);
        }
    };
    for line in &report.top {
        let name = line.name.as_deref();
        let name = name.map_or_else(|| nobody(&report.per).to_owned(), clean_line);
        let id = line.id.as_deref();
        let id = id.map_or_else(|| "-".to_owned(), clean_line);
        row([name, id], machine_of(line), &line.usage);
    }
    let disks = report.sampled.map_or((0.0, 0.0), |sampled| {
        (sampled.disk_io_read_mb, sampled.disk_io_write_mb)
    });
    let none = || "-".to_owned();
    let machine = [none(), none(), mib(disks.0), mib(disks.1)];
    row(["(total)".to_owned(), none()], machine, &report.total.usage);
    table.render()
}

/// What the commands of an agent used.
fn machine_of(line: &TopLine) -> [String; 4] {
    line.sampled.map_or_else(
        || [(); 4].map(|()| "-".to_owned()),
        |sampled| {
            [
                format!("{:.0} %", sampled.cpu_percent),
                mib(sampled.memory_mb_most),
                mib(sampled.disk_io_read_mb),
                mib(sampled.disk_io_write_mb),
            ]
        },
    )
}

/// What is not in the table of who used most, or not as it looks.
pub(crate) fn beside_top(report: &TopReport) -> String {
    let mut text = String::new();
    if report.rows_left_out > 0 {
        let rows = thousands(report.rows_left_out);
        text.push_str(&format!("{rows} more in the total; --limit shows more\n"));
    }
    let without_price = report.total.calls_without_price;
    if without_price > 0 {
        let calls = count(without_price, "call");
        text.push_str(&format!(
            "the cost of {calls} is not known: it counts as $0\n"
        ));
    }
    text + &lost(&report.undated)
}
