//! What an agent's command may do: the layers around it, and which of them are in force.
//!
//! Every layer is put on by the helper, in the process that becomes the command
//! ([`crate::helper_main`]); each says of itself whether the kernel took it. Nothing here is
//! read from a file that an agent can write.

pub(crate) mod canary;
pub(crate) mod filter;
pub(crate) mod folders;
pub(crate) mod limits;
pub(crate) mod namespaces;
pub(crate) mod rules;
pub(crate) mod system;
pub(crate) mod view;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::workspace::usage::Usage;
use crate::{Error, Result};

pub use limits::{Limits, Resource};

/// Whether commands are held by the kernel. Only the operator's own settings decide this; no
/// workflow file, agent or file of a workspace can.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sandbox {
    /// Every promised layer is in force, or the command is not started.
    #[default]
    On,
    /// No layer but the clean environment, the agent's own user where there is one, and the end
    /// of all processes with the command.
    Off,
}

/// What a command may do beyond its own workspace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grants {
    /// The network of the machine.
    #[serde(default)]
    pub network: bool,
    /// Folders that it may read and run programs of, by absolute path.
    #[serde(default)]
    pub read: Vec<PathBuf>,
    /// Folders that it may read and write, by absolute path.
    #[serde(default)]
    pub write: Vec<PathBuf>,
    /// Variables of its environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}

/// One thing that holds a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LayerName {
    /// No program gives more rights than its caller has.
    NoNewPrivileges,
    /// The kernel's rules on files, TCP ports, signals and abstract sockets.
    Landlock,
    /// The filter on system calls.
    Seccomp,
    /// Limits on memory, processes, open files, sizes of files.
    Limits,
    /// A view of the file system, process ids, a network and IPC of its own.
    Namespaces,
    /// A user of its own, apart from the operator and from other agents.
    OwnUser,
}

impl LayerName {
    /// Every layer, in the order they are shown.
    pub const ALL: [Self; 6] = [
        Self::NoNewPrivileges,
        Self::Landlock,
        Self::Seccomp,
        Self::Limits,
        Self::Namespaces,
        Self::OwnUser,
    ];

    /// Whether a command is refused when this layer can't be had. Namespaces stand in for
    /// Landlock where the kernel has none.
    #[must_use]
    pub const fn is_promised(self) -> bool {
        match self {
            Self::NoNewPrivileges | Self::Landlock | Self::Seccomp | Self::Limits => true,
            Self::Namespaces | Self::OwnUser => false,
        }
    }
}

impl fmt::Display for LayerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoNewPrivileges => "no-new-privileges",
            Self::Landlock => "landlock",
            Self::Seccomp => "seccomp",
            Self::Limits => "limits",
            Self::Namespaces => "namespaces",
            Self::OwnUser => "own-user",
        })
    }
}

/// A layer as it came out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// Which one.
    pub name: LayerName,
    /// Whether the kernel took it.
    pub in_force: bool,
    /// How far it goes, or why it is missing.
    pub detail: String,
}

/// The layers around one command, as they came out when they were put on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxReport {
    /// Whether the operator wants a sandbox at all.
    pub sandbox: Sandbox,
    /// Every layer, in the order of [`LayerName::ALL`].
    pub layers: Vec<Layer>,
}

impl SandboxReport {
    /// Nothing is known yet: every layer counts as missing.
    pub(crate) fn nothing(sandbox: Sandbox, why: &str) -> Self {
        let missing = |name| Layer {
            name,
            in_force: false,
            detail: why.to_owned(),
        };
        Self {
            sandbox,
            layers: LayerName::ALL.map(missing).into(),
        }
    }

    pub(crate) fn set(&mut self, name: LayerName, outcome: std::result::Result<String, String>) {
        if let Some(layer) = self.layers.iter_mut().find(|layer| layer.name == name) {
            layer.in_force = outcome.is_ok();
            layer.detail = outcome.unwrap_or_else(|why| why);
        }
    }

    /// Whether this layer is in force.
    #[must_use]
    pub fn has(&self, name: LayerName) -> bool {
        self.layers
            .iter()
            .any(|layer| layer.name == name && layer.in_force)
    }

    /// The first promised layer that is missing; `None` means that commands are held as promised.
    #[must_use]
    pub fn broken_promise(&self) -> Option<&Layer> {
        self.layers.iter().find(|layer| {
            let stands_in = layer.name == LayerName::Landlock && self.has(LayerName::Namespaces);
            layer.name.is_promised() && !layer.in_force && !stands_in
        })
    }

    /// Refuses a report with a broken promise, unless the operator gave the promises up.
    ///
    /// # Errors
    /// [`Error::SandboxUnavailable`], which names the layer.
    pub fn check(&self) -> Result<()> {
        match (self.sandbox, self.broken_promise()) {
            (Sandbox::Off, _) | (Sandbox::On, None) => Ok(()),
            (Sandbox::On, Some(layer)) => Err(Error::SandboxUnavailable {
                layer: layer.name,
                why: layer.detail.clone(),
            }),
        }
    }

    /// One line: what is in force, then what is missing.
    #[must_use]
    pub fn summary(&self) -> String {
        let names = |in_force| {
            let layers = self
                .layers
                .iter()
                .filter(|layer| layer.in_force == in_force);
            let names: Vec<String> = layers.map(|layer| layer.name.to_string()).collect();
            names.join(", ")
        };
        let (held, missing) = (names(true), names(false));
        match (self.sandbox, missing.as_str()) {
            (Sandbox::Off, _) => "switched off".to_owned(),
            (Sandbox::On, "") => held,
            (Sandbox::On, missing) => format!("{held}; without {missing}"),
        }
    }
}

/// What the helper is told about the sandbox of one command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Policy {
    pub(crate) grants: Grants,
    pub(crate) limits: Limits,
    /// What the workspace may take of the disk.
    pub(crate) quota: Usage,
    /// What it took already, where that is known.
    pub(crate) used: Option<Usage>,
    /// Why namespaces are not tried; `None` tries them.
    pub(crate) no_namespaces: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(in_force: &[LayerName]) -> SandboxReport {
        let mut report = SandboxReport::nothing(Sandbox::On, "not tried");
        for name in in_force {
            report.set(*name, Ok("yes".to_owned()));
        }
        report
    }

    #[test]
    fn a_promise_is_kept_only_when_every_promised_layer_is_in_force() {
        use LayerName::{Landlock, Limits, Namespaces, NoNewPrivileges, OwnUser, Seccomp};
        let broken = |in_force: &[LayerName]| {
            let report = report(in_force);
            report.broken_promise().map(|layer| layer.name)
        };
        let promised = [NoNewPrivileges, Landlock, Seccomp, Limits];
        assert_eq!(broken(&promised), None);
        for left_out in promised {
            let others: Vec<LayerName> = promised
                .into_iter()
                .filter(|name| *name != left_out)
                .chain([OwnUser])
                .collect();
            assert_eq!(broken(&others), Some(left_out));
        }
        assert_eq!(
            broken(&[NoNewPrivileges, Namespaces, Seccomp, Limits]),
            None
        );
        assert_eq!(broken(&[Namespaces, Landlock]), Some(NoNewPrivileges));
    }

    #[test]
    fn a_summary_says_what_is_in_force_and_what_is_missing() {
        let some = report(&[LayerName::Seccomp, LayerName::Landlock]);
        assert_eq!(
            some.summary(),
            "landlock, seccomp; without no-new-privileges, limits, namespaces, own-user"
        );
        let off = SandboxReport::nothing(Sandbox::Off, "switched off");
        assert_eq!(off.summary(), "switched off");
    }
}
