//! Projects that nobody works in any more.

use std::fmt::{self, Display, Formatter};

use fusion_core::{Agent, Project, ProjectId, Run, Schedule, Task};
use fusion_persistence::{
    Entity, Error as StoreError, Find, OpenWork, Page, Reader, Repository, Selects,
};

use crate::error::listed;
use crate::races::Races;
use crate::{Ask, Coordinator, Error, Result};

/// How many of a kind are named.
const NAMED: u32 = 3;

/// What of a project has not ended, so that it can't be archived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// The name of the project.
    pub project: String,
    /// Of each kind that there is something of.
    pub kinds: Vec<UnfinishedKind>,
}

/// What of one kind has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnfinishedKind {
    /// The name of the kind.
    pub kind: &'static str,
    /// How many there are.
    pub count: u64,
    /// The newest of them: names of agents and schedules, ids of runs and tasks.
    pub newest: Vec<String>,
    /// The command that ends one.
    pub command: &'static str,
}

impl Display for UnfinishedKind {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        let plural = if self.count == 1 { "" } else { "s" };
        let newest = self.newest.join(", ");
        let named = u64::try_from(self.newest.len()).unwrap_or(u64::MAX);
        write!(to, "{} {}{plural} ({newest}", self.count, self.kind)?;
        match self.count.saturating_sub(named) {
            0 => to.write_str(")"),
            more => write!(to, " and {more} more)"),
        }
    }
}

impl Display for Unfinished {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        let Self { project, kinds } = self;
        write!(
            to,
            "the project '{project}' is still worked in: {}",
            listed(kinds)
        )
    }
}

impl std::error::Error for Unfinished {}

impl Unfinished {
    /// The commands that end it.
    pub(crate) fn way_out(&self) -> String {
        let commands: Vec<&str> = self.kinds.iter().map(|kind| kind.command).collect();
        format!("end that first, with: {}", commands.join(", "))
    }
}

impl Coordinator {
    /// Lets a project take nothing new from now on, or take it again, and gives it as it is stored then. One
    /// that is so already stays as it is, and nothing is told. `ask` gets the project as it will be.
    ///
    /// # Errors
    /// There is no such project, something of it is open, or the store fails. Nothing was changed.
    pub async fn archive_project(
        &self,
        id: ProjectId,
        is_archived: bool,
        ask: impl Fn(&Project) -> Ask + Send + Sync,
    ) -> Result<Project> {
        let mut races = Races::new();
        loop {
            let project: Project = self.parts.store.get(id).await?;
            let moment = self.moment();
            let Some((changed, decision)) = project.archive(is_archived, moment) else {
                return Ok(project);
            };
            if is_archived {
                self.expect_nothing_open(&project).await?;
            }
            let (done, place) = (done(is_archived), (Project::NAME, id.uuid()));
            let batch = ask(&changed).batch(done, decision, place, moment);
            match self.commit(batch).await {
                Ok(()) => return Ok(changed),
                // Something was opened since it was looked for, or another changed the project.
                Err(error) if error.is_conflict() || is_in_use(&error) => {
                    races.after(error).await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn expect_nothing_open(&self, project: &Project) -> Result<()> {
        let store: &(dyn Reader + 'static) = self.parts.store.as_ref();
        let open = OpenWork::of(project.id);
        let agents = of_kind(store, &open.agents, "agent terminate AGENT", |it: Agent| {
            it.name
        });
        let runs = of_kind(store, &open.runs, "run cancel RUN", |it: Run| {
            it.id.to_string()
        });
        let tasks = of_kind(store, &open.tasks, "task cancel TASK", |it: Task| {
            it.id.to_string()
        });
        let schedules = of_kind(
            store,
            &open.schedules,
            "schedule pause SCHEDULE",
            |it: Schedule| it.name,
        );
        let kinds = [agents.await?, runs.await?, tasks.await?, schedules.await?];
        let kinds: Vec<UnfinishedKind> = kinds.into_iter().flatten().collect();
        if kinds.is_empty() {
            return Ok(());
        }
        let project = project.name.clone();
        Err(Error::OpenWork(Box::new(Unfinished { project, kinds })))
    }

    /// Whether there is such a project.
    ///
    /// # Errors
    /// It takes nothing new, or the store fails.
    pub(crate) async fn is_open_project(&self, id: ProjectId) -> Result<bool> {
        let found: Option<Project> = self.parts.store.find(id).await?;
        match found {
            Some(project) if project.archived_at.is_some() => Err(StoreError::Archived {
                project: project.name,
            }
            .into()),
            found => Ok(found.is_some()),
        }
    }
}

/// What a filter selects, when it selects something.
async fn of_kind<F>(
    store: &(dyn Reader + 'static),
    filter: &F,
    command: &'static str,
    name: impl Fn(F::Entity) -> String + Send,
) -> Result<Option<UnfinishedKind>>
where
    F: Selects,
    dyn Reader: Find<F::Entity>,
{
    let newest = store.list(filter, Page::first(NAMED)).await?;
    if newest.is_empty() {
        return Ok(None);
    }
    Ok(Some(UnfinishedKind {
        kind: F::Entity::NAME,
        count: store.count(filter).await?,
        newest: newest.into_iter().map(name).collect(),
        command,
    }))
}

/// What is told of who asked.
const fn done(is_archived: bool) -> &'static str {
    if is_archived {
        "archived"
    } else {
        "unarchived"
    }
}

const fn is_in_use(error: &Error) -> bool {
    matches!(error, Error::Store(StoreError::InUse { .. }))
}
