//! Runs and definitions as the wire types show them, for commands and for the API alike. Every value
//! comes from a committed row.

use std::collections::BTreeMap;
use std::path::Path;

use fusion_api_types::{
    AgentView, ChildView, FileView, GrantsView, GraphStep, HaltView, ImportedView, InputView,
    JournalView, ParentView, RecoveredView, RunDeleted, RunDetail, RunImported, RunKept,
    RunSummary, RunsDeleted, StepView, StoredWorkflow, WaitView, WorkflowGraph, WorkflowSummary,
};
use fusion_coordination::{ArtifactFile, CollectedRuns, DeletedRun, Import, files_of, granted_to};
use fusion_core::{
    Agent, AgentId, EntryKind, Imported, JournalEntry, Recovered, Run, RunId, SandboxSpec,
    StepSpec, Task, TaskGraph, TaskId, TaskState, TaskWait, Usage, Workflow, WorkflowDefinition,
    Workspace, is_internal,
};
use fusion_persistence::{Error, Page, Reader, Repository, Result, RunFilter};
use serde_json::Value;

pub use crate::views::{approval, usage};
use crate::warning_views;
use crate::workspace_views::removed;

/// Everything that is read to show one run.
#[derive(Debug)]
pub struct Snapshot {
    run: Run,
    agents: Vec<(Agent, Workspace)>,
    tasks: Vec<Task>,
    activity: Vec<JournalEntry>,
    journals: BTreeMap<TaskId, Vec<JournalEntry>>,
    /// The runs that its steps are, the newest first.
    below: Vec<Run>,
}

/// Runs below a run that are shown.
const BELOW: u32 = 10_000;

impl Snapshot {
    /// Reads a run without its journals.
    ///
    /// # Errors
    /// There is no such run, or the store fails.
    pub async fn read(store: &dyn Reader, run: RunId) -> Result<Self> {
        let (row, tasks) = store
            .run_with_tasks(run)
            .await?
            .ok_or_else(|| Error::NotFound {
                entity: "run",
                id: run.to_string(),
            })?;
        Ok(Self {
            below: below(store, run, &tasks).await?,
            run: row,
            agents: store.agents_of_run(run).await?,
            tasks,
            activity: store.activity(run).await?,
            journals: BTreeMap::new(),
        })
    }

    /// The same with the journal of each task.
    ///
    /// # Errors
    /// The store fails.
    pub async fn with_journals(mut self, store: &dyn Reader) -> Result<Self> {
        for task in &self.tasks {
            self.journals.insert(task.id, store.journal(task.id).await?);
        }
        Ok(self)
    }

    /// The run for people. `live` says whether a process works on it.
    #[must_use]
    pub fn detail(&self, workflow: &Workflow, data_dir: &Path, live: bool) -> RunDetail {
        let completed = self
            .tasks
            .iter()
            .filter(|task| task.state == TaskState::Completed)
            .count();
        let tasks: BTreeMap<&str, &Task> = self
            .tasks
            .iter()
            .map(|task| (task.name.as_str(), task))
            .collect();
        RunDetail {
            summary: summary(&self.run, completed, live),
            inputs: self.run.inputs.clone(),
            outputs: self.run.outputs.clone(),
            max_cost_usd: self.run.raised.run.usd.map(|usd| usd.to_string()),
            scripted: self
                .agents
                .iter()
                .any(|(agent, _)| agent.metadata.get("scripted") == Some(&Value::Bool(true))),
            data_dir: data_dir.display().to_string(),
            agents: self
                .agents
                .iter()
                .map(|(agent, _)| agent_view(agent))
                .collect(),
            steps: workflow
                .definition
                .steps
                .iter()
                .filter_map(|step| self.step(step, tasks.get(step.id.as_str())?))
                .collect(),
        }
    }

    fn step(&self, step: &StepSpec, task: &Task) -> Option<StepView> {
        let agent = task.agent_id.and_then(|id| self.agent(id));
        let made = |part: &str| {
            task.output_artifacts
                .as_ref()
                .and_then(|made| made.get(part))
        };
        let paths = made("artifacts")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str);
        let root = agent.map(|agent| Path::new(agent.workspace_here().unwrap_or_default()));
        Some(StepView {
            id: step.id.clone(),
            task_id: task.id.to_string(),
            state: state(task).as_str().to_owned(),
            cancel_reason: task.cancel_reason.map(|reason| reason.as_str().to_owned()),
            needs: step.needs.clone(),
            agent: agent.map(|agent| agent.name.clone()),
            attempts: task.attempts,
            waiting: task.waiting.as_ref().map(wait_view),
            recovered: task.course.recovered.as_ref().map(recovered_view),
            started_at: task.started_at,
            completed_at: task.completed_at,
            usage: usage(self.usage_of(task)),
            outputs: made("outputs").cloned(),
            artifacts: paths
                .filter_map(|path| root.map(|root| root.join(path).display().to_string()))
                .collect(),
            files: files_of(task).into_iter().map(file_view).collect(),
            runs: self.below_step(&step.id),
            error: task.error_message.clone(),
            activity: self.activity_of(task),
            journal: self
                .journals
                .get(&task.id)
                .into_iter()
                .flatten()
                .map(journal_view)
                .collect(),
        })
    }

    /// The runs that a step is.
    fn below_step(&self, step: &str) -> Vec<ChildView> {
        let is_of_it = |run: &&Run| {
            let parent = run.parent.as_ref();
            parent.is_some_and(|parent| parent.step.split('[').next() == Some(step))
        };
        let runs = self.below.iter().filter(is_of_it);
        runs.map(|run| ChildView {
            run_id: run.id.to_string(),
            workflow: run.workflow_name.clone(),
            state: run.state.to_string(),
            usage: usage(run.usage),
        })
        .collect()
    }

    /// What a task used, and its items where it has some.
    fn usage_of(&self, task: &Task) -> Usage {
        let mut used = task.usage;
        for item in self.items(task) {
            used += item.usage;
        }
        used
    }

    /// What a step does now: how many of its items have ended, or what its task does.
    fn activity_of(&self, task: &Task) -> Option<String> {
        if let (Some(size), false) = (task.course.items, task.state.is_final()) {
            let ended = self.items(task).filter(|item| item.state.is_final());
            return Some(format!("{} of {size} items", ended.count()));
        }
        let mut entries = self.activity.iter();
        let entry = entries.find(|entry| entry.task_id == task.id)?;
        let doing = activity(entry, task);
        Some(match task.course.rounds {
            0 => doing,
            rounds => format!("round {}, {doing}", rounds.saturating_add(1)),
        })
    }

    /// The items that a task was fanned out into.
    fn items<'s>(&'s self, task: &Task) -> impl Iterator<Item = &'s Task> {
        let (id, has_items) = (task.id, task.course.items.is_some());
        let all = if has_items {
            self.tasks.as_slice()
        } else {
            &[]
        };
        all.iter().filter(move |other| {
            other
                .course
                .item
                .as_ref()
                .is_some_and(|item| item.fan_out == id)
        })
    }

    fn agent(&self, id: AgentId) -> Option<&Agent> {
        self.agents
            .iter()
            .map(|(agent, _)| agent)
            .find(|agent| agent.id == id)
    }
}

/// The runs that the steps of a run are.
async fn below(store: &dyn Reader, run: RunId, tasks: &[Task]) -> Result<Vec<Run>> {
    let has_run = |task: &Task| task.course.child.or(task.course.child_before).is_some();
    if !tasks.iter().any(has_run) {
        return Ok(Vec::new());
    }
    let filter = RunFilter {
        parent: Some(Some(run)),
        ..RunFilter::default()
    };
    store.list(&filter, Page::first(BELOW)).await
}

fn recovered_view(recovered: &Recovered) -> RecoveredView {
    RecoveredView {
        how: recovered.how.as_str().to_owned(),
        node: recovered.node.clone(),
        at: recovered.at,
        detail: recovered.detail.clone(),
    }
}

fn wait_view(wait: &TaskWait) -> WaitView {
    WaitView {
        until: wait.until,
        reason: wait.reason.clone(),
    }
}

/// A step is under way while its items are, or the run that it is, although its own task waits for them.
fn state(task: &Task) -> TaskState {
    let waits_below = task.course.items.is_some() || task.course.child.is_some();
    if waits_below && !task.state.is_final() {
        TaskState::Running
    } else {
        task.state
    }
}

/// What a running task does now.
fn activity(entry: &JournalEntry, task: &Task) -> String {
    match entry.kind {
        EntryKind::Turn => format!("turn {}", task.usage.turns.saturating_add(1)),
        EntryKind::Tool | EntryKind::Check | EntryKind::Inbox => entry.name.clone(),
    }
}

/// A run in a list.
#[must_use]
pub fn summary(run: &Run, completed: usize, live: bool) -> RunSummary {
    RunSummary {
        id: run.id.to_string(),
        workflow: run.workflow_name.clone(),
        state: run.state.as_str().to_owned(),
        interrupted: !run.state.is_final() && !live,
        steps_total: run.total_tasks,
        steps_completed: u32::try_from(completed).unwrap_or(u32::MAX),
        usage: usage(run.usage),
        created_at: run.created_at,
        started_at: run.started_at,
        completed_at: run.completed_at,
        error: run.error_message.clone(),
        halt: run.halt.as_ref().map(|halt| HaltView {
            kind: halt.kind.as_str().to_owned(),
            since: halt.since,
            by: halt.by.clone(),
        }),
        continues: run.continues.map(|run| run.to_string()),
        parent: run.parent.as_ref().map(|parent| ParentView {
            run_id: parent.run_id.to_string(),
            task_id: parent.task_id.to_string(),
            step: parent.step.clone(),
        }),
        imported: run.imported.as_ref().map(imported_view),
    }
}

/// A run that was read from a file.
#[must_use]
pub fn imported(import: &Import) -> RunImported {
    RunImported {
        run: summary(&import.run, import.completed, true),
        runs: import.runs,
        already: import.already,
    }
}

fn imported_view(imported: &Imported) -> ImportedView {
    ImportedView {
        at: imported.at,
        exported_at: imported.exported_at,
        machine: imported.machine.clone(),
        program: imported.program.clone(),
        file: imported.file.clone(),
    }
}

fn agent_view(agent: &Agent) -> AgentView {
    AgentView {
        id: agent.id.to_string(),
        name: agent.name.clone(),
        state: agent.state.as_str().to_owned(),
        provider: agent.provider.clone(),
        model: agent.model_name.clone(),
        capabilities: agent
            .capabilities
            .iter()
            .filter(|capability| !is_internal(capability))
            .map(str::to_owned)
            .collect(),
        workspace_path: agent.workspace_here().unwrap_or_default().to_owned(),
        grants: grants_view(&granted_to(agent)),
    }
}

/// What an agent's commands may do beyond their workspace; `None` when that is nothing.
#[must_use]
pub fn grants_view(granted: &SandboxSpec) -> Option<GrantsView> {
    let limits = granted.limits;
    let limits = [
        ("memory", limits.memory),
        ("processes", limits.processes),
        ("cpu", limits.cpu_seconds),
        ("file_size", limits.file_size),
        ("disk", limits.disk),
        ("snapshot", limits.snapshot),
        ("files", limits.files),
    ];
    let named = limits.into_iter();
    let view = GrantsView {
        network: granted.network.to_string(),
        limits: named
            .filter_map(|(name, limit)| Some((name.to_owned(), limit?)))
            .collect(),
        read: granted.read.clone(),
        write: granted.write.clone(),
        env: granted.env.clone(),
    };
    (!granted.is_empty()).then_some(view)
}

/// One effect of a step.
#[must_use]
pub fn journal_view(entry: &JournalEntry) -> JournalView {
    JournalView {
        seq: entry.seq,
        kind: entry.kind.as_str().to_owned(),
        name: entry.name.clone(),
        state: entry.state.as_str().to_owned(),
        effect: entry.effect.as_str().to_owned(),
        attempts: entry.attempts,
        request: entry.request.clone(),
        outcome: entry.outcome.clone(),
        usage: usage(entry.usage),
        started_at: entry.started_at,
        finished_at: entry.finished_at,
    }
}

/// A checked workflow file, and what in its text is likely not meant.
#[must_use]
pub fn workflow_summary(definition: &WorkflowDefinition, source: &str) -> WorkflowSummary {
    let optional = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    WorkflowSummary {
        name: definition.name.clone(),
        description: optional(&definition.description),
        inputs: definition
            .inputs
            .iter()
            .map(|(name, input)| InputView {
                name: name.clone(),
                r#type: input.kind.as_str().to_owned(),
                required: input.required,
                default: input.default.clone(),
                description: optional(&input.description),
            })
            .collect(),
        agents: definition.agents.keys().cloned().collect(),
        steps: ordered_steps(definition),
        warnings: warning_views::warnings(source),
    }
}

/// The steps of a definition and what needs what.
#[must_use]
pub fn workflow_graph(definition: &WorkflowDefinition) -> WorkflowGraph {
    let steps = ordered_steps(definition).into_iter().map(|id| GraphStep {
        needs: definition
            .step(&id)
            .map(|step| step.needs.clone())
            .unwrap_or_default(),
        id,
    });
    WorkflowGraph {
        name: definition.name.clone(),
        steps: steps.collect(),
    }
}

/// A version of a workflow; with its text where a single one is shown.
#[must_use]
pub fn stored_workflow(row: &Workflow, with_source: bool) -> StoredWorkflow {
    let description = row.description.clone();
    StoredWorkflow {
        id: row.id.to_string(),
        name: row.name.clone(),
        version: row.definition_version,
        description: (!description.is_empty()).then_some(description),
        steps: u32::try_from(row.definition.steps.len()).unwrap_or(u32::MAX),
        created_at: row.created_at,
        source: with_source.then(|| row.source.clone()),
    }
}

/// The steps so that each comes after all it needs.
fn ordered_steps(definition: &WorkflowDefinition) -> Vec<String> {
    let nodes: Vec<(&str, Vec<&str>)> = definition
        .steps
        .iter()
        .map(|step| {
            (
                step.id.as_str(),
                step.needs.iter().map(String::as_str).collect(),
            )
        })
        .collect();
    let order = TaskGraph::new(&nodes)
        .map(|graph| graph.order().to_vec())
        .unwrap_or_default();
    order
        .into_iter()
        .filter_map(|node| nodes.get(node))
        .map(|(id, _)| (*id).to_owned())
        .collect()
}

fn file_view(file: ArtifactFile) -> FileView {
    FileView {
        path: file.path,
        sha256: file.sha256,
        bytes: file.bytes,
    }
}

/// A run that is no more.
#[must_use]
pub fn deleted(done: DeletedRun, is_dry_run: bool) -> RunDeleted {
    RunDeleted {
        id: done.run.id.to_string(),
        workflow: done.run.workflow_name,
        state: done.run.state.to_string(),
        runs: done.runs as u64,
        dry_run: is_dry_run,
        workspaces: done.workspaces.into_iter().map(removed).collect(),
        left: done.left,
    }
}

/// Which runs went, and which stayed.
#[must_use]
pub fn collected(is_dry_run: bool, done: CollectedRuns) -> RunsDeleted {
    let kept = done.kept.into_iter().map(|one| RunKept {
        id: one.run.id.to_string(),
        workflow: one.run.workflow_name,
        why: one.why,
    });
    let gone = done.gone.into_iter().map(|one| deleted(one, is_dry_run));
    RunsDeleted {
        stopped: None,
        dry_run: is_dry_run,
        deleted: gone.collect(),
        kept: kept.collect(),
        next: done.next.map(|id| id.to_string()),
    }
}
