//! The providers and models of an agent: their expressions, and where the file names them.

use fusion_core::{AgentSpec, ModelChoice};
use serde_json::{Map, Value, json};

use crate::expression::{ExpressionError, render_text};

/// The longest name of a provider or a model, in characters.
pub(crate) const MAX_NAME: usize = 255;

/// A name of a provider or a model of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// 0 for the agent's own model, from 1 its fallback models in their order.
    pub number: usize,
    /// Which of the two it is.
    pub part: ChoicePart,
}

/// The two names of a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChoicePart {
    /// The provider's.
    Provider,
    /// The model's.
    Model,
}

impl ChoicePart {
    pub(crate) const fn key(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Model => "model",
        }
    }
}

/// A provider or a model that an expression does not name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` names nothing", .choice.part.key())]
pub struct ChoiceError {
    /// Which one.
    pub choice: Choice,
    /// Why not.
    #[source]
    pub problem: ExpressionError,
}

/// The models of an agent in their order, with a run's inputs put into their names.
///
/// # Errors
/// The first name that can't be evaluated, is empty or has more than 255 characters.
pub fn chosen_models(
    agent: &AgentSpec,
    workflow: &str,
    inputs: &Map<String, Value>,
) -> Result<Vec<ModelChoice>, ChoiceError> {
    let context = json!({ "inputs": inputs, "workflow": { "name": workflow } });
    let name = |number, part, template: &str| {
        name(template, &context).map_err(|problem| ChoiceError {
            choice: Choice { number, part },
            problem,
        })
    };
    agent
        .models()
        .enumerate()
        .map(|(number, choice)| {
            Ok(ModelChoice {
                provider: name(number, ChoicePart::Provider, &choice.provider)?,
                model: name(number, ChoicePart::Model, &choice.model)?,
            })
        })
        .collect()
}

fn name(template: &str, context: &Value) -> Result<String, ExpressionError> {
    let name = render_text(template, context)?;
    let refused = |problem: String| Err(ExpressionError::whole(template, problem));
    if name.trim().is_empty() {
        return refused("it is empty".to_owned());
    }
    if name.chars().count() > MAX_NAME {
        return refused(format!("it has more than {MAX_NAME} characters"));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use fusion_core::ModelChoice;
    use serde_json::{Value, json};

    use super::{Choice, ChoicePart, chosen_models};

    const FILE: &str = "
version: 1
name: w
inputs:
  who: { type: string }
  model: { type: string, required: false }
agents:
  a:
    provider: ${{ inputs.who }}
    model: vendor/${{ inputs.model }}
    fallback_models:
      - plain
      - { provider: other, model: \"${{ inputs.model }}\" }
steps: [{ id: s, agent: a, prompt: hi }]
";

    fn chosen(inputs: &Value) -> Result<Vec<ModelChoice>, (Choice, String)> {
        let definition = crate::parse(FILE).unwrap();
        let (agent, inputs) = (&definition.agents["a"], inputs.as_object().unwrap());
        chosen_models(agent, "w", inputs).map_err(|error| (error.choice, error.problem.problem))
    }

    fn choice(provider: &str, model: &str) -> ModelChoice {
        ModelChoice {
            provider: provider.to_owned(),
            model: model.to_owned(),
        }
    }

    #[test]
    fn inputs_choose_providers_and_models_and_a_fallback_has_its_agents_provider() {
        let found = chosen(&json!({ "who": "p", "model": "m" }));
        let expected = vec![
            choice("p", "vendor/m"),
            choice("p", "plain"),
            choice("other", "m"),
        ];
        assert_eq!(found, Ok(expected));
    }

    #[test]
    fn a_name_that_is_empty_or_too_long_or_can_not_be_made_is_refused_with_its_place() {
        let of = |number, part| Choice { number, part };
        let empty = chosen(&json!({ "who": " ", "model": "m" }));
        let own = of(0, ChoicePart::Provider);
        assert_eq!(empty, Err((own, "it is empty".to_owned())));
        let null = chosen(&json!({ "who": "p", "model": null }));
        let fallback = of(2, ChoicePart::Model);
        assert_eq!(null, Err((fallback, "it is empty".to_owned())));
        let long = chosen(&json!({ "who": "p".repeat(256), "model": "m" }));
        let problem = "it has more than 255 characters".to_owned();
        assert_eq!(long, Err((own, problem)));
        let missing = chosen(&json!({ "model": "m" }));
        assert_eq!(missing, Err((own, "there is no such value".to_owned())));
    }
}
