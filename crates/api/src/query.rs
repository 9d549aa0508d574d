//! Reading a query: known parameters only, all faults at once.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use fusion_api_types::api::Fault;
use fusion_persistence::Page;

use crate::problem::{Refusal, Result};

/// The longest value of a parameter.
const MAX_VALUE: usize = 4 * 1024;

/// Values of one parameter at most.
const MAX_VALUES: usize = 100;

/// Rows of a page when nobody says.
const DEFAULT_LIMIT: u32 = 100;

/// Only what would change is asked.
pub(crate) const DRY_RUN: &str = "dry_run";

/// Rows of a page at most.
pub(crate) const MAX_LIMIT: u32 = 500;

/// The parameters as they were sent, decoded.
#[derive(Debug, Clone)]
pub(crate) struct Query(Option<Vec<(String, String)>>);

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> std::result::Result<Self, Infallible> {
        Ok(Self(pairs(parts.uri.query().unwrap_or_default())))
    }
}

/// The pairs of a query; `None` when it is not text.
fn pairs(query: &str) -> Option<Vec<(String, String)>> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decoded(name)?, decoded(value)?))
        })
        .collect()
}

/// A part of a query without `%XX` and `+`; `None` when it is not UTF-8 or a `%` leads nowhere.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits =
                    [rest.next()?, rest.next()?].map(|digit| char::from(digit).to_digit(16));
                let [Some(high), Some(low)] = digits else {
                    return None;
                };
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

impl Query {
    /// Begins to read it. These are all the parameters that there may be.
    pub(crate) fn of(&self, known: &'static [&'static str]) -> Parameters<'_> {
        let mut parameters = Parameters {
            pairs: self.0.as_deref().unwrap_or_default(),
            faults: Vec::new(),
        };
        if self.0.is_none() {
            parameters.add("", "the query is not percent-encoded UTF-8");
        }
        for (name, value) in parameters.pairs {
            if !known.contains(&name.as_str()) {
                let shown: String = name.chars().take(64).collect();
                let listed = match known {
                    [] => "there are no query parameters here".to_owned(),
                    some => format!(
                        "there is no such query parameter; known are: {}",
                        some.join(", ")
                    ),
                };
                parameters.add(&shown, listed);
            } else if value.len() > MAX_VALUE {
                parameters.add(name, format!("has more than {MAX_VALUE} bytes"));
            } else if value.contains('\0') {
                parameters.add(name, "contains the character NUL");
            }
        }
        parameters
    }

    /// Whether it is only asked what would change: there is no other parameter.
    pub(crate) fn dry_run(&self) -> Result<bool> {
        let mut query = self.of(&[DRY_RUN]);
        let dry_run = query.dry_run();
        query.finish()?;
        Ok(dry_run)
    }

    /// There are no parameters.
    pub(crate) fn none(&self) -> Result<()> {
        self.of(&[]).finish()
    }
}

/// Reads parameters and gathers what is wrong with them.
#[derive(Debug)]
pub(crate) struct Parameters<'a> {
    pairs: &'a [(String, String)],
    faults: Vec<Fault>,
}

impl<'a> Parameters<'a> {
    pub(crate) fn add(&mut self, name: &str, message: impl Into<String>) {
        self.faults.push(Fault {
            pointer: name.to_owned(),
            message: message.into(),
        });
    }

    /// Whether it is only asked what would change.
    pub(crate) fn dry_run(&mut self) -> bool {
        self.one(DRY_RUN, flag).unwrap_or_default()
    }

    /// Everything that was read is right.
    ///
    /// # Errors
    /// It is not: all faults at once.
    pub(crate) fn finish(self) -> Result<()> {
        if self.faults.is_empty() {
            Ok(())
        } else {
            Err(Refusal::invalid(self.faults))
        }
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let name = name.to_owned();
        let pairs = self.pairs.iter();
        pairs
            .filter(move |(given, _)| *given == name)
            .map(|(_, value)| value.as_str())
    }

    /// A parameter that may be given once.
    pub(crate) fn one<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> std::result::Result<T, String>,
    ) -> Option<T> {
        let mut values = self.values(name);
        let (first, second) = (values.next(), values.next());
        if second.is_some() {
            self.add(name, "is given more than once");
        }
        match parse(first?) {
            Ok(value) => Some(value),
            Err(message) => {
                self.add(name, message);
                None
            }
        }
    }

    /// A parameter that may be repeated: one of its values must hold.
    pub(crate) fn many<T>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> std::result::Result<T, String>,
    ) -> Vec<T> {
        let given: Vec<&str> = self.values(name).collect();
        if given.len() > MAX_VALUES {
            self.add(name, format!("is given more than {MAX_VALUES} times"));
            return Vec::new();
        }
        let mut values = Vec::with_capacity(given.len());
        for text in given {
            match parse(text) {
                Ok(value) => values.push(value),
                Err(message) => self.add(name, message),
            }
        }
        values
    }

    /// How many rows are asked for.
    pub(crate) fn limit(&mut self) -> u32 {
        let limit = self.one("limit", |text| match text.parse::<u32>() {
            Ok(limit) if (1..=MAX_LIMIT).contains(&limit) => Ok(limit),
            Ok(_) | Err(_) => Err(format!("must be a number from 1 to {MAX_LIMIT}")),
        });
        limit.unwrap_or(DEFAULT_LIMIT)
    }

    /// The page that is asked for: the cursor is what the page before gave.
    pub(crate) fn page<Id: std::str::FromStr>(&mut self) -> Page<Id> {
        let after = self.one("cursor", |text| {
            let id = text.parse::<Id>();
            id.map_err(|_| "is not a cursor that a page gave".to_owned())
        });
        Page {
            after,
            limit: self.limit(),
        }
    }
}

/// Reads a yes or a no.
pub(crate) fn flag(text: &str) -> std::result::Result<bool, String> {
    text.parse().map_err(|_| "must be true or false".to_owned())
}

/// Reads one of the words of a closed list.
pub(crate) fn word<T: Copy>(
    text: &str,
    from_text: impl FnOnce(&str) -> Option<T>,
    all: &[T],
    as_str: impl Fn(T) -> &'static str,
) -> std::result::Result<T, String> {
    from_text(text).ok_or_else(|| {
        let words: Vec<&str> = all.iter().copied().map(as_str).collect();
        format!("must be one of: {}", words.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::{Query, pairs};

    fn query(text: &str) -> Query {
        Query(pairs(text))
    }

    #[test]
    fn a_query_is_decoded_or_refused() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            [
                pairs("a=1+2&b=%C3%A4&&c"),
                pairs("a=%zz"),
                pairs("a=%ff"),
                pairs("a=%1")
            ],
            [
                Some(vec![pair("a", "1 2"), pair("b", "ä"), pair("c", "")]),
                None,
                None,
                None,
            ]
        );
    }

    #[test]
    fn every_fault_of_a_query_is_told_at_once() {
        let query = query("limit=0&limit=5&colour=blue&cursor=x");
        let mut parameters = query.of(&["limit", "cursor"]);
        parameters.page::<fusion_core::AgentId>();
        let told: Vec<String> = parameters
            .faults
            .iter()
            .map(|fault| fault.pointer.clone())
            .collect();
        assert_eq!(told, ["colour", "cursor", "limit", "limit"]);
    }
}
