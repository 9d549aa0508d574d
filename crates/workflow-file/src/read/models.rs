//! What an agent says about its models beyond their names.

use fusion_core::ModelChoice;
use serde_json::{Map, Value};

use crate::fault::{Faults, RawFault};
use crate::read::agents::label;
use crate::read::section::{Keys, Section};
use crate::read::{Template, TemplateKind, sandbox};
use crate::tree::{Key, Kind, Node};

const FALLBACK: Keys = Keys {
    known: &["provider", "model"],
    later: &[],
};

const MAX_FALLBACKS: usize = 10;

/// Fields of a request that come from elsewhere: from the agent's own keys, or from the engine.
const OWN_FIELDS: [&str; 11] = [
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "model",
    "response_format",
    "stream",
    "stream_options",
    "system",
    "temperature",
    "tool_choice",
    "tools",
];

/// Other models: each a model of the agent's own provider, or a map that names another one.
pub(super) fn fallbacks(
    node: &Node<'_>,
    own_provider: &str,
    faults: &mut Faults,
) -> Vec<ModelChoice> {
    let nodes = match &node.kind {
        Kind::List(nodes) => nodes.as_slice(),
        Kind::Text(_) | Kind::Map(_) => std::slice::from_ref(node),
        Kind::Number(_) | Kind::Boolean(_) | Kind::Null => {
            let message = "`fallback_models` must be a list of models";
            faults.add(RawFault::new(message, &node.span));
            return Vec::new();
        }
    };
    if nodes.len() > MAX_FALLBACKS {
        let message = format!("`fallback_models` has more than {MAX_FALLBACKS} models");
        faults.add(RawFault::new(message, &node.span));
    }
    nodes
        .iter()
        .take(MAX_FALLBACKS)
        .filter_map(|node| fallback(node, own_provider, faults))
        .collect()
}

fn fallback(node: &Node<'_>, own_provider: &str, faults: &mut Faults) -> Option<ModelChoice> {
    if !matches!(node.kind, Kind::Map(_)) {
        return Some(ModelChoice {
            provider: own_provider.to_owned(),
            model: label(node, "fallback_models", faults),
        });
    }
    let section = Section::open(node, "a fallback model", &FALLBACK, faults)?;
    let provider = section.get("provider", faults);
    let model = section.required("model", faults)?;
    Some(ModelChoice {
        provider: provider.map_or_else(
            || own_provider.to_owned(),
            |node| label(node, "provider", faults),
        ),
        model: label(model, "model", faults),
    })
}

/// Every text that names a provider, a model or a granted folder of an agent.
pub(super) fn choices<'n>(agents: &'n Node<'n>) -> Vec<Template<'n>> {
    let mut found = Vec::new();
    for (_, agent) in entries(agents) {
        for (key, node) in entries(agent) {
            match key.name.as_ref() {
                "provider" | "model" => found.extend(template(node)),
                "fallback_models" => add_fallbacks(node, &mut found),
                "sandbox" => found.extend(sandbox::folders(node).filter_map(template)),
                _ => {}
            }
        }
    }
    found
}

fn add_fallbacks<'n>(node: &'n Node<'n>, found: &mut Vec<Template<'n>>) {
    let nodes = match &node.kind {
        Kind::List(nodes) => nodes.as_slice(),
        Kind::Map(_) | Kind::Text(_) | Kind::Number(_) | Kind::Boolean(_) | Kind::Null => {
            std::slice::from_ref(node)
        }
    };
    for node in nodes {
        found.extend(template(node));
        found.extend(entries(node).iter().filter_map(|(_, node)| template(node)));
    }
}

/// The entries of a map; none of anything else.
fn entries<'n>(node: &'n Node<'n>) -> &'n [(Key<'n>, Node<'n>)] {
    match &node.kind {
        Kind::Map(entries) => entries,
        Kind::List(_) | Kind::Text(_) | Kind::Number(_) | Kind::Boolean(_) | Kind::Null => &[],
    }
}

fn template<'n>(node: &'n Node<'n>) -> Option<Template<'n>> {
    match &node.kind {
        Kind::Text(text) => Some(Template {
            text: text.as_ref(),
            written: &node.written,
            kind: TemplateKind::Text,
            locals: Vec::new(),
        }),
        Kind::Map(_) | Kind::List(_) | Kind::Number(_) | Kind::Boolean(_) | Kind::Null => None,
    }
}

/// Fields that are sent to the provider as they are.
pub(super) fn options(node: &Node<'_>, faults: &mut Faults) -> Map<String, Value> {
    let Kind::Map(entries) = &node.kind else {
        let message = "`provider_options` must be a map of fields of the request";
        faults.add(RawFault::new(message, &node.span));
        return Map::new();
    };
    let mut options = Map::new();
    for (key, value) in entries {
        if OWN_FIELDS.contains(&key.name.as_ref()) {
            let message = format!("`{}` can't be a provider option", key.name);
            let fault = RawFault::new(message, &key.span);
            faults.add(fault.help("the agent's own keys and the step say what is sent there"));
            continue;
        }
        options.insert(key.name.as_ref().to_owned(), value.to_json());
    }
    options
}
