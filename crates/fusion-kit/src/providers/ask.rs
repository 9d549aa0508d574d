//! Real calls of one provider: a few words, its models, its quota.

use std::path::Path;
use std::sync::Arc;

use fusion_api_types::{Problem, ProblemKind, ProviderTest, QuotaReport, UsageView};
use fusion_core::IdSource;
use fusion_providers::{
    Ability, Catalog, Error, Message, Model, ModelRequest, NoDeltas, Provider, Turn, TurnPlace,
    TurnRequest,
};
use tokio::time::Instant;

use super::named::Named;
use super::views;
use crate::backend::LocalBackend;
use crate::problems;
use crate::system::SystemIds;

/// Enough for a word; some providers take no less than 16, and some models think first.
const TEST_TOKENS: u32 = 64;

/// Asks a model for a word, then what is left.
pub(crate) async fn test(
    backend: &LocalBackend,
    named: &Named,
    model: Option<&str>,
) -> Result<ProviderTest, Problem> {
    let told = |error: Error| backend.of_provider(named, &error);
    let provider = backend.client(named).map_err(told)?;
    let asked = match model {
        Some(model) => check(&provider, model).await.map_err(told)?,
        None => choose(backend, named, &provider).await?,
    };
    let began = Instant::now();
    let turn = say_something(&provider, &asked).await.map_err(told)?;
    let latency = began.elapsed();
    let (quota, quota_fault) = match provider.get_quota_info().await {
        Ok(quota) => (quota.limits, None),
        Err(error) => (Vec::new(), Some(problems::of_error(&error).message)),
    };
    Ok(ProviderTest {
        provider: named.name().to_owned(),
        asked,
        answered: turn.model,
        latency_ms: u64::try_from(latency.as_millis()).unwrap_or(u64::MAX),
        usage: UsageView {
            turns: turn.usage.turns,
            input_tokens: turn.usage.input_tokens,
            output_tokens: turn.usage.output_tokens,
            cost_usd: turn.usage.cost.to_string(),
        },
        cost_source: views::cost_source(turn.cost_source).to_owned(),
        quota: quota.into_iter().map(views::quota).collect(),
        quota_fault,
    })
}

/// The models of a provider, read now.
pub(crate) async fn models(backend: &LocalBackend, named: &Named) -> Result<Catalog, Problem> {
    let told = |error: Error| backend.of_provider(named, &error);
    let provider = backend.client(named).map_err(told)?;
    let list = provider.list_models().await.map_err(told)?;
    list.ok_or_else(|| no_list(named))
}

/// What a provider still allows, as far as it tells without a call of a model.
pub(crate) async fn quota(backend: &LocalBackend, named: &Named) -> Result<QuotaReport, Problem> {
    let told = |error: Error| backend.of_provider(named, &error);
    let provider = backend.client(named).map_err(told)?;
    let quota = provider.get_quota_info().await.map_err(told)?;
    Ok(QuotaReport {
        provider: named.name().to_owned(),
        limits: quota.limits.into_iter().map(views::quota).collect(),
    })
}

async fn check(provider: &Arc<dyn Provider>, model: &str) -> Result<String, Error> {
    let request = ModelRequest {
        model,
        needs_tools: false,
        needs_json_schema: false,
        base_dir: Path::new("."),
        steps: &[],
    };
    Ok(provider.spawn_agent(&request).await?.model)
}

/// A model of the list: the cheapest that costs something, where there are prices, else the first.
async fn choose(
    backend: &LocalBackend,
    named: &Named,
    provider: &Arc<dyn Provider>,
) -> Result<String, Problem> {
    let list = provider.list_models().await;
    let list = list
        .map_err(|error| backend.of_provider(named, &error))?
        .ok_or_else(|| no_list(named))?;
    let chosen = cheapest(&list.models).or_else(|| list.models.first());
    chosen.map(|model| model.id.clone()).ok_or_else(|| {
        Problem::new(
            ProblemKind::NotFound,
            format!("{} is there and has no models", named.name()),
        )
        .with_help("load or pull a model into the server first")
    })
}

/// Models that can call tools are those to talk with; a free one may be closed to many keys.
fn cheapest(models: &[Model]) -> Option<&Model> {
    let price = |model: &&Model| {
        let price = model.price?;
        Some(price.input_token + price.output_token + price.request)
    };
    models
        .iter()
        .filter(|model| model.tools == Ability::Yes)
        .filter(|model| price(model).is_some_and(|price| price.picos() > 0))
        .min_by_key(|model| price(model))
}

async fn say_something(provider: &Arc<dyn Provider>, model: &str) -> Result<Turn, Error> {
    let key = SystemIds::new().uuid().to_string();
    let messages = [Message::User {
        text: "Answer with one word: ready".to_owned(),
    }];
    let request = TurnRequest {
        model,
        system: "",
        messages: &messages,
        tools: &[],
        output_schema: None,
        max_tokens: Some(TEST_TOKENS),
        temperature: None,
        options: None,
        may_wait: false,
        place: TurnPlace {
            run: "",
            task: "",
            step: "test",
            turn: 1,
            agent: "",
            key: &key,
        },
    };
    provider.send_message(&request, &NoDeltas).await
}

fn no_list(named: &Named) -> Problem {
    let name = named.name();
    Problem::new(
        ProblemKind::NotFound,
        format!("{name} has no list of models"),
    )
    .with_help(format!(
        "name a model that you know it has: fusion-kit provider test {name} --model MODEL"
    ))
}

impl LocalBackend {
    /// Why a provider could not be asked, and what to do.
    pub(crate) fn of_provider(&self, named: &Named, error: &Error) -> Problem {
        match named {
            Named::Stored(row) => {
                problems::of_stored_provider(row, error, |words| match self.data_dir() {
                    Ok(data_dir) => data_dir.command(words),
                    Err(_) => format!("fusion-kit {words}"),
                })
            }
            Named::OfEnvironment(_) => problems::of_provider(error),
        }
    }
}
