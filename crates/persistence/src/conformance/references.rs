//! Rules of names, of references between rows, and of deleting.

use std::fmt::Debug;

use fusion_core::{
    ApiToken, Capability, Change, Decision, EffectClass, EntryKind, EntryState, IdSource,
    JournalEntry, Project, ProviderConfig, Row, RowKind, Usage, WorkflowState,
};
use futures::future::join;
use serde_json::json;
use uuid::Uuid;

use super::sample::at;
use super::world::{Numbered, World, bare_project, provider};
use crate::{
    Batch, Deletable, Error, Find, Identifies, Repository, Result, Store, WriteRepository,
};

fn exists<T: Debug>(answer: Result<T>, entity: &'static str, name: &str) {
    match answer.unwrap_err() {
        Error::Exists {
            entity: what,
            name: which,
        } => {
            assert_eq!((what, which.as_str()), (entity, name));
        }
        other => panic!("{entity} {name}: {other:?}"),
    }
}

/// A name that is taken is refused to a new row and to a renamed one, and the row keeps its own.
async fn takes_its_name<S, T>(store: &S, one: T, other: T, name: &str, rename: impl Fn(&mut T))
where
    S: Store + Find<T> + ?Sized,
    T: Numbered,
{
    store.create(one.clone()).await.unwrap();
    let mut same = other.clone();
    rename(&mut same);
    exists(store.create(same.clone()).await, T::NAME, name);
    assert_eq!(store.find(other.id()).await.unwrap(), None::<T>);
    store.create(other.clone()).await.unwrap();
    exists(store.update(same).await, T::NAME, name);
    assert_eq!(store.get(other.id()).await.unwrap(), other);
}

/// Projects, providers, capabilities and tokens have names of their own; tokens also hashes.
pub async fn a_name_that_is_taken_is_refused(store: &dyn Store) {
    let world = World::store(store).await;
    let fresh = || world.sample.ids.uuid();
    let (one, other) = (bare_project(fresh()), bare_project(fresh()));
    let name = one.name.clone();
    takes_its_name(store, one, other, &name, |p: &mut Project| {
        p.name.clone_from(&name)
    })
    .await;
    let (one, other) = (provider(fresh()), provider(fresh()));
    let name = one.name.clone();
    takes_its_name(store, one, other, &name, |p: &mut ProviderConfig| {
        p.name.clone_from(&name);
    })
    .await;
    let (one, other) = (world.capability(), world.capability());
    let name = one.name.clone();
    takes_its_name(store, one, other, &name, |c: &mut Capability| {
        c.name.clone_from(&name)
    })
    .await;
    let (one, other) = (world.token(), world.token());
    let (name, hash) = (one.name.clone(), one.hash.clone());
    takes_its_name(store, one, other, &name, |t: &mut ApiToken| {
        t.name.clone_from(&name)
    })
    .await;
    let mut same_hash = world.token();
    same_hash.hash = hash;
    let name = same_hash.name.clone();
    exists(store.create(same_hash).await, "API token", &name);
}

/// A version of a workflow, an agent's place, its one workspace, and the place of that are unique;
/// and so is every id.
pub async fn a_place_that_is_taken_is_refused(store: &dyn Store) {
    let world = World::store(store).await;
    let first = world.workflow(WorkflowState::Ready);
    store.create(first.clone()).await.unwrap();
    let mut same = world.workflow(WorkflowState::Ready);
    same.name.clone_from(&first.name);
    let label = format!("{} version 1", first.name);
    exists(store.create(same.clone()).await, "workflow", &label);
    same.definition_version = 2;
    store.create(same).await.unwrap();

    let agent = world.agent();
    store.create(agent.clone()).await.unwrap();
    let mut there = world.agent();
    there.workspace_path.clone_from(&agent.workspace_path);
    let id = there.id.to_string();
    exists(store.create(there).await, "agent", &id);
    exists(
        store.create(agent.clone()).await,
        "agent",
        &agent.id.to_string(),
    );

    let workspace = world.workspace(&agent);
    store.create(workspace.clone()).await.unwrap();
    let second = world.workspace(&agent);
    exists(
        store.create(second.clone()).await,
        "workspace",
        &second.root_path,
    );
    let other = world.bare_agent();
    store.create(other.clone()).await.unwrap();
    let mut there = world.workspace(&other);
    there.root_path.clone_from(&workspace.root_path);
    exists(store.create(there).await, "workspace", &workspace.root_path);
}

/// A row that refers to nothing that is there, and what an error calls it.
fn astray<T: Into<Row> + Clone>(row: &T, label: String, wrong: impl Fn(&mut T)) -> (Row, String) {
    let mut row = row.clone();
    wrong(&mut row);
    (row.into(), label)
}

fn all_astray(world: &World) -> Vec<(Row, String)> {
    let nowhere = Uuid::nil;
    let agent = world.agent();
    let approval = world.approval();
    let (task, metrics, project) = (world.bare_task(), world.metrics(), world.odd_project());
    let workflow = world.workflow(WorkflowState::Ready);
    let run = world.run(&workflow);
    let workspace = world.workspace(&agent);
    let version = format!("{} version 1", workflow.name);
    let id = agent.id.to_string();
    vec![
        astray(&agent, id.clone(), |a| {
            a.project_id = Some(nowhere().into())
        }),
        astray(&agent, id.clone(), |a| {
            a.provider_id = Some(nowhere().into())
        }),
        astray(&agent, id, |a| a.run_id = Some(nowhere().into())),
        astray(&approval, approval.id.to_string(), |a| {
            a.task_id = nowhere().into()
        }),
        astray(&approval, approval.id.to_string(), |a| {
            a.run_id = Some(nowhere().into())
        }),
        astray(&task, task.id.to_string(), |t| t.run_id = nowhere().into()),
        astray(&metrics, metrics.id.to_string(), |m| {
            m.agent_id = nowhere().into()
        }),
        astray(&project, project.name.clone(), |p| {
            p.default_provider_id = Some(nowhere().into())
        }),
        astray(&run, run.id.to_string(), |_| {}),
        astray(&workflow, version, |w| {
            w.project_id = Some(nowhere().into())
        }),
        astray(&workspace, workspace.root_path.clone(), |_| {}),
    ]
}

async fn apply(store: &dyn Store, change: Change) -> Result<()> {
    let decision = Decision::default().with(change);
    store.commit(Batch::free(decision)).await.map(|_| ())
}

fn missing(answer: Result<()>, entity: &str, label: &str) {
    match answer.unwrap_err() {
        Error::Missing { entity: what, id } => assert_eq!((what, id.as_str()), (entity, label)),
        other => panic!("{entity} {label}: {other:?}"),
    }
}

/// A new row that refers to one that is not there is refused, whatever the reference.
pub async fn a_new_row_refers_to_rows_that_are_there(store: &dyn Store) {
    let world = World::store(store).await;
    for (row, label) in all_astray(&world) {
        let entity = row.kind().as_str();
        missing(apply(store, Change::Create(row)).await, entity, &label);
    }
    let entry = JournalEntry {
        id: world.fresh(),
        task_id: Uuid::nil().into(),
        run_id: world.sample.run.id,
        seq: 1,
        kind: EntryKind::Tool,
        name: String::new(),
        effect: EffectClass::Read,
        state: EntryState::Started,
        request: json!({}),
        outcome: None,
        usage: Usage::default(),
        attempts: 1,
        started_at: at(1),
        finished_at: None,
    };
    let label = entry.id.to_string();
    missing(
        apply(store, Change::BeginEntry(entry)).await,
        "journal entry",
        &label,
    );
    assert_eq!(
        store.count(&crate::MessageFilter::default()).await.unwrap(),
        0
    );
}

/// Nor can a row be made to refer to one that is not there later on.
pub async fn an_updated_row_refers_to_rows_that_are_there(store: &dyn Store) {
    let world = World::store(store).await;
    let agent = world.agent();
    let project = world.odd_project();
    let workflow = world.workflow(WorkflowState::Ready);
    store.create(agent.clone()).await.unwrap();
    store.create(project.clone()).await.unwrap();
    store.create(workflow.clone()).await.unwrap();
    let version = format!("{} version 1", workflow.name);
    let id = agent.id.to_string();
    let astray = [
        astray(&agent, id.clone(), |a| {
            a.project_id = Some(Uuid::nil().into())
        }),
        astray(&agent, id, |a| a.provider_id = Some(Uuid::nil().into())),
        astray(&project, project.name.clone(), |p| {
            p.default_provider_id = Some(Uuid::nil().into());
        }),
        astray(&workflow, version, |w| {
            w.project_id = Some(Uuid::nil().into())
        }),
    ];
    for (row, label) in astray {
        let entity = row.kind().as_str();
        missing(apply(store, Change::Update(row)).await, entity, &label);
    }
    assert_eq!(store.get(agent.id).await.unwrap(), agent);
    assert_eq!(store.get(project.id).await.unwrap(), project);
    assert_eq!(store.get(workflow.id).await.unwrap(), workflow);
}

fn conflict(answer: Result<()>, entity: &str, label: &str) {
    match answer.unwrap_err() {
        Error::Conflict { entity: what, id } => assert_eq!((what, id.as_str()), (entity, label)),
        other => panic!("{entity} {label}: {other:?}"),
    }
}

/// Made, not deleted at another version, deleted, and not deleted twice.
async fn goes<S, T>(store: &S, row: T)
where
    S: Store + Find<T> + ?Sized,
    T: Numbered + Deletable,
    T::Id: Identifies<Entity = T> + Into<Uuid>,
{
    let id = row.id();
    let label = id.to_string();
    conflict(store.delete(id, 1).await, T::NAME, &label);
    store.create(row.clone()).await.unwrap();
    store.update(row.clone()).await.unwrap();
    conflict(store.delete(id, 1).await, T::NAME, &label);
    conflict(store.delete(id, 3).await, T::NAME, &label);
    assert_eq!(store.get(id).await.unwrap(), row.clone().under(id, 2));
    store.delete(id, 2).await.unwrap();
    assert_eq!(store.find(id).await.unwrap(), None::<T>);
    conflict(store.delete(id, 2).await, T::NAME, &label);
    conflict(
        store.update(row.clone().under(id, 2)).await,
        T::NAME,
        &label,
    );
    store.create(row).await.unwrap();
}

/// What can be deleted is gone then, and its names are free again.
pub async fn a_row_is_deleted_at_its_version_only(store: &dyn Store) {
    let world = World::store(store).await;
    goes(store, world.token()).await;
    goes(store, world.capability()).await;
    goes(store, world.odd_project()).await;
    goes(store, world.odd_provider()).await;
    goes(store, world.workflow(WorkflowState::Draft)).await;
    let agent = world.agent();
    store.create(agent.clone()).await.unwrap();
    goes(store, world.workspace(&agent)).await;
}

fn in_use(answer: Result<()>, entity: &str, label: &str) {
    match answer.unwrap_err() {
        Error::InUse { entity: what, id } => assert_eq!((what, id.as_str()), (entity, label)),
        other => panic!("{entity} {label}: {other:?}"),
    }
}

/// A row that another one refers to stays, until the last one refers to another.
pub async fn a_row_in_use_is_not_deleted(store: &dyn Store) {
    let world = World::store(store).await;
    let mut project = world.odd_project();
    project.archived_at = None;
    let user = world.odd_provider();
    store.create(project.clone()).await.unwrap();
    store.create(user.clone()).await.unwrap();
    let label = project.id.to_string();
    let mut agent = world.agent();
    agent.project_id = Some(project.id);
    agent.provider_id = Some(user.id);
    store.create(agent.clone()).await.unwrap();
    in_use(store.delete(project.id, 1).await, "project", &label);
    in_use(
        store.delete(user.id, 1).await,
        "provider",
        &user.id.to_string(),
    );
    agent.project_id = None;
    agent.provider_id = None;
    store.update(agent).await.unwrap();
    store.delete(user.id, 1).await.unwrap();

    let mut workflow = world.workflow(WorkflowState::Ready);
    workflow.project_id = Some(project.id);
    store.create(workflow.clone()).await.unwrap();
    in_use(store.delete(project.id, 1).await, "project", &label);
    assert_eq!(store.get(project.id).await.unwrap(), project);
    store.create(world.run(&workflow)).await.unwrap();
    in_use(
        store.delete(workflow.id, 1).await,
        "workflow",
        &workflow.id.to_string(),
    );
    workflow.project_id = None;
    store.update(workflow).await.unwrap();
    store.delete(project.id, 1).await.unwrap();

    let default = world.provider.id;
    in_use(
        store.delete(default, 1).await,
        "provider",
        &default.to_string(),
    );
}

/// What ends by its state, or goes by its age, is not deleted, and the refusal says so.
pub async fn what_stays_as_history_is_not_deleted(store: &dyn Store) {
    let world = World::store(store).await;
    let sample = &world.sample;
    let (approval, metrics) = (world.approval(), world.metrics());
    store.create(approval.clone()).await.unwrap();
    store.create(metrics.clone()).await.unwrap();
    let ended = "rows are not deleted: they end by their state";
    let rows: [(RowKind, Uuid, String); 5] = [
        (
            RowKind::Agent,
            sample.agents["a"].id.into(),
            format!("agent {ended}"),
        ),
        (
            RowKind::Approval,
            approval.id.into(),
            format!("approval {ended}"),
        ),
        (RowKind::Run, sample.run.id.into(), format!("run {ended}")),
        (
            RowKind::Task,
            sample.tasks["one"].id.into(),
            format!("task {ended}"),
        ),
        (
            RowKind::Metrics,
            metrics.id.into(),
            "a metrics sample never changes; it goes by its age".to_owned(),
        ),
    ];
    for (kind, id, told) in rows {
        let version = 1;
        let refused = apply(store, Change::Delete { kind, id, version })
            .await
            .unwrap_err();
        assert!(matches!(refused, Error::Invalid { .. }), "{refused:?}");
        assert_eq!(refused.to_string(), told);
    }
    assert_eq!(store.get(sample.run.id).await.unwrap(), sample.run);
    assert_eq!(store.get(metrics.id).await.unwrap(), metrics);
}

/// Deleting a project and giving it a first agent can't both succeed.
pub async fn a_row_is_not_deleted_under_a_new_user(store: &dyn Store) {
    let world = World::store(store).await;
    for _ in 0..20 {
        let project = bare_project(world.fresh());
        store.create(project.clone()).await.unwrap();
        let mut agent = world.agent();
        agent.project_id = Some(project.id);
        let label = agent.id.to_string();
        match join(store.delete(project.id, 1), store.create(agent)).await {
            (Ok(()), used) => missing(used, "agent", &label),
            (kept, Ok(())) => in_use(kept, "project", &project.id.to_string()),
            other => panic!("{other:?}"),
        }
    }
}
