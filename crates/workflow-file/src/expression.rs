//! The expressions inside `${{ }}`: MiniJinja's, without statements, loaders or side effects.
//!
//! A text is cut into plain parts and expressions here, and MiniJinja evaluates one expression
//! at a time. So there are no block tags that a prompt could hold by accident, and an
//! expression's place and type are known.

mod engine;
mod error;
mod mention;
mod split;
mod steps;

pub use error::ExpressionError;
pub use steps::{steps_named_in, steps_named_in_condition, steps_named_within};

pub(crate) use engine::Engine;
pub(crate) use error::Syntax;
pub(crate) use mention::{Mention, Name, mentions};
pub(crate) use split::{Part, condition_part, parts};

use serde_json::Value;

use engine::{MAX_RESULT_BYTES, to_json, to_text};

/// Evaluates a template. A text that is one `${{ }}` and white space around it keeps the type
/// of its value; any other is a string, as from [`render_text`].
///
/// # Errors
/// A text that is not a template, a value that does not exist, a type that does not fit, more
/// than 1 MiB of result, or more work than one expression may take.
pub fn render(template: &str, context: &Value) -> Result<Value, ExpressionError> {
    let parts = parts(template).map_err(|fault| fault.in_template(template))?;
    match only_expression(&parts) {
        Some((source, start)) => {
            let engine = Engine::new();
            let value = engine.evaluate(source, start, &Engine::context(context))?;
            to_json(&value).map_err(|problem| ExpressionError::new(source, problem, start))
        }
        None => render_parts(&parts, context).map(Value::String),
    }
}

/// Evaluates the templates in the texts of a value, at any depth.
///
/// # Errors
/// As [`render`].
pub fn render_within(value: &Value, context: &Value) -> Result<Value, ExpressionError> {
    match value {
        Value::String(template) => render(template, context),
        Value::Array(items) => items
            .iter()
            .map(|item| render_within(item, context))
            .collect(),
        Value::Object(members) => {
            let rendered = members.iter().map(|(name, value)| {
                let value = render_within(value, context)?;
                Ok((name.clone(), value))
            });
            rendered.collect::<Result<_, _>>().map(Value::Object)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(value.clone()),
    }
}

/// Whether a template gives a value of any type: one `${{ }}` and nothing else.
#[must_use]
pub fn is_one_expression(template: &str) -> bool {
    parts(template).is_ok_and(|parts| only_expression(&parts).is_some())
}

/// Evaluates a template to a string: texts as they are, lists and maps as JSON, null as nothing.
///
/// # Errors
/// As [`render`].
pub fn render_text(template: &str, context: &Value) -> Result<String, ExpressionError> {
    let parts = parts(template).map_err(|fault| fault.in_template(template))?;
    render_parts(&parts, context)
}

/// Evaluates a condition: one expression, with or without `${{ }}`. Null counts as false.
///
/// # Errors
/// As [`render`], and a value that is neither true, false nor null: whether a text or a list
/// is "true" is said with a comparison, so that the text "false" can't pass for true.
pub fn condition(expression: &str, context: &Value) -> Result<bool, ExpressionError> {
    let part = condition_part(expression).map_err(|fault| fault.in_template(expression))?;
    let Part::Expression { source, start } = part else {
        return Ok(false);
    };
    let value = Engine::new().evaluate(source, start, &Engine::context(context))?;
    if value.is_none() {
        return Ok(false);
    }
    bool::try_from(value.clone())
        .ok()
        .filter(|_| value.kind() == minijinja::value::ValueKind::Bool)
        .ok_or_else(|| {
            let problem = format!(
                "a condition must be true or false, this is a {}",
                value.kind()
            );
            ExpressionError::new(source, problem, start)
        })
}

/// The expression of a template that holds nothing else.
fn only_expression<'t>(parts: &[Part<'t>]) -> Option<(&'t str, usize)> {
    let mut only = None;
    for part in parts {
        match part {
            Part::Text(text) if text.trim().is_empty() => {}
            Part::Text(_) => return None,
            Part::Expression { .. } if only.is_some() => return None,
            Part::Expression { source, start } => only = Some((*source, *start)),
        }
    }
    only
}

fn render_parts(parts: &[Part<'_>], context: &Value) -> Result<String, ExpressionError> {
    let engine = Engine::new();
    let context = Engine::context(context);
    let mut rendered = String::new();
    for part in parts {
        match part {
            Part::Text(text) => rendered.push_str(text),
            Part::Expression { source, start } => {
                let value = engine.evaluate(source, *start, &context)?;
                let text = to_text(&value)
                    .map_err(|problem| ExpressionError::new(source, problem, *start))?;
                rendered.push_str(&text);
            }
        }
        if rendered.len() > MAX_RESULT_BYTES {
            let (source, start) = match part {
                Part::Text(text) => (*text, 0),
                Part::Expression { source, start } => (*source, *start),
            };
            return Err(ExpressionError::new(source, engine::too_large(), start));
        }
    }
    Ok(rendered)
}

#[cfg(test)]
mod tests;
