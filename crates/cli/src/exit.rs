//! How a command ended.

use std::process::ExitCode;

use fusion_api_types::{Problem, ProblemKind};

/// How every command ends, in one line; the table is in `docs/commands.md`.
pub(crate) const CODES: &str = "\
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 denied, 5 conflict or faults in a file,
6 the work failed, 7 the work is held, 8 time is up, 9 a limit, 10 unreachable, 130 interrupted";

/// How a command ended, as the calling shell sees it. The meanings of the numbers never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: done; an empty list is done too.
    Done,
    /// 1: it failed in a way that has no number of its own, or a check found a fault.
    Failed,
    /// 2: the command line or an input is wrong, or a name means several things.
    WrongInput,
    /// 3: what was named does not exist.
    NotFound,
    /// 4: not allowed, or a credential is missing or refused.
    Denied,
    /// 5: the state does not allow it, another was first, or a workflow file has faults.
    Conflict,
    /// 6: the work that was waited for failed or was cancelled.
    WorkFailed,
    /// 7: the work that was waited for is held until a person says go on.
    Parked,
    /// 8: it had not ended when the time was up.
    TimeIsUp,
    /// 9: a budget, a quota or a limit of rate stands in the way.
    Limited,
    /// 10: the server, the database, a provider or the disk can't be reached or has no room.
    Unreachable,
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
            Self::NotFound => 3,
            Self::Denied => 4,
            Self::Conflict => 5,
            Self::WorkFailed => 6,
            Self::Parked => 7,
            Self::TimeIsUp => 8,
            Self::Limited => 9,
            Self::Unreachable => 10,
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
            ProblemKind::InvalidInput if problem.file.is_some() => Self::Conflict,
            ProblemKind::InvalidInput => Self::WrongInput,
            ProblemKind::NotFound => Self::NotFound,
            ProblemKind::Conflict => Self::Conflict,
            ProblemKind::Denied => Self::Denied,
            ProblemKind::OverBudget | ProblemKind::Limited => Self::Limited,
            ProblemKind::Unavailable => Self::Unreachable,
            ProblemKind::Timeout => Self::TimeIsUp,
            ProblemKind::Held => Self::Parked,
            ProblemKind::Internal => Self::Failed,
        }
    }
}
