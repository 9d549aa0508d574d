//! A launcher with what one agent is granted.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fusion_core::{NetworkAccess, SandboxSpec};

use super::Launcher;
use crate::sandbox::folders;
use crate::{Error, Grants, Limits, Result};

type Find = dyn Fn(&str) -> Option<String> + Send + Sync;

/// Finds the values of granted variables.
#[derive(Clone)]
pub(super) struct Variables(pub(super) Arc<Find>);

impl Variables {
    pub(super) fn none() -> Self {
        Self(Arc::new(|_| None))
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Variables")
    }
}

impl Launcher {
    /// Checks a folder that somebody wants to grant; says its path without links.
    ///
    /// # Errors
    /// It is not there, is no folder, is the whole machine, or holds or belongs to what is kept
    /// from commands.
    pub fn admit(&self, folder: &Path) -> Result<PathBuf> {
        folders::admit(folder, &self.withheld)
    }

    /// Finds out whether a variable can be granted.
    ///
    /// # Errors
    /// It is not set.
    pub fn admit_variable(&self, name: &str) -> Result<()> {
        self.variable(name).map(drop)
    }

    /// The same launcher for the commands of an agent with these grants, whose folders were
    /// admitted ([`Launcher::admit`]).
    ///
    /// # Errors
    /// A variable is not set.
    pub fn granting(&self, granted: &SandboxSpec) -> Result<Self> {
        let paths = |names: &[String]| names.iter().map(PathBuf::from).collect();
        let variables = granted.env.iter();
        let env = variables.map(|name| Ok((name.clone(), self.variable(name)?)));
        let grants = Grants {
            network: granted.network == NetworkAccess::Full,
            read: paths(&granted.read),
            write: paths(&granted.write),
            env: env.collect::<Result<BTreeMap<_, _>>>()?,
        };
        let (usual, own) = (&self.limits, granted.limits);
        let limits = Limits {
            memory: own.memory.unwrap_or(usual.memory),
            processes: own.processes.unwrap_or(usual.processes),
            cpu_seconds: own.cpu_seconds.unwrap_or(usual.cpu_seconds),
            file_size: own.file_size.unwrap_or(usual.file_size),
            ..usual.clone()
        };
        Ok(Self {
            grants,
            limits,
            ..self.clone()
        })
    }

    fn variable(&self, name: &str) -> Result<String> {
        (self.variables.0)(name).ok_or_else(|| Error::NoVariable {
            name: name.to_owned(),
        })
    }
}
