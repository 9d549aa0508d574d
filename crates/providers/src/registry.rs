//! Finds a provider by the name that a workflow file uses.

use std::collections::BTreeMap;
use std::sync::Arc;

use fusion_core::nearest;

use crate::{Error, Provider, Result};

/// The providers of one process, by name.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    providers: BTreeMap<String, Arc<dyn Provider>>,
}

impl Registry {
    /// Adds a provider; one of the same name is replaced.
    pub fn register(&mut self, name: impl Into<String>, provider: Arc<dyn Provider>) {
        self.providers.insert(name.into(), provider);
    }

    /// The provider of this name.
    ///
    /// # Errors
    /// [`Error::UnknownProvider`] with the nearest and all known names.
    pub fn get(&self, name: &str) -> Result<Arc<dyn Provider>> {
        self.providers
            .get(name)
            .cloned()
            .ok_or_else(|| Error::UnknownProvider {
                name: name.to_owned(),
                nearest: nearest(name, self.names()).map(str::to_owned),
                known: self.names().map(str::to_owned).collect(),
            })
    }

    /// The known names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.providers.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Registry;
    use crate::{Error, Scripted};

    fn registry() -> Registry {
        let mut registry = Registry::default();
        registry.register("scripted", Arc::new(Scripted::default()));
        registry.register("openrouter", Arc::new(Scripted::default()));
        registry
    }

    #[test]
    fn a_registered_name_gives_the_provider_that_was_registered() {
        let provider: Arc<dyn crate::Provider> = Arc::new(Scripted::default());
        let mut registry = registry();
        registry.register("mine", Arc::clone(&provider));
        assert!(Arc::ptr_eq(&registry.get("mine").unwrap(), &provider));
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
