//! Providers, models and quotas as the wire types show them.

use fusion_api_types::{ModelList, ModelView, ProviderView, QuotaView, api};
use fusion_core::{Cost, ProviderConfig};
use fusion_providers::{Ability, Catalog, CostSource, Model, QuotaLimit, QuotaSource, QuotaUnit};
use fusion_providers_http::vendor;

use super::settings::Extra;
use crate::config::Config;
use crate::wiring::{OPENAI_COMPATIBLE, OPENROUTER, SCRIPTED};

const MILLION: i64 = 1_000_000;

/// Every provider that a workflow file can name, by name.
pub(crate) fn all(config: &Config, stored: &[ProviderConfig]) -> Vec<ProviderView> {
    let mut views: Vec<ProviderView> = stored.iter().map(self::stored).collect();
    for built_in in built_in(config) {
        if !views.iter().any(|view| view.name == built_in.name) {
            views.push(built_in);
        }
    }
    views.sort_by(|one, other| one.name.cmp(&other.name));
    views
}

/// A row of the store.
pub(crate) fn stored(row: &ProviderConfig) -> ProviderView {
    let extra = Extra::of(row);
    let kept = kept_models(row);
    let needs_key = vendor(&row.provider_type).is_some_and(|vendor| vendor.key_is_needed);
    let key = match &row.credentials {
        Some(_) => "stored",
        None if needs_key => "missing",
        None => "none",
    };
    ProviderView {
        name: row.name.clone(),
        r#type: row.provider_type.clone(),
        base_url: Some(row.api_endpoint.clone()),
        source: "stored".to_owned(),
        key: key.to_owned(),
        enabled: row.enabled,
        allow_plain_http: extra.allow_plain_http,
        allow_private_addresses: extra.allow_private_addresses,
        requests_per_minute: row.rate_limits.requests_per_minute,
        tokens_per_minute: row.rate_limits.tokens_per_minute,
        max_concurrent: extra.max_concurrent,
        models: kept.as_ref().map(|kept| kept.models.len() as u64),
        models_read_at: kept.map(|kept| kept.read_at),
        created_at: Some(row.created_at),
    }
}

/// A row of a server's store.
pub(crate) fn of_server(row: api::Provider) -> ProviderView {
    let extra: Extra = serde_json::from_value(row.metadata).unwrap_or_default();
    let kept: Option<Catalog> = serde_json::from_value(row.model_catalog).ok();
    let needs_key = vendor(&row.provider_type).is_some_and(|vendor| vendor.key_is_needed);
    let key = match row.has_credentials {
        true => "stored",
        false if needs_key => "missing",
        false => "none",
    };
    ProviderView {
        name: row.name,
        r#type: row.provider_type,
        base_url: Some(row.api_endpoint),
        source: "stored".to_owned(),
        key: key.to_owned(),
        enabled: row.enabled,
        allow_plain_http: extra.allow_plain_http,
        allow_private_addresses: extra.allow_private_addresses,
        requests_per_minute: row.rate_limits.requests_per_minute,
        tokens_per_minute: row.rate_limits.tokens_per_minute,
        max_concurrent: extra.max_concurrent,
        models: kept.as_ref().map(|kept| kept.models.len() as u64),
        models_read_at: kept.map(|kept| kept.read_at),
        created_at: Some(row.created_at),
    }
}

/// The list of models that a row keeps, when one was read.
pub(crate) fn kept_models(row: &ProviderConfig) -> Option<Catalog> {
    serde_json::from_value(row.model_catalog.clone()).ok()
}

/// What needs no row.
fn built_in(config: &Config) -> [ProviderView; 3] {
    let view = |name: &str, source: &str, base_url: Option<String>, key: &str| ProviderView {
        name: name.to_owned(),
        r#type: name.to_owned(),
        base_url,
        source: source.to_owned(),
        key: key.to_owned(),
        enabled: true,
        allow_plain_http: false,
        allow_private_addresses: false,
        requests_per_minute: None,
        tokens_per_minute: None,
        max_concurrent: None,
        models: None,
        models_read_at: None,
        created_at: None,
    };
    let openrouter = vendor(OPENROUTER).and_then(|vendor| vendor.base_url);
    let key = |key: bool, without: &'static str| if key { "environment" } else { without };
    [
        view(
            OPENROUTER,
            "environment",
            openrouter.map(str::to_owned),
            key(config.openrouter_key.is_some(), "missing"),
        ),
        view(
            OPENAI_COMPATIBLE,
            "environment",
            config.base_url.clone(),
            key(config.base_url_key.is_some(), "none"),
        ),
        view(SCRIPTED, "built_in", None, "none"),
    ]
}

/// A list of models, read now or kept.
pub(crate) fn models(provider: &str, list: Catalog, kept: bool) -> ModelList {
    ModelList {
        provider: provider.to_owned(),
        read_at: list.read_at,
        kept,
        total: list.models.len() as u64,
        models: list.models.into_iter().map(model).collect(),
    }
}

fn model(model: Model) -> ModelView {
    let million = |cost: Cost| {
        let picos = cost.picos().saturating_mul(MILLION);
        Cost::from_picos(picos).to_string()
    };
    ModelView {
        id: model.id,
        name: model.name,
        context_length: model.context_length,
        max_output_tokens: model.max_output_tokens,
        input_usd_per_million: model.price.map(|price| million(price.input_token)),
        output_usd_per_million: model.price.map(|price| million(price.output_token)),
        request_usd: model.price.map(|price| price.request.to_string()),
        tools: ability(model.tools).to_owned(),
        json_schema: ability(model.json_schema).to_owned(),
    }
}

const fn ability(ability: Ability) -> &'static str {
    match ability {
        Ability::Yes => "yes",
        Ability::No => "no",
        Ability::Unknown => "unknown",
    }
}

/// Where a cost comes from.
pub(crate) const fn cost_source(source: CostSource) -> &'static str {
    match source {
        CostSource::Provider => "provider",
        CostSource::Computed => "computed",
        CostSource::Unknown => "unknown",
    }
}

/// One limit.
pub(crate) fn quota(limit: QuotaLimit) -> QuotaView {
    let unit = match limit.unit {
        QuotaUnit::Requests => "requests",
        QuotaUnit::Tokens => "tokens",
        QuotaUnit::InputTokens => "input_tokens",
        QuotaUnit::OutputTokens => "output_tokens",
        QuotaUnit::Credit => "credit",
    };
    let source = match limit.source {
        QuotaSource::Headers => "headers",
        QuotaSource::Error => "error",
        QuotaSource::Key => "key",
        QuotaSource::Credits => "credits",
    };
    QuotaView {
        unit: unit.to_owned(),
        window: limit.window,
        limit: limit.limit.map(|figure| figure.to_string()),
        remaining: limit.remaining.map(|figure| figure.to_string()),
        used: limit.used.map(|figure| figure.to_string()),
        resets_at: limit.resets_at,
        source: source.to_owned(),
        told_at: limit.told_at,
    }
}
