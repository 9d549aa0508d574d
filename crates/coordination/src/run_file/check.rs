//! What the rows of a run file say of each other: a store takes only what could have been done.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fusion_core::{
    AgentId, Approval, ApprovalState, Cost, Event, JournalEntry, Run, RunId, Task, TaskId,
    Timestamp, Usage, Workflow, WorkflowId,
};
use uuid::Uuid;

use super::collect::Sent;
use super::fault::RunFileFault;
use super::manifest::{ARTIFACTS, MOST_ENTRIES, Manifest};
use super::read::Rows;
use crate::artifacts::{files_of, handed_from_outside};

type Result<T> = std::result::Result<T, RunFileFault>;

/// The longest name, in bytes.
const MOST_NAME: usize = 1_000;

/// The longest name of a machine or a version, in bytes.
const MOST_WORD: usize = 255;

/// Clocks of machines differ by less.
const SKEW: Duration = Duration::from_hours(24);

/// The largest number that every store can keep.
const MOST_NUMBER: u32 = i32::MAX.unsigned_abs();

/// The year 10000: later times have no common form.
const END_OF_TIME: i64 = 253_402_300_800;

/// Refuses rows that no run that was exported has.
pub(super) fn sound(rows: &Rows, now: Timestamp) -> Result<()> {
    origin(&rows.manifest, now)?;
    entries(rows)?;
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
    ids(rows)?;
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
    let mut places = BTreeSet::new();
    for entry in &rows.journal {
        all.entry(entry)?;
        let is_new = places.insert((entry.task_id, entry.seq));
        expect(is_new, "a journal has two entries in one place")?;
    }
    for approval in &rows.approvals {
        all.approval(approval)?;
    }
    all.one_above_all(rows)
}

/// Where it says it comes from.
fn origin(manifest: &Manifest, now: Timestamp) -> Result<()> {
    let is_word = |text: &str| text.len() <= MOST_WORD && !text.contains(char::is_control);
    let are_words = is_word(&manifest.machine) && is_word(&manifest.program);
    expect(are_words, "its manifest names no machine or version")?;
    times(&[Some(manifest.exported_at)])?;
    let is_past = manifest.exported_at <= now + SKEW;
    expect(
        is_past,
        "it was written in the future, by the clock of this machine",
    )
}

/// What is stored, and that nothing is kept which no result names.
fn entries(rows: &Rows) -> Result<()> {
    let lists = [
        rows.workflows.len(),
        rows.runs.len(),
        rows.agents.len(),
        rows.tasks.len(),
        rows.journal.len(),
        rows.approvals.len(),
    ];
    let needs = rows.tasks.iter().map(|task| task.dependencies.len());
    let count = lists.into_iter().chain(needs).sum::<usize>();
    let few = u64::try_from(count).is_ok_and(|count| count <= MOST_ENTRIES);
    expect(few, "it has too many rows and needs of steps")?;
    let named = rows.tasks.iter().flat_map(files_of);
    let mut named: BTreeSet<String> = named.map(|file| file.sha256).collect();
    let workflows: BTreeMap<WorkflowId, &Workflow> = rows
        .workflows
        .iter()
        .map(|workflow| (workflow.id, workflow))
        .collect();
    for run in &rows.runs {
        let workflow = workflows.get(&run.workflow_id);
        named.extend(
            workflow
                .map(|workflow| handed_from_outside(run, workflow))
                .unwrap_or_default(),
        );
    }
    let members = rows.manifest.members.iter();
    let mut kept = members.filter_map(|member| member.name.strip_prefix(ARTIFACTS));
    expect(
        kept.all(|sha256| named.contains(sha256)),
        "it has a kept file that no result names",
    )
}

/// Rows are listed by their ids, which begin with the time at which they were made.
fn ids(rows: &Rows) -> Result<()> {
    let at = Until::of(rows.manifest.exported_at);
    for run in &rows.runs {
        at.has(run.id)?;
        at.names(run.continues)?;
        at.names(run.called.values().copied())?;
    }
    for workflow in &rows.workflows {
        at.has(workflow.id)?;
    }
    for agent in &rows.agents {
        at.has(agent.id)?;
    }
    for task in &rows.tasks {
        at.has(task.id)?;
        let course = &task.course;
        at.names(course.child)?;
        at.names(course.child_before)?;
        at.names(course.handed_on.iter().copied())?;
    }
    for entry in &rows.journal {
        at.has(entry.id)?;
    }
    for approval in &rows.approvals {
        at.has(approval.id)?;
        at.names(approval.requested_by)?;
    }
    Ok(())
}

/// What ids may say of their time.
struct Until {
    latest: i64,
}

impl Until {
    fn of(exported_at: Timestamp) -> Self {
        let latest = (exported_at + SKEW).timestamp_millis();
        Self { latest }
    }

    fn allows(&self, id: Uuid) -> bool {
        let made = i64::try_from(id.as_u128() >> 80).ok();
        id.get_version_num() == 7 && made.is_some_and(|made| made <= self.latest)
    }

    fn has(&self, id: impl Into<Uuid>) -> Result<()> {
        expect(self.allows(id.into()), "a row has an id of another time")
    }

    /// Ids of what need not be in the file.
    fn names<I: Into<Uuid>>(&self, ids: impl IntoIterator<Item = I>) -> Result<()> {
        let mut ids = ids.into_iter().map(Into::into);
        let are = ids.all(|id| self.allows(id));
        expect(are, "a row names an id of another time")
    }
}

/// What messages and events are held against, one at a time.
pub(super) struct Told {
    runs: BTreeSet<RunId>,
    at: Until,
}

impl Told {
    pub(super) fn of(runs: &[Run], exported_at: Timestamp) -> Self {
        Self {
            runs: runs.iter().map(|run| run.id).collect(),
            at: Until::of(exported_at),
        }
    }

    fn is_of_it(&self, run: Option<RunId>) -> bool {
        run.is_some_and(|run| self.runs.contains(&run))
    }

    pub(super) fn event(&self, event: &Event) -> Result<()> {
        let event = &event.event;
        expect(self.is_of_it(event.run_id), "an event is of another run")?;
        self.at.has(event.id)?;
        self.at.names(event.source_agent_id)?;
        times(&[Some(event.timestamp)])
    }

    pub(super) fn message(&self, sent: &Sent) -> Result<()> {
        let Sent {
            message,
            deliveries,
        } = sent;
        let of = self.is_of_it(message.run_id);
        expect(of, "a message is of another run")?;
        self.at.has(message.id)?;
        self.at.names(message.sender_agent_id)?;
        self.at
            .names(message.recipient_agent_ids.iter().flatten().copied())?;
        self.at.names(message.reply_to)?;
        self.at.names(message.resends)?;
        times(&[
            Some(message.timestamp),
            message.delivered_at,
            message.expiry_at,
        ])?;
        for delivery in deliveries {
            let of = delivery.message_id == message.id;
            expect(of, "a delivery is of another message")?;
            self.at.names([delivery.agent_id])?;
            times(&[delivery.settled_at])?;
        }
        Ok(())
    }
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
        let top = self.runs.get(&root);
        let top = top.ok_or_else(|| unlike("the run itself is missing"))?;
        expect(top.parent.is_none(), "a run is a step that is not in it")?;
        // Those that are known to be below it.
        let mut below = BTreeSet::from([root]);
        for run in &rows.runs {
            let mut above = run;
            let mut way = vec![run.id];
            while let Some(parent) = above.parent.as_ref().filter(|_| !below.contains(&above.id)) {
                let of = self.tasks.get(&parent.task_id);
                expect(
                    of == Some(&parent.run_id),
                    "a run is a step that is not in it",
                )?;
                let next = self.runs.get(&parent.run_id).copied();
                above = next
                    .filter(|_| way.len() <= rows.runs.len())
                    .ok_or_else(|| unlike("a run is below none that is in it"))?;
                way.push(above.id);
            }
            let is_below = below.contains(&above.id);
            expect(is_below, "a run is not below the one it is for")?;
            below.extend(way);
        }
        Ok(())
    }

    fn task(&self, task: &Task) -> Result<()> {
        expect(task.state.is_final(), "a step has not ended")?;
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
        let mut needed = BTreeSet::new();
        let once = task.dependencies.iter().all(|id| needed.insert(*id));
        let twice = item.is_some_and(|item| needed.contains(&item.fan_out));
        expect(once && !twice, "a step needs another twice")?;
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
