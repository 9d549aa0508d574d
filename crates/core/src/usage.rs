//! What model calls used: tokens and money.

use std::fmt;
use std::ops::{Add, AddAssign};
use std::str::FromStr;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::transition::text_enum;

/// Money in US dollars, exact. Shown as a decimal text on the wire.
///
/// Inside it counts whole pico-dollars (10^-12 USD), so that the databases can add costs
/// as integers: the cheapest cached token of any catalogue is thousands of these.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cost(i64);

const PICOS_SCALE: u32 = 12;

impl Cost {
    /// Reads what work may cost at most.
    ///
    /// # Errors
    /// It is no amount, or not above zero; in words for a person.
    pub fn read_limit(text: &str) -> Result<Self, String> {
        let limit: Self = text.parse().map_err(|fault: CostFault| fault.to_string())?;
        if limit == Self::ZERO {
            return Err("a limit is above 0: nothing could be begun".to_owned());
        }
        Ok(limit)
    }

    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// From whole pico-dollars, as the store keeps them.
    #[must_use]
    pub const fn from_picos(picos: i64) -> Self {
        Self(picos)
    }

    /// Whole pico-dollars.
    #[must_use]
    pub const fn picos(self) -> i64 {
        self.0
    }

    /// From US dollars, rounded to a pico-dollar; `None` when it is more than 9.2 million USD.
    #[must_use]
    pub fn from_usd(usd: Decimal) -> Option<Self> {
        let scaled = usd.checked_mul(Decimal::from(10_i64.pow(PICOS_SCALE)))?;
        i64::try_from(scaled.round().mantissa() / 10_i128.pow(scaled.round().scale()))
            .ok()
            .map(Self)
    }

    /// US dollars.
    #[must_use]
    pub fn usd(self) -> Decimal {
        Decimal::new(self.0, PICOS_SCALE).normalize()
    }
}

/// A text that is not an amount of US dollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an amount of US dollars is a number such as 2.50, from 0 to 9 million")]
pub struct CostFault;

/// What a person types is never below zero.
impl FromStr for Cost {
    type Err = CostFault;

    fn from_str(text: &str) -> Result<Self, CostFault> {
        let usd = Decimal::from_str_exact(text).or_else(|_| Decimal::from_scientific(text));
        let cost = usd.ok().and_then(Self::from_usd);
        cost.filter(|cost| *cost >= Self::ZERO).ok_or(CostFault)
    }
}

impl Add for Cost {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.usd().fmt(f)
    }
}

impl Serialize for Cost {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.usd().to_string())
    }
}

impl<'de> Deserialize<'de> for Cost {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let usd = <Decimal as Deserialize>::deserialize(deserializer)?;
        Self::from_usd(usd).ok_or_else(|| serde::de::Error::custom("more than 9.2 million USD"))
    }
}

/// What one or more model calls used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Model calls.
    pub turns: u64,
    /// Tokens read by the model.
    pub input_tokens: u64,
    /// Tokens written by the model.
    pub output_tokens: u64,
    /// What the provider says it cost; zero where it says nothing.
    pub cost: Cost,
}

impl Usage {
    /// Tokens read and written.
    #[must_use]
    pub const fn tokens(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.turns = self.turns.saturating_add(other.turns);
        self.input_tokens = self.input_tokens.saturating_add(other.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
        self.cost = self.cost + other.cost;
    }
}

text_enum! {
    /// What the costs of model calls are grouped by.
    CostBy {
        /// The agent that has the task.
        Agent = "agent",
        /// The model that was asked.
        Model = "model",
        /// The task.
        Task = "task",
        /// The workflow, in all its versions.
        Workflow = "workflow",
        /// The project that the work was done for.
        Project = "project",
        /// The day on which the call ended, in UTC.
        Day = "day",
    }
}

#[cfg(test)]
mod tests {
    use super::Cost;
    use proptest::prelude::*;
    use rust_decimal::Decimal;

    #[test]
    fn a_limit_is_above_zero_and_no_amount_that_a_person_types_is_below() {
        assert_eq!(Cost::read_limit("0.5").unwrap().to_string(), "0.5");
        for text in ["-1", "-0.000001"] {
            text.parse::<Cost>().unwrap_err();
            Cost::read_limit(text).unwrap_err();
        }
        for text in ["0", "0.00", "1e-13"] {
            assert_eq!(text.parse::<Cost>().unwrap(), Cost::ZERO);
            Cost::read_limit(text).unwrap_err();
        }
    }

    #[test]
    fn the_cheapest_cached_token_keeps_its_exact_price() {
        let price: Decimal = "0.0000000075".parse().unwrap();
        assert_eq!(Cost::from_usd(price).unwrap().usd(), price);
    }

    #[test]
    fn a_cost_beyond_the_range_is_refused_not_wrapped() {
        assert_eq!(Cost::from_usd(Decimal::from(10_000_000)), None);
    }

    #[test]
    fn an_amount_is_read_exactly_or_not_at_all() {
        let read = |text: &str| text.parse::<Cost>().map(Cost::picos);
        assert_eq!(read("2.50"), Ok(2_500_000_000_000));
        assert_eq!(read("1e-6"), Ok(1_000_000));
        for text in ["", "2,5", "$2", "99999999"] {
            assert_eq!(read(text), Err(super::CostFault), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_cost_survives_json(picos in any::<i64>()) {
            let cost = Cost::from_picos(picos);
            let json = serde_json::to_string(&cost).unwrap();
            prop_assert_eq!(serde_json::from_str::<Cost>(&json).unwrap(), cost);
        }
    }
}
