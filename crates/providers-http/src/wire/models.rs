//! The list of models.

use fusion_providers::{Ability, Model};
use serde::Deserialize;

/// An answer to `GET /models`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum ModelPage {
    /// The usual form.
    Page {
        /// Null at a server without models.
        data: Option<Vec<ModelEntry>>,
        /// Where the list goes on.
        links: Option<Links>,
    },
    /// The form of some vendors.
    Bare(Vec<ModelEntry>),
}

/// Where a list goes on.
#[derive(Debug, Deserialize)]
pub(crate) struct Links {
    next: Option<String>,
}

/// One model of the list.
#[derive(Debug, Deserialize)]
pub(crate) struct ModelEntry {
    #[serde(default)]
    pub(crate) id: String,
    /// Told by some vendors only.
    supported_parameters: Option<Vec<String>>,
}

impl ModelPage {
    /// The models, and where the list goes on.
    pub(crate) fn into_parts(self) -> (Vec<ModelEntry>, Option<String>) {
        match self {
            Self::Page { data, links } => (
                data.unwrap_or_default(),
                links
                    .and_then(|links| links.next)
                    .filter(|next| !next.is_empty()),
            ),
            Self::Bare(entries) => (entries, None),
        }
    }
}

impl ModelEntry {
    /// Whether it can call tools, where the vendor lists what a model can do.
    pub(crate) fn tools(&self) -> Ability {
        match &self.supported_parameters {
            None => Ability::Unknown,
            Some(known) if known.iter().any(|parameter| parameter == "tools") => Ability::Yes,
            Some(_) => Ability::No,
        }
    }

    pub(crate) fn into_model(self) -> Model {
        Model {
            tools: self.tools(),
            id: self.id,
            name: None,
            context_length: None,
            max_output_tokens: None,
            price: None,
            json_schema: Ability::Unknown,
        }
    }
}

/// The entry that a model's name means: the same name, the name with the tag `latest` left out
/// (Ollama), or the name with one of the vendor's variants added.
pub(crate) fn find_model<'a>(
    entries: &'a [ModelEntry],
    model: &str,
    variants: &[&str],
) -> Option<&'a ModelEntry> {
    let named = |name: &str| entries.iter().find(|entry| entry.id == name);
    named(model)
        .or_else(|| named(&format!("{model}:latest")))
        .or_else(|| {
            variants
                .iter()
                .find_map(|variant| named(model.strip_suffix(variant)?))
        })
}
