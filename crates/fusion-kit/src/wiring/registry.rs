//! The providers of this process: the built-in ones, those that the environment sets up, and those
//! that are stored. None of them is set up before it is first asked.

use std::fmt;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use fusion_api::Deltas;
use fusion_coordination::credentials;
use fusion_core::{ProviderConfig, Usage};
use fusion_providers::{
    Catalog, DeltaSink, Error, LayerOptions, Layered, ModelInfo, ModelRequest, Observer, Provider,
    QuotaInfo, Registry, Result, Scripted, ThrottleOptions, Turn, TurnRequest,
};
use fusion_providers_http::Options;

use crate::answers::Answers;
use crate::config::Config;
use crate::master_key::KeySource;
use crate::providers::{Extra, Settings};
use crate::system::SystemClock;

/// Answers from a file.
pub(crate) const SCRIPTED: &str = "scripted";

/// Set up by `OPENROUTER_API_KEY`.
pub(crate) const OPENROUTER: &str = "openrouter";

/// Set up by `FUSION_BASE_URL`.
pub(crate) const OPENAI_COMPATIBLE: &str = "openai-compatible";

/// Who hears what happens at the providers.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    /// What the layers do.
    pub(crate) observer: Arc<dyn Observer>,
    /// Answers that are coming.
    pub(crate) answers: Arc<Answers>,
    /// The same, for who listens to a server.
    pub(crate) deltas: Arc<Deltas>,
}

/// Every provider that a run can name, each with its layers. A stored one wins over that of the
/// environment; a disabled one is there and refuses.
pub(crate) fn registry(config: &Config, stored: &[ProviderConfig], told: &Told) -> Registry {
    let registry = Registry::default();
    registry.register(SCRIPTED, Arc::new(Scripted::default()));
    for name in [OPENROUTER, OPENAI_COMPATIBLE] {
        register_of_environment(&registry, config, name, told);
    }
    for row in stored {
        register_stored(&registry, config, row, told);
    }
    registry
}

/// A stored provider is asked from now on as its row says.
pub(crate) fn register_stored(
    registry: &Registry,
    config: &Config,
    row: &ProviderConfig,
    told: &Told,
) {
    let (layers, config, row) = (layers(row), config.clone(), row.clone());
    let (name, enabled) = (row.name.clone(), row.enabled);
    let make = move || stored_provider(&config, &row);
    let provider = OnDemand::new(&name, layers, told, make);
    registry.register(name.as_str(), Arc::new(provider));
    if !enabled && let Err(error) = registry.disable(&name) {
        tracing::error!(%error, "a provider that was just registered is not there");
    }
}

/// A stored provider is gone: what the environment sets up under its name is asked again, if any.
pub(crate) fn unregister(registry: &Registry, config: &Config, name: &str, told: &Told) {
    match name {
        OPENROUTER => register_of_environment(registry, config, OPENROUTER, told),
        OPENAI_COMPATIBLE => register_of_environment(registry, config, OPENAI_COMPATIBLE, told),
        SCRIPTED => registry.register(SCRIPTED, Arc::new(Scripted::default())),
        other => registry.remove(other),
    }
}

fn register_of_environment(registry: &Registry, config: &Config, name: &'static str, told: &Told) {
    let config = config.clone();
    let make = move || of_environment(&config, name);
    let layers = LayerOptions::default();
    registry.register(name, Arc::new(OnDemand::new(name, layers, told, make)));
}

/// The layers of a stored provider: the limits of its row, and what all have.
fn layers(row: &ProviderConfig) -> LayerOptions {
    let throttle = ThrottleOptions {
        rate: row.rate_limits,
        ..ThrottleOptions::default()
    };
    let max_concurrent = Extra::of(row).max_concurrent.map(|most| most as usize);
    LayerOptions {
        throttle: ThrottleOptions {
            max_concurrent: max_concurrent.unwrap_or(throttle.max_concurrent),
            ..throttle
        },
        ..LayerOptions::default()
    }
}

/// A provider that variables set up.
///
/// # Errors
/// They do not, or not right.
pub(crate) fn of_environment(config: &Config, name: &str) -> Result<Arc<dyn Provider>> {
    let options = match (name, &config.base_url) {
        (OPENROUTER, _) => Options::openrouter(config.openrouter_key.clone()),
        (_, Some(url)) => Options::openai_compatible(url, config.base_url_key.clone()),
        (_, None) => {
            return Err(Error::Setup {
                provider: name.to_owned(),
                problem: "FUSION_BASE_URL is not set: set it to the server's base URL, such as http://127.0.0.1:11434/v1"
                    .to_owned(),
                source: None,
            });
        }
    };
    fusion_providers_http::provider(options, Arc::new(SystemClock))
}

/// A stored provider, with its key.
///
/// # Errors
/// Its settings can't be used, or its key can't be opened.
pub(crate) fn stored_provider(config: &Config, row: &ProviderConfig) -> Result<Arc<dyn Provider>> {
    let setup = |problem: String| Error::Setup {
        provider: row.name.clone(),
        problem,
        source: None,
    };
    let key = if row.credentials.is_none() {
        None
    } else {
        let source = KeySource::of(config).map_err(|problem| setup(problem.message))?;
        let vault = source.vault().map_err(|error| setup(error.to_string()))?;
        credentials::open(&vault, row).map_err(|error| setup(error.to_string()))?
    };
    let options = Settings::of(row).map_err(setup)?.options(row, key);
    fusion_providers_http::provider(options, Arc::new(SystemClock))
}

/// A provider that is set up when it is first asked: loading certificates and opening a key take
/// time that a run without it should not pay.
struct OnDemand {
    name: String,
    layers: LayerOptions,
    told: Told,
    make: Box<dyn Fn() -> Result<Arc<dyn Provider>> + Send + Sync>,
    made: OnceLock<Layered<Arc<dyn Provider>>>,
}

impl OnDemand {
    fn new(
        name: &str,
        layers: LayerOptions,
        told: &Told,
        make: impl Fn() -> Result<Arc<dyn Provider>> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.to_owned(),
            layers,
            told: told.clone(),
            make: Box::new(make),
            made: OnceLock::new(),
        }
    }

    fn get(&self) -> Result<&Layered<Arc<dyn Provider>>> {
        if let Some(made) = self.made.get() {
            return Ok(made);
        }
        let new = Layered::new((self.make)()?, &self.name, self.layers, &self.told.observer);
        Ok(self.made.get_or_init(|| new))
    }
}

impl fmt::Debug for OnDemand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnDemand")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Provider for OnDemand {
    async fn spawn_agent(&self, request: &ModelRequest<'_>) -> Result<ModelInfo> {
        self.get()?.spawn_agent(request).await
    }

    async fn send_message(
        &self,
        request: &TurnRequest<'_>,
        deltas: &dyn DeltaSink,
    ) -> Result<Turn> {
        let hearing = self.told.answers.hear(request.place.task, deltas);
        let hearing = self.told.deltas.hear(request.place, &hearing);
        self.get()?.send_message(request, &hearing).await
    }

    async fn get_quota_info(&self) -> Result<QuotaInfo> {
        self.get()?.get_quota_info().await
    }

    async fn list_models(&self) -> Result<Option<Catalog>> {
        self.get()?.list_models().await
    }

    async fn get_generation(&self, id: &str) -> Result<Option<Usage>> {
        self.get()?.get_generation(id).await
    }

    fn told_quota(&self) -> Option<QuotaInfo> {
        self.made.get()?.told_quota()
    }
}
