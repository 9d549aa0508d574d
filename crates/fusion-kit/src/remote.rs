//! Commands that go through a server: the one that is named, else the one that owns the data
//! directory.

mod agents;
mod events;
mod inbox;
mod listening;
mod messages;
mod nodes;
mod overview;
mod providers;
mod runs;
mod steering;
mod tasks;
mod workflows;
mod workspaces;

use fusion_api_client::Client;
use fusion_api_types::{Problem, ProblemKind};
use fusion_core::RunId;
pub(crate) use listening::Listening;
use serde::de::DeserializeOwned;

use crate::backend::LocalBackend;
use crate::find::only_one;
use crate::serve::read_token;

/// Rows of a page.
const PAGE: usize = 500;

/// Rows that a prefix is compared with: the newest ones.
const PREFIX_SEARCH: usize = 10_000;

/// A server that does the work.
#[derive(Clone)]
pub(crate) struct Remote {
    client: Client,
}

impl LocalBackend {
    /// The server to ask; `None` when the work is done in this process.
    ///
    /// # Errors
    /// There is one, and no token for it.
    pub(crate) fn remote(&self) -> Result<Option<Remote>, Problem> {
        let (url, token) = if let Some(url) = self.named_server() {
            let token = self.config().server_token.clone().ok_or_else(|| {
                Problem::new(ProblemKind::Denied, format!("there is no token for {url}"))
                    .with_help("set FUSION_TOKEN to a token of the server")
            })?;
            (url.to_owned(), token)
        } else {
            let data_dir = self.data_dir()?;
            let (Some(server), Some(token)) = (data_dir.server(), read_token(&data_dir)?) else {
                return Ok(None);
            };
            (server.url, token)
        };
        let client = Client::new(&url, token)?;
        Ok(Some(Remote { client }))
    }
}

/// Refuses to leave a run to a server where this process does the work itself.
pub(crate) fn refuse_to_leave(is_left: bool) -> Result<(), Problem> {
    if !is_left {
        return Ok(());
    }
    let text = "no server goes on with the run when this command ends";
    Err(Problem::new(ProblemKind::Unavailable, text)
        .with_help("start one with: fusion-kit serve, or leave --detach out"))
}

impl LocalBackend {
    /// The server to ask, for what only a server does.
    ///
    /// # Errors
    /// There is none, or no token for it.
    pub(crate) fn serving(&self) -> Result<Remote, Problem> {
        self.remote()?.ok_or_else(|| {
            let text = "no server owns the data directory";
            Problem::new(ProblemKind::NotFound, text).with_help("start one with: fusion-kit serve")
        })
    }

    /// The server that was named; what only looks needs no other, since it can look beside it.
    ///
    /// # Errors
    /// There is no token for it.
    pub(crate) fn named_remote(&self) -> Result<Option<Remote>, Problem> {
        match self.named_server() {
            Some(_) => self.remote(),
            None => Ok(None),
        }
    }
}

impl Remote {
    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }

    /// Rows of a list, the newest first, until there are enough.
    pub(crate) async fn rows<T: DeserializeOwned>(
        &self,
        path: &str,
        name: &str,
        query: &[(&str, String)],
        most: usize,
    ) -> Result<Vec<T>, Problem> {
        let mut rows = Vec::new();
        let mut cursor: Option<String> = None;
        while rows.len() < most {
            let limit = PAGE.min(most - rows.len());
            let mut query = query.to_vec();
            query.push(("limit", limit.to_string()));
            query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
            let mut page: serde_json::Value = self.client.get(path, &query).await?;
            let found = page
                .get_mut(name)
                .map(serde_json::Value::take)
                .unwrap_or_default();
            let found: Vec<T> = serde_json::from_value(found).map_err(|error| {
                let text = format!("the list of {} can't be read: {error}", self.client.url());
                Problem::new(ProblemKind::Internal, text)
            })?;
            rows.extend(found);
            cursor = page
                .get("next_cursor")
                .and_then(|next| next.as_str())
                .map(str::to_owned);
            if cursor.is_none() {
                break;
            }
        }
        Ok(rows)
    }

    /// The id that a text means: itself, or the only one of a list that begins so.
    async fn id(&self, path: &str, name: &str, text: &str) -> Result<String, Problem> {
        if text.parse::<RunId>().is_ok() {
            return Ok(text.to_lowercase());
        }
        let rows: Vec<Row> = self.rows(path, name, &[], PREFIX_SEARCH).await?;
        let matching = rows.into_iter().map(|row| row.id);
        let matching: Vec<String> = matching
            .filter(|id| id.starts_with(&text.to_lowercase()))
            .collect();
        let ids: Vec<&str> = matching.iter().map(String::as_str).collect();
        match only_one(&ids, name, text)? {
            Some(id) => Ok(id.to_owned()),
            None => Err(none_of(name, text)),
        }
    }
}

fn none_of(list: &str, text: &str) -> Problem {
    let shown: String = text.chars().take(64).collect();
    let text = format!("there is none of the {list} that begins with '{shown}'");
    Problem::new(ProblemKind::NotFound, text)
}

/// What every row has.
#[derive(serde::Deserialize)]
struct Row {
    id: String,
}
