//! Tools outside of a task: for a person who wants to see what they do.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fusion_core::{EffectClass, ToolGroup};
use fusion_providers::{ToolCall, ToolSpec};
use fusion_web::{Hosts, Web};
use fusion_workspaces::{Launcher, WorkspaceDir};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::toolbox::{Correspondence, Place, Stopped, Toolbox};
use crate::{Addressed, Incoming, JournalRefused, Mailbox, Outgoing, Record, Refusal};

/// A tool that agents can be given.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolInfo {
    /// What a workflow file names to give it.
    pub group: ToolGroup,
    /// What a repeat of a call would do.
    pub effect: EffectClass,
    /// How a model is told about it.
    pub spec: ToolSpec,
}

/// What a tool answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolResult {
    /// What a model would read.
    pub content: String,
    /// Whether the tool did what was asked.
    pub ok: bool,
    /// Exit code of a command that ended by itself.
    pub exit_code: Option<i32>,
}

/// What a tool is given to work with.
#[derive(Debug, Clone)]
pub struct ToolPlace {
    /// The folder that it works in.
    pub workspace: Arc<WorkspaceDir>,
    /// Starts processes in it.
    pub launcher: Launcher,
    /// Fetches pages.
    pub web: Arc<dyn Web>,
    /// The hosts that pages may be fetched from.
    pub hosts: Hosts,
}

/// Every tool that agents can be given, by group.
#[must_use]
pub fn tools() -> Vec<ToolInfo> {
    let groups = ToolGroup::ALL.iter();
    groups
        .flat_map(|group| {
            let toolbox = Toolbox::of_groups(&[*group], &Hosts::default(), None);
            let info = |spec: &Arc<ToolSpec>| ToolInfo {
                group: *group,
                effect: toolbox.effect(&spec.name),
                spec: ToolSpec::clone(spec),
            };
            toolbox.specs().iter().map(info).collect::<Vec<_>>()
        })
        .collect()
}

/// Calls a tool in a workspace exactly as an agent with every tool would; `None` when it was
/// cancelled.
pub async fn call_tool(
    name: String,
    arguments: Value,
    given: ToolPlace,
    cancel: &CancellationToken,
) -> Option<ToolResult> {
    let place = Place {
        workspace: Some(given.workspace),
        launcher: given.launcher,
        web: given.web,
        command_timeout: LONGEST,
        output_file: None,
        cancel: cancel.clone(),
        mailbox: &OutOfRun,
        peers: &[],
        correspondence: Correspondence::default(),
    };
    let call = ToolCall {
        id: "direct".to_owned(),
        name,
        arguments,
    };
    match Toolbox::of_groups(ToolGroup::ALL, &given.hosts, None)
        .call(call, &place)
        .await
    {
        Ok(outcome) => Some(ToolResult {
            content: outcome.content,
            ok: outcome.ok,
            exit_code: outcome.exit_code,
        }),
        Err(Stopped) => None,
    }
}

/// The longest that one command may take: the default of a step.
const LONGEST: Duration = Duration::from_mins(30);

/// The mailbox of nobody: agents talk to each other within a run.
#[derive(Debug)]
pub(crate) struct OutOfRun;

impl OutOfRun {
    fn refusal<T>() -> Result<T, Refusal> {
        let told = "there is no other agent here: messages go between the agents of a run";
        Err(Refusal(told.to_owned()))
    }
}

#[async_trait]
impl Mailbox for OutOfRun {
    async fn unread(&self, _after: u64, _limit: u32) -> Result<Vec<Incoming>, Refusal> {
        Self::refusal()
    }

    async fn changed(&self) {}

    async fn address(&self, _outgoing: Outgoing) -> Result<Addressed, Refusal> {
        Self::refusal()
    }

    async fn with_pattern(&self, _pattern: &str) -> Result<Vec<String>, Refusal> {
        Self::refusal()
    }

    async fn without_pattern(&self, _pattern: &str) -> Result<Vec<String>, Refusal> {
        Self::refusal()
    }

    async fn post(&self, _records: Vec<Record>) -> Result<Result<(), Refusal>, JournalRefused> {
        Ok(Self::refusal())
    }
}
