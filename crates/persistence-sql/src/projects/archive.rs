//! Projects that take nothing new: of an archiving and of new work at the same moment one is refused.
//!
//! Who opens something of a project holds its row in share until the commit, once the rest is written; and who
//! archives it writes that row first and looks then at what is open. One of them waits for the other, and sees
//! what it did.

use std::collections::BTreeSet;

use fusion_core::{Agent, Change, Project, ProjectId, Row, Run, Schedule, Task, WorkflowId};
use fusion_persistence::{Entity, Error, OpenWork};
use sea_orm::sea_query::{Expr, Query, SelectStatement};
use sea_orm::{Condition, DbBackend, Statement, StatementBuilder, Value};

use super::table;
use crate::failure::Result;
use crate::session::Session;
use crate::table::{self as rows, Stored, columns, stored_as};

/// The project of the newest version of the workflow of a schedule that is held as yet.
const OF_HELD: &str = "(SELECT project_id FROM workflows WHERE name = $1
      AND EXISTS (SELECT 1 FROM schedules WHERE id = $2 AND paused)
    ORDER BY definition_version DESC LIMIT 1)";

/// Where a new row says of which project it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// In itself.
    Named(ProjectId),
    /// In the version of a workflow.
    OfVersion(WorkflowId),
    /// In the newest version of the workflow of this name.
    OfNewest(String),
}

/// Refuses changes that make work for a project which takes nothing new. Each project is looked at once.
pub(crate) async fn expect_open(session: &mut impl Session, changes: &[Change]) -> Result<()> {
    let mut places = BTreeSet::new();
    for change in changes {
        if let Change::Create(row) = change {
            places.extend(place_of(row));
        }
    }
    for place in places {
        match place {
            Place::Named(id) => expect(session, "$1", [id.uuid().into()]).await?,
            Place::OfVersion(id) => {
                let of_version = "(SELECT project_id FROM workflows WHERE id = $1)";
                expect(session, of_version, [id.uuid().into()]).await?;
            }
            Place::OfNewest(name) => {
                let of_newest = "(SELECT project_id FROM workflows WHERE name = $1
                    ORDER BY definition_version DESC LIMIT 1)";
                expect(session, of_newest, [stored_as(&name)]).await?;
            }
        }
    }
    Ok(())
}

/// `None` for what is no work, or has no project.
fn place_of(row: &Row) -> Option<Place> {
    match row {
        Row::Agent(agent) => agent.project_id.map(Place::Named),
        Row::Workflow(workflow) => workflow.project_id.map(Place::Named),
        Row::Task(task) => task.pool?.project.map(Place::Named),
        // That of a task of its own belongs to no project: its task does.
        Row::Run(run) => (!run.is_standalone).then_some(Place::OfVersion(run.workflow_id)),
        Row::Schedule(schedule) => {
            let name = || Place::OfNewest(schedule.workflow.clone());
            (!schedule.is_paused).then(name)
        }
        Row::ApiToken(_)
        | Row::Approval(_)
        | Row::Capability(_)
        | Row::Metrics(_)
        | Row::Project(_)
        | Row::Provider(_)
        | Row::Webhook(_)
        | Row::WebhookAttempt(_)
        | Row::Workspace(_) => None,
    }
}

/// The same for a schedule that is let go on. One that goes on already is moved on also past what its
/// project does not take.
pub(crate) async fn expect_open_again(
    session: &mut impl Session,
    schedule: &Schedule,
) -> Result<()> {
    if schedule.is_paused {
        return Ok(());
    }
    let values = [stored_as(&schedule.workflow), schedule.id.uuid().into()];
    expect(session, OF_HELD, values).await
}

/// Holds the row of a project, where there is one, so that nobody archives it before the commit.
async fn expect<const N: usize>(
    session: &mut impl Session,
    which: &str,
    values: [Value; N],
) -> Result<()> {
    let columns = columns::<table::Entity>().join(", ");
    // SQLite has one writer.
    let held = if session.backend() == DbBackend::Postgres {
        " FOR SHARE"
    } else {
        ""
    };
    let sql = format!("SELECT {columns} FROM projects WHERE id = {which}{held}");
    let look = Statement::from_sql_and_values(session.backend(), sql, values);
    let found = session.rows::<table::Entity>("look at a project", look);
    let archived = found
        .await?
        .into_iter()
        .find(|row| row.archived_at.is_some());
    match archived {
        Some(project) => Err(Error::Archived {
            project: project.name,
        }
        .into()),
        None => Ok(()),
    }
}

/// Writes a project as it is now. One that is archived with that has nothing open.
pub(crate) async fn update(session: &mut impl Session, project: &Project) -> Result<()> {
    let is_new = project.archived_at.is_some() && !was_archived(session, project.id).await?;
    rows::update(session, project).await?;
    if !is_new {
        return Ok(());
    }
    // Looked at after the update: who opens something meanwhile waits for the row and finds it archived.
    for select in open(project.id) {
        let statement = StatementBuilder::build(&select, &session.backend());
        let found = session.number("look for what is open of a project", statement);
        if found.await?.is_some() {
            return Err(Error::InUse {
                entity: Project::NAME,
                id: project.id.to_string(),
            }
            .into());
        }
    }
    Ok(())
}

/// As it is stored. Who changes it meanwhile changes its version too.
async fn was_archived(session: &mut impl Session, id: ProjectId) -> Result<bool> {
    let sql = "SELECT CAST(1 AS BIGINT) FROM projects WHERE id = $1 AND archived_at IS NOT NULL";
    let values: [Value; 1] = [id.uuid().into()];
    let look = Statement::from_sql_and_values(session.backend(), sql, values);
    Ok(session.number("look at a project", look).await?.is_some())
}

/// Selects what is open of a project.
fn open(project: ProjectId) -> [SelectStatement; 4] {
    let open = OpenWork::of(project);
    [
        any::<Agent>(Agent::condition(&open.agents)),
        any::<Run>(Run::condition(&open.runs)),
        any::<Task>(Task::condition(&open.tasks)),
        any::<Schedule>(Schedule::condition(&open.schedules)),
    ]
}

fn any<T: Stored>(condition: Condition) -> SelectStatement {
    Query::select()
        .expr(Expr::val(1_i64))
        .from(T::Table::default())
        .cond_where(condition)
        .limit(1)
        .to_owned()
}
