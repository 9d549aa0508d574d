//! Rules of archived projects: they are kept, and take nothing new.

use fusion_core::{
    Agent, AgentState, Change, Decision, Pool, Project, Row, Run, Schedule, Task, TaskState,
    Workflow, WorkflowState,
};
use futures::future::join;
use uuid::Uuid;

use super::sample::at;
use super::schedules::bare;
use super::world::{World, bare_project};
use crate::{
    AgentFilter, Batch, Error, Repository, Result, RunFilter, ScheduleFilter, Store, TaskFilter,
    WorkflowFilter, WriteRepository,
};

/// A project, a workflow of it, and what can be opened of it.
struct Shop {
    project: Project,
    workflow: Workflow,
}

impl Shop {
    async fn open(store: &dyn Store, world: &World) -> Self {
        let project = bare_project(world.fresh());
        store.create(project.clone()).await.unwrap();
        let mut workflow = world.workflow(WorkflowState::Ready);
        workflow.project_id = Some(project.id);
        store.create(workflow.clone()).await.unwrap();
        Self { project, workflow }
    }

    /// One of each kind.
    fn all(&self, world: &World) -> [Row; 4] {
        let mut agent = world.bare_agent();
        agent.project_id = Some(self.project.id);
        let mut run = world.run(&self.workflow);
        run.state = WorkflowState::Running;
        let mut task = world.bare_task();
        task.state = TaskState::Queued;
        task.pool = Some(Pool {
            project: Some(self.project.id),
            is_demanded: false,
        });
        let mut schedule = bare(world.fresh());
        schedule.workflow.clone_from(&self.workflow.name);
        [agent.into(), run.into(), task.into(), schedule.into()]
    }

    /// The row as it is read, archived.
    async fn archived(&self, store: &dyn Store) -> Project {
        let project = store.get(self.project.id).await.unwrap();
        Project {
            archived_at: Some(at(9)),
            ..project
        }
    }

    async fn archive(&self, store: &dyn Store) -> Result<()> {
        store.update(self.archived(store).await).await
    }

    async fn unarchive(&self, store: &dyn Store) {
        let project = store.get(self.project.id).await.unwrap();
        let open = Project {
            archived_at: None,
            ..project
        };
        store.update(open).await.unwrap();
    }

    fn is_refused(&self, answer: &Result<()>) -> bool {
        matches!(answer, Err(Error::Archived { project }) if *project == self.project.name)
    }

    fn is_in_use(&self, answer: &Result<()>) -> bool {
        matches!(answer, Err(Error::InUse { entity: "project", id })
            if *id == self.project.id.to_string())
    }
}

async fn create(store: &dyn Store, row: &Row) -> Result<()> {
    let create = Decision::default().with(Change::Create(row.clone()));
    store.commit(Batch::free(create)).await.map(|_| ())
}

/// Ends what was just created.
async fn end(store: &dyn Store, row: Row) {
    let ended: Row = match row {
        Row::Agent(agent) => Agent {
            state: AgentState::Terminated,
            ..*agent
        }
        .into(),
        Row::Run(run) => Run {
            state: WorkflowState::Cancelled,
            ..*run
        }
        .into(),
        Row::Task(task) => Task {
            state: TaskState::Cancelled,
            ..*task
        }
        .into(),
        Row::Schedule(schedule) => schedule.paused(at(8)).into(),
        other => panic!("{other:?} does not end"),
    };
    let update = Decision::default().with(Change::Update(ended));
    store.commit(Batch::free(update)).await.unwrap();
}

/// A project is archived once its agents, runs and tasks have ended and its schedules are held.
pub async fn a_project_with_something_open_is_not_archived(store: &dyn Store) {
    let world = World::store(store).await;
    let shop = Shop::open(store, &world).await;
    for opened in shop.all(&world) {
        create(store, &opened).await.unwrap();
        let refused = shop.archive(store).await;
        assert!(shop.is_in_use(&refused), "{opened:?}: {refused:?}");
        assert_eq!(store.get(shop.project.id).await.unwrap(), shop.project);
        end(store, opened).await;
    }
    // What is open elsewhere does not count.
    let other = Shop::open(store, &world).await;
    for opened in other.all(&world) {
        create(store, &opened).await.unwrap();
    }
    shop.archive(store).await.unwrap();
    let expected = Project {
        archived_at: Some(at(9)),
        version: 2,
        ..shop.project.clone()
    };
    assert_eq!(store.get(shop.project.id).await.unwrap(), expected);
}

/// How many rows of the kinds there are that a project could get.
async fn counted(store: &dyn Store) -> [u64; 5] {
    [
        store.count(&AgentFilter::default()).await.unwrap(),
        store.count(&RunFilter::default()).await.unwrap(),
        store.count(&TaskFilter::default()).await.unwrap(),
        store.count(&ScheduleFilter::default()).await.unwrap(),
        store.count(&WorkflowFilter::default()).await.unwrap(),
    ]
}

/// Whatever would be opened of an archived project is refused with all that its batch says, until it is
/// archived no more; what has ended may still change.
pub async fn an_archived_project_takes_nothing_new(store: &dyn Store) {
    let world = World::store(store).await;
    let shop = Shop::open(store, &world).await;
    let mut ended = world.bare_agent();
    ended.project_id = Some(shop.project.id);
    ended.state = AgentState::Terminated;
    store.create(ended.clone()).await.unwrap();
    shop.archive(store).await.unwrap();
    let before = counted(store).await;
    let all = shop.all(&world);
    for opened in &all {
        let refused = create(store, opened).await;
        assert!(shop.is_refused(&refused), "{opened:?}: {refused:?}");
    }
    let mut next = world.workflow(WorkflowState::Ready);
    next.project_id = Some(shop.project.id);
    let refused = store.create(next.clone()).await;
    assert!(shop.is_refused(&refused), "{refused:?}");
    // Tasks that are written together, of which one is of the project.
    let both = Decision::default()
        .with(Change::create(world.bare_task()))
        .with(Change::Create(all[2].clone()));
    let refused = store.commit(Batch::free(both)).await.map(|_| ());
    assert!(shop.is_refused(&refused), "{refused:?}");
    assert_eq!(counted(store).await, before);

    ended.updated_at = at(7);
    store.update(ended).await.unwrap();
    shop.unarchive(store).await;
    for opened in &all {
        create(store, opened).await.unwrap();
    }
    store.create(next).await.unwrap();
}

/// A schedule of an archived project may be there while it is held, and is not let go on. One that goes
/// on although (its workflow came there by the end of a newer version) is moved on.
pub async fn a_held_schedule_of_an_archived_project_is_not_let_go_on(store: &dyn Store) {
    let world = World::store(store).await;
    let shop = Shop::open(store, &world).await;
    let named = |id: Uuid| Schedule {
        workflow: shop.workflow.name.clone(),
        ..bare(id)
    };
    let held = named(world.fresh()).paused(at(8));
    store.create(held.clone()).await.unwrap();
    let newer = Workflow {
        id: world.fresh(),
        project_id: None,
        definition_version: 2,
        ..shop.workflow.clone()
    };
    store.create(newer.clone()).await.unwrap();
    let going = named(world.fresh());
    store.create(going.clone()).await.unwrap();
    shop.archive(store).await.unwrap();
    let go_on = held.clone().resumed(Some(at(60)), at(9));
    store.update(go_on.clone()).await.unwrap();
    let held = Schedule {
        version: 2,
        ..go_on
    };
    let held = held.paused(at(10));
    store.update(held.clone()).await.unwrap();

    store.delete(newer.id, 1).await.unwrap();
    let held = Schedule { version: 3, ..held };
    let refused = store
        .update(held.clone().resumed(Some(at(60)), at(11)))
        .await;
    assert!(shop.is_refused(&refused), "{refused:?}");
    assert_eq!(store.get(held.id).await.unwrap(), held);
    let second = named(world.fresh());
    store.create(second.clone().paused(at(8))).await.unwrap();
    let moved = Schedule {
        last_at: Some(at(12)),
        ..going
    };
    store.update(moved).await.unwrap();
    let renamed = Project {
        description: "kept".to_owned(),
        ..store.get(shop.project.id).await.unwrap()
    };
    store.update(renamed).await.unwrap();
}

/// Archiving a project and opening something of it can't both succeed.
pub async fn a_project_is_not_archived_under_new_work(store: &dyn Store) {
    archiving_and_work_at_once(store, store).await;
}

/// The same for two stores of one database.
pub async fn archiving_and_work_at_once(store: &dyn Store, other: &dyn Store) {
    let world = World::store(store).await;
    for _ in 0..10 {
        for kind in 0..4 {
            let shop = Shop::open(store, &world).await;
            let opened = shop.all(&world)[kind].clone();
            let archived = shop.archived(store).await;
            let (archived, opened) = join(store.update(archived), create(other, &opened)).await;
            let one_won = match (&archived, &opened) {
                (Ok(()), refused) => shop.is_refused(refused),
                (refused, Ok(())) => shop.is_in_use(refused),
                (Err(_), Err(_)) => false,
            };
            assert!(one_won, "{archived:?} {opened:?}");
        }
    }
}
