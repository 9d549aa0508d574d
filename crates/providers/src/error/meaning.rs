//! What an error means to the layers.

use crate::Error;

/// What a failure says about the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It answered: it is alive, whatever it thinks of the request.
    Good,
    /// It can't be reached, broke, or gave no whole answer.
    Bad,
    /// Nothing: no request was made, or it asks for patience.
    Untold,
}

impl Error {
    /// The kind of failure in one word, for events: it holds nothing of what a server said.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::UnknownProvider { .. } => "unknown_provider",
            Self::MissingKey { .. } => "missing_key",
            Self::UnknownModel { .. } => "unknown_model",
            Self::NoTools { .. } => "no_tools",
            Self::NoJsonSchema { .. } => "no_json_schema",
            Self::ContextTooLong { .. } => "context_too_long",
            Self::Disabled { .. } => "disabled",
            Self::Paused { .. } => "paused",
            Self::OverBudget { .. } => "over_budget",
            Self::Setup { .. } => "setup",
            Self::Unreachable { .. } => "unreachable",
            Self::Refused { .. } => "refused",
            Self::PaymentRequired { .. } => "payment_required",
            Self::Limited { .. } => "limited",
            Self::Server { .. } => "server",
            Self::BadRequest { .. } => "bad_request",
            Self::Malformed { .. } => "malformed",
            Self::TooLarge { .. } => "too_large",
            Self::Truncated { .. } => "truncated",
            Self::Timeout { .. } => "timeout",
            Self::Script { .. } => "script",
        }
    }

    /// The HTTP status, where there was one.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. }
            | Self::Server { status, .. }
            | Self::BadRequest { status, .. } => Some(*status),
            Self::PaymentRequired { .. } => Some(402),
            Self::Limited { .. } => Some(429),
            Self::UnknownProvider { .. }
            | Self::MissingKey { .. }
            | Self::UnknownModel { .. }
            | Self::NoTools { .. }
            | Self::NoJsonSchema { .. }
            | Self::ContextTooLong { .. }
            | Self::Disabled { .. }
            | Self::Paused { .. }
            | Self::OverBudget { .. }
            | Self::Setup { .. }
            | Self::Unreachable { .. }
            | Self::Malformed { .. }
            | Self::TooLarge { .. }
            | Self::Truncated { .. }
            | Self::Timeout { .. }
            | Self::Script { .. } => None,
        }
    }

    /// What the failure says about the server.
    #[must_use]
    pub fn health(&self) -> Health {
        match self {
            Self::Server { .. } if self.is_loading() => Health::Untold,
            Self::Unreachable { .. }
            | Self::Server { .. }
            | Self::Malformed { .. }
            | Self::Truncated { .. }
            | Self::Timeout { .. } => Health::Bad,
            Self::UnknownModel { .. }
            | Self::NoTools { .. }
            | Self::NoJsonSchema { .. }
            | Self::ContextTooLong { .. }
            | Self::Refused { .. }
            | Self::PaymentRequired { .. }
            | Self::BadRequest { .. }
            | Self::TooLarge { .. } => Health::Good,
            Self::UnknownProvider { .. }
            | Self::MissingKey { .. }
            | Self::Disabled { .. }
            | Self::Paused { .. }
            | Self::OverBudget { .. }
            | Self::Setup { .. }
            | Self::Limited { .. }
            | Self::Script { .. } => Health::Untold,
        }
    }

    /// Whether the server still loads the model: llama.cpp says so with 503 after its start.
    #[must_use]
    pub fn is_loading(&self) -> bool {
        matches!(self, Self::Server { status: 503, message, .. } if message.to_ascii_lowercase().contains("loading model"))
    }

    /// Whether another model may serve the turn that this one did not: it is gone, overloaded,
    /// over its quota, out of reach, or its provider is paused or switched off. Never when the
    /// request itself is at fault.
    #[must_use]
    pub const fn is_worth_a_fallback(&self) -> bool {
        match self {
            Self::UnknownModel { .. }
            | Self::Disabled { .. }
            | Self::Paused { .. }
            | Self::Unreachable { .. }
            | Self::PaymentRequired { .. }
            | Self::Limited { .. }
            | Self::Server { .. }
            | Self::Malformed { .. }
            | Self::Truncated { .. }
            | Self::Timeout { .. } => true,
            Self::UnknownProvider { .. }
            | Self::MissingKey { .. }
            | Self::NoTools { .. }
            | Self::NoJsonSchema { .. }
            | Self::ContextTooLong { .. }
            | Self::OverBudget { .. }
            | Self::Setup { .. }
            | Self::Refused { .. }
            | Self::BadRequest { .. }
            | Self::TooLarge { .. }
            | Self::Script { .. } => false,
        }
    }
}
