//! The work of `top` in this process: beside whoever works in the data directory.

use std::time::Duration;

use async_trait::async_trait;
use fusion_api::{agent_views, event_view, task_views};
use fusion_api_types::Problem;
use fusion_cli::{Overview, Picture, Sight};
use fusion_core::{Agent, Task, TaskState};
use fusion_persistence::{
    AgentFilter, EventFilter, EventReader, Page, Reader, Repository, TaskFilter,
};
use tokio::sync::mpsc::Sender;
use tokio::time::sleep;

use crate::agents::living;
use crate::backend::{LocalBackend, Reading};
use crate::problems;

/// How often it is looked whether something has happened. Only then is anything else looked at.
const LOOK: Duration = Duration::from_millis(250);

/// How often it is looked whether there is any data yet.
const NO_DATA: Duration = Duration::from_secs(1);

/// Rows of a list in the picture at most: the newest.
pub(crate) const MOST: u32 = 500;

/// Events that are told of the time before.
pub(crate) const BEFORE: u32 = 100;

/// Events that are read at once.
const AT_ONCE: u32 = 500;

#[async_trait]
impl Overview for LocalBackend {
    async fn overview(&self, sights: Sender<Sight>) -> Result<(), Problem> {
        if let Some(remote) = self.remote()? {
            return remote.overview(&sights).await;
        }
        let reading = loop {
            if let Some(reading) = self.reading().await? {
                break reading;
            }
            if let Err(halt) = tell(&sights, Sight::Picture(Box::default())).await {
                return watched(halt);
            }
            sleep(NO_DATA).await;
        };
        follow(&reading, &sights).await.or_else(watched)
    }
}

/// Why nothing more is told.
#[derive(Debug)]
pub(crate) enum Halt {
    /// Nobody looks any more.
    Gone,
    Problem(Problem),
}

impl From<Problem> for Halt {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

/// Tells something to whoever looks.
pub(crate) async fn tell(sights: &Sender<Sight>, sight: Sight) -> Result<(), Halt> {
    sights.send(sight).await.map_err(|_| Halt::Gone)
}

/// That whoever looked has gone is no fault.
pub(crate) fn watched(halt: Halt) -> Result<(), Problem> {
    match halt {
        Halt::Gone => Ok(()),
        Halt::Problem(problem) => Err(problem),
    }
}

/// Whether an event says that something in the picture has changed.
pub(crate) fn changes_something(event_type: &str) -> bool {
    event_type != "metrics.updated"
}

async fn follow(reading: &Reading, sights: &Sender<Sight>) -> Result<(), Halt> {
    let store = reading.store();
    let all = EventFilter::default();
    let mut place = store.event_bounds().await.map_err(read)?.last;
    let mut newest = store
        .events_before(&all, None, BEFORE)
        .await
        .map_err(read)?;
    newest.sort_by_key(|event| event.seq);
    newest.retain(|event| event.seq <= place);
    for event in newest {
        tell(sights, Sight::Event(Box::new(event_view(event)))).await?;
    }
    let mut has_changed = true;
    loop {
        if has_changed {
            let picture = picture(store).await.map_err(read)?;
            tell(sights, Sight::Picture(Box::new(picture))).await?;
        }
        tokio::select! {
            () = sights.closed() => return Ok(()),
            () = sleep(LOOK) => {}
        }
        let new = store.events_after(&all, place, AT_ONCE).await;
        has_changed = false;
        for event in new.map_err(read)? {
            place = event.seq;
            let event = event_view(event);
            has_changed |= changes_something(&event.event_type);
            tell(sights, Sight::Event(Box::new(event))).await?;
        }
    }
}

async fn picture(store: &dyn Reader) -> fusion_persistence::Result<Picture> {
    let agents = AgentFilter {
        states: living(),
        ..AgentFilter::default()
    };
    let agents: Vec<Agent> = store.list(&agents, Page::first(MOST)).await?;
    let tasks = TaskFilter {
        states: open(),
        ..TaskFilter::default()
    };
    let tasks: Vec<Task> = store.list(&tasks, Page::first(MOST)).await?;
    Ok(Picture {
        agents: agents.iter().map(agent_views::summary).collect(),
        tasks: tasks.into_iter().map(task_views::line).collect(),
        inbox: fusion_api::inbox::read(store).await?.items,
    })
}

/// The states of tasks that have not ended.
pub(crate) fn open() -> Vec<TaskState> {
    let states = TaskState::ALL.iter().copied();
    states.filter(|state| !state.is_final()).collect()
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of map_err")]
fn read(error: fusion_persistence::Error) -> Problem {
    problems::of_store(&error)
}
