//! Steps that are runs of other workflows.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{StepSpec, WorkflowDefinition, is_label};

/// A step that is a run of a stored workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallSpec {
    /// The name of the workflow.
    pub workflow: String,
    /// The version that is run; `None` is the newest when the outermost run is created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// Its inputs. Texts in them are templates, at any depth.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub with: Map<String, Value>,
    /// Seconds that the run may take; `None` is no limit, for its own steps have theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u64>,
}

impl CallSpec {
    /// The workflow as the file names it: `NAME` or `NAME@VERSION`. A run keeps the version that it stands
    /// for under this text.
    #[must_use]
    pub fn reference(&self) -> String {
        Reference {
            workflow: self.workflow.clone(),
            version: self.version,
        }
        .to_string()
    }
}

/// A stored workflow as a file names it: `NAME`, or `NAME@VERSION`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Its name.
    pub workflow: String,
    /// Its version.
    pub version: Option<u32>,
}

/// A text that names no workflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a workflow is named by its name, or by NAME@VERSION with a version from 1 on")]
pub struct ReferenceFault;

impl FromStr for Reference {
    type Err = ReferenceFault;

    fn from_str(text: &str) -> Result<Self, ReferenceFault> {
        let (workflow, version) = match text.split_once('@') {
            None => (text, None),
            Some((name, number)) => {
                let number = number.parse().ok().filter(|number| *number > 0);
                (name, Some(number.ok_or(ReferenceFault)?))
            }
        };
        if !is_label(workflow) {
            return Err(ReferenceFault);
        }
        Ok(Self {
            workflow: workflow.to_owned(),
            version,
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.workflow)?;
        match self.version {
            Some(version) => write!(f, "@{version}"),
            None => Ok(()),
        }
    }
}

impl WorkflowDefinition {
    /// Its steps that are runs of other workflows.
    pub fn calls(&self) -> impl Iterator<Item = (&StepSpec, &CallSpec)> {
        let steps = self.steps.iter();
        steps.filter_map(|step| Some((step, step.call.as_ref()?)))
    }

    /// Whether it has such steps.
    #[must_use]
    pub fn has_calls(&self) -> bool {
        self.calls().next().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::Reference;

    #[test]
    fn a_workflow_is_named_alone_or_with_a_version_from_1_on() {
        let read = |text: &str| text.parse::<Reference>();
        for text in ["review-change", "review@3"] {
            assert_eq!(read(text).unwrap().to_string(), text);
        }
        assert_eq!(read("review@3").unwrap().version, Some(3));
        for text in [
            "",
            "@3",
            "review@",
            "review@0",
            "review@-1",
            "review@x",
            "a b",
            "a@1@2",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
