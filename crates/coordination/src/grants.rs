//! What agents are granted beyond their workspaces: checked before a run is stored, kept in each
//! agent's record, and put around its commands.

use std::collections::BTreeMap;
use std::path::Path;

use fusion_core::{Agent, AgentSpec, NetworkAccess, SandboxSpec, error_chain};
use fusion_workflow_file::{GrantList, Granted, GrantedFolders, granted_folders};
use fusion_workspaces::{Launcher, Usage, WorkspaceDir};
use serde_json::{Value, json};

use crate::spawn::NewRun;
use crate::{Coordinator, Error, Result};

/// Where an agent's record keeps it.
const KEY: &str = "grants";

/// What each agent is granted, by its name in the workflow file: folders by their paths without
/// links.
pub(crate) type Grants = BTreeMap<String, SandboxSpec>;

impl Coordinator {
    /// Checks everything that the agents of a run are granted. Nothing is stored or made.
    pub(crate) fn check_grants(&self, new: &NewRun) -> Result<Grants> {
        let root = self.options.workspaces_root.clone();
        let root = root.canonicalize().unwrap_or(root);
        let launcher = self.parts.launcher.clone().hiding([root]);
        let agents = new.definition.agents.iter();
        agents
            .filter(|(_, spec)| !spec.sandbox.is_empty())
            .map(|(name, spec)| {
                let workflow = &new.definition.name;
                let folders = granted_folders(spec, workflow, &new.inputs);
                let checked = folders
                    .map_err(|(granted, error)| (granted, error_chain(&error)))
                    .and_then(|folders| check(spec, &folders, Path::new(&new.base_dir), &launcher));
                let checked = checked.map_err(|(granted, why)| Error::Grant {
                    agent: name.clone(),
                    granted,
                    why,
                })?;
                Ok((name.clone(), checked))
            })
            .collect()
    }

    /// What starts the commands of an agent.
    pub(crate) fn launcher_of(&self, agent: &Agent) -> fusion_workspaces::Result<Launcher> {
        self.parts.launcher.granting(&granted_to(agent))
    }
}

fn check(
    spec: &AgentSpec,
    folders: &GrantedFolders,
    base_dir: &Path,
    launcher: &Launcher,
) -> std::result::Result<SandboxSpec, (Granted, String)> {
    let all = |list, names: &[String]| {
        let names = names.iter().enumerate();
        let admitted = names.map(|(index, name)| match launcher.admit(&base_dir.join(name)) {
            Ok(folder) => Ok(folder.display().to_string()),
            Err(error) => Err((Granted { list, index }, error_chain(&error))),
        });
        admitted.collect::<std::result::Result<Vec<String>, _>>()
    };
    let (read, write) = (
        all(GrantList::Read, &folders.read)?,
        all(GrantList::Write, &folders.write)?,
    );
    for (index, name) in spec.sandbox.env.iter().enumerate() {
        let list = GrantList::Env;
        launcher
            .admit_variable(name)
            .map_err(|error| (Granted { list, index }, error_chain(&error)))?;
    }
    Ok(SandboxSpec {
        read,
        write,
        ..spec.sandbox.clone()
    })
}

/// An agent's workspace with the bound on what it may take of the disk.
pub(crate) fn bounded(workspace: WorkspaceDir, agent: &Agent) -> WorkspaceDir {
    let (own, usual) = (granted_to(agent).limits, workspace.quota());
    workspace.with_quota(Usage {
        bytes: own.disk.unwrap_or(usual.bytes),
        files: own.files.unwrap_or(usual.files),
    })
}

/// Adds what an agent is granted to its record.
pub(crate) fn note(metadata: &mut Value, granted: Option<&SandboxSpec>) {
    if let (Value::Object(metadata), Some(granted)) = (metadata, granted) {
        metadata.insert(KEY.to_owned(), json!(granted));
    }
}

/// An agent's instructions with what its commands may do beyond its workspace.
pub(crate) fn told(instructions: &str, agent: &Agent) -> String {
    let granted = granted_to(agent);
    let list = |what: &str, entries: &[String]| {
        (!entries.is_empty()).then(|| format!("{what} {}", entries.join(", ")))
    };
    let parts = [
        list("read the folders", &granted.read),
        list("read and write the folders", &granted.write),
        list("use the environment variables", &granted.env),
        (granted.network == NetworkAccess::Full).then(|| "use the network".to_owned()),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() {
        return instructions.to_owned();
    }
    let told = format!("Commands that you run may also {}.", parts.join("; "));
    format!("{instructions}\n\n{told}").trim_start().to_owned()
}

/// What an agent's record says that its commands are granted beyond its workspace; folders are
/// absolute and without links.
#[must_use]
pub fn granted_to(agent: &Agent) -> SandboxSpec {
    let stored = agent.metadata.get(KEY).cloned();
    stored
        .and_then(|stored| serde_json::from_value(stored).ok())
        .unwrap_or_default()
}
