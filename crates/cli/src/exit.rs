//! How a command ended.

use std::process::ExitCode;

use fusion_api_types::{Problem, ProblemKind};

/// How a command ended, as the calling shell sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: done; an empty list is done too.
    Done,
    /// 1: it failed.
    Failed,
    /// 2: the input or the command line is wrong; repeating it will not help.
    WrongInput,
    /// 130: stopped before the end; `resume` goes on.
    Interrupted,
    /// As the command ended that was run in the sandbox.
    Held(u8),
}

impl Exit {
    /// The number that the process ends with.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::WrongInput => 2,
            Self::Interrupted => 130,
            Self::Held(code) => code,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

impl From<&Problem> for Exit {
    fn from(problem: &Problem) -> Self {
        match problem.kind {
            ProblemKind::InvalidInput => Self::WrongInput,
            ProblemKind::NotFound
            | ProblemKind::Conflict
            | ProblemKind::Denied
            | ProblemKind::Limited
            | ProblemKind::Unavailable
            | ProblemKind::Timeout
            | ProblemKind::Internal => Self::Failed,
        }
    }
}
