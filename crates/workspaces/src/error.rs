//! What can go wrong with workspaces, their files and their processes.

use std::io;
use std::path::{Path, PathBuf};

use fusion_core::{Coded, ErrorCode};

use crate::{LayerName, Refusal};

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure around a workspace. The texts are written for a person or a model to act on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing can be made or written where the workspaces should be.
    #[error("can't write to the workspaces folder {path}")]
    RootNotWritable {
        /// The folder of all workspaces.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The folder's path can't be handed to a program or stored as text.
    #[error(
        "the path of the workspaces folder {path} is not UTF-8: choose another place with --data-dir or WORKSPACES_ROOT"
    )]
    RootNotText {
        /// The folder of all workspaces.
        path: PathBuf,
    },
    /// An agent's own user can't get into its workspace.
    #[error(
        "agents have user ids of their own and can't get to {root}, because {ancestor} is closed to other users: open it with `chmod o+x`, or choose another place with --data-dir or WORKSPACES_ROOT"
    )]
    NotReachable {
        /// The folder of all workspaces.
        root: PathBuf,
        /// The folder on the way (or the root itself) that lacks `o+x`.
        ancestor: PathBuf,
    },
    /// Agents' processes would run as root.
    #[error(
        "agents never run as root: give them a range of user ids with FUSION_KIT_AGENT_UIDS, or start as an ordinary user"
    )]
    AgentsAsRoot,
    /// User ids can't be handed out.
    #[error(
        "only root can give agents user ids of their own: start as root or leave FUSION_KIT_AGENT_UIDS out"
    )]
    RangeNeedsRoot,
    /// The range of user ids can't be used as it is.
    #[error(
        "the user ids {start}-{end} can't be used for agents: FUSION_KIT_AGENT_UIDS needs a first and a last id that are neither 0 nor 4294967295, the first not above the last"
    )]
    UidRange {
        /// First id.
        start: u32,
        /// Last id.
        end: u32,
    },
    /// Every user id has an agent.
    #[error(
        "all user ids {start}-{end} belong to agents: remove agents or widen FUSION_KIT_AGENT_UIDS"
    )]
    UidsUsedUp {
        /// First id.
        start: u32,
        /// Last id.
        end: u32,
    },
    /// The user id asked for does not fit the way this program runs.
    #[error("a workspace can't belong to {}", shown_uid(*uid))]
    Uid {
        /// The id asked for; `None` means the user that this program runs as.
        uid: Option<u32>,
    },
    /// The name of a workspace's directory is not an id.
    #[error("'{name}' is not the name of a workspace: it is named by a UUID")]
    Name {
        /// The name given.
        name: String,
    },
    /// A variable that no shell could hold.
    #[error(
        "'{name}' can't be set as an environment variable: names are letters, digits and '_', values have no NUL"
    )]
    Variable {
        /// Its name.
        name: String,
    },
    /// The workspace does not exist.
    #[error("there is no workspace at {path}")]
    NoWorkspace {
        /// Where it should be.
        path: PathBuf,
    },
    /// The workspace exists and belongs to another user id than its record says.
    #[error("the workspace {path} belongs to user id {found}, not to {expected}")]
    Foreign {
        /// Where it is.
        path: PathBuf,
        /// Whose it is.
        found: u32,
        /// Whose it should be.
        expected: u32,
    },
    /// As root, a folder of the machine would be given to an agent.
    #[error(
        "{path} can't be a workspace: commands never run as root, and a folder of the system is not given to another user"
    )]
    NeverGiven {
        /// The folder.
        path: PathBuf,
    },
    /// A folder that commands are not given.
    #[error("{path} can't be given to commands: {why}")]
    NotGranted {
        /// The folder, without links.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// A variable that commands are to be given and that is not set.
    #[error("the variable {name} can't be given to commands: it is not set")]
    NoVariable {
        /// Its name.
        name: String,
    },
    /// A step on a file or folder failed.
    #[error("can't {action} {path}")]
    Io {
        /// What was tried, as a verb with what it is about.
        action: &'static str,
        /// The file or folder; relative to the workspace for an agent's path.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A path or a file that the file tools don't take.
    #[error("'{path}' is refused: {refusal}")]
    Refused {
        /// The path as given, shortened and without control characters.
        path: String,
        /// Why, and what to do instead.
        refusal: Refusal,
    },
    /// A pattern that can't be read.
    #[error("'{pattern}' is not a file pattern: write one such as projects/**/*.md")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        #[source]
        source: globset::Error,
    },
    /// A regular expression that can't be read.
    #[error("'{pattern}' is not a regular expression: {fault}")]
    Expression {
        /// The expression.
        pattern: String,
        /// What is wrong with it.
        fault: String,
    },
    /// More files than a list of results may have.
    #[error(
        "there are more than {limit} files: choose narrower patterns, or remove what is not needed"
    )]
    TooManyFiles {
        /// How many are taken.
        limit: usize,
    },
    /// The program of a command does not exist or can't be run.
    #[error("can't start '{program}'")]
    NotStarted {
        /// The program, as asked for.
        program: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The helper that should hold the command can't be started.
    #[error("can't start the helper process for a command")]
    Helper {
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A command was not started because it could not be held as promised.
    #[error("commands can't be held as promised: {layer} is missing: {why}")]
    SandboxUnavailable {
        /// The layer of the sandbox.
        layer: LayerName,
        /// Why it is missing.
        why: String,
    },
    /// There is no git to make worktrees with.
    #[error(
        "worktrees need git, and it is not installed: install it, or use another kind of workspace"
    )]
    NoGit,
    /// git refused or failed.
    #[error("git: {why}")]
    Git {
        /// What it said.
        why: String,
    },
    /// The helper ended without a word: it was killed, or it is not this program's helper.
    #[error(
        "the helper process of '{program}' ended without a report: something killed it, and the command's processes may still run"
    )]
    HelperLost {
        /// The program of the command.
        program: String,
    },
    /// The command's processes were told to die and did not within the time for it.
    #[error("the processes of '{program}' did not end after SIGKILL: some may still run")]
    NotEnded {
        /// The program of the command.
        program: String,
    },
}

impl Error {
    /// The way out for a person, where there is one that the text of the error does not say.
    #[must_use]
    pub fn help(&self) -> Option<&'static str> {
        if matches!(self, Self::RootNotWritable { .. }) {
            Some("choose another place with --data-dir or WORKSPACES_ROOT")
        } else if matches!(self, Self::SandboxUnavailable { .. }) {
            Some(
                "use Linux 6.12 or newer with Landlock, or run fusion-kit as root; \
                 FUSION_KIT_SANDBOX=off gives up the sandbox: commands then can do whatever their \
                 user can",
            )
        } else {
            None
        }
    }

    /// Names the step and the place of a failure; for `map_err`.
    pub(crate) fn io<E: Into<io::Error>>(
        action: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(E) -> Self {
        move |source| Self::Io {
            action,
            path: path.as_ref().to_owned(),
            source: source.into(),
        }
    }
}

impl Coded for Error {
    fn code(&self) -> ErrorCode {
        match self {
            Self::RootNotText { .. }
            | Self::UidRange { .. }
            | Self::Uid { .. }
            | Self::Name { .. }
            | Self::Variable { .. }
            | Self::Pattern { .. }
            | Self::Expression { .. }
            | Self::TooManyFiles { .. }
            | Self::Git { .. } => ErrorCode::InvalidInput,
            Self::NotReachable { .. }
            | Self::AgentsAsRoot
            | Self::RangeNeedsRoot
            | Self::Foreign { .. }
            | Self::NotGranted { .. }
            | Self::NeverGiven { .. } => ErrorCode::Denied,
            Self::UidsUsedUp { .. } => ErrorCode::Limited,
            Self::NoWorkspace { .. } | Self::NoVariable { .. } => ErrorCode::NotFound,
            Self::Refused { refusal, .. } => refusal.code(),
            Self::RootNotWritable { source, .. }
            | Self::Io { source, .. }
            | Self::NotStarted { source, .. } => code_of(source),
            Self::Helper { .. } | Self::SandboxUnavailable { .. } | Self::NoGit => {
                ErrorCode::Unavailable
            }
            Self::HelperLost { .. } | Self::NotEnded { .. } => ErrorCode::Internal,
        }
    }
}

fn code_of(error: &io::Error) -> ErrorCode {
    if error.kind() == io::ErrorKind::NotFound {
        ErrorCode::NotFound
    } else if error.kind() == io::ErrorKind::PermissionDenied
        || error.kind() == io::ErrorKind::ReadOnlyFilesystem
    {
        ErrorCode::Denied
    } else if error.kind() == io::ErrorKind::StorageFull
        || error.kind() == io::ErrorKind::QuotaExceeded
        || error.kind() == io::ErrorKind::NotConnected
        || error.kind() == io::ErrorKind::TimedOut
    {
        ErrorCode::Unavailable
    } else if error.kind() == io::ErrorKind::InvalidInput
        || error.kind() == io::ErrorKind::InvalidFilename
        || error.kind() == io::ErrorKind::NotADirectory
        || error.kind() == io::ErrorKind::ArgumentListTooLong
    {
        ErrorCode::InvalidInput
    } else {
        ErrorCode::Internal
    }
}

fn shown_uid(uid: Option<u32>) -> String {
    uid.map_or_else(
        || "the user this program runs as: agents have user ids of their own here".to_owned(),
        |uid| format!("user id {uid}: it is not one of those that this program gives to agents"),
    )
}
