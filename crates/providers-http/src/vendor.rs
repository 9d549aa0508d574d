//! Who serves models over a wire format that is known here: data, one entry for each vendor.

use crate::options::{Account, Quirks, Streaming, TokenLimitField};

/// A wire format: what is said between client and server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// `POST /chat/completions`, begun by `OpenAI` and spoken by most servers.
    ChatCompletions,
    /// `POST /messages` of Anthropic.
    AnthropicMessages,
}

/// What is known of a vendor before anyone has set it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vendor {
    /// The name in workflow files and commands.
    pub name: &'static str,
    /// The name as the vendor writes it.
    pub title: &'static str,
    /// What its servers speak.
    pub format: Format,
    /// Where it is reached when nothing else is set; `None` where only the user can know.
    pub base_url: Option<&'static str>,
    /// The usual environment variable of its key; `None` where there is no usual one.
    pub key_variable: Option<&'static str>,
    /// Whether no call works without a key.
    pub key_is_needed: bool,
    /// Where a server on this machine listens unless told otherwise.
    pub local_port: Option<u16>,
    /// How it differs from others of its format.
    pub quirks: Quirks,
}

/// All vendors, in the order in which they are offered.
#[must_use]
pub const fn vendors() -> &'static [Vendor] {
    VENDORS
}

/// The vendor of this name.
#[must_use]
pub fn vendor(name: &str) -> Option<&'static Vendor> {
    VENDORS.iter().find(|vendor| vendor.name == name)
}

const VENDORS: &[Vendor] = &[
    OPENROUTER,
    Vendor {
        name: "openai",
        title: "OpenAI",
        base_url: Some("https://api.openai.com/v1"),
        key_variable: Some("OPENAI_API_KEY"),
        key_is_needed: true,
        quirks: Quirks {
            token_limit_field: TokenLimitField::MaxCompletionTokens,
            ..Quirks::PLAIN
        },
        ..COMPATIBLE
    },
    Vendor {
        name: "anthropic",
        title: "Anthropic",
        format: Format::AnthropicMessages,
        base_url: Some("https://api.anthropic.com/v1"),
        key_variable: Some("ANTHROPIC_API_KEY"),
        key_is_needed: true,
        local_port: None,
        quirks: Quirks {
            headers: &[("anthropic-version", "2023-06-01")],
            streaming: Streaming::On,
            ..Quirks::PLAIN
        },
    },
    Vendor {
        name: "ollama",
        title: "Ollama",
        base_url: Some("http://127.0.0.1:11434/v1"),
        local_port: Some(11_434),
        ..COMPATIBLE
    },
    Vendor {
        name: "vllm",
        title: "vLLM",
        base_url: Some("http://127.0.0.1:8000/v1"),
        local_port: Some(8000),
        ..COMPATIBLE
    },
    Vendor {
        name: "llama.cpp",
        title: "llama.cpp",
        base_url: Some("http://127.0.0.1:8080/v1"),
        local_port: Some(8080),
        ..COMPATIBLE
    },
    Vendor {
        name: "lm-studio",
        title: "LM Studio",
        base_url: Some("http://127.0.0.1:1234/v1"),
        local_port: Some(1234),
        ..COMPATIBLE
    },
    COMPATIBLE,
];

/// One key for the models of many vendors.
pub(crate) const OPENROUTER: Vendor = Vendor {
    name: "openrouter",
    title: "OpenRouter",
    base_url: Some("https://openrouter.ai/api/v1"),
    key_variable: Some("OPENROUTER_API_KEY"),
    key_is_needed: true,
    quirks: Quirks {
        token_limit_field: TokenLimitField::MaxCompletionTokens,
        model_variants: &[":nitro", ":floor", ":online", ":exacto"],
        headers: &[("X-OpenRouter-Title", "fusion-kit")],
        // Usage comes in every stream.
        streaming: Streaming::On,
        account: Account::OpenRouter,
        ..Quirks::PLAIN
    },
    ..COMPATIBLE
};

/// Any other server of the chat-completions format.
pub(crate) const COMPATIBLE: Vendor = Vendor {
    name: "openai-compatible",
    title: "OpenAI-compatible server",
    format: Format::ChatCompletions,
    base_url: None,
    key_variable: None,
    key_is_needed: false,
    local_port: None,
    quirks: Quirks::PLAIN,
};

#[cfg(test)]
mod tests {
    use super::{Vendor, vendor, vendors};

    #[test]
    fn a_vendor_is_found_by_its_own_name_only() {
        for known in vendors() {
            assert_eq!(vendor(known.name), Some(known));
        }
        assert_eq!(vendor("OpenRouter"), None);
    }

    #[test]
    fn a_local_server_is_reached_at_its_port_and_needs_no_key() {
        for Vendor {
            base_url,
            local_port,
            key_is_needed,
            ..
        } in vendors()
        {
            if let Some(port) = local_port {
                let expected = format!("http://127.0.0.1:{port}/v1");
                assert_eq!((*base_url, *key_is_needed), (Some(&*expected), false));
            }
        }
    }
}
