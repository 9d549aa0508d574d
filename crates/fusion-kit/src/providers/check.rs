//! What `verify` says of a stored provider.

use fusion_api_types::CheckView;
use fusion_cli::Depth;
use fusion_core::ProviderConfig;

use super::named::Named;
use crate::backend::LocalBackend;

impl LocalBackend {
    /// Whether a client can be made of the row and its key; and unless it is `Shallow` also whether the
    /// server answers it.
    pub(crate) async fn check_provider(&self, row: &ProviderConfig, depth: Depth) -> CheckView {
        let named = Named::Stored(Box::new(row.clone()));
        let asked = match self.client(&named) {
            Ok(client) if depth != Depth::Shallow => client.list_models().await.map(|list| {
                Some(match list {
                    Some(list) => format!("answers; {} models", list.models.len()),
                    None => "answers; it has no list of models".to_owned(),
                })
            }),
            Ok(_) => Ok(None),
            Err(error) => Err(error),
        };
        let problem = asked
            .as_ref()
            .err()
            .map(|error| self.of_provider(&named, error));
        CheckView {
            name: format!("provider {}", row.name),
            note: asked.ok().flatten(),
            fault: problem.as_ref().map(|problem| problem.message.clone()),
            help: problem.and_then(|problem| problem.help),
        }
    }
}
