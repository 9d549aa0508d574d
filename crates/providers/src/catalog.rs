//! What a provider offers: models, what they can do, what they cost.

use fusion_core::{Cost, Timestamp, Usage};
use serde::{Deserialize, Serialize};

/// The models of a provider, as it listed them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalog {
    /// In the provider's order.
    pub models: Vec<Model>,
    /// When the list was read.
    pub read_at: Timestamp,
}

/// One model of a catalogue. What a provider does not tell is `None` or [`Ability::Unknown`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// What to ask for.
    pub id: String,
    /// What people call it.
    pub name: Option<String>,
    /// Tokens of question and answer together at most.
    pub context_length: Option<u64>,
    /// Tokens of one answer at most.
    pub max_output_tokens: Option<u64>,
    /// What its tokens cost; `None` also where the price varies from call to call.
    pub price: Option<Price>,
    /// Whether it can call tools.
    pub tools: Ability,
    /// Whether its answer can be bound to a JSON Schema.
    pub json_schema: Ability,
}

/// Whether a model can do something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ability {
    /// The provider says that it can.
    Yes,
    /// The provider says that it can't.
    No,
    /// The provider does not tell.
    #[default]
    Unknown,
}

/// What a model costs, in US dollars: exact, as the catalogue says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// For one token that the model reads.
    pub input_token: Cost,
    /// For one token that it writes.
    pub output_token: Cost,
    /// For each call, whatever its length.
    pub request: Cost,
}

impl Price {
    /// Nothing costs anything.
    pub const FREE: Self = Self {
        input_token: Cost::ZERO,
        output_token: Cost::ZERO,
        request: Cost::ZERO,
    };

    /// What a usage costs at this price. A cost that is in the usage does not count.
    #[must_use]
    pub fn of(&self, usage: &Usage) -> Cost {
        let part = |each: Cost, count: u64| {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            Cost::from_picos(each.picos().saturating_mul(count))
        };
        part(self.input_token, usage.input_tokens)
            + part(self.output_token, usage.output_tokens)
            + part(self.request, usage.turns)
    }
}

#[cfg(test)]
mod tests {
    use super::Price;
    use fusion_core::{Cost, Usage};

    #[test]
    fn a_price_counts_calls_and_tokens_each_way_exactly() {
        let usd = |text: &str| Cost::from_usd(text.parse().unwrap()).unwrap();
        let price = Price {
            input_token: usd("0.0000000075"),
            output_token: usd("0.000015"),
            request: usd("0.001"),
        };
        let usage = Usage {
            turns: 2,
            input_tokens: 3,
            output_tokens: 5,
            cost: usd("9"),
        };
        assert_eq!(price.of(&usage), usd("0.0020750225"));
    }
}
