//! Cuts a text into plain parts and expressions.

use crate::expression::error::Syntax;
use crate::expression::mention::Size;

/// What starts an expression in a text. To have it in a text itself: `${{ '${{' }}`.
const OPEN: &str = "${{";
const CLOSE: &str = "}}";

/// The longest expression, in bytes.
const MAX_EXPRESSION_BYTES: usize = 10_000;
/// MiniJinja recurses over an expression. In a debug build it needs up to 1 KiB of stack for
/// a token and 18 KiB for a bracket, and the stack of a worker thread has 2 MiB.
const MAX_TOKENS: usize = 400;
const MAX_BRACKETS: usize = 16;
/// Expressions in one text; each may take the work that [`super::Engine`] allows.
const MAX_EXPRESSIONS: usize = 200;

/// A piece of a template.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part<'t> {
    Text(&'t str),
    Expression {
        /// What stands between `${{` and `}}`.
        source: &'t str,
        /// Where that starts, in bytes of the template.
        start: usize,
    },
}

/// Cuts a text at its `${{ }}`.
pub(crate) fn parts(template: &str) -> Result<Vec<Part<'_>>, Syntax> {
    let mut parts = Vec::new();
    let mut expressions = 0;
    let mut rest = template;
    while let Some((text, opened)) = rest.split_once(OPEN) {
        let start = template.len() - opened.len();
        let Some(length) = close(opened) else {
            return Err(Syntax {
                problem: format!("`{OPEN}` is never closed with `{CLOSE}`"),
                range: start - OPEN.len()..start,
            });
        };
        let source = opened.get(..length).unwrap_or_default();
        check_size(source, start)?;
        expressions += 1;
        if expressions > MAX_EXPRESSIONS {
            return Err(Syntax {
                problem: format!("the text has more than {MAX_EXPRESSIONS} expressions"),
                range: start - OPEN.len()..start,
            });
        }
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        parts.push(Part::Expression { source, start });
        rest = opened.get(length + CLOSE.len()..).unwrap_or_default();
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest));
    }
    Ok(parts)
}

/// The one expression of a condition, with or without `${{ }}`.
pub(crate) fn condition_part(condition: &str) -> Result<Part<'_>, Syntax> {
    if !condition.contains(OPEN) {
        check_size(condition, 0)?;
        return Ok(Part::Expression {
            source: condition,
            start: 0,
        });
    }
    let mut found = parts(condition)?;
    found.retain(|part| !matches!(part, Part::Text(text) if text.trim().is_empty()));
    match (found.pop(), found.is_empty()) {
        (Some(part @ Part::Expression { .. }), true) => Ok(part),
        (Some(Part::Expression { .. } | Part::Text(_)) | None, _) => Err(Syntax {
            problem: format!(
                "a condition is one expression: write one `{OPEN} {CLOSE}` around it all"
            ),
            range: 0..condition.len(),
        }),
    }
}

/// Refuses an expression that is too large to be evaluated safely.
fn check_size(source: &str, start: usize) -> Result<(), Syntax> {
    let range = start..start + source.len();
    if source.len() > MAX_EXPRESSION_BYTES {
        let problem = format!(
            "an expression has {} bytes, more than {MAX_EXPRESSION_BYTES}",
            source.len()
        );
        return Err(Syntax { problem, range });
    }
    let size = Size::of(source);
    if size.tokens > MAX_TOKENS {
        let problem = format!("an expression has more than {MAX_TOKENS} names, values and signs");
        return Err(Syntax { problem, range });
    }
    if size.brackets > MAX_BRACKETS {
        let problem = format!("the brackets of an expression nest deeper than {MAX_BRACKETS}");
        return Err(Syntax { problem, range });
    }
    Ok(())
}

/// The bytes before the `}}` that ends an expression: outside of strings and brackets.
fn close(opened: &str) -> Option<usize> {
    let bytes = opened.as_bytes();
    let mut depth = 0_usize;
    let mut quote = None;
    let mut index = 0;
    while let Some(byte) = bytes.get(index) {
        match (quote, byte) {
            (Some(_), b'\\') => index += 1,
            (Some(open), _) if open == byte => quote = None,
            (Some(_), _) => {}
            (None, b'\'' | b'"') => quote = Some(byte),
            (None, b'(' | b'[' | b'{') => depth += 1,
            (None, b'}') if depth == 0 && bytes.get(index + 1) == Some(&b'}') => {
                return Some(index);
            }
            (None, b')' | b']' | b'}') => depth = depth.saturating_sub(1),
            (None, _) => {}
        }
        index += 1;
    }
    None
}
