//! Why a provider gave no turn.

use std::error::Error as StdError;
use std::time::Duration;

use fusion_core::{Coded, ErrorCode};

mod billing;
mod meaning;

pub use meaning::Health;

/// The cause of an error, from whichever library met it.
pub type Source = Box<dyn StdError + Send + Sync>;

/// The result of asking a provider.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure of a provider. Its text says what is wrong, [`Error::help`] what a person can do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No provider of this name is registered.
    #[error("there is no provider '{name}'")]
    UnknownProvider {
        /// The name asked for.
        name: String,
        /// The known name most like it.
        nearest: Option<String>,
        /// Every known name.
        known: Vec<String>,
    },
    /// The provider needs a key and has none. No request was made.
    #[error("{provider} needs a key and {variable} is not set")]
    MissingKey {
        /// The provider.
        provider: String,
        /// The environment variable that holds the key.
        variable: String,
    },
    /// The provider does not offer this model.
    #[error("{provider} has no model '{model}'")]
    UnknownModel {
        /// The provider.
        provider: String,
        /// The model asked for.
        model: String,
        /// The offered model most like it, or the only one.
        nearest: Option<String>,
    },
    /// The model exists and can't call tools.
    #[error("the model '{model}' of {provider} can't call tools")]
    NoTools {
        /// The provider.
        provider: String,
        /// The model asked for.
        model: String,
    },
    /// The model exists and its answers can't be bound to a JSON Schema.
    #[error("the model '{model}' of {provider} can't be bound to a JSON Schema")]
    NoJsonSchema {
        /// The provider.
        provider: String,
        /// The model asked for.
        model: String,
    },
    /// The conversation does not fit into the model's window.
    #[error("the conversation is too long for the model of {provider}: {message}")]
    ContextTooLong {
        /// The provider.
        provider: String,
        /// The server's words.
        message: String,
        /// Tokens sent, where it was told.
        tokens: Option<u64>,
        /// Tokens that fit, where it was told.
        limit: Option<u64>,
    },
    /// The provider was switched off. No request was made.
    #[error("the provider '{provider}' is disabled")]
    Disabled {
        /// The provider.
        provider: String,
    },
    /// The provider failed too often and is left alone for a while. No request was made.
    #[error("{provider} failed {failures} times in a row and is left alone for a while: {last}")]
    Paused {
        /// The provider.
        provider: String,
        /// How often it failed in a row.
        failures: u32,
        /// Its last failure.
        last: String,
        /// When it is tried again, from now.
        retry_after: Duration,
    },
    /// The call could cost more than a budget has left. No request was made.
    #[error("the budget of the {scope} is used up: {problem}")]
    OverBudget {
        /// Whose budget it is: `run`, `agent`.
        scope: String,
        /// The limit, what is spent, and what the call could cost.
        problem: String,
        /// When the budget begins anew, from now: that of a day does.
        retry_after: Option<Duration>,
    },
    /// The address or another setting of the provider can't be used.
    #[error("{provider} is not set up right: {problem}")]
    Setup {
        /// The provider.
        provider: String,
        /// What is wrong and the way out.
        problem: String,
        /// What the library said, if it was one that found out.
        #[source]
        source: Option<Source>,
    },
    /// No connection could be made, or it broke before an answer began.
    #[error("{provider} can't be reached at {endpoint}")]
    Unreachable {
        /// The provider.
        provider: String,
        /// The base URL, without credentials.
        endpoint: String,
        /// What the network said.
        #[source]
        source: Source,
    },
    /// 401 or 403: the key is not accepted, or not for this.
    #[error("{provider} refused the request ({status}): {message}")]
    Refused {
        /// The provider.
        provider: String,
        /// HTTP status.
        status: u16,
        /// The server's words.
        message: String,
        /// The environment variable that holds the key.
        variable: Option<String>,
    },
    /// 402: no money, or a budget at the provider is used up.
    #[error("{provider} wants to be paid first: {message}")]
    PaymentRequired {
        /// The provider.
        provider: String,
        /// The server's words.
        message: String,
    },
    /// 429, or a budget that is only taken for the moment.
    #[error("{provider} limits the requests: {message}")]
    Limited {
        /// The provider.
        provider: String,
        /// The server's words.
        message: String,
        /// The wait it asks for.
        retry_after: Option<Duration>,
    },
    /// The server failed, is overloaded or not ready.
    #[error("{provider} failed ({status}): {message}")]
    Server {
        /// The provider.
        provider: String,
        /// HTTP status.
        status: u16,
        /// The server's words.
        message: String,
        /// The wait it asks for.
        retry_after: Option<Duration>,
        /// The provider's name for the answer, where it was seen: what it cost can be asked for.
        generation_id: Option<Box<str>>,
    },
    /// The server can't do this request, now or later.
    #[error("{provider} can't do this request ({status}): {message}")]
    BadRequest {
        /// The provider.
        provider: String,
        /// HTTP status.
        status: u16,
        /// The server's words.
        message: String,
    },
    /// The answer is not in the format of the API.
    #[error("{provider} sent an answer that can't be read ({problem}): {sample}")]
    Malformed {
        /// The provider.
        provider: String,
        /// What is wrong with it.
        problem: String,
        /// How it begins.
        sample: String,
        /// The provider's name for the answer, where it was seen: what it cost can be asked for.
        generation_id: Option<Box<str>>,
    },
    /// The answer is longer than any real one.
    #[error("{provider} sent an answer of more than {limit} bytes")]
    TooLarge {
        /// The provider.
        provider: String,
        /// The limit in bytes.
        limit: usize,
        /// The provider's name for the answer, where it was seen: what it cost can be asked for.
        generation_id: Option<Box<str>>,
    },
    /// The answer ended too early. What had come is not used.
    #[error("the answer of {provider} is not complete: {problem}")]
    Truncated {
        /// The provider.
        provider: String,
        /// What is missing.
        problem: String,
        /// The provider's name for the answer, where it was seen: what it cost can be asked for.
        generation_id: Option<Box<str>>,
    },
    /// No complete answer came in time.
    #[error("{provider} gave no complete answer within {} s", limit.as_secs_f64())]
    Timeout {
        /// The provider.
        provider: String,
        /// The time it was given.
        limit: Duration,
        /// The provider's name for the answer, where it was seen: what it cost can be asked for.
        generation_id: Option<Box<str>>,
    },
    /// The script of the scripted provider can't be used, or has no answer for the turn.
    #[error("{at}: {problem}")]
    Script {
        /// The file, with line and column where there is a place in it: `path:line:column`.
        at: String,
        /// What is wrong with it.
        problem: String,
        /// Why it can't be read.
        #[source]
        source: Option<Source>,
    },
}

impl Error {
    /// The way out for a person, where there is one that the text of the error does not say.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::UnknownProvider { nearest, known, .. } => {
                Some(known_names(nearest.as_deref(), known))
            }
            Self::MissingKey { variable, .. } => Some(format!("set {variable}")),
            Self::UnknownModel {
                provider,
                model,
                nearest,
            } => Some(match nearest {
                Some(name) => format!("did you mean '{name}'?"),
                None if provider == "ollama" => format!("fetch it first: ollama pull {model}"),
                None => "look up its exact name in the provider's list of models".to_owned(),
            }),
            Self::NoTools { .. } => Some("choose a model that can call tools".to_owned()),
            Self::NoJsonSchema { .. } => {
                Some("choose a model that supports structured outputs".to_owned())
            }
            Self::ContextTooLong { .. } => Some(
                "ask for less in one step, give smaller inputs, or choose a model with a longer context"
                    .to_owned(),
            ),
            Self::Disabled { provider } => {
                Some(format!("switch it on again: fusion-kit provider enable {provider}"))
            }
            Self::Paused { retry_after, .. } => Some(wait(Some(*retry_after))),
            Self::OverBudget { scope, .. } => Some(more_budget(scope)),
            Self::Unreachable { endpoint, .. } if is_local(endpoint) => Some(format!(
                "start the model server at {endpoint}, or correct the provider's base URL"
            )),
            Self::Unreachable { .. } => Some("check the network and the base URL".to_owned()),
            Self::Refused {
                provider, variable, ..
            } => Some(check_key(provider, variable.as_deref())),
            Self::PaymentRequired { .. } => {
                Some("add credit at the provider, or choose a cheaper or free model".to_owned())
            }
            Self::Limited { retry_after, .. } | Self::Server { retry_after, .. } => {
                Some(wait(*retry_after))
            }
            Self::Malformed { .. } => Some(
                "check that the base URL is that of an OpenAI-compatible API; it mostly ends in /v1"
                    .to_owned(),
            ),
            Self::Truncated { .. } => Some("try again".to_owned()),
            Self::Timeout { .. } => {
                Some("try again, choose a quicker model, or ask for shorter answers".to_owned())
            }
            Self::Script {
                source: Some(_), ..
            } => Some(
                "the `model` of a scripted agent is the path of its script, beginning in the \
                 workflow file's folder"
                    .to_owned(),
            ),
            Self::Setup { .. }
            | Self::BadRequest { .. }
            | Self::TooLarge { .. }
            | Self::Script { source: None, .. } => None,
        }
    }
}

impl Coded for Error {
    fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownProvider { .. } | Self::UnknownModel { .. } => ErrorCode::NotFound,
            Self::OverBudget {
                retry_after: Some(_),
                ..
            } => ErrorCode::Limited,
            Self::MissingKey { .. }
            | Self::Refused { .. }
            | Self::PaymentRequired { .. }
            | Self::Disabled { .. } => ErrorCode::Denied,
            Self::OverBudget { .. } => ErrorCode::OverBudget,
            Self::NoTools { .. }
            | Self::NoJsonSchema { .. }
            | Self::ContextTooLong { .. }
            | Self::Setup { .. }
            | Self::BadRequest { .. }
            | Self::Script { .. } => ErrorCode::InvalidInput,
            Self::Limited { .. } => ErrorCode::Limited,
            Self::Paused { .. } => ErrorCode::Unavailable,
            // An answer that is cut or garbled is mostly the work of something between us and the
            // model that will be gone a moment later.
            Self::Unreachable { .. }
            | Self::Server { .. }
            | Self::Malformed { .. }
            | Self::Truncated { .. } => ErrorCode::Unavailable,
            Self::Timeout { .. } => ErrorCode::Timeout,
            Self::TooLarge { .. } => ErrorCode::Internal,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Limited { retry_after, .. }
            | Self::Server { retry_after, .. }
            | Self::OverBudget { retry_after, .. } => *retry_after,
            Self::Paused { retry_after, .. } => Some(*retry_after),
            Self::UnknownProvider { .. }
            | Self::MissingKey { .. }
            | Self::UnknownModel { .. }
            | Self::NoTools { .. }
            | Self::NoJsonSchema { .. }
            | Self::ContextTooLong { .. }
            | Self::Disabled { .. }
            | Self::Setup { .. }
            | Self::Unreachable { .. }
            | Self::Refused { .. }
            | Self::PaymentRequired { .. }
            | Self::BadRequest { .. }
            | Self::Malformed { .. }
            | Self::TooLarge { .. }
            | Self::Truncated { .. }
            | Self::Timeout { .. }
            | Self::Script { .. } => None,
        }
    }
}

fn more_budget(scope: &str) -> String {
    let more = "give it more with --budget-usd or --budget-tokens";
    match scope.split_once(' ') {
        Some(("run", id)) => {
            let id = id.trim_matches('\'');
            format!("{more} to the run above it: `fusion-kit resume {id} --budget-usd USD`")
        }
        Some(("life", agent)) => {
            let name = agent.rsplit(' ').next().unwrap_or(agent).trim_matches('\'');
            format!("give it more: `fusion-kit agent update {name} --max-cost USD`")
        }
        Some(("project", name)) => {
            let name = name.trim_matches('\'');
            format!(
                "give it more: `fusion-kit project update {name} --budget USD`, for tokens with \
                 `--budget-tokens N`"
            )
        }
        Some(("day", name)) => {
            let name = name.rsplit(' ').next().unwrap_or(name).trim_matches('\'');
            format!(
                "it goes on with the next day in UTC, or give the day more: \
                 `fusion-kit project update {name} --budget-per-day USD`, for tokens with \
                 `--budget-tokens-per-day N`"
            )
        }
        Some(("workflow", name)) => {
            format!(
                "{more}, and --budget-of workflow:{}",
                name.trim_matches('\'')
            )
        }
        Some(("agent", name)) => format!("{more}, and --budget-of {}", name.trim_matches('\'')),
        Some(("step", id)) => format!("{more}, and --budget-of step:{}", id.trim_matches('\'')),
        _ => more.to_owned(),
    }
}

fn check_key(provider: &str, variable: Option<&str>) -> String {
    match variable {
        Some(variable) => format!("check the key in {variable} and what it may do"),
        None => format!("check the key of {provider} and what it may do"),
    }
}

fn known_names(nearest: Option<&str>, known: &[String]) -> String {
    let known = format!("the known ones are {}", known.join(", "));
    match nearest {
        Some(name) => format!("did you mean '{name}'? {known}"),
        None => known,
    }
}

fn wait(retry_after: Option<Duration>) -> String {
    match retry_after {
        Some(wait) => format!("try again in {} s", wait.as_secs_f64().ceil()),
        None => "try again later".to_owned(),
    }
}

fn is_local(endpoint: &str) -> bool {
    ["://localhost", "://127.", "://[::1]"]
        .iter()
        .any(|host| endpoint.contains(host))
}
