//! Models with their prices, quotas, and what a test call told.

use fusion_api_types::{ModelList, ModelView, ProviderTest, QuotaReport, QuotaView};

use super::{UNKNOWN, aged};
use crate::report::local;
use crate::session::Session;
use crate::style::Tone;
use crate::table::{Align, Table};
use crate::text::{clean_line, count, indent, shell_word, thousands};

/// What a real call told.
pub(crate) fn tested(test: &ProviderTest, session: &Session<'_>) -> String {
    let mut text = format!(
        "{} {} answered in {} ms\n",
        session.out.paint(Tone::Good, "✓"),
        clean_line(&test.provider),
        thousands(test.latency_ms),
    );
    let asked = clean_line(&test.asked);
    let answered = clean_line(&test.answered);
    text.push_str(&if asked == answered {
        format!("model  {answered}\n")
    } else {
        format!("model  {answered} (asked: {asked})\n")
    });
    let cost = clean_line(&test.usage.cost_usd);
    let cost = match test.cost_source.as_str() {
        "provider" => format!("${cost}"),
        "computed" => format!("about ${cost}, from its prices"),
        _ => format!("cost {UNKNOWN}"),
    };
    let tokens = count(test.usage.tokens(), "token");
    text.push_str(&format!("used   {tokens}, {cost}\n"));
    if let Some(fault) = &test.quota_fault {
        text.push_str(&format!("quota  {UNKNOWN}: {}\n", clean_line(fault)));
    } else if test.quota.is_empty() {
        text.push_str(&format!("quota  {UNKNOWN}: it tells none\n"));
    } else {
        text.push_str(&format!(
            "quota\n{}",
            indent(&limits(&test.quota, session), 2)
        ));
    }
    text
}

/// Every limit that was told.
pub(crate) fn quota(report: &QuotaReport, session: &Session<'_>) -> String {
    if report.limits.is_empty() {
        let name = clean_line(&report.provider);
        let test = session.command(&format!("provider test {}", shell_word(&name)));
        return format!(
            "what {name} still allows is {UNKNOWN}: it tells no limits, or only with an answer\n\
             ask it something: {test}\n"
        );
    }
    limits(&report.limits, session)
}

fn limits(limits: &[QuotaView], session: &Session<'_>) -> String {
    let mut table = Table::new(&[
        ("WHAT", Align::Left),
        ("WINDOW", Align::Left),
        ("LEFT", Align::Right),
        ("LIMIT", Align::Right),
        ("USED", Align::Right),
        ("RESETS", Align::Left),
        ("FROM", Align::Left),
        ("AS OF", Align::Left),
    ]);
    for limit in limits {
        let is_money = limit.unit == "credit";
        let figure = |figure: &Option<String>| match figure {
            Some(figure) if is_money => format!("${}", clean_line(figure)),
            Some(figure) => clean_line(figure),
            None => UNKNOWN.to_owned(),
        };
        let is_open = is_money && limit.source == "key" && limit.limit.is_none();
        let most = if is_open {
            // The account of a key says so by naming none.
            "no cap".to_owned()
        } else {
            figure(&limit.limit)
        };
        let resets = limit.resets_at.map(|at| local(at, session));
        table.row([
            clean_line(&limit.unit).replace('_', " "),
            clean_line(limit.window.as_deref().unwrap_or("-")),
            figure(&limit.remaining),
            most,
            figure(&limit.used),
            resets.unwrap_or_else(|| "-".to_owned()),
            clean_line(&limit.source),
            aged(limit.told_at, session),
        ]);
    }
    table.render()
}

/// A table of models and the age of the list.
pub(crate) fn models(list: &ModelList, session: &Session<'_>) -> String {
    let shown = list.models.len() as u64;
    let mut text = if list.models.is_empty() {
        String::new()
    } else {
        format!("{}\n", table(&list.models))
    };
    let of = if shown == list.total {
        count(shown, "model")
    } else {
        format!("{} of {}", thousands(shown), count(list.total, "model"))
    };
    let read = aged(list.read_at, session);
    if list.kept {
        let name = shell_word(&list.provider);
        let refresh = session.command(&format!("provider models {name} --refresh"));
        text.push_str(&format!("{of}, read {read}; read anew: {refresh}\n"));
    } else {
        text.push_str(&format!("{of}, read now\n"));
    }
    text
}

fn table(models: &[ModelView]) -> String {
    let mut table = Table::new(&[
        ("MODEL", Align::Whole),
        ("CONTEXT", Align::Right),
        ("$ IN", Align::Right),
        ("$ OUT", Align::Right),
        ("TOOLS", Align::Left),
        ("JSON SCHEMA", Align::Left),
    ]);
    let price = |price: &Option<String>| price.as_deref().map_or_else(unknown, clean_line);
    for model in models {
        table.row([
            clean_line(&model.id),
            model.context_length.map_or_else(unknown, thousands),
            price(&model.input_usd_per_million),
            price(&model.output_usd_per_million),
            clean_line(&model.tools),
            clean_line(&model.json_schema),
        ]);
    }
    table.render()
}

fn unknown() -> String {
    UNKNOWN.to_owned()
}
