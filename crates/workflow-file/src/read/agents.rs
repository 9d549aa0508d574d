//! The `agents` of a workflow.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use fusion_core::{AgentSpec, DEFAULT_MAX_TURNS, EVERYONE, ToolGroup};

use crate::choice::MAX_NAME;
use crate::fault::{Faults, RawFault};
use crate::read::section::{Keys, Section, named};
use crate::read::{Marked, budget, messages, models, name, sandbox, value, web, workspace};
use crate::tree::{Kind, Node};

const MAX_AGENTS: usize = 1_000;
const MAX_TURNS: u32 = 200;
/// Agents of one name.
const MAX_COUNT: u32 = 100;
/// How often the same call may be made; one is no repeat.
const REPEATS: RangeInclusive<u32> = 2..=100;
/// Tokens that a model is given to read at once.
const CONTEXT: RangeInclusive<u32> = 1_000..=10_000_000;

const AGENT: Keys = Keys {
    known: &[
        "provider",
        "model",
        "capabilities",
        "count",
        "instructions",
        "tools",
        "max_turns",
        "max_repeats",
        "context_tokens",
        "max_tokens",
        "temperature",
        "fallback_models",
        "provider_options",
        "budget",
        "subscriptions",
        "web",
        "sandbox",
        "workspace",
    ],
    later: &[],
};

pub(super) fn read(node: &Node<'_>, faults: &mut Faults) -> BTreeMap<String, AgentSpec> {
    let mut agents = BTreeMap::new();
    let entries = named(node, "agents", faults);
    if entries.len() > MAX_AGENTS {
        let message = format!("the workflow has more than {MAX_AGENTS} agents");
        faults.add(RawFault::new(message, &node.span));
    }
    for (key, node) in entries.into_iter().take(MAX_AGENTS) {
        if key.text == EVERYONE {
            let message = format!("no agent can be called `{EVERYONE}`");
            let fault = RawFault::new(message, &key.span);
            faults.add(fault.help("agents write it to send a message to every other agent"));
        }
        name::label(&key, "an agent's name", faults);
        agents.insert(key.text.to_owned(), read_one(key.text, node, faults));
    }
    agents
}

/// The names of the agents, where they stand.
pub(super) fn names<'n>(node: &'n Node<'n>) -> Vec<Marked<'n>> {
    let entries = named(node, "agents", &mut Faults::default());
    entries.into_iter().map(|(name, _)| name).collect()
}

fn read_one(name: &str, node: &Node<'_>, faults: &mut Faults) -> AgentSpec {
    let Some(section) = Section::open(node, format!("agent '{name}'"), &AGENT, faults) else {
        return empty();
    };
    let provider = section.required("provider", faults);
    let model = section.required("model", faults);
    let mut agent = AgentSpec {
        provider: provider.map_or_else(String::new, |node| label(node, "provider", faults)),
        model: model.map_or_else(String::new, |node| label(node, "model", faults)),
        ..empty()
    };
    if let Some(node) = section.get("capabilities", faults) {
        agent.capabilities = capabilities(node, faults)
            .into_iter()
            .map(|name| name.text)
            .collect();
    }
    if let Some(node) = section.get("count", faults) {
        agent.count = value::whole_number(node, "count", 1..=MAX_COUNT, faults).unwrap_or(1);
    }
    if let Some(node) = section.get("instructions", faults) {
        let instructions = value::long_text(node, "instructions", faults);
        agent.instructions = instructions.map_or_else(String::new, |text| text.text.to_owned());
    }
    if let Some(node) = section.get("tools", faults) {
        agent.tools = tools(node, faults);
    }
    if let Some(node) = section.get("max_turns", faults) {
        let turns = value::whole_number(node, "max_turns", 1..=MAX_TURNS, faults);
        agent.max_turns = turns.unwrap_or(DEFAULT_MAX_TURNS);
    }
    if let Some(node) = section.get("max_repeats", faults) {
        let repeats = value::whole_number(node, "max_repeats", REPEATS, faults);
        agent.max_repeats = repeats.unwrap_or(agent.max_repeats);
    }
    if let Some(node) = section.get("context_tokens", faults) {
        agent.context_tokens = value::whole_number(node, "context_tokens", CONTEXT, faults);
    }
    if let Some(node) = section.get("max_tokens", faults) {
        agent.max_tokens = value::whole_number(node, "max_tokens", 1..=u32::MAX, faults);
    }
    if let Some(node) = section.get("temperature", faults) {
        agent.temperature = temperature(node, faults);
    }
    if let Some(node) = section.get("fallback_models", faults) {
        agent.fallback_models = models::fallbacks(node, &agent.provider, faults);
    }
    if let Some(node) = section.get("provider_options", faults) {
        agent.provider_options = models::options(node, faults);
    }
    agent.budget = budget::read(&section, faults);
    agent.web_hosts = web::hosts(&section, &agent.tools, faults);
    if let Some(node) = section.get("subscriptions", faults) {
        agent.subscriptions = messages::patterns(node, "subscriptions", faults);
    }
    if let Some(node) = section.get("sandbox", faults) {
        agent.sandbox = sandbox::read(node, name, faults);
    }
    agent.workspace = workspace::of_agent(&section, name, faults);
    agent
}

fn empty() -> AgentSpec {
    AgentSpec::new("", "")
}

/// A name in somebody else's spelling.
pub(super) fn label(node: &Node<'_>, key: &str, faults: &mut Faults) -> String {
    match value::text(node, key, faults) {
        Some(name) if name.text.chars().count() <= MAX_NAME => name.text.to_owned(),
        Some(name) => {
            let message = format!("`{key}` has more than {MAX_NAME} characters");
            faults.add(RawFault::new(message, &name.span));
            String::new()
        }
        None => String::new(),
    }
}

/// The names of capabilities, of an agent or a step.
pub(super) fn capabilities<'n>(node: &'n Node<'n>, faults: &mut Faults) -> Vec<Marked<'n>> {
    let mut names = value::texts(node, "capabilities", "capability names", faults);
    names.retain(|name| name::label(name, "a capability's name", faults).is_some());
    names
}

fn tools(node: &Node<'_>, faults: &mut Faults) -> Vec<ToolGroup> {
    let mut tools = Vec::new();
    for name in value::texts(node, "tools", "tool groups", faults) {
        match ToolGroup::from_text(name.text) {
            Some(tool) if tools.contains(&tool) => {
                let message = format!("`{}` is named twice in `tools`", name.text);
                faults.add(RawFault::new(message, &name.span));
            }
            Some(tool) => tools.push(tool),
            None => {
                let known = ToolGroup::ALL.iter().map(|tool| tool.as_str());
                let help = faults.hint(name.text, "tool groups", known);
                let message = format!("unknown tool group `{}`", name.text);
                faults.add(RawFault::new(message, &name.span).help(help));
            }
        }
    }
    tools
}

fn temperature(node: &Node<'_>, faults: &mut Faults) -> Option<f64> {
    let number = match &node.kind {
        Kind::Number(number) => number.as_f64(),
        Kind::Map(_) | Kind::List(_) | Kind::Text(_) | Kind::Boolean(_) | Kind::Null => None,
    };
    let found = number.filter(|number| (0.0..=2.0).contains(number));
    if found.is_none() {
        let message = "`temperature` must be a number from 0 to 2";
        faults.add(RawFault::new(message, &node.span));
    }
    found
}
