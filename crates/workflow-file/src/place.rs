//! Finding a value again, for faults that only show when a file is put to use.

use crate::fault::{Faults, RawFault};
use crate::tree::{self, Kind, Node, Span};
use crate::{Choice, ChoicePart, Granted, Position};

/// Where a workflow file names a provider or a model of an agent. `None` when the text has no such
/// agent or the agent no such model.
#[must_use]
pub fn place_in_agent(text: &str, agent: &str, choice: Choice) -> Option<Position> {
    let root = tree::grow(text, &mut Faults::default())?;
    let agent = member(member(&root, "agents")?, agent)?;
    let value = match choice.number.checked_sub(1) {
        None => member(agent, choice.part.key())?,
        Some(index) => fallback(agent, index, choice.part)?,
    };
    Some(RawFault::new("", &value.span).located(text).position)
}

/// Where a workflow file grants an agent something. `None` when the text has no such entry.
#[must_use]
pub fn place_of_grant(text: &str, agent: &str, granted: Granted) -> Option<Position> {
    let root = tree::grow(text, &mut Faults::default())?;
    let sandbox = member(member(member(&root, "agents")?, agent)?, "sandbox")?;
    let list = member(sandbox, granted.list.key())?;
    let entry = match &list.kind {
        Kind::List(entries) => entries.get(granted.index)?,
        Kind::Map(_) | Kind::Text(_) | Kind::Number(_) | Kind::Boolean(_) | Kind::Null => list,
    };
    Some(RawFault::new("", &entry.span).located(text).position)
}

/// A fallback model is a map, or the name of a model of the agent's own provider.
fn fallback<'n, 't>(agent: &'n Node<'t>, index: usize, part: ChoicePart) -> Option<&'n Node<'t>> {
    let models = member(agent, "fallback_models")?;
    let model = match &models.kind {
        Kind::List(models) => models.get(index)?,
        Kind::Map(_) | Kind::Text(_) | Kind::Number(_) | Kind::Boolean(_) | Kind::Null => models,
    };
    match (&model.kind, part) {
        (Kind::Map(_), _) => member(model, part.key()).or_else(|| member(agent, part.key())),
        (_, ChoicePart::Provider) => member(agent, part.key()),
        (_, ChoicePart::Model) => Some(model),
    }
}

/// An entry of a list.
pub(crate) fn list_item<'n, 't>(node: &'n Node<'t>, index: usize) -> Option<&'n Node<'t>> {
    match &node.kind {
        Kind::List(entries) => entries.get(index),
        Kind::Map(_) | Kind::Text(_) | Kind::Number(_) | Kind::Boolean(_) | Kind::Null => None,
    }
}

/// Where an entry of one of the maps of a file begins.
pub(crate) fn key_of<'n>(root: &'n Node<'_>, section: &str, name: &str) -> Option<&'n Span> {
    match &member(root, section)?.kind {
        Kind::Map(entries) => {
            let found = entries.iter().find(|(key, _)| key.name == name);
            found.map(|(key, _)| &key.span)
        }
        Kind::List(_) | Kind::Text(_) | Kind::Number(_) | Kind::Boolean(_) | Kind::Null => None,
    }
}

/// A value of a map.
pub(crate) fn member<'n, 't>(node: &'n Node<'t>, name: &str) -> Option<&'n Node<'t>> {
    match &node.kind {
        Kind::Map(entries) => entries
            .iter()
            .find(|(key, _)| key.name == name)
            .map(|(_, value)| value),
        Kind::List(_) | Kind::Text(_) | Kind::Number(_) | Kind::Boolean(_) | Kind::Null => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{place_in_agent, place_of_grant};
    use crate::{Choice, ChoicePart, GrantList, Granted, Position};

    const PROVIDER: Choice = own(ChoicePart::Provider);
    const MODEL: Choice = own(ChoicePart::Model);

    const fn own(part: ChoicePart) -> Choice {
        Choice { number: 0, part }
    }

    #[test]
    fn a_value_of_an_agent_is_found_where_it_stands() {
        let text = "name: x\nagents:\n  a: { model: m }\n  é:\n    model: other\n";
        let place = |line, column, offset, length| {
            Some(Position {
                line,
                column,
                offset,
                length,
            })
        };
        assert_eq!(place_in_agent(text, "a", MODEL), place(3, 15, 30, 1));
        assert_eq!(place_in_agent(text, "é", MODEL), place(5, 12, 51, 5));
        assert_eq!(place_in_agent(text, "a", PROVIDER), None);
        assert_eq!(place_in_agent(text, "b", MODEL), None);
        assert_eq!(place_in_agent("agents: [a]", "a", MODEL), None);
        assert_eq!(place_in_agent(": [", "a", MODEL), None);
    }

    #[test]
    fn a_grant_is_found_in_a_list_and_where_one_stands_for_a_list() {
        let text =
            "agents:\n  a:\n    sandbox:\n      read: [/a, /b]\n      env: TOKEN\n      write:\n";
        let at = |list, index| {
            let place = place_of_grant(text, "a", Granted { list, index })?;
            Some((place.line, place.column))
        };
        assert_eq!(at(GrantList::Read, 1), Some((4, 18)));
        assert_eq!(at(GrantList::Read, 2), None);
        assert_eq!(at(GrantList::Env, 0), Some((5, 12)));
    }

    #[test]
    fn a_fallback_without_a_provider_has_the_one_of_its_agent() {
        let text = "agents:\n  a:\n    provider: p\n    model: m\n    fallback_models:\n      - f\n      - { provider: q, model: g }\n      - { model: h }\n";
        let at = |number, part| {
            let place = place_in_agent(text, "a", Choice { number, part })?;
            Some((place.line, place.column))
        };
        let (provider, model) = (ChoicePart::Provider, ChoicePart::Model);
        assert_eq!(at(1, model), Some((6, 9)));
        assert_eq!(at(1, provider), Some((3, 15)));
        assert_eq!(at(2, provider), Some((7, 21)));
        assert_eq!(at(2, model), Some((7, 31)));
        assert_eq!(at(3, provider), Some((3, 15)));
        assert_eq!(at(4, model), None);
    }
}
