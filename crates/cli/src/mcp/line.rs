//! From the input of a call to the command line that it stands for.

use clap::Command;
use serde_json::{Map, Value};

use super::takes::{Field, fields};

/// The field that every tool has: what is made of the JSON.
pub(super) const JQ: &str = "jq";

/// The most bytes of one argument: Linux takes 128 KiB.
const LONGEST: usize = 100 * 1024;

/// The arguments of the command line. A value can't be taken for an option: each stands behind its
/// option's name and `=`, or behind `--`.
pub(super) fn of(
    words: &str,
    command: &Command,
    input: &Map<String, Value>,
) -> Result<Vec<String>, String> {
    let fields: Vec<Field<'_>> = fields(command).collect();
    for name in input.keys() {
        if name != JQ && !fields.iter().any(|field| field.name == *name) {
            let known: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
            return Err(format!(
                "there is no '{name}'; it takes: {}, {JQ}",
                known.join(", ")
            ));
        }
    }
    expect_all(&fields, input)?;
    let mut line: Vec<String> = words.split(' ').map(str::to_owned).collect();
    line.push(match input.get(JQ).filter(|jq| !jq.is_null()) {
        Some(jq) => format!("--jq={}", text(JQ, jq)?),
        None => "--json".to_owned(),
    });
    let mut behind = Vec::new();
    for field in &fields {
        let Some(value) = input.get(&field.name).filter(|value| !value.is_null()) else {
            continue;
        };
        match field.arg.get_long() {
            Some(long) => line.extend(option(field, long, value)?),
            None => behind.extend(texts(field, value)?),
        }
    }
    if !behind.is_empty() {
        line.push("--".to_owned());
        line.append(&mut behind);
    }
    Ok(line)
}

/// Refuses what would make another command of it: a positional argument takes the place of one that is
/// missing before it.
fn expect_all(fields: &[Field<'_>], input: &Map<String, Value>) -> Result<(), String> {
    let is_given = |field: &Field<'_>| {
        let value = input.get(&field.name).filter(|value| !value.is_null());
        value.is_some_and(|value| value.as_array().is_none_or(|values| !values.is_empty()))
    };
    let mut missing = None;
    for field in fields {
        let is_positional = field.arg.is_positional();
        if is_given(field) {
            if let Some(before) = missing.filter(|_| is_positional) {
                return Err(format!("'{}' needs '{before}' too", field.name));
            }
        } else if field.arg.is_required_set() {
            return Err(format!("'{}' is missing", field.name));
        } else if is_positional {
            missing = missing.or(Some(&field.name));
        }
    }
    Ok(())
}

/// An option with its values.
fn option(field: &Field<'_>, long: &str, value: &Value) -> Result<Vec<String>, String> {
    if let (Some(is_set), true) = (value.as_bool(), field.is_flag() || field.may_be_bare()) {
        return Ok(is_set.then(|| format!("--{long}")).into_iter().collect());
    }
    if field.is_flag() {
        return Err(format!("'{}' is true or false, not {value}", field.name));
    }
    let values = texts(field, value)?.into_iter();
    Ok(values.map(|value| format!("--{long}={value}")).collect())
}

/// The values of a field, one for each time that it stands there.
fn texts(field: &Field<'_>, value: &Value) -> Result<Vec<String>, String> {
    match value.as_array().filter(|_| field.is_many()) {
        Some(values) => values.iter().map(|one| text(&field.name, one)).collect(),
        None => Ok(vec![text(&field.name, value)?]),
    }
}

fn text(name: &str, value: &Value) -> Result<String, String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            return Err(format!("'{name}' is a text or a number, not {value}"));
        }
    };
    if text.len() > LONGEST {
        return Err(format!(
            "'{name}' has {} bytes; the most is {LONGEST}: put it in a file where the command takes one",
            text.len()
        ));
    }
    if text.contains('\0') {
        return Err(format!("'{name}' has a NUL character"));
    }
    Ok(text)
}
