//! The limits of a project, as they are typed.

use fusion_api_types::{Problem, ProblemKind};
use fusion_cli::ProjectBudgets;
use fusion_core::{Cost, Project};
use serde_json::{Map, Value, json};

/// What stands for no limit.
const NONE: &str = "none";

/// A limit that is to be set: `Some(None)` takes it away.
type Limit<T> = Option<Option<T>>;

/// The limits that are to be set.
#[derive(Debug)]
pub(crate) struct Limits {
    usd: Limit<Cost>,
    tokens: Limit<u64>,
    usd_per_day: Limit<Cost>,
    tokens_per_day: Limit<u64>,
}

impl Limits {
    /// Reads them.
    pub(crate) fn of(typed: &ProjectBudgets) -> Result<Self, Problem> {
        Ok(Self {
            usd: usd("the budget", typed.usd.as_deref())?,
            tokens: tokens("the budget of tokens", typed.tokens.as_deref())?,
            usd_per_day: usd("the budget of a day", typed.usd_per_day.as_deref())?,
            tokens_per_day: tokens(
                "the budget of tokens of a day",
                typed.tokens_per_day.as_deref(),
            )?,
        })
    }

    /// Sets them.
    pub(crate) fn apply(&self, row: &mut Project) {
        row.budget.usd = self.usd.unwrap_or(row.budget.usd);
        row.budget.tokens = self.tokens.unwrap_or(row.budget.tokens);
        row.budget_per_day.usd = self.usd_per_day.unwrap_or(row.budget_per_day.usd);
        row.budget_per_day.tokens = self.tokens_per_day.unwrap_or(row.budget_per_day.tokens);
    }

    /// As the members of a request that changes a project.
    pub(crate) fn members(&self) -> Map<String, Value> {
        let money = |limit: Limit<Cost>| limit.map(|limit| json!(limit.map(|usd| usd.to_string())));
        let count = |limit: Limit<u64>| limit.map(|limit| json!(limit));
        let all = [
            ("budget_usd", money(self.usd)),
            ("budget_tokens", count(self.tokens)),
            ("budget_per_day_usd", money(self.usd_per_day)),
            ("budget_per_day_tokens", count(self.tokens_per_day)),
        ];
        let given = all.into_iter();
        given
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect()
    }
}

fn usd(budget: &str, text: Option<&str>) -> Result<Limit<Cost>, Problem> {
    let read = |text: &str| text.parse::<Cost>().map_err(|error| error.to_string());
    limit(budget, text, read)
}

fn tokens(budget: &str, text: Option<&str>) -> Result<Limit<u64>, Problem> {
    limit(budget, text, |text| {
        let known = text.parse::<u64>();
        known.map_err(|_| "must be a whole number of tokens".to_owned())
    })
}

fn limit<T>(
    budget: &str,
    text: Option<&str>,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Limit<T>, Problem> {
    match text {
        None => Ok(None),
        Some(NONE) => Ok(Some(None)),
        Some(text) => read(text).map(|limit| Some(Some(limit))).map_err(|why| {
            Problem::new(
                ProblemKind::InvalidInput,
                format!("{budget} is '{text}': {why}"),
            )
            .with_help("give a limit, or `none`")
        }),
    }
}
