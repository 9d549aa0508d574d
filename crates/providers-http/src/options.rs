//! What differs between vendors and between installations.

use std::time::Duration;

use secrecy::SecretString;

const OPENROUTER: &str = "https://openrouter.ai/api/v1";

/// How to reach one provider of the chat-completions format.
#[derive(Debug, Clone)]
pub struct Options {
    /// The name that errors and logs use.
    pub name: String,
    /// What `/chat/completions` and `/models` are appended to.
    pub base_url: String,
    /// Sent as a bearer token. A blank one counts as none.
    pub api_key: Option<SecretString>,
    /// The environment variable of the key, where the provider can't do without: with no key every
    /// call then fails before a request is made.
    pub key_variable: Option<String>,
    /// Headers sent with each request beside the key. No place for secrets: `Debug` shows them.
    pub headers: Vec<(String, String)>,
    /// How the limit of an answer is spelt.
    pub token_limit_field: TokenLimitField,
    /// Endings of a model's name that the list of models does not contain, with their colon.
    pub model_variants: &'static [&'static str],
    /// Allows `http://` to another machine, where everyone on the way reads key and prompts.
    pub allow_plain_http: bool,
    /// Bound of making a connection.
    pub connect_timeout: Duration,
    /// Bound of one call, from the connection to the last byte of the answer.
    pub total_timeout: Duration,
}

/// How a vendor spells the upper bound of an answer in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenLimitField {
    /// `max_tokens`: understood by all local servers.
    MaxTokens,
    /// `max_completion_tokens`: the newer name, the only one that newer models of `OpenAI` take.
    MaxCompletionTokens,
}

impl Options {
    /// OpenRouter. The key is needed.
    #[must_use]
    pub fn openrouter(api_key: Option<SecretString>) -> Self {
        Self {
            name: "openrouter".to_owned(),
            key_variable: Some("OPENROUTER_API_KEY".to_owned()),
            headers: vec![("X-Title".to_owned(), "fusion-kit".to_owned())],
            token_limit_field: TokenLimitField::MaxCompletionTokens,
            model_variants: &[":nitro", ":floor", ":online", ":exacto"],
            ..Self::openai_compatible(OPENROUTER, api_key)
        }
    }

    /// Any other server of this format: llama.cpp, Ollama, vLLM, LM Studio, a gateway. The key is
    /// sent when there is one.
    #[must_use]
    pub fn openai_compatible(base_url: impl Into<String>, api_key: Option<SecretString>) -> Self {
        Self {
            name: "openai-compatible".to_owned(),
            base_url: base_url.into(),
            api_key,
            key_variable: None,
            headers: vec![],
            token_limit_field: TokenLimitField::MaxTokens,
            model_variants: &[],
            allow_plain_http: false,
            connect_timeout: Duration::from_secs(10),
            total_timeout: Duration::from_secs(300),
        }
    }
}
