//! What the layers tell about themselves.

use std::fmt;
use std::time::Duration;

use rust_decimal::Decimal;

use crate::QuotaUnit;

/// Something that a layer did or saw. It holds names and figures, never a key, a prompt or a
/// server's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A call failed and is made again.
    Retry {
        /// The provider's registered name.
        provider: String,
        /// The model; `None` for a look-up.
        model: Option<String>,
        /// Id of the agent whose turn it is.
        agent: Option<String>,
        /// How many calls were made so far.
        attempt: u32,
        /// Until the next one.
        wait: Duration,
        /// The kind of failure: [`crate::Error::kind`].
        failure: &'static str,
        /// HTTP status, where there was one.
        status: Option<u16>,
    },
    /// Calls are held back: the model failed too often in a row.
    CircuitOpened {
        /// The provider's registered name.
        provider: String,
        /// The model.
        model: String,
        /// How often it failed in a row.
        failures: u32,
        /// How long nobody asks it.
        pause: Duration,
        /// The kind of the last failure.
        failure: &'static str,
    },
    /// The model answered again.
    CircuitClosed {
        /// The provider's registered name.
        provider: String,
        /// The model.
        model: String,
    },
    /// Most of a quota is used.
    QuotaWarning {
        /// The provider's registered name.
        provider: String,
        /// What is counted.
        unit: QuotaUnit,
        /// Over which time, in the provider's word.
        window: Option<String>,
        /// How much there is in all.
        limit: Decimal,
        /// How much is left.
        remaining: Decimal,
    },
    /// A provider refuses calls for a while; nobody asks it meanwhile.
    QuotaClosed {
        /// The provider's registered name.
        provider: String,
        /// How long.
        pause: Duration,
    },
    /// A call was not made because a budget can't hold it.
    OverBudget {
        /// Id of the agent that wanted to make it.
        agent: String,
        /// Whose budget it is: `run`, `agent`.
        scope: String,
        /// The limit, what is spent, and what the call could use.
        problem: String,
    },
}

/// Hears notices. Called on the path of a turn: it must not block and must not wait.
pub trait Observer: Send + Sync + fmt::Debug {
    /// Takes a notice.
    fn notice(&self, notice: Notice);
}

/// For callers who do not listen.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoObserver;

impl Observer for NoObserver {
    fn notice(&self, _: Notice) {}
}
