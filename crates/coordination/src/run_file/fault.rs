//! Why a run can't be exported or imported.

use std::io;

use fusion_core::{Coded, ErrorCode, RunId};

use super::manifest::FORMAT;

/// Why a run can't be exported or imported. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum RunFileFault {
    /// It goes on, and would be another run a moment later.
    #[error("run {run} has not ended: cancel it first, or let it go on")]
    NotEnded {
        /// The run.
        run: RunId,
    },
    /// It is part of another run.
    #[error("run {run} is a step of run {above}: export that one, which has it inside")]
    OfStep {
        /// The run.
        run: RunId,
        /// The one that waits for it.
        above: RunId,
    },
    /// There is more than a file may have.
    #[error("the run has {what}, which is more than a file may have")]
    TooLarge {
        /// What there is too much of.
        what: String,
    },
    /// The file that an imported run came with is not kept any more.
    #[error("the file that run {run} came with is gone from the kept files")]
    FileGone {
        /// The run.
        run: RunId,
    },
    /// The file was written by a newer program.
    #[error(
        "the file has the format {format}, and this program reads the formats up to {FORMAT}: use the version that wrote it, or a newer one"
    )]
    Newer {
        /// The number of its format.
        format: u32,
    },
    /// The file is none that an export writes, or was changed since.
    #[error("the file is no whole export of a run: {why}")]
    Unsound {
        /// What is wrong.
        why: String,
    },
    /// Something with this id is there, and is another.
    #[error("{what} {id} is there already, and is another than the file's")]
    There {
        /// What it is.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// The disk failed.
    #[error("the file can't be worked on")]
    Disk {
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl RunFileFault {
    pub(super) fn unsound(why: impl Into<String>) -> Self {
        Self::Unsound { why: why.into() }
    }

    /// The same with the place in the file, where that is what is wrong.
    pub(super) fn at(self, place: &str) -> Self {
        match self {
            Self::Unsound { why } => Self::unsound(format!("{place}: {why}")),
            other @ (Self::NotEnded { .. }
            | Self::OfStep { .. }
            | Self::TooLarge { .. }
            | Self::FileGone { .. }
            | Self::Newer { .. }
            | Self::There { .. }
            | Self::Disk { .. }) => other,
        }
    }
}

impl From<io::Error> for RunFileFault {
    fn from(source: io::Error) -> Self {
        Self::Disk { source }
    }
}

impl Coded for RunFileFault {
    fn code(&self) -> ErrorCode {
        match self {
            Self::NotEnded { .. } | Self::OfStep { .. } | Self::There { .. } => ErrorCode::Conflict,
            Self::TooLarge { .. } | Self::Newer { .. } | Self::Unsound { .. } => {
                ErrorCode::InvalidInput
            }
            Self::FileGone { .. } => ErrorCode::NotFound,
            Self::Disk { .. } => ErrorCode::Unavailable,
        }
    }
}
