//! All about one provider: `provider show`.

use fusion_api_types::ProviderView;

use super::{aged, base_url, state};
use crate::report::local;
use crate::session::Session;
use crate::style::Tone;
use crate::text::{clean_line, shell_word, thousands};

/// One line for each thing.
pub(crate) fn one(provider: &ProviderView, session: &Session<'_>) -> String {
    let name = clean_line(&provider.name);
    let mut lines = vec![
        ("type", clean_line(&provider.r#type)),
        ("base URL", base_url(provider)),
        ("state", state(provider, session.out)),
        ("key", key(provider, session)),
        ("from", clean_line(&provider.source).replace('_', " ")),
    ];
    if provider.allow_plain_http {
        lines.push(("plain HTTP", "allowed".to_owned()));
    }
    if provider.allow_private_addresses {
        lines.push(("private", "addresses allowed".to_owned()));
    }
    if provider.source == "stored" {
        lines.push(("limits", limits(provider)));
        lines.push(("models", models(provider, session)));
    }
    if let Some(added) = provider.created_at {
        lines.push(("added", local(added, session)));
    }
    let mut text = format!("{}\n", session.out.paint(Tone::Strong, &name));
    for (what, value) in lines {
        text.push_str(&format!("{what:<10}  {value}\n"));
    }
    text
}

fn key(provider: &ProviderView, session: &Session<'_>) -> String {
    match provider.key.as_str() {
        "stored" => "stored, encrypted; it belongs to this base URL".to_owned(),
        "environment" => "from the environment".to_owned(),
        "missing" => {
            let add = format!("provider add {}", shell_word(&provider.name));
            format!("missing; store one with: {}", session.command(&add))
        }
        _ => "none".to_owned(),
    }
}

fn limits(provider: &ProviderView) -> String {
    let requests = provider.requests_per_minute.map(u64::from);
    let calls = provider.max_concurrent.map(u64::from);
    let limits: Vec<String> = [
        (requests, "requests a minute"),
        (provider.tokens_per_minute, "tokens a minute"),
        (calls, "calls at once"),
    ]
    .into_iter()
    .filter_map(|(limit, of)| Some(format!("{} {of}", thousands(limit?))))
    .collect();
    if limits.is_empty() {
        return "none of ours".to_owned();
    }
    limits.join(", ")
}

fn models(provider: &ProviderView, session: &Session<'_>) -> String {
    match (provider.models, provider.models_read_at) {
        (Some(models), Some(read)) => {
            format!("{}, read {}", thousands(models), aged(read, session))
        }
        _ => {
            let read = format!("provider models {}", shell_word(&provider.name));
            format!("not read yet; read them with: {}", session.command(&read))
        }
    }
}
