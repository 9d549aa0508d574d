//! The list of models: read whole, kept for a while, searched.

use std::sync::{Arc, PoisonError};

use chrono::TimeDelta;
use reqwest::{StatusCode, Url};

use fusion_core::nearest;
use fusion_providers::{Catalog, Error, Model, Result};

use super::HttpProvider;
use crate::wire::Next;

/// Thousands of models; a list without end stops here.
const MAX_PAGES: usize = 20;

/// How long a list of models is taken as it was read.
const FRESH: TimeDelta = TimeDelta::minutes(10);

impl HttpProvider {
    /// Reads the list of models anew; `None` when the server has none.
    pub(super) async fn read_models(&self) -> Result<Option<Arc<Catalog>>> {
        let read_at = self.clock.now();
        let mut url = self.connection.url(&["models"]);
        let mut models = Vec::new();
        for _ in 0..MAX_PAGES {
            let response = self.connection.get(url.clone()).await?;
            let status = response.status();
            let has_no_list = [
                StatusCode::NOT_FOUND,
                StatusCode::METHOD_NOT_ALLOWED,
                StatusCode::NOT_IMPLEMENTED,
            ];
            if has_no_list.contains(&status) {
                return Ok(None);
            }
            if !status.is_success() {
                return Err(self.fault(response, None).await);
            }
            let body = self.connection.body(response).await?;
            let mut page = self
                .wire
                .models(&body)
                .map_err(|error| self.connection.origin.malformed(&error.to_string(), &body))?;
            models.append(&mut page.models);
            match page.next {
                Some(next) => url = self.next_page(url, &next)?,
                None => break,
            }
        }
        let catalog = Arc::new(Catalog { models, read_at });
        *self.catalog.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&catalog));
        Ok(Some(catalog))
    }

    /// The address of the next page, which gets the key only at the same server.
    fn next_page(&self, mut url: Url, next: &Next) -> Result<Url> {
        match next {
            Next::After(id) => {
                url.set_query(None);
                url.query_pairs_mut().append_pair("after_id", id);
                Ok(url)
            }
            Next::At(next) => url
                .join(next)
                .ok()
                .filter(|next| next.origin() == url.origin())
                .ok_or_else(|| {
                    let problem = "its list of models goes on at another server";
                    self.connection.origin.malformed(problem, next.as_bytes())
                }),
        }
    }

    /// The list as it was last read, whatever its age.
    fn known_models(&self) -> Option<Arc<Catalog>> {
        self.catalog
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The list, read anew when it is not fresh or lacks this model.
    pub(super) async fn models_with(&self, model: &str) -> Result<Option<Arc<Catalog>>> {
        let now = self.clock.now();
        match self.known_models() {
            Some(known)
                if now.signed_duration_since(known.read_at) < FRESH
                    && self.find(&known, model).is_some() =>
            {
                Ok(Some(known))
            }
            Some(_) | None => self.read_models().await,
        }
    }

    /// The entry that a model's name means: the same name, the name with the tag `latest` left out
    /// (Ollama), or the name with one of the vendor's variants added.
    pub(super) fn find<'a>(&self, catalog: &'a Catalog, model: &str) -> Option<&'a Model> {
        let named = |name: &str| catalog.models.iter().find(|entry| entry.id == name);
        named(model)
            .or_else(|| named(&format!("{model}:latest")))
            .or_else(|| {
                self.quirks
                    .model_variants
                    .iter()
                    .find_map(|variant| named(model.strip_suffix(variant)?))
            })
    }

    pub(super) fn known_model(&self, model: &str) -> Option<Model> {
        let catalog = self.known_models()?;
        self.find(&catalog, model).cloned()
    }

    pub(super) fn unknown_model(&self, model: &str, models: &[Model]) -> Error {
        let only = match models {
            [only] => Some(only.id.as_str()),
            _ => None,
        };
        Error::UnknownModel {
            provider: self.provider(),
            model: model.to_owned(),
            nearest: nearest(model, models.iter().map(|entry| entry.id.as_str()))
                .or(only)
                .map(str::to_owned),
        }
    }
}
