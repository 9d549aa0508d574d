//! One module for each noun of the command line.

pub(crate) mod init;
pub(crate) mod run;
pub(crate) mod workflow;
