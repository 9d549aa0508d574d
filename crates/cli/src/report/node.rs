//! Nodes as text for a person.

use fusion_api_types::api::{ServerNode, ServerNodeList};

use super::local;
use crate::session::Session;
use crate::table::{Align, Table};
use crate::text::{clean_line, count};

/// A table of nodes.
pub(crate) fn list(list: &ServerNodeList, session: &Session<'_>) -> String {
    let mut table = Table::new(&[
        ("NODE", Align::Whole),
        ("NAME", Align::Left),
        ("STATE", Align::Left),
        ("ROLES", Align::Left),
        ("RUNS", Align::Right),
        ("STEPS", Align::Right),
        ("CAPACITY", Align::Right),
        ("SEEN", Align::Left),
    ]);
    for node in &list.nodes {
        table.row([
            clean_line(&node.id),
            clean_line(&node.name),
            clean_line(&node.state),
            clean_line(&node.roles.join(",")),
            node.runs.to_string(),
            node.tasks.to_string(),
            node.capacity.to_string(),
            local(node.last_seen, session),
        ]);
    }
    table.render()
}

/// Everything about one.
pub(crate) fn one(node: &ServerNode, session: &Session<'_>) -> String {
    format!(
        "{} ({})\n  id        {}\n  epoch     {}\n  version   {}\n  roles     {}\n  has       {} and {} at work, of {} at most\n  started   {}\n  seen      {}\n",
        clean_line(&node.name),
        clean_line(&node.state),
        clean_line(&node.id),
        node.epoch,
        clean_line(&node.version),
        clean_line(&node.roles.join(", ")),
        count(node.runs.into(), "run"),
        count(node.tasks.into(), "step"),
        node.capacity,
        local(node.started_at, session),
        local(node.last_seen, session),
    )
}

/// What `node drain` did.
pub(crate) fn drained(node: &ServerNode, session: &Session<'_>) -> String {
    let list = session.command("node list");
    format!(
        "{} takes nothing new; it has {} and {} at work\nsee when it is done: {list}\n",
        clean_line(&node.name),
        count(node.runs.into(), "run"),
        count(node.tasks.into(), "step"),
    )
}
