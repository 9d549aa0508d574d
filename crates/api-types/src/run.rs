//! Runs, their agents, steps and journals.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// What model calls used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UsageView {
    /// Model calls.
    pub turns: u64,
    /// Tokens read by the model.
    pub input_tokens: u64,
    /// Tokens written by the model.
    pub output_tokens: u64,
    /// US dollars as decimal text, such as `0.0042`; `0` where the provider says nothing.
    pub cost_usd: String,
}

impl UsageView {
    /// Tokens read and written.
    #[must_use]
    pub const fn tokens(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }
}

impl Default for UsageView {
    /// Nothing used, at no cost.
    fn default() -> Self {
        Self {
            turns: 0,
            input_tokens: 0,
            output_tokens: 0,
            cost_usd: "0".to_owned(),
        }
    }
}

/// One line about a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunSummary {
    /// UUID of the run.
    pub id: String,
    /// Name of the workflow.
    pub workflow: String,
    /// `ready`, `running`, `completed`, `failed` or `cancelled`.
    pub state: String,
    /// The run has not ended and no process works on it: it can be resumed.
    pub interrupted: bool,
    /// Its steps.
    pub steps_total: u32,
    /// Its steps that ended well.
    pub steps_completed: u32,
    /// What all its steps used together.
    pub usage: UsageView,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When its agents were ready.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub completed_at: Option<DateTime<Utc>>,
    /// Why it failed.
    pub error: Option<String>,
    /// What a person said that holds or ends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub halt: Option<HaltView>,
    /// UUID of the run that it goes on from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<String>,
    /// The step of another run that waits for it, or waited for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<ParentView>,
    /// Where it comes from, when it was not done here but read from a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<ImportedView>,
}

/// Where a run comes from that was read from a file. What it cost counts for nothing here, and its agents'
/// workspaces are not here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportedView {
    /// When it came here.
    pub at: DateTime<Utc>,
    /// When the file was written.
    pub exported_at: DateTime<Utc>,
    /// What the machine calls itself on which that was.
    pub machine: String,
    /// The version of the program that wrote it.
    pub program: String,
    /// SHA-256 of the file, which has its events and messages: `artifact get` gives it.
    pub file: String,
}

/// A run that was written to a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunExported {
    /// UUID of the run.
    pub run_id: String,
    /// How many runs are in it: this one and those that its steps are.
    pub runs: u64,
    /// Where it is.
    pub file: String,
    /// How long it is.
    pub bytes: u64,
    /// SHA-256 of it.
    pub sha256: String,
    /// Kept files that a result names and that are gone, by the SHA-256 of their content.
    pub missing: Vec<String>,
}

/// A run that was read from a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunImported {
    /// The run.
    pub run: RunSummary,
    /// How many runs came: this one and those that its steps are.
    pub runs: u64,
    /// It was here before, and nothing was stored.
    pub already: bool,
}

/// A step whose work is a run of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ParentView {
    /// UUID of the run that it is a step of.
    pub run_id: String,
    /// UUID of the task behind it.
    pub task_id: String,
    /// The step's id, with the number of the item where it is done for each entry of a list.
    pub step: String,
}

/// A run that the work of a step is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChildView {
    /// UUID of the run.
    pub run_id: String,
    /// Name of its workflow.
    pub workflow: String,
    /// `ready`, `running`, `completed`, `failed` or `cancelled`.
    pub state: String,
    /// What its own steps used: nothing of that is in the usage of the step.
    pub usage: UsageView,
}

/// A person's word that holds a run or ends it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HaltView {
    /// `next_step`: held once the calls in flight are ended; `now`: held, the calls in flight cut off;
    /// `cancel`: to be ended.
    pub kind: String,
    /// Since when it counts.
    pub since: DateTime<Utc>,
    /// Who said it.
    pub by: String,
}

impl RunSummary {
    /// The word that holds it, while it is held.
    #[must_use]
    pub fn paused(&self) -> Option<&HaltView> {
        let halt = self.halt.as_ref().filter(|halt| halt.kind != "cancel");
        halt.filter(|_| !self.is_final())
    }

    /// Whether it was told to end and has not ended yet.
    #[must_use]
    pub fn is_being_cancelled(&self) -> bool {
        let is_told = self.halt.as_ref().is_some_and(|halt| halt.kind == "cancel");
        is_told && !self.is_final()
    }

    /// Whether nothing comes after its state.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self.state.as_str(), "completed" | "failed" | "cancelled")
    }
}

/// The answer to a list of runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunList {
    /// Newest first.
    pub runs: Vec<RunSummary>,
}

/// All about a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunDetail {
    /// The same fields as in a list, beside the ones below.
    #[serde(flatten)]
    pub summary: RunSummary,
    /// The checked inputs, defaults filled in.
    #[schema(value_type = Object)]
    pub inputs: Map<String, Value>,
    /// What the workflow gave back, once it completed.
    pub outputs: Option<Value>,
    /// US dollars that its model calls may cost at most, where that was said when it was started or let go
    /// on and not by its file alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cost_usd: Option<String>,
    /// At least one agent's answers come from a file, not from a model.
    pub scripted: bool,
    /// Absolute path of the data directory that holds the run.
    pub data_dir: String,
    /// Its agents, in the order of the file.
    pub agents: Vec<AgentView>,
    /// Its steps, in an order that respects their needs.
    pub steps: Vec<StepView>,
}

/// An agent of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentView {
    /// UUID of the agent.
    pub id: String,
    /// Its name in the workflow file.
    pub name: String,
    /// `spawning`, `idle`, `working`, `paused`, `error` or `terminated`.
    pub state: String,
    /// Name of the provider it speaks to.
    pub provider: String,
    /// The model, in the provider's own spelling; the script's file for a scripted agent.
    pub model: String,
    /// What it can do.
    pub capabilities: Vec<String>,
    /// Absolute path of its own directory; empty where its run was imported: that is elsewhere.
    pub workspace_path: String,
    /// What its commands may do beyond that, as its record has it: `null` is nothing.
    pub grants: Option<GrantsView>,
}

/// What an agent's commands may do beyond their workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GrantsView {
    /// `none` or `full`.
    pub network: String,
    /// Absolute paths of folders that they may read.
    pub read: Vec<String>,
    /// Absolute paths of folders that they may write.
    pub write: Vec<String>,
    /// Names of the variables that they are given.
    pub env: Vec<String>,
    /// Other bounds than the usual ones, by their names in the workflow file; sizes in bytes, times
    /// in seconds.
    pub limits: BTreeMap<String, u64>,
}

/// A step of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StepView {
    /// The step's id in the workflow file.
    pub id: String,
    /// UUID of the task behind it.
    pub task_id: String,
    /// `queued`, `assigned`, `running`, `completed`, `failed` or `cancelled`; of a list, `running` while
    /// its items are open.
    pub state: String,
    /// Why it was cancelled: `condition_false`, `dependency_skipped`, `dependency_failed`,
    /// `requested`, `agent_ended`, `not_approved` or `item_failed`.
    pub cancel_reason: Option<String>,
    /// Ids of the steps that must end before it.
    pub needs: Vec<String>,
    /// Name of the agent that does it, once that is known.
    pub agent: Option<String>,
    /// How often it was begun.
    pub attempts: u32,
    /// What a queued step waits for, where it is a limit that ends by itself.
    #[serde(default)]
    pub waiting: Option<WaitView>,
    /// How it went on when its workspace was lost with a node, the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovered: Option<RecoveredView>,
    /// When an agent first began it.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub completed_at: Option<DateTime<Utc>>,
    /// What its model calls used.
    pub usage: UsageView,
    /// What it hands to the steps after it.
    pub outputs: Option<Value>,
    /// Absolute paths of the files it made.
    pub artifacts: Vec<String>,
    /// These files as they are kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileView>,
    /// The runs that its work is, those of its items, rounds and attempts, the newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<ChildView>,
    /// Why it failed.
    pub error: Option<String>,
    /// What it does right now, such as `turn 3`, `run_command` or `2 of 5 items`; only while it runs.
    pub activity: Option<String>,
    /// What happened inside it, oldest first; only where a single run is shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub journal: Vec<JournalView>,
}

/// A step whose workspace was lost with a node, and that went on on another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RecoveredView {
    /// `restored`: in the workspace as a snapshot has it, after its last recorded entry; `begun_again`: from
    /// its beginning, in a new workspace.
    pub how: String,
    /// What the node is called where it went on.
    pub node: String,
    /// When.
    pub at: DateTime<Utc>,
    /// Of which snapshot, or why not from one.
    pub detail: String,
}

/// A file of a step, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileView {
    /// Its path in the workspace where it was made; of a step with `foreach`, after the number of the item.
    pub path: String,
    /// The SHA-256 of its content: `artifact get` gives it.
    pub sha256: String,
    /// How long it is.
    pub bytes: u64,
}

/// Why a step is not handed out yet, although its turn has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WaitView {
    /// When it is tried again.
    pub until: DateTime<Utc>,
    /// What is waited for, in the provider's words.
    pub reason: String,
}

/// One effect of a step: a model call, a tool call or a check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JournalView {
    /// Place in the step's journal: 1, 2, 3.
    pub seq: u32,
    /// `turn`, `tool` or `check`.
    pub kind: String,
    /// The model, the tool, or `verify`.
    pub name: String,
    /// `started`, `finished` or `unknown`.
    pub state: String,
    /// What a repeat would do: `read`, `model_turn`, `confined_write` or `once`.
    pub effect: String,
    /// How often it was started: above 1 after a crash.
    pub attempts: u32,
    /// The intent, such as the arguments of a tool call.
    pub request: Value,
    /// What came of it, once that is known.
    pub outcome: Option<Value>,
    /// Tokens and money, for turns.
    pub usage: UsageView,
    /// When the intent was written.
    pub started_at: DateTime<Utc>,
    /// When the outcome was written.
    pub finished_at: Option<DateTime<Utc>>,
}

/// A kept file that was written to a place of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ArtifactSaved {
    /// The SHA-256 of its content.
    pub sha256: String,
    /// How long it is.
    pub bytes: u64,
    /// Where it is now.
    pub path: String,
}

#[cfg(test)]
mod tests {
    use super::{RunDetail, RunSummary, UsageView};
    use serde_json::{Map, json};

    fn summary() -> RunSummary {
        RunSummary {
            id: "0192".to_owned(),
            workflow: "hello".to_owned(),
            state: "running".to_owned(),
            interrupted: false,
            steps_total: 1,
            steps_completed: 0,
            usage: UsageView::default(),
            created_at: "2026-11-23T12:00:00.000001Z".parse().unwrap(),
            started_at: None,
            completed_at: None,
            error: None,
            halt: None,
            continues: None,
            parent: None,
            imported: None,
        }
    }

    #[test]
    fn a_detail_is_a_summary_with_more_fields_on_the_same_level() {
        let detail = RunDetail {
            summary: summary(),
            inputs: Map::new(),
            outputs: None,
            max_cost_usd: None,
            scripted: true,
            data_dir: "/data".to_owned(),
            agents: Vec::new(),
            steps: Vec::new(),
        };
        let wire = json!({
            "id": "0192", "workflow": "hello", "state": "running", "interrupted": false,
            "steps_total": 1, "steps_completed": 0,
            "usage": { "turns": 0, "input_tokens": 0, "output_tokens": 0, "cost_usd": "0" },
            "created_at": "2026-11-23T12:00:00.000001Z", "started_at": null,
            "completed_at": null, "error": null,
            "inputs": {}, "outputs": null, "scripted": true, "data_dir": "/data",
            "agents": [], "steps": [],
        });
        assert_eq!(serde_json::to_value(&detail).unwrap(), wire);
        assert_eq!(serde_json::from_value::<RunDetail>(wire).unwrap(), detail);
    }

    #[test]
    fn a_reader_survives_fields_and_states_it_does_not_know() {
        let mut wire = serde_json::to_value(summary()).unwrap();
        wire["state"] = json!("paused");
        wire["colour"] = json!("blue");
        let read: RunSummary = serde_json::from_value(wire).unwrap();
        assert_eq!((read.state.as_str(), read.is_final()), ("paused", false));
    }

    #[test]
    fn tokens_that_would_overflow_stay_at_the_limit() {
        let usage = UsageView {
            input_tokens: u64::MAX,
            output_tokens: 1,
            ..UsageView::default()
        };
        assert_eq!(usage.tokens(), u64::MAX);
    }
}
