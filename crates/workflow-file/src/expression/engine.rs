//! MiniJinja with our limits, for one expression at a time.

use std::io;

use minijinja::value::{Serde, ValueKind};
use minijinja::{Environment, ErrorKind, UndefinedBehavior, Value};

use crate::expression::error::{ExpressionError, Syntax};

/// The largest result, in bytes of text or JSON.
pub(super) const MAX_RESULT_BYTES: usize = 1024 * 1024;
/// The work one expression may take: instructions, 64 bytes of data each, or 4 bytes of JSON.
const FUEL: u64 = 400_000;

/// Evaluates expressions.
pub(crate) struct Engine(Environment<'static>);

impl Engine {
    /// The filters that expressions can use.
    pub(crate) const FILTERS: &'static [&'static str] = &[
        "abs",
        "batch",
        "bool",
        "capitalize",
        "chain",
        "count",
        "d",
        "default",
        "dictsort",
        "first",
        "float",
        "format",
        "groupby",
        "indent",
        "int",
        "items",
        "join",
        "last",
        "length",
        "lines",
        "list",
        "lower",
        "map",
        "max",
        "min",
        "reject",
        "rejectattr",
        "replace",
        "reverse",
        "round",
        "select",
        "selectattr",
        "slice",
        "sort",
        "split",
        "string",
        "sum",
        "title",
        "tojson",
        "trim",
        "unique",
        "upper",
        "zip",
    ];
    /// The tests that expressions can use after `is`.
    pub(crate) const TESTS: &'static [&'static str] = &[
        "boolean",
        "defined",
        "divisibleby",
        "endingwith",
        "eq",
        "equalto",
        "even",
        "false",
        "float",
        "ge",
        "greaterthan",
        "gt",
        "in",
        "int",
        "integer",
        "iterable",
        "le",
        "lessthan",
        "lower",
        "lt",
        "mapping",
        "ne",
        "none",
        "number",
        "odd",
        "sequence",
        "startingwith",
        "string",
        "true",
        "undefined",
        "upper",
    ];
    /// The functions that expressions can use.
    pub(crate) const FUNCTIONS: &'static [&'static str] = &["dict", "range"];

    pub(crate) fn new() -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        environment.set_debug(false);
        // `debug` shows the whole context and `namespace` is for statements.
        environment.remove_global("debug");
        environment.remove_global("namespace");
        Self(environment)
    }

    /// The values of a run as expressions see them.
    pub(super) fn context(values: &serde_json::Value) -> Value {
        Serde(values).into()
    }

    /// Tells a wrong syntax; `start` is the expression's place in its template.
    pub(crate) fn check(&self, source: &str, start: usize) -> Result<(), Syntax> {
        if source.trim().is_empty() {
            return Err(Syntax {
                problem: "an expression is empty".to_owned(),
                range: start..start + source.len(),
            });
        }
        match self.0.compile_expression(source) {
            Ok(_) => Ok(()),
            Err(error) => {
                let range = error.range().unwrap_or(0..source.len());
                let end = range.end.min(source.len());
                Err(Syntax {
                    problem: format!("this is not an expression: {}", problem(&error)),
                    range: start + range.start.min(end)..start + end,
                })
            }
        }
    }

    /// The value of an expression; one without a value is an error.
    pub(super) fn evaluate(
        &self,
        source: &str,
        start: usize,
        context: &Value,
    ) -> Result<Value, ExpressionError> {
        let result = self
            .0
            .compile_expression(source)
            .and_then(|expression| expression.eval(context.clone()));
        match result {
            Ok(value) if value.is_undefined() => Err(ExpressionError::new(
                source,
                "there is no such value",
                start,
            )),
            Ok(value) => Ok(value),
            Err(error) => {
                let within = error
                    .range()
                    .map_or(0, |range| range.start.min(source.len()));
                Err(ExpressionError::new(
                    source,
                    problem(&error),
                    start + within,
                ))
            }
        }
    }
}

/// What MiniJinja found, without its place and its own words for kinds.
fn problem(error: &minijinja::Error) -> String {
    match (error.kind(), error.detail()) {
        (ErrorKind::OutOfFuel, _) => "it takes too much work".to_owned(),
        (ErrorKind::UndefinedError, None) => "there is no such value".to_owned(),
        (_, Some(detail)) => detail.to_owned(),
        (kind, None) => kind.to_string(),
    }
}

pub(super) fn too_large() -> String {
    format!("the result has more than {MAX_RESULT_BYTES} bytes")
}

/// A value as JSON.
pub(super) fn to_json(value: &Value) -> Result<serde_json::Value, String> {
    if let Some(text) = value.as_str() {
        return bounded(text).map(serde_json::Value::from);
    }
    // By way of text, so that size and depth are bounded before anything is built.
    let text = json_text(value)?;
    serde_json::from_slice(&text).map_err(|_| "the result nests too deep".to_owned())
}

/// A value as people and models read it.
pub(super) fn to_text(value: &Value) -> Result<String, String> {
    if let Some(text) = value.as_str() {
        return bounded(text).map(str::to_owned);
    }
    if value.kind() == ValueKind::None {
        return Ok(String::new());
    }
    String::from_utf8(json_text(value)?).map_err(|_| "the result is not text".to_owned())
}

fn bounded(text: &str) -> Result<&str, String> {
    if text.len() > MAX_RESULT_BYTES {
        return Err(too_large());
    }
    Ok(text)
}

fn json_text(value: &Value) -> Result<Vec<u8>, String> {
    let mut text = Bounded(Vec::new());
    match serde_json::to_writer(&mut text, value) {
        Ok(()) => Ok(text.0),
        Err(error) if error.is_io() => Err(too_large()),
        Err(error) => Err(error.to_string()),
    }
}

/// Takes [`MAX_RESULT_BYTES`] and no more.
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_RESULT_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
