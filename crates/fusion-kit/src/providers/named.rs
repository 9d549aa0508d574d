//! Finds the provider that a name means.

use std::sync::Arc;

use fusion_api_types::{Problem, ProblemKind};
use fusion_core::{ProviderConfig, nearest};
use fusion_providers::{Catalog, Provider};

use super::views;
use crate::backend::LocalBackend;
use crate::wiring::{self, OPENAI_COMPATIBLE, OPENROUTER, SCRIPTED};

/// A provider that can be asked.
#[derive(Debug)]
pub(crate) enum Named {
    /// A row of the store.
    Stored(Box<ProviderConfig>),
    /// Set up by variables.
    OfEnvironment(&'static str),
}

impl Named {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Stored(row) => &row.name,
            Self::OfEnvironment(name) => name,
        }
    }

    /// The list of models as it was last read.
    pub(crate) fn kept_models(&self) -> Option<Catalog> {
        match self {
            Self::Stored(row) => views::kept_models(row),
            Self::OfEnvironment(_) => None,
        }
    }
}

impl LocalBackend {
    /// A provider that can be asked, also a disabled one.
    pub(crate) async fn named(&self, name: &str) -> Result<Named, Problem> {
        let rows = self.stored_providers().await?;
        let known: Vec<String> = rows.iter().map(|row| row.name.clone()).collect();
        if let Some(row) = rows.into_iter().find(|row| row.name == name) {
            return Ok(Named::Stored(Box::new(row)));
        }
        match name {
            OPENROUTER => Ok(Named::OfEnvironment(OPENROUTER)),
            OPENAI_COMPATIBLE => Ok(Named::OfEnvironment(OPENAI_COMPATIBLE)),
            SCRIPTED => Err(Problem::new(
                ProblemKind::InvalidInput,
                "the answers of 'scripted' come from a file: there is nobody to ask",
            )),
            _ => Err(self.unknown(name, &known)),
        }
    }

    /// A row of the store by its name.
    pub(crate) async fn stored(&self, name: &str) -> Result<ProviderConfig, Problem> {
        let rows = self.stored_providers().await?;
        let known: Vec<String> = rows.iter().map(|row| row.name.clone()).collect();
        let found = rows.into_iter().find(|row| row.name == name);
        found.ok_or_else(|| match name {
            SCRIPTED | OPENROUTER | OPENAI_COMPATIBLE => Problem::new(
                ProblemKind::NotFound,
                format!("'{name}' is built in and not stored: there is nothing to change"),
            ),
            _ => self.unknown(name, &known),
        })
    }

    /// A way to ask a provider: each call once, without repeats.
    pub(crate) fn client(&self, named: &Named) -> fusion_providers::Result<Arc<dyn Provider>> {
        match named {
            Named::Stored(row) => wiring::stored_provider(self.config(), row),
            Named::OfEnvironment(name) => wiring::of_environment(self.config(), name),
        }
    }

    pub(crate) fn unknown(&self, name: &str, known: &[String]) -> Problem {
        let shown: String = name.chars().take(64).collect();
        let problem = Problem::new(
            ProblemKind::NotFound,
            format!("there is no provider '{shown}'"),
        );
        let list = match self.data_dir() {
            Ok(data_dir) => data_dir.command("provider list"),
            Err(_) => "fusion-kit provider list".to_owned(),
        };
        let builtin = [OPENROUTER, OPENAI_COMPATIBLE];
        let names = known.iter().map(String::as_str).chain(builtin);
        match nearest(name, names) {
            Some(near) => problem.with_help(format!("did you mean '{near}'? see all with: {list}")),
            None => problem.with_help(format!("see all with: {list}")),
        }
    }
}
