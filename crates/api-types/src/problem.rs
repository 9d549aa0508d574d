//! Errors as data: what went wrong, where, and the way out.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Why a request was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// What a caller decides by.
    pub kind: ProblemKind,
    /// What was tried, on what, and why it did not work; for a person.
    pub message: String,
    /// The way out, where there is one.
    pub help: Option<String>,
    /// When the same call may work, in milliseconds; `null` when waiting does not help.
    #[serde(default)]
    pub retry_after_ms: Option<u64>,
    /// The single faults of a file, in its order; empty when the problem is not in a file.
    #[serde(default)]
    pub faults: Vec<FaultView>,
    /// The file that `faults` point into; boxed, since most problems have none.
    pub file: Option<Box<FileText>>,
}

/// The closed list of what a problem can mean to a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// The input is wrong; the same call will always fail.
    InvalidInput,
    /// The named thing does not exist.
    NotFound,
    /// Another was first, or the state does not allow it.
    Conflict,
    /// Not allowed, or a credential is missing or refused.
    Denied,
    /// A budget is used up: only more of it helps.
    OverBudget,
    /// A limit that passes by itself.
    Limited,
    /// A needed part can't be reached or has no room.
    Unavailable,
    /// It took longer than it was given.
    Timeout,
    /// The same, and it waits until a person says something.
    Held,
    /// A fault of fusion-kit itself, or data that can't be read.
    Internal,
}

/// One fault at one place of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FaultView {
    /// What is wrong there.
    pub message: String,
    /// The way out, such as the nearest known name.
    pub help: Option<String>,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// In bytes of the file, from 0.
    pub offset: usize,
    /// Bytes that the fault covers; 0 is a point.
    pub length: usize,
}

/// A file as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileText {
    /// As the user named it.
    pub path: String,
    /// Its content, to print the faulty lines; left out of JSON when it is empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}

impl Problem {
    /// A problem that has neither help nor a place in a file.
    #[must_use]
    pub fn new(kind: ProblemKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            help: None,
            retry_after_ms: None,
            faults: Vec::new(),
            file: None,
        }
    }

    /// The same with a way out.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same with the time after which it may work.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after_ms = Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        self
    }

    /// The same with the places in a file where it lies.
    #[must_use]
    pub fn in_file(mut self, file: FileText, faults: Vec<FaultView>) -> Self {
        self.file = Some(Box::new(file));
        self.faults = faults;
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Problem {}

#[cfg(test)]
mod tests {
    use super::{FaultView, FileText, Problem, ProblemKind};
    use serde_json::json;

    #[test]
    fn a_problem_keeps_its_wire_form() {
        let problem = Problem::new(ProblemKind::InvalidInput, "a.yaml is not a workflow")
            .with_help("correct it")
            .in_file(
                FileText {
                    path: "a.yaml".to_owned(),
                    text: String::new(),
                },
                vec![FaultView {
                    message: "unknown key `stpes`".to_owned(),
                    help: None,
                    line: 2,
                    column: 1,
                    offset: 11,
                    length: 5,
                }],
            );
        let wire = json!({
            "kind": "invalid_input", "message": "a.yaml is not a workflow", "help": "correct it",
            "retry_after_ms": null,
            "faults": [{ "message": "unknown key `stpes`", "help": null, "line": 2, "column": 1,
                         "offset": 11, "length": 5 }],
            "file": { "path": "a.yaml" },
        });
        assert_eq!(serde_json::to_value(&problem).unwrap(), wire);
        assert_eq!(serde_json::from_value::<Problem>(wire).unwrap(), problem);
    }
}
