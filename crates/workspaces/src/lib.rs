//! Agents' directories, the file tools inside them, and the processes that run there.
//!
//! This is the only code of the product that starts a process or opens a file that an agent
//! can write. Four rules hold everywhere:
//!
//! - A path of an agent is resolved beneath the workspace's own descriptor, and what is used is
//!   the descriptor that was checked, never the name again.
//! - A process of an agent never runs as root ([`Owners`]).
//! - A process of an agent never outlives its command: a helper process ([`helper_main`]) holds
//!   the whole tree, and kills it when the command ends, when it is stopped, and when the
//!   program that asked for it is gone, however it went.
//! - A process of an agent is held by the kernel ([`Sandbox`]), or it is not started.
//!
//! Everything about files blocks and belongs on a thread that may block; only
//! [`Launcher::run`] is async. Linux only: it needs `/proc`, pidfds and child subreapers.

mod artifacts;
mod browser;
mod bundle;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod descriptor;
mod editor;
mod error;
mod files;
mod git;
mod helper;
mod owners;
mod process;
mod sandbox;
mod tree;
mod workspace;

pub use artifacts::{ARTIFACT_LIMIT, Artifacts, Holding, Kept};
pub use browser::browse;
pub use bundle::{BundleLimits, Member, Source, Spool, Spooled, Summed, read_bundle, write_bundle};
pub use editor::edit;
pub use error::{Error, Result};
pub use files::{
    EntryKind, FileEntry, FileMatches, FileText, LIST_LIMIT, MatchedLine, Matches, OnlyHere,
    PACK_LIMIT, Pack, Packed, READ_LIMIT, Refusal, TextQuery, WRITE_LIMIT,
};
pub use git::{
    ChangedFile, Checkout, Diff, Merge, Merged, NotMerged, Repository, Strategy, Worktree,
};
pub use helper::helper_main;
pub use owners::{Owners, choose_uid};
pub use process::{Command, Consumed, Custody, Exit, Finished, Launcher, Program};
pub use sandbox::{Grants, Layer, LayerName, Limits, Resource, Sandbox, SandboxReport};
pub use workspace::{
    Archive, Depot, FolderDepot, Options, Prepared, PutBack, Scratch, Seal, Seat, SharedPlace,
    SharedSnapshots, Shelf, Snapshot, Taken, Usage, WorkspaceDir, Workspaces, is_depot_name,
};
