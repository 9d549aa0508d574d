//! The models of an agent: looked up before the run, kept with the agent, asked in their order.

use std::sync::Arc;

use fusion_core::{Agent, AgentSpec, ModelChoice};
use fusion_providers::{
    Allowance, Bounds, Budgeted, Candidate, Error, Fallbacks, ModelInfo, ModelRequest, Observer,
    Price, Provider, Registry, SharedBudget,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A model that may serve an agent, and what bounds the cost of a call. Kept in the agent's
/// metadata, so that a resume works with what the run was checked with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckedModel {
    /// Name of a registered provider.
    pub provider: String,
    /// The model, as the provider resolved it.
    pub model: String,
    /// Whether its answers come from a script.
    #[serde(default)]
    pub scripted: bool,
    /// What its tokens cost, where that was known.
    #[serde(default)]
    pub price: Option<Price>,
    /// Tokens of one answer at most, where that was known.
    #[serde(default)]
    pub max_output_tokens: Option<u64>,
    /// Tokens that it reads and writes at one turn at most, where that was known.
    #[serde(default)]
    pub context_length: Option<u64>,
}

impl CheckedModel {
    fn known(provider: String, info: ModelInfo) -> Self {
        let Bounds {
            price,
            max_output_tokens,
        } = Bounds::of(&info);
        Self {
            provider,
            model: info.model,
            scripted: info.scripted,
            price,
            max_output_tokens,
            context_length: info.context_length,
        }
    }

    /// One that could not be looked up just now: it may be back when it is needed.
    fn unknown(choice: ModelChoice) -> Self {
        Self {
            provider: choice.provider,
            model: choice.model,
            scripted: false,
            price: None,
            max_output_tokens: None,
            context_length: None,
        }
    }

    const fn bounds(&self) -> Bounds {
        Bounds {
            price: self.price,
            max_output_tokens: self.max_output_tokens,
        }
    }
}

/// Looks up the models of an agent, each at its provider. With several, one that is gone is left
/// out and one that is out of reach is kept unchecked, as long as one can be asked.
///
/// # Errors
/// A provider is unknown or not set up right, or no model can be asked: the first one's failure,
/// with its number in `choices`.
pub(crate) async fn look_up(
    registry: &Registry,
    choices: Vec<ModelChoice>,
    request: &ModelRequest<'_>,
) -> Result<Vec<CheckedModel>, (usize, Error)> {
    let (mut checked, mut is_served, mut failure) = (Vec::new(), false, None);
    for (number, choice) in choices.into_iter().enumerate() {
        let of_this = |error| (number, error);
        let provider = registry.get(&choice.provider).map_err(of_this)?;
        let asked = ModelRequest {
            model: &choice.model,
            ..*request
        };
        match provider.spawn_agent(&asked).await {
            Ok(info) => {
                checked.push(CheckedModel::known(choice.provider, info));
                is_served = true;
            }
            Err(error) if error.is_worth_a_fallback() => {
                tracing::warn!(model = choice.model, %error, "a model can't be asked");
                if !matches!(error, Error::UnknownModel { .. }) {
                    checked.push(CheckedModel::unknown(choice));
                }
                failure.get_or_insert((number, error));
            }
            Err(error) => return Err((number, error)),
        }
    }
    match failure {
        Some(first) if !is_served => Err(first),
        Some(_) | None => Ok(checked),
    }
}

/// What an agent's row says about its models.
pub(crate) fn metadata(models: &[CheckedModel]) -> Value {
    let scripted = models.first().is_some_and(|model| model.scripted);
    json!({ "scripted": scripted, "models": models })
}

/// The models in an agent's row. A row of an older version names one, without its price.
fn of_agent(agent: &Agent) -> Vec<CheckedModel> {
    let stored = agent.metadata.get("models").cloned();
    let models = stored.and_then(|models| serde_json::from_value(models).ok());
    models
        .filter(|models: &Vec<CheckedModel>| !models.is_empty())
        .unwrap_or_else(|| {
            vec![CheckedModel::unknown(ModelChoice {
                provider: agent.provider.clone(),
                model: agent.model_name.clone(),
            })]
        })
}

/// What an agent is given to read at one turn when nobody says, in tokens: more costs more.
const CONTEXT_TOKENS: u64 = 128_000;
/// Room that is kept for an answer when nobody says how long it may be, in tokens.
const ANSWER_TOKENS: u64 = 8_192;

/// What an agent may be given to read at one turn, in tokens: what its file says, within what each of
/// its models takes beside the answer.
pub(crate) fn context_tokens(agent: &Agent, spec: &AgentSpec) -> u64 {
    let lengths = of_agent(agent).into_iter();
    let room = lengths
        .filter_map(|model| model.context_length)
        .min()
        .map(|length| {
            let answer = spec.max_tokens.map_or(ANSWER_TOKENS, u64::from);
            length.saturating_sub(answer).max(length / 2)
        });
    let wanted = spec.context_tokens.map_or(CONTEXT_TOKENS, u64::from);
    room.map_or(wanted, |room| wanted.min(room))
}

/// The budgets that an agent's turns use up.
#[derive(Debug, Default)]
pub(crate) struct Within {
    /// Of the run and what is in it, from the narrowest to the widest.
    pub(crate) allowances: Vec<Arc<Allowance>>,
    /// Those around it.
    pub(crate) shared: Option<Arc<dyn SharedBudget>>,
}

/// Who serves an agent's turns: each of its models within the budgets, in their order.
///
/// # Errors
/// A provider is unknown.
pub(crate) fn serving(
    registry: &Registry,
    agent: &Agent,
    within: &Within,
    observer: &Arc<dyn Observer>,
) -> fusion_providers::Result<Arc<dyn Provider>> {
    let mut candidates = Vec::new();
    for model in of_agent(agent) {
        let provider = registry.get(&model.provider)?;
        let Within { allowances, shared } = within;
        let provider: Arc<dyn Provider> = if allowances.is_empty() && shared.is_none() {
            provider
        } else {
            let (bounds, allowances) = (model.bounds(), allowances.clone());
            let own = Budgeted::new(provider, bounds, allowances, Arc::clone(observer));
            Arc::new(own.within(shared.clone()))
        };
        candidates.push(Candidate {
            provider,
            model: model.model,
        });
    }
    let mut candidates = candidates.into_iter();
    match (candidates.next(), candidates.as_slice()) {
        (Some(only), []) => Ok(only.provider),
        (Some(first), _) => Ok(Arc::new(Fallbacks::new(first, candidates.collect()))),
        (None, _) => registry.get(&agent.provider),
    }
}
