//! Exact amounts from the text that a server wrote: a binary fraction would not be exact.

use rust_decimal::Decimal;
use serde_json::value::RawValue;

use fusion_core::Cost;

/// The number that stands there, with or without quotes.
pub(crate) fn decimal(raw: &RawValue) -> Option<Decimal> {
    let text = raw.get().trim_matches('"');
    if text.contains(['e', 'E']) {
        Decimal::from_scientific(text).ok()
    } else {
        text.parse().ok()
    }
}

/// US dollars; `None` for what is no amount of money.
pub(crate) fn cost(raw: &RawValue) -> Option<Cost> {
    Cost::from_usd(decimal(raw).filter(|usd| !usd.is_sign_negative())?)
}
