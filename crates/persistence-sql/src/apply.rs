//! Applies a batch inside an open transaction.

use fusion_core::{
    Agent, ApiToken, Approval, Capability, Change, Project, ProviderConfig, Row, RowKind, Run,
    Schedule, Task, Workflow, Workspace,
};
use fusion_persistence::{Batch, Error, Fence, Guard, Lease};
use sea_orm::prelude::Uuid;

use crate::failure::Result;
use crate::session::Session;
use crate::usage::{self, Booked};
use crate::writer::Care;
use crate::{
    accounts, agents, deletions, idempotency, journal, mail, projects, run_leases, snapshots,
    table, tasks, webhooks,
};

/// Checks the idempotency key and the guard, and writes the rows. The caller writes what is counted
/// for all jobs together and the mail, appends the events and the outbox, and commits or rolls back.
pub(crate) async fn apply(session: &mut impl Session, batch: &Batch, care: Care) -> Result<()> {
    // First: the guard of what was done before may not hold any more.
    if let Some(key) = &batch.idempotency {
        idempotency::remember(session, key).await?;
    }
    let own = own_lease(batch).filter(|_| care == Care::Bold);
    match batch.guard {
        Guard::Free => {}
        Guard::Held(_) if own.is_some() => {}
        Guard::Held(fence) => tasks::check_fence(session, fence).await?,
        Guard::Driven(fence) => run_leases::check(session, fence).await?,
        Guard::Expired(fence) => tasks::check_expired(session, fence).await?,
        Guard::Release(fence) => tasks::requeue(session, fence, tasks::Requeue::ByHolder).await?,
        Guard::Rescue(fence) => tasks::requeue(session, fence, tasks::Requeue::WhenExpired).await?,
    }
    apply_changes(session, &batch.decision.changes, own).await?;
    projects::expect_open(session, &batch.decision.changes).await
}

/// The lease of a batch that writes the leased task itself: that update checks the fence.
fn own_lease(batch: &Batch) -> Option<Fence> {
    let Guard::Held(fence) = batch.guard else {
        return None;
    };
    let writes_it = |change: &Change| matches!(change, Change::Update(Row::Task(task)) if task.id == fence.task);
    let has_it = batch.decision.changes.iter().any(writes_it);
    has_it.then_some(fence)
}

/// New tasks that stand side by side are written together: a workflow may have thousands.
async fn apply_changes(
    session: &mut impl Session,
    changes: &[Change],
    own: Option<Fence>,
) -> Result<()> {
    let mut changes = changes.iter().peekable();
    let mut new_tasks: Vec<&Task> = Vec::new();
    while let Some(change) = changes.next() {
        let Change::Create(Row::Task(task)) = change else {
            if let (Change::Update(Row::Task(task)), Some(fence)) = (change, own)
                && task.id == fence.task
            {
                tasks::update_leased(session, task, fence).await?;
            } else {
                apply_change(session, change).await?;
            }
            continue;
        };
        new_tasks.push(task);
        if !matches!(changes.peek(), Some(Change::Create(Row::Task(_)))) {
            tasks::create_many(session, &new_tasks).await?;
            new_tasks.clear();
        }
    }
    Ok(())
}

/// What is counted for all jobs together is left to [`Counts`](crate::counts::Counts).
async fn apply_change(session: &mut impl Session, change: &Change) -> Result<()> {
    match change {
        Change::Create(row) => create(session, row).await,
        Change::Update(row) => update(session, row).await,
        Change::Delete { kind, id, version } => delete(session, *kind, *id, *version).await,
        Change::ReleaseSuccessors(_) | Change::ReleaseItem(_) | Change::CloseTasks { .. } => Ok(()),
        Change::FanOut {
            run_id,
            task_id,
            count,
        } => tasks::items::fan_out(session, *run_id, *task_id, *count).await,
        Change::BookUsage { task_id, usage, .. } => {
            usage::book(session, Booked::Task, task_id.uuid(), *usage).await
        }
        Change::HoldRoom(wanted) => accounts::hold(session, wanted).await,
        Change::SettleRoom {
            task_id,
            fence,
            ended,
            ..
        } => accounts::release(session, (*task_id, *fence), *ended).await,
        Change::Postpone { .. }
        | Change::WakePool
        | Change::Wake { .. }
        | Change::WakeTask(_)
        | Change::Watch { .. }
        | Change::Reserve { .. } => apply_wait(session, change).await,
        Change::DeleteRun(_) | Change::ForgetFiles(_) | Change::CountDependencies(_) => {
            apply_deletion(session, change).await
        }
        Change::Progress { agents, at } => agents::progress(session, agents, *at).await,
        Change::NameSnapshot {
            workspace_id,
            snapshot,
        } => snapshots::name(session, *workspace_id, snapshot.as_ref()).await,
        Change::BeginEntry(_) | Change::UpdateEntry(_) => apply_entry(session, change).await,
        Change::SendMessage(letter) => mail::look_for_room(session, letter).await,
        // Written last, with those of all jobs.
        Change::SettleDeliveries(_) => Ok(()),
    }
}

/// A change of what is deleted, or of who needs what may be.
async fn apply_deletion(session: &mut impl Session, change: &Change) -> Result<()> {
    if let Change::DeleteRun(run) = change {
        deletions::begin(session, *run).await?;
    }
    if let Change::CountDependencies(task) = change {
        deletions::expect_needed_kept(session, *task).await?;
    }
    if let Change::ForgetFiles(files) = change {
        deletions::files::forget(session, files).await?;
    }
    Ok(())
}

/// A change of a journal.
async fn apply_entry(session: &mut impl Session, change: &Change) -> Result<()> {
    if let Change::BeginEntry(entry) = change {
        journal::begin(session, entry).await?;
    }
    if let Change::UpdateEntry(entry) = change {
        journal::update(session, entry).await?;
    }
    Ok(())
}

/// A change of what tasks wait for.
async fn apply_wait(session: &mut impl Session, change: &Change) -> Result<()> {
    match change {
        Change::Postpone {
            task_id,
            wait,
            reason,
        } => tasks::waits::postpone(session, *task_id, *wait, reason).await,
        Change::WakePool => tasks::pool::wake(session).await,
        Change::Wake { run_id, early } => tasks::waits::wake(session, *run_id, *early).await,
        Change::WakeTask(task) => tasks::waits::wake_task(session, *task).await,
        Change::Watch {
            run_id,
            owner,
            lease,
        } => tasks::waits::watch(session, *run_id, *owner, *lease).await,
        Change::Reserve {
            run_id,
            owner,
            lease,
        } => {
            let lease = Lease {
                owner: *owner,
                duration: *lease,
            };
            run_leases::reserve(session, *run_id, lease).await
        }
        Change::Create(_)
        | Change::Update(_)
        | Change::Delete { .. }
        | Change::ReleaseSuccessors(_)
        | Change::ReleaseItem(_)
        | Change::CountDependencies(_)
        | Change::CloseTasks { .. }
        | Change::FanOut { .. }
        | Change::BookUsage { .. }
        | Change::HoldRoom(_)
        | Change::SettleRoom { .. }
        | Change::Progress { .. }
        | Change::NameSnapshot { .. }
        | Change::BeginEntry(_)
        | Change::UpdateEntry(_)
        | Change::SendMessage(_)
        | Change::DeleteRun(_)
        | Change::ForgetFiles(_)
        | Change::SettleDeliveries(_) => Ok(()),
    }
}

async fn create(session: &mut impl Session, row: &Row) -> Result<()> {
    match row {
        Row::Agent(agent) => table::create_checked(session, &**agent).await,
        Row::ApiToken(token) => table::create(session, &**token).await,
        Row::Approval(approval) => table::create(session, &**approval).await,
        Row::Capability(capability) => table::create(session, &**capability).await,
        Row::Metrics(sample) => table::create(session, &**sample).await,
        Row::Project(project) => table::create(session, &**project).await,
        Row::Provider(provider) => table::create(session, &**provider).await,
        Row::Run(run) => create_run(session, run).await,
        Row::Schedule(schedule) => table::create(session, &**schedule).await,
        Row::Task(task) => table::create(session, &**task).await,
        Row::Webhook(_) | Row::WebhookAttempt(_) => create_of_webhooks(session, row).await,
        Row::Workflow(workflow) => table::create_checked(session, &**workflow).await,
        Row::Workspace(workspace) => table::create(session, &**workspace).await,
    }
}

async fn create_run(session: &mut impl Session, run: &Run) -> Result<()> {
    deletions::expect_kept(session, run).await?;
    table::create(session, run).await
}

async fn create_of_webhooks(session: &mut impl Session, row: &Row) -> Result<()> {
    match row {
        Row::Webhook(webhook) => table::create_checked(session, &**webhook).await,
        Row::WebhookAttempt(attempt) => webhooks::keep(session, attempt).await,
        Row::Agent(_)
        | Row::ApiToken(_)
        | Row::Approval(_)
        | Row::Capability(_)
        | Row::Metrics(_)
        | Row::Project(_)
        | Row::Provider(_)
        | Row::Run(_)
        | Row::Schedule(_)
        | Row::Task(_)
        | Row::Workflow(_)
        | Row::Workspace(_) => Ok(()),
    }
}

async fn update(session: &mut impl Session, row: &Row) -> Result<()> {
    match row {
        Row::Agent(agent) => table::update(session, &**agent).await,
        Row::ApiToken(token) => table::update(session, &**token).await,
        Row::Approval(approval) => table::update(session, &**approval).await,
        Row::Capability(capability) => table::update(session, &**capability).await,
        Row::Metrics(_) | Row::WebhookAttempt(_) => Err(never_changes(row.kind())),
        Row::Project(project) => projects::update(session, project).await,
        Row::Provider(provider) => table::update(session, &**provider).await,
        Row::Run(run) => table::update(session, &**run).await,
        Row::Schedule(schedule) => {
            projects::expect_open_again(session, schedule).await?;
            table::update(session, &**schedule).await
        }
        Row::Task(task) => table::update(session, &**task).await,
        Row::Webhook(webhook) => table::update(session, &**webhook).await,
        Row::Workflow(workflow) => table::update(session, &**workflow).await,
        Row::Workspace(workspace) => table::update(session, &**workspace).await,
    }
}

async fn delete(session: &mut impl Session, kind: RowKind, id: Uuid, version: u64) -> Result<()> {
    match kind {
        RowKind::ApiToken => table::delete::<ApiToken>(session, id, version).await,
        RowKind::Capability => table::delete::<Capability>(session, id, version).await,
        RowKind::Project => table::delete::<Project>(session, id, version).await,
        RowKind::Provider => table::delete::<ProviderConfig>(session, id, version).await,
        RowKind::Schedule => table::delete::<Schedule>(session, id, version).await,
        RowKind::Webhook => webhooks::delete(session, id, version).await,
        RowKind::Workflow => table::delete::<Workflow>(session, id, version).await,
        RowKind::Workspace => table::delete::<Workspace>(session, id, version).await,
        RowKind::Agent => ended_instead::<Agent>(),
        RowKind::Approval => ended_instead::<Approval>(),
        RowKind::Run => ended_instead::<Run>(),
        RowKind::Task => ended_instead::<Task>(),
        RowKind::Metrics | RowKind::WebhookAttempt => Err(never_changes(kind)),
    }
}

fn never_changes(kind: RowKind) -> crate::failure::Failure {
    Error::Invalid {
        reason: format!("a {} never changes; it goes by its age", kind.as_str()),
    }
    .into()
}

/// For what stays as history: it ends by its state.
fn ended_instead<T: fusion_persistence::Entity>() -> Result<()> {
    Err(Error::Invalid {
        reason: format!("{} rows are not deleted: they end by their state", T::NAME),
    }
    .into())
}
