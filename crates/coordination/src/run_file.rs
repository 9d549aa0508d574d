//! Runs as files: one run with all below it, to be handed to others and read elsewhere.

mod check;
mod collect;
mod fault;
mod import;
mod manifest;
mod read;

pub use collect::RunFile;
pub(crate) use collect::tree;
pub use fault::RunFileFault;
pub use import::{Import, expect_own};
pub use manifest::{FORMAT, Listed, Manifest, Origin};
pub use read::looked_through;
