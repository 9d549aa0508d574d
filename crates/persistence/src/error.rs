//! What a store can answer instead of a result.

use std::error::Error as StdError;

use fusion_core::{Coded, ErrorCode, TaskId};

/// The source of an error, from whichever driver the adapter uses.
pub type Source = Box<dyn StdError + Send + Sync>;

/// A failure of the store. Nothing of a batch that got one was written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The row does not exist.
    #[error("there is no {entity} {id}")]
    NotFound {
        /// The kind of row.
        entity: &'static str,
        /// Its id, or the text it was looked up by.
        id: String,
    },
    /// Another writer changed the row since it was read: read again and decide again.
    #[error("{entity} {id} was changed by another writer")]
    Conflict {
        /// The kind of row.
        entity: &'static str,
        /// Its id.
        id: String,
    },
    /// The task was claimed or taken back by someone else: drop the result.
    #[error("the lease on task {task} is lost")]
    Fenced {
        /// The task.
        task: TaskId,
    },
    /// The database can't be reached or is locked; nothing is wrong with the call.
    #[error("the database can't be reached while trying to {action}")]
    Unavailable {
        /// What was tried.
        action: &'static str,
        /// The driver's own words.
        #[source]
        source: Source,
    },
    /// The disk that holds the database is full.
    #[error("the disk is full")]
    DiskFull {
        /// The driver's own words.
        #[source]
        source: Source,
    },
    /// The database is not one that this program can use.
    #[error("{reason}")]
    Unusable {
        /// What is wrong with it and the way out.
        reason: String,
    },
    /// A stored value can't be read back.
    #[error("the stored {what} can't be read")]
    Corrupt {
        /// The entity and the column.
        what: String,
        /// Why.
        #[source]
        source: Option<Source>,
    },
    /// Anything else from the driver.
    #[error("the database refused to {action}")]
    Failed {
        /// What was tried.
        action: &'static str,
        /// The driver's own words.
        #[source]
        source: Source,
    },
}

/// The result of a call of the store.
pub type Result<T> = std::result::Result<T, Error>;

impl Coded for Error {
    fn code(&self) -> ErrorCode {
        match self {
            Self::NotFound { .. } => ErrorCode::NotFound,
            Self::Conflict { .. } => ErrorCode::Conflict,
            Self::Fenced { .. } => ErrorCode::Fenced,
            Self::Unavailable { .. } | Self::DiskFull { .. } => ErrorCode::Unavailable,
            Self::Unusable { .. } => ErrorCode::InvalidInput,
            Self::Corrupt { .. } | Self::Failed { .. } => ErrorCode::Internal,
        }
    }
}
