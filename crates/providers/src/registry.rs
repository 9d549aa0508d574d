//! Finds a provider by the name that a workflow file uses.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use async_trait::async_trait;
use fusion_core::{Usage, nearest};

use crate::{
    Catalog, DeltaSink, Error, ModelInfo, ModelRequest, Provider, QuotaInfo, Result, Turn,
    TurnRequest,
};

/// The providers of one process, by name. It can be changed while it is in use: whoever holds a
/// provider from it notices at the next call that it was disabled or enabled.
#[derive(Debug, Default)]
pub struct Registry {
    providers: RwLock<BTreeMap<String, Arc<Entry>>>,
}

/// A provider of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// The name that workflow files use.
    pub name: String,
    /// Whether it takes calls.
    pub enabled: bool,
}

impl Registry {
    /// Adds a provider, enabled; one of the same name is replaced for whoever looks it up from now
    /// on.
    pub fn register(&self, name: impl Into<String>, provider: Arc<dyn Provider>) {
        let name = name.into();
        let entry = Entry {
            name: name.clone(),
            enabled: AtomicBool::new(true),
            provider,
        };
        self.providers
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name, Arc::new(entry));
    }

    /// Takes a provider off the list: nobody finds it from now on. What is under way goes on.
    pub fn remove(&self, name: &str) {
        self.providers
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(name);
    }

    /// The provider of this name. While it is disabled its calls fail with [`Error::Disabled`].
    ///
    /// # Errors
    /// [`Error::UnknownProvider`] with the nearest and all known names.
    pub fn get(&self, name: &str) -> Result<Arc<dyn Provider>> {
        self.entry(name).map(|entry| -> Arc<dyn Provider> { entry })
    }

    /// The providers, sorted by name.
    #[must_use]
    pub fn list(&self) -> Vec<Registered> {
        let listed = |entry: &Arc<Entry>| Registered {
            name: entry.name.clone(),
            enabled: entry.enabled.load(Ordering::Relaxed),
        };
        self.read().values().map(listed).collect()
    }

    /// Lets a provider take calls again.
    ///
    /// # Errors
    /// [`Error::UnknownProvider`].
    pub fn enable(&self, name: &str) -> Result<()> {
        self.entry(name)?.enabled.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Refuses new calls of a provider. What is under way goes on.
    ///
    /// # Errors
    /// [`Error::UnknownProvider`].
    pub fn disable(&self, name: &str) -> Result<()> {
        self.entry(name)?.enabled.store(false, Ordering::Relaxed);
        Ok(())
    }

    fn entry(&self, name: &str) -> Result<Arc<Entry>> {
        let providers = self.read();
        let names = || providers.keys().map(String::as_str);
        providers
            .get(name)
            .cloned()
            .ok_or_else(|| Error::UnknownProvider {
                name: name.to_owned(),
                nearest: nearest(name, names()).map(str::to_owned),
                known: names().map(str::to_owned).collect(),
            })
    }

    // A map with a whole entry more or less is right: a poisoned lock changes nothing.
    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<String, Arc<Entry>>> {
        self.providers
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A provider that can be switched off.
#[derive(Debug)]
struct Entry {
    name: String,
    enabled: AtomicBool,
    provider: Arc<dyn Provider>,
}

impl Entry {
    fn open(&self) -> Result<&dyn Provider> {
        if self.enabled.load(Ordering::Relaxed) {
            Ok(self.provider.as_ref())
        } else {
            Err(Error::Disabled {
                provider: self.name.clone(),
            })
        }
    }
}

#[async_trait]
impl Provider for Entry {
    async fn spawn_agent(&self, request: &ModelRequest<'_>) -> Result<ModelInfo> {
        self.open()?.spawn_agent(request).await
    }

    async fn send_message(
        &self,
        request: &TurnRequest<'_>,
        deltas: &dyn DeltaSink,
    ) -> Result<Turn> {
        self.open()?.send_message(request, deltas).await
    }

    async fn get_quota_info(&self) -> Result<QuotaInfo> {
        self.open()?.get_quota_info().await
    }

    async fn list_models(&self) -> Result<Option<Catalog>> {
        self.open()?.list_models().await
    }

    async fn get_generation(&self, id: &str) -> Result<Option<Usage>> {
        self.open()?.get_generation(id).await
    }

    fn told_quota(&self) -> Option<QuotaInfo> {
        self.provider.told_quota()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Registered, Registry};
    use crate::double::{Answer, Double, look_up, request};
    use crate::{Error, NoDeltas, Provider, Scripted};

    fn registry() -> Registry {
        let registry = Registry::default();
        registry.register("scripted", Arc::new(Scripted::default()));
        registry.register("openrouter", Arc::new(Scripted::default()));
        registry
    }

    #[tokio::test]
    async fn a_registered_name_gives_the_provider_that_was_registered_last() {
        let (first, last) = (Double::new([]), Double::new([Answer::yes()]));
        let registry = registry();
        registry.register("mine", Arc::<Double>::clone(&first));
        registry.register("mine", Arc::<Double>::clone(&last));
        let mine = registry.get("mine").unwrap();
        mine.send_message(&request("m", "a"), &NoDeltas)
            .await
            .unwrap();
        assert_eq!((first.calls().len(), last.calls().len()), (0, 1));
    }

    #[test]
    fn a_provider_that_was_removed_is_unknown() {
        let registry = registry();
        registry.remove("openrouter");
        registry.remove("openrouter");
        let gone = registry.get("openrouter").err();
        assert!(
            matches!(gone, Some(Error::UnknownProvider { .. })),
            "{gone:?}"
        );
        assert!(registry.get("scripted").is_ok());
    }

    #[tokio::test]
    async fn a_provider_is_switched_off_and_on_under_those_who_use_it() {
        let registry = registry();
        let double = Double::new([]);
        registry.register("mine", Arc::<Double>::clone(&double));
        let mine = registry.get("mine").unwrap();
        registry.disable("mine").unwrap();
        let turn = mine.send_message(&request("m", "a"), &NoDeltas).await;
        assert_eq!(
            turn.unwrap_err().to_string(),
            "the provider 'mine' is disabled"
        );
        let again = registry.get("mine").unwrap();
        let spawned = again.spawn_agent(&look_up("m")).await;
        assert!(matches!(spawned, Err(Error::Disabled { .. })));
        assert_eq!(double.calls(), []);
        registry.enable("mine").unwrap();
        assert!(
            mine.send_message(&request("m", "a"), &NoDeltas)
                .await
                .is_ok()
        );
    }

    #[test]
    fn the_list_is_sorted_and_tells_who_is_enabled() {
        let registry = registry();
        registry.disable("scripted").unwrap();
        let listed = |name: &str, enabled| Registered {
            name: name.into(),
            enabled,
        };
        assert_eq!(
            registry.list(),
            [listed("openrouter", true), listed("scripted", false)]
        );
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest_and_all_known_ones() {
        let error = registry().get("openruter").unwrap_err();
        assert_eq!(error.to_string(), "there is no provider 'openruter'");
        assert_eq!(
            error.help().as_deref(),
            Some("did you mean 'openrouter'? the known ones are openrouter, scripted")
        );
        let Error::UnknownProvider { nearest, known, .. } = error else {
            panic!("{error:?}");
        };
        assert_eq!(nearest.as_deref(), Some("openrouter"));
        assert_eq!(known, ["openrouter", "scripted"]);
        assert!(registry().disable("openruter").is_err());
    }

    #[test]
    fn a_name_like_no_other_still_gets_the_list() {
        let error = registry().get("zzz").unwrap_err();
        assert_eq!(
            error.help().as_deref(),
            Some("the known ones are openrouter, scripted")
        );
    }
}
