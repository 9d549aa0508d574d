//! What an agent is granted: the expressions in it, and where the file names it.

use fusion_core::AgentSpec;
use serde_json::{Map, Value, json};

use crate::expression::{ExpressionError, render_text};

/// An entry of one of the lists in an agent's `sandbox`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Granted {
    /// The list.
    pub list: GrantList,
    /// The entry's place in it, from 0.
    pub index: usize,
}

/// The lists in an agent's `sandbox`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantList {
    /// Folders to read.
    Read,
    /// Folders to write.
    Write,
    /// Variables.
    Env,
}

impl GrantList {
    pub(crate) const fn key(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Env => "env",
        }
    }
}

/// The folders that an agent is granted, with a run's inputs put into their names. Nothing was
/// looked at yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GrantedFolders {
    /// To read, in the order of the file.
    pub read: Vec<String>,
    /// To write, in the order of the file.
    pub write: Vec<String>,
}

/// Puts a run's inputs into the names of the folders that an agent is granted.
///
/// # Errors
/// The first name that can't be evaluated or is empty.
pub fn granted_folders(
    agent: &AgentSpec,
    workflow: &str,
    inputs: &Map<String, Value>,
) -> Result<GrantedFolders, (Granted, ExpressionError)> {
    let context = json!({ "inputs": inputs, "workflow": { "name": workflow } });
    let rendered = |list, templates: &[String]| {
        let named = templates.iter().enumerate().map(|(index, template)| {
            name(template, &context).map_err(|problem| (Granted { list, index }, problem))
        });
        named.collect::<Result<Vec<String>, _>>()
    };
    Ok(GrantedFolders {
        read: rendered(GrantList::Read, &agent.sandbox.read)?,
        write: rendered(GrantList::Write, &agent.sandbox.write)?,
    })
}

fn name(template: &str, context: &Value) -> Result<String, ExpressionError> {
    let name = render_text(template, context)?;
    if name.trim().is_empty() {
        return Err(ExpressionError::whole(template, "it is empty".to_owned()));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "
version: 1
name: w
inputs:
  dir: { type: string, required: false }
agents:
  a:
    provider: p
    model: m
    sandbox:
      read: [/opt/sdk, \"${{ inputs.dir }}/sub\"]
      write: \"${{ inputs.dir }}\"
steps: [{ id: s, agent: a, prompt: hi }]
";

    fn folders(inputs: &Value) -> Result<GrantedFolders, (Granted, String)> {
        let definition = crate::parse(FILE).unwrap();
        let (agent, inputs) = (&definition.agents["a"], inputs.as_object().unwrap());
        granted_folders(agent, "w", inputs).map_err(|(granted, error)| (granted, error.problem))
    }

    #[test]
    fn inputs_choose_granted_folders() {
        let expected = GrantedFolders {
            read: vec!["/opt/sdk".to_owned(), "data/sub".to_owned()],
            write: vec!["data".to_owned()],
        };
        assert_eq!(folders(&json!({ "dir": "data" })), Ok(expected));
    }

    #[test]
    fn a_folder_without_a_name_is_refused_with_its_place() {
        let granted = Granted {
            list: GrantList::Write,
            index: 0,
        };
        let empty = Err((granted, "it is empty".to_owned()));
        assert_eq!(folders(&json!({ "dir": null })), empty);
    }
}
