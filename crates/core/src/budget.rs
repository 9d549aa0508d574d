//! Budgets: what may be used at most.

use serde::{Deserialize, Serialize};

use crate::{Cost, Usage};

/// What model calls may use in all. An empty budget allows everything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Money; `None` means no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd: Option<Cost>,
    /// Tokens read and written; `None` means no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
}

/// What one call could use at most; `None` where nobody can say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WorstCase {
    /// Money.
    pub cost: Option<Cost>,
    /// Tokens read and written.
    pub tokens: Option<u64>,
}

/// Whether a call fits into a budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fit {
    /// It does.
    Now,
    /// It may when calls that are under way turn out smaller than their worst case.
    Later,
    /// It never will; the text says why.
    Never(String),
}

impl Budget {
    /// A limit in US dollars as a person types it: an amount above zero, or `none`.
    ///
    /// # Errors
    /// It is neither; in words for a person.
    pub fn read_usd(text: &str) -> Result<Self, String> {
        let usd = match text {
            "none" => None,
            amount => {
                let read = Cost::read_limit(amount);
                Some(read.map_err(|why| format!("{why}; `none` takes a limit away"))?)
            }
        };
        Ok(Self { usd, tokens: None })
    }

    /// Whether nothing is limited.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.usd.is_none() && self.tokens.is_none()
    }

    /// This budget, with the limits of another one where it has none.
    #[must_use]
    pub fn over(self, other: Self) -> Self {
        Self {
            usd: self.usd.or(other.usd),
            tokens: self.tokens.or(other.tokens),
        }
    }

    /// This budget where it has limits, and none of them above that of another one.
    #[must_use]
    pub fn within(self, other: Self) -> Self {
        fn lower<T: Ord>(own: Option<T>, other: Option<T>) -> Option<T> {
            own.map(|own| match other {
                Some(other) => own.min(other),
                None => own,
            })
        }
        Self {
            usd: lower(self.usd, other.usd),
            tokens: lower(self.tokens, other.tokens),
        }
    }

    /// Whether a call fits beside what was used and what calls under way could still use.
    ///
    /// A call whose worst case is known must fit whole, so the budget holds. One whose worst case
    /// nobody knows fits while anything is left, and may go beyond by itself.
    #[must_use]
    pub fn fit(&self, used: &Usage, held: &Held, call: &WorstCase) -> Fit {
        let money = self.usd.map_or(Fit::Now, |limit| {
            let parts = [used.cost, held.cost].map(|part| part.picos().max(0).unsigned_abs());
            let call = call.cost.map(|cost| cost.picos().max(0).unsigned_abs());
            fit(limit.picos().max(0).unsigned_abs(), parts, call, |call| {
                let could = call.map_or_else(String::new, |call| {
                    let call = Cost::from_picos(i64::try_from(call).unwrap_or(i64::MAX));
                    format!(", and the call could cost ${call}")
                });
                format!("${} of ${limit} are spent{could}", used.cost)
            })
        });
        if let Fit::Never(_) = money {
            return money;
        }
        let tokens = self.tokens.map_or(Fit::Now, |limit| {
            fit(limit, [used.tokens(), held.tokens], call.tokens, |call| {
                let could = call.map_or_else(String::new, |call| {
                    format!(", and the call could use {call}")
                });
                format!("{} of {limit} tokens are used{could}", used.tokens())
            })
        });
        match (money, tokens) {
            (_, Fit::Never(why)) | (Fit::Never(why), _) => Fit::Never(why),
            (Fit::Later, _) | (_, Fit::Later) => Fit::Later,
            (Fit::Now, Fit::Now) => Fit::Now,
        }
    }

    /// The same beside lost calls of which nobody knows what they cost: what they may have used at most
    /// counts as used, and a refusal tells it.
    #[must_use]
    pub fn fit_beside(&self, lost: &Held, used: &Usage, held: &Held, call: &WorstCase) -> Fit {
        let mut taken = *used;
        taken.cost = taken.cost + lost.cost;
        taken.input_tokens = taken.input_tokens.saturating_add(lost.tokens);
        match self.fit(&taken, held, call) {
            Fit::Never(why) if *lost != Held::default() => Fit::Never(format!(
                "{why}; that counts ${} and {} tokens for lost calls whose cost is not known",
                lost.cost, lost.tokens
            )),
            fit @ (Fit::Now | Fit::Later | Fit::Never(_)) => fit,
        }
    }
}

/// What calls under way could still use, or lost ones may have used, at most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Held {
    /// Money.
    pub cost: Cost,
    /// Tokens.
    pub tokens: u64,
}

fn fit(
    limit: u64,
    [used, held]: [u64; 2],
    call: Option<u64>,
    why: impl FnOnce(Option<u64>) -> String,
) -> Fit {
    let fits = |taken: u64| match call {
        Some(call) => taken.saturating_add(call) <= limit,
        None => taken < limit,
    };
    if !fits(used) {
        Fit::Never(why(call))
    } else if fits(used.saturating_add(held)) {
        Fit::Now
    } else {
        Fit::Later
    }
}

#[cfg(test)]
mod tests {
    use super::{Budget, Fit, Held, WorstCase};
    use crate::{Cost, Usage};

    fn usd(text: &str) -> Cost {
        Cost::from_usd(text.parse().unwrap()).unwrap()
    }

    fn used(cost: &str, tokens: u64) -> Usage {
        Usage {
            turns: 1,
            input_tokens: tokens,
            output_tokens: 0,
            cost: usd(cost),
        }
    }

    fn call(cost: &str, tokens: u64) -> WorstCase {
        WorstCase {
            cost: Some(usd(cost)),
            tokens: Some(tokens),
        }
    }

    const NOTHING: Held = Held {
        cost: Cost::ZERO,
        tokens: 0,
    };

    #[test]
    fn a_limit_within_a_budget_is_never_above_it_and_is_none_where_it_says_nothing() {
        let of = |cost: Option<&str>, tokens| Budget {
            usd: cost.map(usd),
            tokens,
        };
        let file = of(Some("1"), Some(100));
        assert_eq!(
            [
                of(Some("0.5"), Some(200)).within(file),
                of(Some("2"), None).within(file),
                of(None, None).within(file),
                of(Some("2"), Some(9)).within(of(None, None)),
            ],
            [
                of(Some("0.5"), Some(100)),
                of(Some("1"), None),
                of(None, None),
                of(Some("2"), Some(9)),
            ]
        );
    }

    #[test]
    fn a_known_call_fits_up_to_the_last_picodollar_and_token() {
        let budget = Budget {
            usd: Some(usd("1")),
            tokens: Some(100),
        };
        let spent = used("0.9", 60);
        assert_eq!(budget.fit(&spent, &NOTHING, &call("0.1", 40)), Fit::Now);
        assert_eq!(
            budget.fit(&spent, &NOTHING, &call("0.100000000001", 40)),
            Fit::Never("$0.9 of $1 are spent, and the call could cost $0.100000000001".into())
        );
        assert_eq!(
            budget.fit(&spent, &NOTHING, &call("0.1", 41)),
            Fit::Never("60 of 100 tokens are used, and the call could use 41".into())
        );
    }

    #[test]
    fn room_that_calls_under_way_hold_may_come_free() {
        let budget = Budget {
            usd: Some(usd("1")),
            tokens: None,
        };
        let held = Held {
            cost: usd("0.5"),
            tokens: 0,
        };
        assert_eq!(
            budget.fit(&used("0.2", 0), &held, &call("0.3", 0)),
            Fit::Now
        );
        assert_eq!(
            budget.fit(&used("0.2", 0), &held, &call("0.4", 0)),
            Fit::Later
        );
    }

    #[test]
    fn what_lost_calls_may_have_used_counts_as_used_and_a_refusal_tells_it() {
        let budget = Budget {
            usd: Some(usd("1")),
            tokens: Some(100),
        };
        let lost = Held {
            cost: usd("0.5"),
            tokens: 40,
        };
        let spent = used("0.2", 30);
        let fit = |call| budget.fit_beside(&lost, &spent, &NOTHING, &call);
        assert_eq!(fit(call("0.3", 30)), Fit::Now);
        let told = "; that counts $0.5 and 40 tokens for lost calls whose cost is not known";
        let why = |why: &str| Fit::Never(format!("{why}{told}"));
        assert_eq!(
            fit(call("0.300000000001", 0)),
            why("$0.7 of $1 are spent, and the call could cost $0.300000000001")
        );
        assert_eq!(
            fit(call("0", 31)),
            why("70 of 100 tokens are used, and the call could use 31")
        );
        assert_eq!(
            budget.fit_beside(&NOTHING, &spent, &NOTHING, &call("0", 71)),
            Fit::Never("30 of 100 tokens are used, and the call could use 71".to_owned())
        );
    }

    #[test]
    fn an_unknown_call_fits_while_anything_is_left_and_a_free_one_always() {
        let budget = Budget {
            usd: Some(usd("1")),
            tokens: None,
        };
        let unknown = WorstCase::default();
        assert_eq!(budget.fit(&used("0.999", 0), &NOTHING, &unknown), Fit::Now);
        assert_eq!(
            budget.fit(&used("1", 0), &NOTHING, &unknown),
            Fit::Never("$1 of $1 are spent".into())
        );
        assert_eq!(budget.fit(&used("1", 0), &NOTHING, &call("0", 9)), Fit::Now);
    }

    #[test]
    fn a_budget_takes_the_place_of_the_limits_of_another_that_it_names_only() {
        let file = Budget {
            usd: Some(usd("5")),
            tokens: Some(10),
        };
        let raised = Budget {
            usd: Some(usd("9")),
            tokens: None,
        };
        let both = Budget {
            usd: Some(usd("9")),
            tokens: Some(10),
        };
        assert_eq!(raised.over(file), both);
    }

    #[test]
    fn an_empty_budget_allows_everything() {
        let call = WorstCase::default();
        assert_eq!(
            Budget::default().fit(&used("1000", 1_000), &NOTHING, &call),
            Fit::Now
        );
    }
}
