//! Messages as text for a person.

use fusion_api_types::{AgentName, DeliveryView, MessageDetail, MessageView};
use serde_json::Value;

use super::local;
use crate::session::Session;
use crate::style::Look;
use crate::table::{Align, Table};
use crate::text::{clean, clean_line, count, indent, shorten};

/// Columns of the content in a table, and among the lines of progress.
const CONTENT: usize = 40;

/// Columns of the content in a line of `tail`.
const CONTENT_OF_LINE: usize = 120;

/// Recipients that a table names.
const NAMED: usize = 3;

/// What `message send` and `resend` did.
pub(crate) fn sent(detail: &MessageDetail, session: &Session<'_>) -> String {
    let id = clean_line(&detail.message.id);
    let agents: Vec<&AgentName> = detail.deliveries.iter().map(|one| &one.agent).collect();
    let mut text = format!("sent {id} to {}\n", names(&agents));
    let show = session.command(&format!("message show {id}"));
    text.push_str(&format!("see what becomes of it: {show}\n"));
    text
}

/// A table of messages.
pub(crate) fn list(messages: &[MessageView], session: &Session<'_>) -> String {
    let mut table = Table::new(&[
        ("MESSAGE", Align::Whole),
        ("FROM", Align::Left),
        ("TO", Align::Left),
        ("TOPIC", Align::Left),
        ("STATUS", Align::Left),
        ("SENT", Align::Left),
        ("CONTENT", Align::Left),
    ])
    .wide(session.is_wide());
    for message in messages {
        table.row([
            clean_line(&message.id),
            sender(message),
            recipients(message),
            topic(message),
            Look::of_message(&message.status).painted(session.out),
            local(message.sent_at, session),
            shorten(&content(&message.payload), CONTENT),
        ]);
    }
    table.render()
}

/// One line of `message tail`.
pub(crate) fn line(message: &MessageView, session: &Session<'_>) -> String {
    format!("{}\n", line_of(message, CONTENT_OF_LINE, session))
}

/// A message among the lines of progress.
pub(crate) fn short_line(message: &MessageView, session: &Session<'_>) -> String {
    line_of(message, CONTENT, session)
}

fn line_of(message: &MessageView, width: usize, session: &Session<'_>) -> String {
    let now = (session.terminal.now)();
    let time = message.sent_at.with_timezone(now.offset());
    format!(
        "{} {} -> {}  {}  {}",
        time.format("%H:%M:%S"),
        sender(message),
        recipients(message),
        topic(message),
        shorten(&content(&message.payload), width),
    )
}

/// All about one message.
pub(crate) fn one(detail: &MessageDetail, session: &Session<'_>) -> String {
    let message = &detail.message;
    let at = |time| local(time, session);
    let fields = [
        ("message", Some(clean_line(&message.id))),
        ("place", Some(message.seq.to_string())),
        ("run", message.run.as_deref().map(clean_line)),
        ("from", Some(sender(message))),
        ("topic", Some(clean_line(&message.topic))),
        ("type", Some(clean_line(&message.message_type))),
        (
            "status",
            Some(Look::of_message(&message.status).painted(session.out)),
        ),
        ("sent", Some(at(message.sent_at))),
        ("expires", message.expires_at.map(at)),
        ("answers", message.reply_to.as_deref().map(clean_line)),
        ("resends", message.resends.as_deref().map(clean_line)),
        (
            "replies",
            (message.hops > 0).then(|| format!("{} led to it", message.hops)),
        ),
    ];
    let mut text: String = fields
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name:8} {}\n", value?)))
        .collect();
    text.push_str(&format!("\n{}", deliveries(&detail.deliveries, session)));
    let content = clean(&content_whole(&message.payload));
    text.push_str(&format!("\ncontent\n{}", indent(&content, 2)));
    if detail.deliveries.iter().any(is_dead) {
        let resend = session.command(&format!("message resend {}", clean_line(&message.id)));
        text.push_str(&format!("\nsend it again: {resend}\n"));
    }
    text
}

fn is_dead(delivery: &DeliveryView) -> bool {
    matches!(delivery.status.as_str(), "failed" | "expired")
}

fn deliveries(deliveries: &[DeliveryView], session: &Session<'_>) -> String {
    let mut table = Table::new(&[
        ("TO", Align::Left),
        ("STATUS", Align::Left),
        ("SINCE", Align::Left),
        ("REASON", Align::Whole),
    ]);
    for delivery in deliveries {
        let since = delivery.settled_at.map(|time| local(time, session));
        table.row([
            clean_line(&delivery.agent.name),
            Look::of_message(&delivery.status).painted(session.out),
            since.unwrap_or_else(|| "-".to_owned()),
            delivery
                .reason
                .as_deref()
                .map_or_else(|| "-".to_owned(), clean_line),
        ]);
    }
    table.render()
}

fn sender(message: &MessageView) -> String {
    match &message.sender {
        Some(agent) => clean_line(&agent.name),
        // People can't send to these.
        None if message.topic.starts_with("task.") => "(the engine)".to_owned(),
        None => "(a person)".to_owned(),
    }
}

fn recipients(message: &MessageView) -> String {
    match &message.recipients {
        Some(agents) => names(&agents.iter().collect::<Vec<_>>()),
        None => "(listeners)".to_owned(),
    }
}

/// The first few by name.
fn names(agents: &[&AgentName]) -> String {
    let named = agents.iter().take(NAMED);
    let mut named: Vec<String> = named.map(|agent| clean_line(&agent.name)).collect();
    if let Some(more @ 1..) = agents.len().checked_sub(NAMED) {
        named.push(count(more as u64, "other"));
    }
    named.join(", ")
}

/// The topic of an inbox tells no more than the recipient.
fn topic(message: &MessageView) -> String {
    let is_inbox = message.topic.starts_with("agent.") && message.topic.ends_with(".inbox");
    if is_inbox {
        "inbox".to_owned()
    } else {
        clean_line(&message.topic)
    }
}

fn content(payload: &Value) -> String {
    match payload {
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            payload.to_string()
        }
    }
}

fn content_whole(payload: &Value) -> String {
    match payload {
        Value::Array(_) | Value::Object(_) => format!("{payload:#}"),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => content(payload),
    }
}
