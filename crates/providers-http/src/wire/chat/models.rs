//! The list of models.

use serde::Deserialize;
use serde_json::value::RawValue;

use fusion_core::Cost;
use fusion_providers::{Ability, Model, Price};

use crate::money;
use crate::wire::{Next, Page};

/// An answer to `GET /models`: the usual form, or that of some vendors.
#[derive(Debug, Deserialize)]
struct List {
    /// Null at a server without models.
    data: Option<Vec<Entry>>,
    /// Where the list goes on.
    links: Option<Links>,
}

#[derive(Debug, Deserialize)]
struct Links {
    next: Option<String>,
}

/// One model of the list. All but the id is told by some vendors only.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Entry {
    id: String,
    name: Option<String>,
    context_length: Option<u64>,
    max_model_len: Option<u64>,
    top_provider: Option<TopProvider>,
    supported_parameters: Option<Vec<String>>,
    pricing: Option<Pricing>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct TopProvider {
    context_length: Option<u64>,
    max_completion_tokens: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Pricing {
    prompt: Option<Box<RawValue>>,
    completion: Option<Box<RawValue>>,
    request: Option<Box<RawValue>>,
}

/// Reads a page.
pub(super) fn read(body: &[u8]) -> serde_json::Result<Page> {
    let is_bare = body.trim_ascii_start().starts_with(b"[");
    let list = if is_bare {
        List {
            data: Some(serde_json::from_slice(body)?),
            links: None,
        }
    } else {
        serde_json::from_slice(body)?
    };
    let next = list.links.and_then(|links| links.next);
    Ok(Page {
        models: list
            .data
            .unwrap_or_default()
            .into_iter()
            .map(Entry::into_model)
            .collect(),
        next: next.filter(|next| !next.is_empty()).map(Next::At),
    })
}

impl Entry {
    fn into_model(self) -> Model {
        let can = |parameter: &str| match &self.supported_parameters {
            None => Ability::Unknown,
            Some(known) if known.iter().any(|known| known == parameter) => Ability::Yes,
            Some(_) => Ability::No,
        };
        let top = self.top_provider.unwrap_or_default();
        Model {
            tools: can("tools"),
            json_schema: can("structured_outputs"),
            context_length: self
                .context_length
                .or(top.context_length)
                .or(self.max_model_len),
            max_output_tokens: top.max_completion_tokens,
            price: self.pricing.as_ref().and_then(Pricing::price),
            name: self.name.filter(|name| *name != self.id),
            id: self.id,
        }
    }
}

impl Pricing {
    /// `None` where a part of it varies (told as -1) or is not told.
    fn price(&self) -> Option<Price> {
        Some(Price {
            input_token: money::cost(self.prompt.as_deref()?)?,
            output_token: money::cost(self.completion.as_deref()?)?,
            request: self
                .request
                .as_deref()
                .map_or(Some(Cost::ZERO), money::cost)?,
        })
    }
}
