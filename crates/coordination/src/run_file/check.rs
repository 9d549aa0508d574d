//! What the rows of a run file say of each other: a store takes only what could have been done.

use std::collections::{BTreeMap, BTreeSet};

use fusion_core::{
    AgentId, Approval, ApprovalState, Cost, JournalEntry, Run, RunId, Task, TaskId, Timestamp,
    Usage, WorkflowId,
};
use uuid::Uuid;

use super::fault::RunFileFault;
use super::read::Rows;

type Result<T> = std::result::Result<T, RunFileFault>;

/// The longest name, in bytes.
const MOST_NAME: usize = 1_000;

/// The largest number that every store can keep.
const MOST_NUMBER: u32 = i32::MAX.unsigned_abs();

/// The year 10000: later times have no common form.
const END_OF_TIME: i64 = 253_402_300_800;

/// Refuses rows that no run that was exported has.
pub(super) fn sound(rows: &Rows) -> Result<()> {
    let all = Known::of(rows)?;
    for workflow in &rows.workflows {
        let named = &workflow.definition.name;
        expect(workflow.name == *named, "a workflow has two names")?;
        name(named)?;
        number(workflow.definition_version)?;
        times(&[Some(workflow.created_at)])?;
    }
    for run in &rows.runs {
        all.run(run)?;
    }
    for agent in &rows.agents {
        name(&agent.name)?;
        let of = agent.run_id.is_none_or(|run| all.runs.contains_key(&run));
        expect(of, "an agent is of another run")?;
        times(&[
            Some(agent.created_at),
            Some(agent.updated_at),
            agent.last_heartbeat,
        ])?;
    }
    for task in &rows.tasks {
        all.task(task)?;
    }
    for entry in &rows.journal {
        all.entry(entry)?;
    }
    for approval in &rows.approvals {
        all.approval(approval)?;
    }
    all.one_above_all(rows)
}

/// Every row by its id.
struct Known<'r> {
    workflows: BTreeMap<WorkflowId, &'r str>,
    runs: BTreeMap<RunId, &'r Run>,
    agents: BTreeSet<AgentId>,
    tasks: BTreeMap<TaskId, RunId>,
}

impl<'r> Known<'r> {
    fn of(rows: &'r Rows) -> Result<Self> {
        once(rows.workflows.iter().map(|row| row.id.uuid()))?;
        once(rows.runs.iter().map(|row| row.id.uuid()))?;
        once(rows.agents.iter().map(|row| row.id.uuid()))?;
        once(rows.tasks.iter().map(|row| row.id.uuid()))?;
        once(rows.journal.iter().map(|row| row.id.uuid()))?;
        once(rows.approvals.iter().map(|row| row.id.uuid()))?;
        let workflows = rows.workflows.iter();
        Ok(Self {
            workflows: workflows.map(|row| (row.id, row.name.as_str())).collect(),
            runs: rows.runs.iter().map(|row| (row.id, row)).collect(),
            agents: rows.agents.iter().map(|row| row.id).collect(),
            tasks: rows.tasks.iter().map(|row| (row.id, row.run_id)).collect(),
        })
    }

    fn run(&self, run: &Run) -> Result<()> {
        let ended = run.state.is_final() && run.open_tasks == 0;
        expect(ended, "a run has not ended")?;
        expect(!run.is_imported(), "a run came from a file itself")?;
        let named = self.workflows.get(&run.workflow_id).copied();
        let is_of_it = named == Some(run.workflow_name.as_str());
        expect(is_of_it, "a run is of a workflow that is not in it")?;
        number(run.total_tasks)?;
        usage(run.usage)?;
        times(&[Some(run.created_at), run.started_at, run.completed_at])
    }

    /// The run that was exported is above all others.
    fn one_above_all(&self, rows: &Rows) -> Result<()> {
        let root = rows.manifest.run;
        let wanted = u64::try_from(rows.runs.len()).ok();
        expect(
            wanted == Some(rows.manifest.runs),
            "it has other runs than its manifest says",
        )?;
        expect(self.runs.contains_key(&root), "the run itself is missing")?;
        for run in &rows.runs {
            let mut above = run;
            let mut steps = 0;
            while let Some(parent) = &above.parent {
                let of = self.tasks.get(&parent.task_id);
                expect(
                    of == Some(&parent.run_id),
                    "a run is a step that is not in it",
                )?;
                steps += 1;
                let next = self.runs.get(&parent.run_id).copied();
                above = next
                    .filter(|_| steps <= rows.runs.len())
                    .ok_or_else(|| unlike("a run is below none that is in it"))?;
            }
            expect(above.id == root, "a run is not below the one it is for")?;
        }
        Ok(())
    }

    fn task(&self, task: &Task) -> Result<()> {
        let ended = task.state.is_final() && task.waiting.is_none();
        expect(ended, "a step has not ended")?;
        let run = self.runs.get(&task.run_id).copied();
        let run = run.ok_or_else(|| unlike("a step is of another run"))?;
        let workflow = task.workflow_id.is_none_or(|id| id == run.workflow_id);
        expect(workflow, "a step is of another workflow than its run")?;
        let agent = task.agent_id.is_none_or(|id| self.agents.contains(&id));
        expect(agent, "the agent of a step is missing")?;
        let beside = |id: &TaskId| self.tasks.get(id) == Some(&task.run_id);
        let needs = task.dependencies.iter().all(beside);
        let item = task.course.item.as_ref();
        let of_list = item.is_none_or(|item| beside(&item.fan_out));
        // A task of its own may have waited for tasks of other runs, which are not here.
        let found = (needs || run.is_standalone) && of_list;
        expect(found, "a step needs one that is missing")?;
        name(&task.name)?;
        number(task.attempts)?;
        number(task.unmet_dependencies)?;
        number(item.map_or(0, |item| item.index))?;
        usage(task.usage)?;
        times(&[Some(task.queued_at), task.started_at, task.completed_at])
    }

    fn entry(&self, entry: &JournalEntry) -> Result<()> {
        let of = self.tasks.get(&entry.task_id) == Some(&entry.run_id);
        expect(of, "a journal entry is of a step that is missing")?;
        number(entry.seq)?;
        number(entry.attempts)?;
        usage(entry.usage)?;
        times(&[Some(entry.started_at), entry.finished_at])
    }

    fn approval(&self, approval: &Approval) -> Result<()> {
        let of = self.tasks.get(&approval.task_id).copied();
        let found = of.is_some() && of == approval.run_id;
        expect(found, "an approval is of a step that is missing")?;
        let answered = approval.state != ApprovalState::Pending;
        expect(answered, "an approval waits for an answer")?;
        times(&[
            Some(approval.requested_at),
            approval.expires_at,
            approval.resolved_at,
        ])
    }
}

fn once(ids: impl Iterator<Item = Uuid>) -> Result<()> {
    let mut seen = BTreeSet::new();
    for id in ids {
        expect(seen.insert(id), "an id is there twice")?;
    }
    Ok(())
}

fn name(text: &str) -> Result<()> {
    let is_one = !text.is_empty() && text.len() <= MOST_NAME;
    expect(is_one, "a name is empty or too long")
}

fn number(number: u32) -> Result<()> {
    expect(number <= MOST_NUMBER, "a number is too large")
}

fn usage(usage: Usage) -> Result<()> {
    expect(usage.cost >= Cost::default(), "a cost is below zero")
}

fn times(times: &[Option<Timestamp>]) -> Result<()> {
    let known = times.iter().flatten();
    let mut seconds = known.map(Timestamp::timestamp);
    let is_one = seconds.all(|seconds| (0..END_OF_TIME).contains(&seconds));
    expect(is_one, "a time is before 1970 or after 9999")
}

fn expect(holds: bool, why: &'static str) -> Result<()> {
    if holds { Ok(()) } else { Err(unlike(why)) }
}

fn unlike(why: &'static str) -> RunFileFault {
    RunFileFault::unsound(why)
}
