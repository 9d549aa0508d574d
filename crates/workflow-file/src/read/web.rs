//! The `web` of an agent: the hosts that it may fetch pages from.

use fusion_core::ToolGroup;
use fusion_web::{Hosts, MAX_HOSTS};

use crate::fault::{Faults, RawFault};
use crate::read::section::{Keys, Section};
use crate::read::value;

const WEB: Keys = Keys {
    known: &["hosts"],
    later: &[],
};

/// The hosts of an agent, none where it has no `web`. Hosts and the tools that reach them come
/// together, so that neither is given by mistake.
pub(super) fn hosts(agent: &Section<'_>, tools: &[ToolGroup], faults: &mut Faults) -> Vec<String> {
    let has_tools = tools.contains(&ToolGroup::Web);
    let Some(node) = agent.get("web", faults) else {
        if let Some(span) = agent.key("tools").filter(|_| has_tools) {
            let message = format!(
                "{} has the tools `web` and no hosts for them",
                agent.owner()
            );
            let fault = RawFault::new(message, span);
            faults.add(fault.help("give it hosts: `web: { hosts: [docs.rs] }`"));
        }
        return Vec::new();
    };
    if !has_tools {
        let message = format!("{} has hosts and no tools that reach them", agent.owner());
        let fault = RawFault::new(message, &node.span);
        faults.add(fault.help("add `web` to its `tools`"));
    }
    let owner = format!("the `web` of {}", agent.owner());
    let Some(section) = Section::open(node, owner, &WEB, faults) else {
        return Vec::new();
    };
    let Some(node) = section.required("hosts", faults) else {
        return Vec::new();
    };
    let hosts = value::texts(node, "hosts", "hosts", faults);
    if hosts.len() > MAX_HOSTS {
        let message = format!("`hosts` has more than {MAX_HOSTS} entries");
        faults.add(RawFault::new(message, &node.span));
    }
    let mut good = Vec::new();
    for host in hosts.into_iter().take(MAX_HOSTS) {
        match Hosts::try_from(vec![host.text.to_owned()]) {
            Ok(_) => good.push(host.text.to_owned()),
            Err(error) => faults.add(RawFault::new(error.to_string(), &host.span)),
        }
    }
    good
}
