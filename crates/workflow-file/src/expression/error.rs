//! Why an expression has no value.

use std::ops::Range;

use fusion_core::{Coded, ErrorCode};

/// The most of an expression that a message shows, in characters.
const MAX_SHOWN: usize = 200;

/// An expression that could not be evaluated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("can't evaluate `{expression}`: {problem}")]
pub struct ExpressionError {
    /// The expression, without `${{ }}`; a long one is cut.
    pub expression: String,
    /// What is wrong with it.
    pub problem: String,
    /// Where it is wrong, in bytes from the start of the template.
    pub offset: usize,
}

impl Coded for ExpressionError {
    fn code(&self) -> ErrorCode {
        ErrorCode::InvalidInput
    }
}

impl ExpressionError {
    /// Something wrong with what a whole template gives.
    pub(crate) fn whole(template: &str, problem: String) -> Self {
        Self::new(template, problem, 0)
    }

    pub(super) fn new(expression: &str, problem: impl Into<String>, offset: usize) -> Self {
        Self {
            expression: expression.trim().chars().take(MAX_SHOWN).collect(),
            problem: problem.into(),
            offset,
        }
    }
}

/// A template that can't be evaluated whatever the values are.
#[derive(Debug)]
pub(crate) struct Syntax {
    pub(crate) problem: String,
    /// In bytes of the template.
    pub(crate) range: Range<usize>,
}

impl Syntax {
    /// The same as an error of evaluation.
    pub(super) fn in_template(self, template: &str) -> ExpressionError {
        let shown = template.get(self.range.start..).unwrap_or_default();
        ExpressionError::new(shown, self.problem, self.range.start)
    }
}
