//! The tools: what an agent can do besides talking.

mod files;
mod messages;
mod shell;
mod web;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use fusion_core::{EffectClass, ToolGroup};
use fusion_providers::{ToolCall, ToolSpec};
use fusion_web::{Hosts, Web};
use fusion_workspaces::{Launcher, WorkspaceDir};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::context::{RESULT_LIMIT, shorten};
use crate::entry::ToolOutcome;
use crate::schema::Schema;
use crate::{Mailbox, TaskBrief};

pub(crate) use messages::Correspondence;
pub(crate) use shell::{script, verify};

/// The tool that hands in a step's outputs. It has no effect, so it is no [`Tool`].
pub(crate) const FINISH: &str = "finish";

/// Where a tool works.
pub(crate) struct Place<'a> {
    /// The agent's workspace, where it has tools or checks that need one.
    pub(crate) workspace: Option<Arc<WorkspaceDir>>,
    /// Starts processes in it.
    pub(crate) launcher: Launcher,
    /// The longest that one command may take.
    pub(crate) command_timeout: Duration,
    /// Where in `logs/` a long output of this call is put, whole.
    pub(crate) output_file: Option<String>,
    /// Stops what runs.
    pub(crate) cancel: CancellationToken,
    /// Fetches pages for it.
    pub(crate) web: Arc<dyn Web>,
    /// Carries its messages.
    pub(crate) mailbox: &'a dyn Mailbox,
    /// The names of the run's other agents.
    pub(crate) peers: &'a [String],
    /// What it read and sent.
    pub(crate) correspondence: Correspondence,
}

impl Place<'_> {
    fn workspace(&self) -> Result<&Arc<WorkspaceDir>, String> {
        let workspace = self.workspace.as_ref();
        workspace.ok_or_else(|| "there is no workspace here".to_owned())
    }
}

/// A tool call was stopped by the caller: it has no outcome.
#[derive(Debug)]
pub(crate) struct Stopped;

/// One tool. Everything that goes wrong inside is told to the model, in words to act on.
#[async_trait]
pub(crate) trait Tool: Send + Sync {
    /// How the model is told about it.
    fn spec(&self) -> ToolSpec;
    /// What a repeat would do.
    fn effect(&self) -> EffectClass;
    /// Whether a death in the middle may leave half of what it does in the workspace.
    fn can_be_cut(&self) -> bool {
        false
    }
    /// Does it.
    async fn call(&self, arguments: Value, place: &Place<'_>) -> Result<ToolOutcome, Stopped>;
}

/// A tool, and what is made of its description once.
struct Described {
    spec: Arc<ToolSpec>,
    /// Bytes of what the model is told.
    size: usize,
    /// Checks arguments; `Err` says what is wrong with the tool's own schema.
    schema: Result<Schema, String>,
    tool: Box<dyn Tool>,
}

impl Described {
    fn all(tools: Vec<Box<dyn Tool>>) -> Vec<Arc<Self>> {
        let described = tools.into_iter().map(|tool| {
            let spec = tool.spec();
            Arc::new(Self {
                schema: Schema::of_arguments(&spec.parameters),
                size: size(&spec),
                spec: Arc::new(spec),
                tool,
            })
        });
        described.collect()
    }
}

/// Bytes of what a model is told about a tool.
fn size(spec: &ToolSpec) -> usize {
    spec.name.len() + spec.description.len() + spec.parameters.to_string().len()
}

/// The tools of a group. Those that are the same for every agent are described once in a process:
/// thousands of agents share them.
fn of_group(group: ToolGroup, hosts: &Hosts) -> Vec<Arc<Described>> {
    type Shared = LazyLock<Vec<Arc<Described>>>;
    static FILES: Shared = LazyLock::new(|| Described::all(files::tools()));
    static SHELL: Shared = LazyLock::new(|| Described::all(vec![Box::new(shell::RunCommand)]));
    static MESSAGES: Shared = LazyLock::new(|| Described::all(messages::tools()));
    match group {
        ToolGroup::Files => FILES.clone(),
        ToolGroup::Shell => SHELL.clone(),
        ToolGroup::Messages => MESSAGES.clone(),
        ToolGroup::Web => Described::all(vec![Box::new(web::FetchUrl {
            hosts: hosts.clone(),
        })]),
    }
}

/// The tools of one task.
pub(crate) struct Toolbox {
    tools: Vec<Arc<Described>>,
    specs: Vec<Arc<ToolSpec>>,
    size: usize,
}

impl Toolbox {
    pub(crate) fn new(brief: &TaskBrief) -> Self {
        let hands_in = brief
            .output_schema
            .clone()
            .filter(|_| !brief.answers_with_outputs());
        let finish = hands_in.map(|parameters| ToolSpec {
            name: FINISH.to_owned(),
            description:
                "Hands in the outputs of this step. Call it once, when all the work is done."
                    .to_owned(),
            parameters,
        });
        Self::of_groups(&brief.tools, &brief.hosts, finish)
    }

    /// The tools of some groups, in the order of the groups' declaration. `hosts` are those that
    /// pages may be fetched from.
    pub(crate) fn of_groups(groups: &[ToolGroup], hosts: &Hosts, finish: Option<ToolSpec>) -> Self {
        let given = ToolGroup::ALL.iter().filter(|group| groups.contains(group));
        let tools: Vec<_> = given.flat_map(|group| of_group(*group, hosts)).collect();
        let specs = tools.iter().map(|tool| Arc::clone(&tool.spec));
        Self {
            size: tools.iter().map(|tool| tool.size).sum::<usize>()
                + finish.as_ref().map_or(0, size),
            specs: specs.chain(finish.map(Arc::new)).collect(),
            tools,
        }
    }

    /// What the model is told.
    pub(crate) fn specs(&self) -> &[Arc<ToolSpec>] {
        &self.specs
    }

    /// Bytes of what the model is told.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// What a repeat of a call would do. A call of a tool that is not there has no effect.
    pub(crate) fn effect(&self, name: &str) -> EffectClass {
        self.find(name)
            .map_or(EffectClass::Read, |found| found.tool.effect())
    }

    /// Whether a death in the middle of a call may leave half of what it does in the workspace.
    pub(crate) fn can_be_cut(&self, name: &str) -> bool {
        self.find(name).is_some_and(|found| found.tool.can_be_cut())
    }

    /// Runs a call; its result is cut to what fits a context.
    pub(crate) async fn call(
        &self,
        call: ToolCall,
        place: &Place<'_>,
    ) -> Result<ToolOutcome, Stopped> {
        let Some(Described {
            spec, schema, tool, ..
        }) = self.find(&call.name)
        else {
            let names: Vec<&str> = self.specs.iter().map(|spec| spec.name.as_str()).collect();
            return Ok(ToolOutcome::refused(format!(
                "there is no tool '{}'; there are: {}",
                call.name,
                names.join(", ")
            )));
        };
        if let Err(fault) = fits(spec, schema, &call.arguments) {
            return Ok(ToolOutcome::refused(fault));
        }
        let mut outcome = tool.call(call.arguments, place).await?;
        outcome.content = shorten(&outcome.content, RESULT_LIMIT);
        Ok(outcome)
    }

    fn find(&self, name: &str) -> Option<&Described> {
        let found = self.tools.iter().find(|found| found.spec.name == name);
        found.map(Arc::as_ref)
    }
}

/// Checks arguments against the tool's schema; `Err` tells the model what is wrong with them.
fn fits(spec: &ToolSpec, schema: &Result<Schema, String>, arguments: &Value) -> Result<(), String> {
    let tool = &spec.name;
    if !arguments.is_object() {
        let raw = arguments
            .as_str()
            .map_or_else(|| arguments.to_string(), str::to_owned);
        return Err(format!(
            "the arguments of {tool} are not a JSON object: {}",
            shorten(&raw, 200)
        ));
    }
    let schema = schema.as_ref().map_err(String::clone);
    schema
        .and_then(|schema| schema.check(arguments))
        .map_err(|fault| format!("{tool} was not called: {fault}; {}", takes(spec)))
}

/// The names of a tool's arguments.
fn takes(spec: &ToolSpec) -> String {
    let properties = spec.parameters.get("properties").and_then(Value::as_object);
    let names: Vec<&str> = properties
        .into_iter()
        .flat_map(|properties| properties.keys().map(String::as_str))
        .collect();
    format!("it takes: {}", names.join(", "))
}

/// Reads arguments that fit the tool's schema; `Err` tells the model what is wrong with them all the
/// same.
pub(crate) fn arguments<T: DeserializeOwned>(tool: &str, value: Value) -> Result<T, ToolOutcome> {
    serde_json::from_value(value).map_err(|error| {
        ToolOutcome::refused(format!("the arguments of {tool} do not fit: {error}"))
    })
}
