//! What a workspace holds that is nowhere else.

use std::io;
use std::ops::ControlFlow;

use super::walk::walk;
use crate::{Error, Result, Usage, WorkspaceDir};

/// The folder of an agent's results.
const RESULTS: &str = "projects";

impl WorkspaceDir {
    /// What is in `projects` outside of one of its folders: how many files, folders and links, and the bytes of
    /// the files. Blocks.
    ///
    /// # Errors
    /// The folder can't be read.
    pub fn only_here(&self, but: Option<&str>) -> Result<Usage> {
        let but = but.map(|folder| format!("{RESULTS}/{folder}"));
        let mut found = Usage::default();
        let walked = walk(self.dir(), RESULTS, &mut |entry| {
            let is_of = |folder: &String| {
                let rest = entry.path.strip_prefix(folder.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            if !but.as_ref().is_some_and(is_of) {
                found = found.plus(Usage {
                    bytes: entry.size,
                    files: 1,
                });
            }
            ControlFlow::Continue(())
        });
        match walked {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io("look at the results in", self.path())(error))
            }
            Ok(()) | Err(_) => Ok(found),
        }
    }
}
