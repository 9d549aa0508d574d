//! What a store can answer instead of a result.

use std::error::Error as StdError;
use std::time::Duration;

use fusion_core::{AgentId, Coded, ErrorCode, RunId, TaskId};

use crate::Remembered;

/// When to try again after the database could not be reached.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The source of an error, from whichever driver the adapter uses.
pub type Source = Box<dyn StdError + Send + Sync>;

/// A failure of the store. Nothing of a batch that got one was written, but for `OutcomeUnknown`.
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
    /// A unique value of the row, such as its name, is taken.
    #[error("there is already {} {entity} '{name}'", article(entity))]
    Exists {
        /// The kind of row.
        entity: &'static str,
        /// Its name, or its id.
        name: String,
    },
    /// The row refers to another one that does not exist.
    #[error("{entity} {id} refers to something that does not exist")]
    Missing {
        /// The kind of row.
        entity: &'static str,
        /// Its id.
        id: String,
    },
    /// The row can't be deleted while another one refers to it.
    #[error("{entity} {id} is still in use")]
    InUse {
        /// The kind of row.
        entity: &'static str,
        /// Its id.
        id: String,
    },
    /// The run can't be deleted.
    #[error("run {run} can't be deleted: {why}")]
    Needed {
        /// The run.
        run: RunId,
        /// Who needs it, or that it has not ended.
        why: String,
    },
    /// The row would need a task of a run that is deleted.
    #[error("run {run} is being deleted: nothing new may need one of its tasks")]
    Deleted {
        /// The run.
        run: RunId,
    },
    /// The row would be work for a project that takes nothing new.
    #[error("the project '{project}' is archived")]
    Archived {
        /// Its name.
        project: String,
    },
    /// The state machine of the row does not have the move.
    #[error("{entity} {id} can't become {to}")]
    Refused {
        /// The kind of row.
        entity: &'static str,
        /// Its id.
        id: String,
        /// The state that was asked for.
        to: &'static str,
    },
    /// All of the batch could be written, and nothing was: it was a dry run.
    #[error("nothing was written: it was a dry run")]
    DryRun,
    /// The same request was committed before.
    #[error("this request was answered before")]
    Repeated(Box<Remembered>),
    /// Another request was committed under the same idempotency key.
    #[error("the idempotency key '{key}' was used for another request")]
    KeyReused {
        /// The key.
        key: String,
    },
    /// Events after the place that was asked for have been deleted by age.
    #[error("the events before number {oldest} have been deleted by age")]
    Gone {
        /// Place of the first event that is left.
        oldest: u64,
    },
    /// What was asked for makes no sense.
    #[error("{reason}")]
    Invalid {
        /// What is wrong with it.
        reason: String,
    },
    /// The connection broke during a commit, and the database did not come back in time to tell
    /// whether it was done: it may have been.
    #[error(
        "the connection to the database broke during a commit, and it is not known whether it was done"
    )]
    OutcomeUnknown,
    /// So many messages wait for an agent that there is no room for another. Nothing was sent.
    #[error(
        "the inbox of agent {agent} is full: {limit} messages wait for it, send again when it has read some"
    )]
    InboxFull {
        /// The recipient.
        agent: AgentId,
        /// How many may wait.
        limit: u32,
    },
    /// A model call does not fit into an account that many runs use up. Nothing was held.
    #[error("the account {account} has no room: {why}")]
    OverBudget {
        /// The key of the account.
        account: String,
        /// The limit, what is spent, and what the call could use.
        why: String,
        /// Whether it may fit once calls that are under way turn out smaller than they could be.
        may_fit: bool,
    },
    /// Others listen in the run than the writer thought: decide again, with a message to them.
    #[error("other agents of run {run} than expected listen to what happens in it")]
    Heard {
        /// The run.
        run: RunId,
    },
    /// The task was claimed or taken back by someone else: drop the result.
    #[error("the lease on task {task} is lost")]
    Fenced {
        /// The task.
        task: TaskId,
    },
    /// Another process took the run over: stop working on it.
    #[error("the run {run} is driven by another process")]
    NotDriver {
        /// The run.
        run: RunId,
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

/// The way out where a project of this name is archived.
#[must_use]
pub fn unarchive(project: &str) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || matches!(letter, '-' | '_' | '.');
    let shown = if project.chars().all(is_plain) {
        project.to_owned()
    } else {
        format!("'{}'", project.replace('\'', r"'\''"))
    };
    format!("let it take new work again with: project unarchive {shown}")
}

/// The way out where a name is taken.
pub const ANOTHER_NAME: &str = "choose another name";

const fn article(entity: &str) -> &'static str {
    match entity.as_bytes() {
        [b'A' | b'a' | b'e' | b'i' | b'o', ..] => "an",
        _ => "a",
    }
}

/// The result of a call of the store.
pub type Result<T> = std::result::Result<T, Error>;

impl Coded for Error {
    fn code(&self) -> ErrorCode {
        match self {
            Self::NotFound { .. } => ErrorCode::NotFound,
            Self::Conflict { .. }
            | Self::Exists { .. }
            | Self::InUse { .. }
            | Self::Needed { .. }
            | Self::Deleted { .. }
            | Self::Archived { .. }
            | Self::Heard { .. }
            | Self::Refused { .. }
            | Self::DryRun
            | Self::Repeated(_)
            | Self::KeyReused { .. } => ErrorCode::Conflict,
            Self::Gone { .. } => ErrorCode::NotFound,
            Self::Missing { .. } | Self::Invalid { .. } => ErrorCode::InvalidInput,
            Self::Fenced { .. } | Self::NotDriver { .. } => ErrorCode::Fenced,
            Self::InboxFull { .. } | Self::OverBudget { .. } => ErrorCode::Limited,
            Self::Unavailable { .. } | Self::DiskFull { .. } => ErrorCode::Unavailable,
            Self::Unusable { .. } => ErrorCode::InvalidInput,
            Self::Corrupt { .. } | Self::Failed { .. } | Self::OutcomeUnknown => {
                ErrorCode::Internal
            }
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        matches!(self, Self::Unavailable { .. } | Self::DiskFull { .. }).then_some(RETRY_AFTER)
    }
}

#[cfg(test)]
mod tests {
    use super::unarchive;

    #[test]
    fn the_way_out_of_an_archived_project_can_be_typed() {
        let shown = ["shop", "größe_2.b-c", "shop floor", "o'clock"].map(unarchive);
        let expected = ["shop", "größe_2.b-c", "'shop floor'", r"'o'\''clock'"]
            .map(|name| format!("let it take new work again with: project unarchive {name}"));
        assert_eq!(shown, expected);
    }
}
