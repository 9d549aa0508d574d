//! What a failed call may have cost.

use crate::Error;

/// A gateway or a server that gave up waiting for the model: 504, and OpenRouter's and Cloudflare's 524.
const GAVE_UP_WAITING: [u16; 2] = [504, 524];

impl Error {
    /// Whether the call may cost money all the same: it was sent, and no status of an error said that
    /// nothing came of it. Only the failure of a turn can, never that of a look-up.
    #[must_use]
    pub fn may_be_billed(&self) -> bool {
        match self {
            Self::Malformed { .. }
            | Self::TooLarge { .. }
            | Self::Truncated { .. }
            | Self::Timeout { .. } => true,
            Self::Server { status, .. } => GAVE_UP_WAITING.contains(status),
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
            | Self::Refused { .. }
            | Self::PaymentRequired { .. }
            | Self::Limited { .. }
            | Self::BadRequest { .. }
            | Self::Script { .. } => false,
        }
    }

    /// The provider's name for the answer that was lost, where it was seen.
    #[must_use]
    pub fn generation_id(&self) -> Option<&str> {
        match self {
            Self::Server { generation_id, .. }
            | Self::Malformed { generation_id, .. }
            | Self::TooLarge { generation_id, .. }
            | Self::Truncated { generation_id, .. }
            | Self::Timeout { generation_id, .. } => generation_id.as_deref(),
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
            | Self::Refused { .. }
            | Self::PaymentRequired { .. }
            | Self::Limited { .. }
            | Self::BadRequest { .. }
            | Self::Script { .. } => None,
        }
    }

    /// The same error with the provider's name for the answer, where it can carry one and has none.
    #[must_use]
    pub fn of_generation(mut self, id: Option<String>) -> Self {
        match &mut self {
            Self::Server { generation_id, .. }
            | Self::Malformed { generation_id, .. }
            | Self::TooLarge { generation_id, .. }
            | Self::Truncated { generation_id, .. }
            | Self::Timeout { generation_id, .. } => {
                *generation_id = generation_id.take().or_else(|| id.map(Into::into));
            }
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
            | Self::Refused { .. }
            | Self::PaymentRequired { .. }
            | Self::Limited { .. }
            | Self::BadRequest { .. }
            | Self::Script { .. } => {}
        }
        self
    }
}
