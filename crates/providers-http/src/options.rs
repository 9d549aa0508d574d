//! What differs between vendors and between installations.

use std::time::Duration;

use secrecy::SecretString;

use crate::vendor::{self, Format, Vendor};

/// How to reach one provider.
#[derive(Debug, Clone)]
pub struct Options {
    /// The name that errors and logs use.
    pub name: String,
    /// What the server speaks.
    pub format: Format,
    /// What the paths of the API are appended to.
    pub base_url: String,
    /// The credential. A blank one counts as none.
    pub api_key: Option<SecretString>,
    /// The environment variable of the key, where the provider can't do without: with no key every
    /// call then fails before a request is made.
    pub key_variable: Option<String>,
    /// Headers sent with each request beside the key. No place for secrets: `Debug` shows them.
    pub headers: Vec<(String, String)>,
    /// How the vendor differs from others of its format.
    pub quirks: Quirks,
    /// Allows `http://` to another machine, where everyone on the way reads key and prompts.
    pub allow_plain_http: bool,
    /// Allows a name that leads to an address no public server has: in a private network, say.
    pub allow_private_addresses: bool,
    /// Bounds of one call.
    pub limits: Limits,
}

/// How a vendor differs from others of its format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quirks {
    /// How the limit of an answer is spelt.
    pub token_limit_field: TokenLimitField,
    /// Endings of a model's name that the list of models does not contain, with their colon.
    pub model_variants: &'static [&'static str],
    /// Headers sent with each request.
    pub headers: &'static [(&'static str, &'static str)],
    /// Whether answers are streamed.
    pub streaming: Streaming,
    /// How an answer is bound to a JSON Schema.
    pub json_schema: SchemaBinding,
    /// How the model calls tools.
    pub tool_calls: ToolCalls,
    /// Where an account of the key is kept that can be asked for.
    pub account: Account,
}

impl Quirks {
    /// A server that does what most do.
    pub const PLAIN: Self = Self {
        token_limit_field: TokenLimitField::MaxTokens,
        model_variants: &[],
        headers: &[],
        streaming: Streaming::WithUsage,
        json_schema: SchemaBinding::Native,
        tool_calls: ToolCalls::Native,
        account: Account::None,
    };
}

/// How a vendor spells the upper bound of an answer in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenLimitField {
    /// `max_tokens`: understood by all local servers.
    MaxTokens,
    /// `max_completion_tokens`: the newer name, the only one that newer models of `OpenAI` take.
    MaxCompletionTokens,
}

/// Whether answers are streamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Streaming {
    /// They come in one piece.
    Off,
    /// They are streamed; the usage comes of itself.
    On,
    /// They are streamed; the usage has to be asked for with `stream_options`.
    WithUsage,
}

/// How an answer is bound to a JSON Schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaBinding {
    /// By the server: `response_format` in chat completions, a forced tool in Anthropic's format.
    Native,
    /// In words, in the system prompt.
    Prompt,
}

/// How the model calls tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToolCalls {
    /// In the fields that the format has for it.
    Native,
    /// As `Native`; where a model writes a call of a known tool as JSON in its text, that is read too.
    NativeOrText,
    /// The server has no tools: they are told in the system prompt, and calls are read from the text.
    Text,
}

/// Where an account of the key is kept that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Account {
    /// Nowhere: what is left is known from the headers of answers, if at all.
    None,
    /// `GET /key` and `GET /credits`; `GET /generation` for the cost of one answer.
    OpenRouter,
}

/// Bounds of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// To make a connection.
    pub connect: Duration,
    /// From the request to the first content of a streamed answer. A local server may load its model
    /// first.
    pub first_content: Duration,
    /// Without a single byte of an answer that has begun.
    pub idle_bytes: Duration,
    /// Without content in an answer that has some; comments and empty events are none.
    pub idle_content: Duration,
    /// From the connection to the last byte of the answer.
    pub total: Duration,
    /// To read a page of the list of models, or an account.
    pub lookup: Duration,
    /// To learn the cost of an answer that was lost, all three questions together.
    pub generation: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            first_content: Duration::from_secs(240),
            idle_bytes: Duration::from_secs(60),
            idle_content: Duration::from_secs(120),
            total: Duration::from_secs(600),
            lookup: Duration::from_secs(30),
            generation: Duration::from_secs(10),
        }
    }
}

impl Options {
    /// A vendor's provider, at another address than the vendor's own where one is given. Without
    /// either, making the provider fails.
    #[must_use]
    pub fn of(vendor: &Vendor, base_url: Option<String>, key: Option<SecretString>) -> Self {
        let base_url = base_url.or_else(|| vendor.base_url.map(str::to_owned));
        Self {
            name: vendor.name.to_owned(),
            format: vendor.format,
            base_url: base_url.unwrap_or_default(),
            api_key: key,
            key_variable: vendor
                .key_variable
                .filter(|_| vendor.key_is_needed)
                .map(str::to_owned),
            headers: vec![],
            quirks: vendor.quirks,
            allow_plain_http: false,
            allow_private_addresses: false,
            limits: Limits::default(),
        }
    }

    /// OpenRouter. The key is needed.
    #[must_use]
    pub fn openrouter(api_key: Option<SecretString>) -> Self {
        Self::of(&vendor::OPENROUTER, None, api_key)
    }

    /// Any server of the chat-completions format. The key is sent when there is one.
    #[must_use]
    pub fn openai_compatible(base_url: impl Into<String>, api_key: Option<SecretString>) -> Self {
        Self::of(&vendor::COMPATIBLE, Some(base_url.into()), api_key)
    }
}
