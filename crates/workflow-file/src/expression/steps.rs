//! Which steps a template depends on.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Mention, Part, condition_part, mentions, parts};

/// The ids of the steps that a template of a checked file names: what must be read to
/// evaluate it.
#[must_use]
pub fn steps_named_in(template: &str) -> BTreeSet<String> {
    parts(template)
        .map(|parts| parts.iter().flat_map(steps_of).collect())
        .unwrap_or_default()
}

/// The same for the texts of a value, at any depth.
#[must_use]
pub fn steps_named_within(value: &Value) -> BTreeSet<String> {
    match value {
        Value::String(template) => steps_named_in(template),
        Value::Array(items) => items.iter().flat_map(steps_named_within).collect(),
        Value::Object(members) => members.values().flat_map(steps_named_within).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => BTreeSet::new(),
    }
}

/// The same for a condition, which may stand without `${{ }}`.
#[must_use]
pub fn steps_named_in_condition(condition: &str) -> BTreeSet<String> {
    condition_part(condition)
        .map(|part| steps_of(&part))
        .unwrap_or_default()
}

fn steps_of(part: &Part<'_>) -> BTreeSet<String> {
    let Part::Expression { source, .. } = part else {
        return BTreeSet::new();
    };
    mentions(source)
        .into_iter()
        .filter_map(|mention| match mention {
            Mention::Variable(names) => match names.as_slice() {
                [root, step, ..] if root.text == "steps" => Some(step.text.to_owned()),
                _ => None,
            },
            Mention::Filter(_) | Mention::Test(_) | Mention::Function(_) => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{steps_named_in, steps_named_in_condition};

    #[test]
    fn every_step_that_is_named_is_found_however_it_is_written() {
        let named = steps_named_in(
            "${{ steps.plan.outputs.a }} and ${{ inputs.x ~ steps['build'].status }}",
        );
        assert_eq!(named, ["build".to_owned(), "plan".to_owned()].into());
        assert_eq!(steps_named_in("steps.plan is only text here"), [].into());
    }

    #[test]
    fn a_condition_names_its_steps_with_and_without_braces() {
        let wanted = ["build".to_owned()].into();
        assert_eq!(
            steps_named_in_condition("steps.build.status == 'completed'"),
            wanted
        );
        assert_eq!(
            steps_named_in_condition("${{ steps.build.status == 'completed' }}"),
            wanted
        );
    }
}
