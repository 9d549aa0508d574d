//! Providers as text for a person.

mod detail;
mod figures;

use chrono::{DateTime, Utc};
use fusion_api_types::{
    DetectReport, FoundServer, ProviderAdded, ProviderList, ProviderRemoved, ProviderView,
};

use super::local;
use crate::session::Session;
use crate::style::{Palette, Tone};
use crate::table::{Align, Table};
use crate::text::{clean_line, count, duration, shell_word};

pub(crate) use detail::one;
pub(crate) use figures::{models, quota, tested};

/// What is shown for what nobody told.
const UNKNOWN: &str = "unknown";

/// What `provider add` stored.
pub(crate) fn added(added: &ProviderAdded, session: &Session<'_>) -> String {
    let provider = &added.provider;
    let name = clean_line(&provider.name);
    let verb = if added.replaced { "replaced" } else { "added" };
    let key = match provider.key.as_str() {
        "stored" => "its key is stored encrypted",
        _ => "it has no key",
    };
    let test = session.command(&format!("provider test {}", shell_word(&name)));
    format!(
        "{} {verb} {name}: {}, {key}\ntest it: {test}\nuse it in a workflow file: provider: {name}\n",
        session.out.paint(Tone::Good, "✓"),
        place(provider),
    )
}

/// A table of providers.
pub(crate) fn list(list: &ProviderList, session: &Session<'_>) -> String {
    let mut table = Table::new(&[
        ("NAME", Align::Left),
        ("TYPE", Align::Left),
        ("STATE", Align::Left),
        ("KEY", Align::Left),
        ("FROM", Align::Left),
        ("BASE URL", Align::Whole),
    ])
    .wide(session.is_wide());
    for provider in &list.providers {
        table.row([
            clean_line(&provider.name),
            clean_line(&provider.r#type),
            state(provider, session.out),
            clean_line(&provider.key),
            clean_line(&provider.source).replace('_', " "),
            base_url(provider),
        ]);
    }
    let mut text = table.render();
    if !list.providers.iter().any(|it| it.source == "stored") {
        let detect = session.command("provider detect");
        let add = session.command("provider add openrouter");
        text.push_str(&format!(
            "\nnone is stored yet. find servers on this machine: {detect}\nor add one: {add}\n"
        ));
    }
    text
}

/// What `provider enable` and `disable` did.
pub(crate) fn switched(provider: &ProviderView, session: &Session<'_>) -> String {
    let name = clean_line(&provider.name);
    let mark = session.out.paint(Tone::Good, "✓");
    if provider.enabled {
        return format!("{mark} {name} is enabled\n");
    }
    let enable = session.command(&format!("provider enable {}", shell_word(&name)));
    format!("{mark} {name} is disabled: runs that need it are refused\nundo it: {enable}\n")
}

/// What `provider remove` did.
pub(crate) fn removed(removed: &ProviderRemoved, session: &Session<'_>) -> String {
    format!(
        "{} removed {}\n",
        session.out.paint(Tone::Good, "✓"),
        clean_line(&removed.name)
    )
}

/// What `provider detect` found, and how to add it.
pub(crate) fn detected(report: &DetectReport, session: &Session<'_>) -> String {
    if report.servers.is_empty() {
        let ports: Vec<String> = report.ports.iter().map(u16::to_string).collect();
        let add = session.command("provider add NAME --base-url URL");
        return format!(
            "no model server answers on the ports {} of this machine\n\
             start one, or add a server elsewhere: {add}\n",
            ports.join(", ")
        );
    }
    let servers = report.servers.iter();
    servers
        .map(|server| self::server(server, session))
        .collect()
}

fn server(server: &FoundServer, session: &Session<'_>) -> String {
    let models = match server.models.as_slice() {
        _ if server.needs_key => "wants a key".to_owned(),
        [] => "no models".to_owned(),
        [first, rest @ ..] if rest.len() > 2 => format!(
            "{}: {}, ...",
            count(server.models.len() as u64, "model"),
            clean_line(first)
        ),
        models => {
            let names: Vec<String> = models.iter().map(|model| clean_line(model)).collect();
            names.join(", ")
        }
    };
    let (mark, tone) = if server.added {
        ("✓", Tone::Good)
    } else {
        ("·", Tone::Quiet)
    };
    let mut text = format!(
        "{} {} at {} ({models})\n",
        session.out.paint(tone, mark),
        clean_line(&server.r#type),
        clean_line(&server.base_url),
    );
    let name = shell_word(&server.name);
    if server.added {
        text.push_str(&format!(
            "  is the provider {name}: {}\n",
            session.command(&format!("provider test {name}"))
        ));
    } else {
        let words = format!(
            "provider add {name} --type {} --base-url {}",
            shell_word(&server.r#type),
            shell_word(&server.base_url)
        );
        text.push_str(&format!("  add it: {}\n", session.command(&words)));
    }
    text
}

/// `openrouter at https://openrouter.ai/api/v1`
fn place(provider: &ProviderView) -> String {
    let kind = clean_line(&provider.r#type);
    match &provider.base_url {
        Some(url) => format!("{kind} at {}", clean_line(url)),
        None => kind,
    }
}

fn base_url(provider: &ProviderView) -> String {
    provider
        .base_url
        .as_deref()
        .map_or_else(|| "-".to_owned(), clean_line)
}

fn state(provider: &ProviderView, palette: Palette) -> String {
    if !provider.enabled {
        palette.paint(Tone::Warn, "- disabled")
    } else if provider.key == "missing" {
        palette.paint(Tone::Warn, "! no key")
    } else if provider.source == "environment" && provider.base_url.is_none() {
        palette.paint(Tone::Quiet, "· not set")
    } else {
        palette.paint(Tone::Good, "✓ enabled")
    }
}

/// `2026-11-23 13:00:00, 4m12s ago`
fn aged(time: DateTime<Utc>, session: &Session<'_>) -> String {
    let now = (session.terminal.now)().to_utc();
    format!("{}, {} ago", local(time, session), duration(now - time))
}
