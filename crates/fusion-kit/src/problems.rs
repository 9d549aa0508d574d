//! From errors of the engine to what a person is told.

use std::error::Error as StdError;
use std::path::Path;

use fusion_api_types::{FaultView, FileText, Problem, ProblemKind};
use fusion_coordination::Error;
use fusion_core::{Coded, ErrorCode, InputFault};
use fusion_workflow_file::Fault;

/// The kind of a problem, from the code of an error.
fn kind(code: ErrorCode) -> ProblemKind {
    match code {
        ErrorCode::InvalidInput => ProblemKind::InvalidInput,
        ErrorCode::NotFound => ProblemKind::NotFound,
        ErrorCode::Conflict | ErrorCode::Fenced => ProblemKind::Conflict,
        ErrorCode::Denied => ProblemKind::Denied,
        ErrorCode::Limited => ProblemKind::Limited,
        ErrorCode::Unavailable => ProblemKind::Unavailable,
        ErrorCode::Timeout => ProblemKind::Timeout,
        ErrorCode::Internal => ProblemKind::Internal,
    }
}

/// A problem with the text of an error and of all its causes.
pub(crate) fn of_error(error: &dyn Coded) -> Problem {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        message.push_str(": ");
        message.push_str(&source.to_string());
        cause = source.source();
    }
    Problem::new(kind(error.code()), message)
}

/// A problem of the engine, with the way out where one is known.
pub(crate) fn of_engine(error: &Error) -> Problem {
    let problem = of_error(error);
    match error {
        Error::Model { source, .. } => match source.help() {
            Some(help) => problem.with_help(help),
            None => problem,
        },
        Error::Ended { run, .. } => {
            problem.with_help(format!("see what it did with: fusion-kit run show {run}"))
        }
        Error::Workspace { .. } | Error::Store(_) | Error::Illegal(_) | Error::Broken(_) => problem,
    }
}

/// A workflow file that can't be read.
pub(crate) fn of_file(path: &Path, error: &dyn StdError) -> Problem {
    Problem::new(
        ProblemKind::InvalidInput,
        format!("can't read the workflow file {}: {error}", path.display()),
    )
    .with_help("give the path of a workflow file; `fusion-kit init` makes one")
}

/// A workflow file with faults.
pub(crate) fn of_faults(path: &Path, text: String, faults: Vec<Fault>) -> Problem {
    let message = match faults.len() {
        1 => "the workflow file has a fault".to_owned(),
        count => format!("the workflow file has {count} faults"),
    };
    let faults = faults
        .into_iter()
        .map(|fault| FaultView {
            message: fault.message,
            help: fault.help,
            line: fault.position.line,
            column: fault.position.column,
            offset: fault.position.offset,
            length: fault.position.length,
        })
        .collect();
    Problem::new(ProblemKind::InvalidInput, message).in_file(
        FileText {
            path: path.display().to_string(),
            text,
        },
        faults,
    )
}

/// Inputs that do not fit the workflow: all of them at once.
pub(crate) fn of_inputs(faults: &[InputFault]) -> Problem {
    let messages: Vec<String> = faults.iter().map(InputFault::to_string).collect();
    let problem = Problem::new(ProblemKind::InvalidInput, messages.join("; "));
    match faults.first().map(help_of) {
        Some(help) => problem.with_help(help),
        None => problem,
    }
}

fn help_of(fault: &InputFault) -> String {
    match fault {
        InputFault::Undeclared {
            nearest: Some(nearest),
            ..
        } => format!("did you mean '{nearest}'?"),
        InputFault::Undeclared { declared, .. } if declared.is_empty() => {
            "the workflow declares no inputs".to_owned()
        }
        InputFault::Undeclared { declared, .. } => {
            format!("the workflow's inputs are: {}", declared.join(", "))
        }
        InputFault::Missing { name } => format!("give it with: -i {name}=..."),
        InputFault::WrongType { name, expected } => {
            format!("give it as JSON of type {expected}: -i {name}=...")
        }
    }
}
