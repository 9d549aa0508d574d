//! Finding a value again, for faults that only show when a file is put to use.

use crate::Position;
use crate::fault::{Faults, RawFault};
use crate::tree::{self, Kind, Node};

/// Where the value of a key such as `model` of an agent stands in the text of a workflow file.
/// `None` when the text has no such agent or the agent no such key.
#[must_use]
pub fn place_in_agent(text: &str, agent: &str, key: &str) -> Option<Position> {
    let root = tree::grow(text, &mut Faults::default())?;
    let value = member(member(member(&root, "agents")?, agent)?, key)?;
    Some(RawFault::new("", &value.span).located(text).position)
}

fn member<'n, 't>(node: &'n Node<'t>, name: &str) -> Option<&'n Node<'t>> {
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
    use super::place_in_agent;
    use crate::Position;

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
        assert_eq!(place_in_agent(text, "a", "model"), place(3, 15, 30, 1));
        assert_eq!(place_in_agent(text, "é", "model"), place(5, 12, 51, 5));
        assert_eq!(place_in_agent(text, "a", "provider"), None);
        assert_eq!(place_in_agent(text, "b", "model"), None);
        assert_eq!(place_in_agent("agents: [a]", "a", "model"), None);
        assert_eq!(place_in_agent(": [", "a", "model"), None);
    }
}
