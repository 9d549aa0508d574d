//! What the environment and a `.env` file say. The only place that reads them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use secrecy::SecretString;

/// Settings from the environment; a variable that is set there wins over `.env`.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// `OPENROUTER_API_KEY`.
    pub(crate) openrouter_key: Option<SecretString>,
    /// `FUSION_BASE_URL`: the server behind the provider `openai-compatible`.
    pub(crate) base_url: Option<String>,
    /// `FUSION_API_KEY`: its key, when it wants one.
    pub(crate) base_url_key: Option<SecretString>,
    /// `WORKSPACES_ROOT`: the folder of all workspaces.
    pub(crate) workspaces_root: Option<PathBuf>,
    /// `FUSION_KIT_AGENT_UIDS`, as written: the user ids of agents when started as root.
    pub(crate) agent_uids: Option<String>,
    /// `FUSION_KIT_LOG`: what to log, in the form of `tracing-subscriber`'s filters.
    pub(crate) log: Option<String>,
    /// `NO_COLOR` is set and not empty.
    pub(crate) no_color: bool,
    /// `TERM` is `dumb`.
    pub(crate) dumb_terminal: bool,
    /// Why `.env` was not read, when it is there.
    pub(crate) dotenv_fault: Option<String>,
}

impl Config {
    pub(crate) fn from_environment() -> Self {
        let (file, dotenv_fault) = dotenv();
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the one place that reads the environment"
        )]
        let get = |name: &str| {
            let value = std::env::var(name).ok().or_else(|| file.get(name).cloned());
            value.filter(|value| !value.is_empty())
        };
        Self {
            openrouter_key: get("OPENROUTER_API_KEY").map(SecretString::from),
            base_url: get("FUSION_BASE_URL"),
            base_url_key: get("FUSION_API_KEY").map(SecretString::from),
            workspaces_root: get("WORKSPACES_ROOT").map(PathBuf::from),
            agent_uids: get("FUSION_KIT_AGENT_UIDS"),
            log: get("FUSION_KIT_LOG"),
            no_color: get("NO_COLOR").is_some(),
            dumb_terminal: get("TERM").is_some_and(|term| term == "dumb"),
            dotenv_fault,
        }
    }
}

/// The variables of `.env` in the current folder, and what is wrong with the file.
fn dotenv() -> (BTreeMap<String, String>, Option<String>) {
    let mut variables = BTreeMap::new();
    let lines = match dotenvy::from_filename_iter(".env") {
        Ok(lines) => lines,
        Err(error) if error.not_found() => return (variables, None),
        Err(_) => return (variables, Some(".env can't be read".to_owned())),
    };
    for line in lines {
        match line {
            Ok((name, value)) => {
                variables.entry(name).or_insert(value);
            }
            // The line may hold a key, so its text is not shown.
            Err(_) => {
                return (
                    variables,
                    Some(
                        ".env has a line that is not NAME=value; the rest of it is not read"
                            .to_owned(),
                    ),
                );
            }
        }
    }
    (variables, None)
}
