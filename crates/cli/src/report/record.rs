//! Projects, capabilities, tokens and settings as text for a person.

use chrono::{DateTime, Utc};
use fusion_api_types::{BudgetLine, SettingView, api};

use super::local;
use crate::session::Session;
use crate::table::{Align, Table};
use crate::text::clean_line;

/// That something was made.
pub(crate) fn made(kind: &str, name: &str) -> String {
    format!("made the {kind} {}\n", clean_line(name))
}

/// That something was taken away.
pub(crate) fn gone(kind: &str, name: &str) -> String {
    format!("took the {kind} {} away\n", clean_line(name))
}

/// A table of projects.
pub(crate) fn projects(projects: &[api::Project], session: &Session<'_>) -> String {
    let mut columns = vec![
        ("PROJECT", Align::Whole),
        ("NAME", Align::Left),
        ("MADE", Align::Left),
    ];
    let some_are_archived = projects.iter().any(|project| project.archived_at.is_some());
    if some_are_archived {
        columns.push(("ARCHIVED", Align::Left));
    }
    columns.push(("DESCRIPTION", Align::Left));
    let mut table = Table::new(&columns).wide(session.is_wide());
    for project in projects {
        let mut cells = vec![
            clean_line(&project.id),
            clean_line(&project.name),
            local(project.created_at, session),
        ];
        if some_are_archived {
            cells.push(since(project.archived_at, session));
        }
        cells.push(clean_line(&project.description));
        table.row(cells);
    }
    table.render()
}

/// When something happened that may not have.
fn since(time: Option<DateTime<Utc>>, session: &Session<'_>) -> String {
    time.map_or_else(|| "-".to_owned(), |time| local(time, session))
}

/// Whether a project takes new work.
pub(crate) fn archived(project: &api::Project, session: &Session<'_>) -> String {
    let name = clean_line(&project.name);
    match project.archived_at {
        Some(time) => {
            let time = local(time, session);
            format!("the project {name} is archived since {time} and takes nothing new\n")
        }
        None => format!("the project {name} takes new work\n"),
    }
}

/// One project, with what was spent of its budgets.
pub(crate) fn project_detail(shown: &api::ProjectDetail, session: &Session<'_>) -> String {
    let api::ProjectDetail { project, budgets } = shown;
    let mut told = fields(&[
        ("project", Some(&project.id)),
        ("name", Some(&project.name)),
        ("about", Some(&project.description)),
        ("provider", project.default_provider_id.as_ref()),
        ("in all", Some(&spent(&budgets.total))),
        ("today", Some(&spent(&budgets.today))),
    ]);
    for one in &budgets.workflows {
        let text = format!("{}: {}", one.workflow, spent(&one.budget));
        told.push_str(&fields(&[("workflow", Some(&text))]));
    }
    let archived = project.archived_at.map(|time| local(time, session));
    told + &fields(&[
        ("made", Some(&local(project.created_at, session))),
        ("archived", archived.as_ref()),
    ])
}

/// A table of budgets.
pub(crate) fn budgets(budgets: &[BudgetLine], session: &Session<'_>) -> String {
    let columns = [
        ("PROJECT", Align::Left),
        ("PER", Align::Left),
        ("USED", Align::Whole),
    ];
    let mut table = Table::new(&columns).wide(session.is_wide());
    for line in budgets {
        let per = match &line.workflow {
            Some(workflow) => format!("workflow {}", clean_line(workflow)),
            None => clean_line(&line.per),
        };
        table.row([clean_line(&line.name), per, spent(&line.budget)]);
    }
    table.render()
}

/// What was spent of a budget, what lost calls count for, and what calls under way hold.
fn spent(budget: &api::BudgetUse) -> String {
    let limit = |limit: Option<String>| limit.map_or_else(String::new, |it| format!(" of {it}"));
    let usd = limit(budget.limit_usd.as_ref().map(|usd| format!("${usd}")));
    let tokens = limit(budget.limit_tokens.map(|tokens| tokens.to_string()));
    let held = match (budget.held_usd.as_str(), budget.held_tokens) {
        ("0", 0) => String::new(),
        (usd, tokens) => format!("; calls under way hold ${usd} and {tokens} tokens"),
    };
    let lost = match (budget.lost_usd.as_str(), budget.lost_tokens) {
        ("0", 0) => String::new(),
        (usd, tokens) => format!(
            "; lost calls may have cost up to ${usd} and {tokens} tokens more, which count as used"
        ),
    };
    format!(
        "${}{usd} spent, {}{tokens} tokens used{lost}{held}",
        budget.spent_usd, budget.spent_tokens
    )
}

/// One project.
pub(crate) fn project(project: &api::Project, session: &Session<'_>) -> String {
    let limits = |usd: Option<&String>, tokens: Option<u64>| {
        let usd = usd.map(|usd| format!("${usd}"));
        let tokens = tokens.map(|tokens| format!("{tokens} tokens"));
        let both: Vec<String> = usd.into_iter().chain(tokens).collect();
        (!both.is_empty()).then(|| both.join(", "))
    };
    let limited = &project.limits;
    let budget = limits(limited.budget_usd.as_ref(), limited.budget_tokens);
    let of_day = limits(
        limited.budget_per_day_usd.as_ref(),
        limited.budget_per_day_tokens,
    );
    let archived = project.archived_at.map(|time| local(time, session));
    fields(&[
        ("project", Some(&project.id)),
        ("name", Some(&project.name)),
        ("about", Some(&project.description)),
        ("provider", project.default_provider_id.as_ref()),
        ("budget", budget.as_ref()),
        ("a day", of_day.as_ref()),
        ("made", Some(&local(project.created_at, session))),
        ("archived", archived.as_ref()),
    ])
}

/// A table of capabilities.
pub(crate) fn capabilities(capabilities: &[api::Capability], session: &Session<'_>) -> String {
    let mut table = Table::new(&[
        ("CAPABILITY", Align::Left),
        ("CATEGORY", Align::Left),
        ("DESCRIPTION", Align::Left),
    ])
    .wide(session.is_wide());
    for capability in capabilities {
        table.row([
            clean_line(&capability.name),
            clean_line(&capability.category),
            clean_line(&capability.description),
        ]);
    }
    table.render()
}

/// One capability.
pub(crate) fn capability(capability: &api::Capability, session: &Session<'_>) -> String {
    fields(&[
        ("name", Some(&capability.name)),
        ("id", Some(&capability.id)),
        ("category", Some(&capability.category)),
        ("about", Some(&capability.description)),
        ("made", Some(&local(capability.created_at, session))),
    ])
}

/// A table of tokens.
pub(crate) fn tokens(tokens: &[api::Token], session: &Session<'_>) -> String {
    let at = |time| since(time, session);
    let mut table = Table::new(&[
        ("TOKEN", Align::Whole),
        ("NAME", Align::Left),
        ("SCOPE", Align::Left),
        ("MADE", Align::Left),
        ("EXPIRES", Align::Left),
        ("TAKEN AWAY", Align::Left),
    ])
    .wide(session.is_wide());
    for token in tokens {
        table.row([
            clean_line(&token.id),
            clean_line(&token.name),
            clean_line(&token.scope),
            local(token.created_at, session),
            at(token.expires_at),
            at(token.revoked_at),
        ]);
    }
    table.render()
}

/// A token that was made: itself on a line of its own.
pub(crate) fn token_made(made: &api::TokenMade, session: &Session<'_>) -> String {
    session.tell("it is shown this once: keep it where nobody else reads it\n");
    format!("{}\n", clean_line(&made.secret))
}

/// A table of settings.
pub(crate) fn settings(settings: &[SettingView], with_origin: bool) -> String {
    let mut table = if with_origin {
        Table::new(&[
            ("SETTING", Align::Whole),
            ("VALUE", Align::Whole),
            ("FROM", Align::Left),
        ])
    } else {
        Table::new(&[("SETTING", Align::Whole), ("VALUE", Align::Whole)])
    };
    for setting in settings {
        let name = clean_line(&setting.name);
        let value = clean_line(setting.value.as_deref().unwrap_or("-"));
        if with_origin {
            table.row([name, value, clean_line(&setting.origin)]);
        } else {
            table.row([name, value]);
        }
    }
    table.render()
}

/// How a server is.
pub(crate) fn health(health: &api::Health, _: &Session<'_>) -> String {
    fields(&[
        ("server", Some(&health.status)),
        ("database", Some(&health.database)),
        ("bus", Some(&health.bus)),
        ("version", Some(&health.version)),
    ])
}

pub(super) fn fields(fields: &[(&str, Option<&String>)]) -> String {
    let told = fields.iter().filter_map(|(name, value)| {
        let value = clean_line((*value)?);
        (!value.is_empty()).then(|| format!("{name:8} {value}\n"))
    });
    told.collect()
}

/// What `project use` did.
pub(crate) fn used_project(kept: &SettingView, _: &Session<'_>) -> String {
    match &kept.value {
        Some(name) => format!(
            "{} is the project of what is made without one ({})\n",
            clean_line(name),
            clean_line(&kept.origin)
        ),
        None => "what is made without a project has none\n".to_owned(),
    }
}
