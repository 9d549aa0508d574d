//! The list of models.

use serde::Deserialize;

use fusion_providers::{Ability, Model};

use crate::wire::{Next, Page};

#[derive(Deserialize)]
struct List {
    data: Option<Vec<Entry>>,
    #[serde(default)]
    has_more: bool,
    last_id: Option<String>,
}

#[derive(Deserialize)]
struct Entry {
    id: String,
    display_name: Option<String>,
    max_input_tokens: Option<u64>,
    max_tokens: Option<u64>,
}

/// Reads a page.
pub(super) fn read(body: &[u8]) -> serde_json::Result<Page> {
    let list: List = serde_json::from_slice(body)?;
    let entries = list.data.unwrap_or_default();
    Ok(Page {
        models: entries
            .into_iter()
            .map(|entry| Model {
                id: entry.id,
                name: entry.display_name,
                context_length: entry.max_input_tokens,
                max_output_tokens: entry.max_tokens,
                price: None,
                tools: Ability::Unknown,
                json_schema: Ability::Unknown,
            })
            .collect(),
        next: list.last_id.filter(|_| list.has_more).map(Next::After),
    })
}
