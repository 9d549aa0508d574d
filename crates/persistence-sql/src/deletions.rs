//! Runs that are deleted: decided in one commit, taken out in pieces.
//!
//! Whoever goes on from a run, or needs one of its tasks, holds its row in share until the commit, and whoever
//! deletes it takes that row for itself first and looks then at who needs it. One of them waits for the other,
//! and sees what it did. Who only writes a row of a run waits for neither.

mod books;
pub(crate) mod files;
mod pieces;

use fusion_core::{Run, RunId, TaskId};
use fusion_persistence::Error;
use sea_orm::prelude::Uuid;
use sea_orm::{DbBackend, Statement, Value};

use crate::failure::Result;
use crate::session::{Readable, Session};
use crate::{agents, runs, tasks};

pub(crate) use books::costs;
pub(crate) use pieces::take_out;

const ACTION: &str = "delete a run";

/// A run, which is the first value, and all runs below it.
const TREE: &str = "tree AS (SELECT id FROM runs WHERE id = $1
    UNION ALL SELECT runs.id FROM runs JOIN tree ON runs.parent_run = tree.id)";

/// The states of a run that has not ended.
const OPEN: &str = "NOT IN ('completed', 'failed', 'cancelled')";

/// The runs whose deletion has begun.
pub(crate) mod table {
    #![expect(unreachable_pub, reason = "the shape is sea-orm's")]
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "run_deletions")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub run_id: Uuid,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Begins to delete a run and all runs below it, or says who needs one of them.
pub(crate) async fn begin(session: &mut impl Session, run: RunId) -> Result<()> {
    let mine = "SELECT id FROM runs WHERE id IN (SELECT id FROM tree) ORDER BY id";
    let mine = format!("WITH RECURSIVE {TREE} {mine}");
    if held(session, &mine, "FOR UPDATE", run.uuid()).await? == 0 {
        return Err(not_found(run).into());
    }
    let take = "UPDATE runs SET version = version + 1 WHERE id IN (SELECT id FROM tree)";
    execute(session, run, take).await?;
    if let Some(why) = why_needed(session, run).await? {
        return Err(Error::Needed { run, why }.into());
    }
    books::take_over(session, run).await?;
    let mark = "INSERT INTO run_deletions (run_id) SELECT id FROM tree";
    execute(session, run, mark).await?;
    Ok(())
}

/// Refuses a new run that goes on from one which is deleted. What came from elsewhere may name any run.
pub(crate) async fn expect_kept(session: &mut impl Session, new: &Run) -> Result<()> {
    let Some(before) = new.continues.filter(|_| !new.is_imported()) else {
        return Ok(());
    };
    let needed = "SELECT id FROM runs WHERE id = $1";
    let found = held(session, needed, IN_SHARE, before.uuid()).await?;
    if found == 0
        || deleted_among(session, needed, before.uuid())
            .await?
            .is_some()
    {
        return Err(not_found(before).into());
    }
    Ok(())
}

/// Refuses a new task that needs one of a run which is deleted.
pub(crate) async fn expect_needed_kept(session: &mut impl Session, task: TaskId) -> Result<()> {
    let needed =
        "SELECT id FROM runs WHERE id IN (SELECT needed.run_id FROM task_dependencies AS edge
        JOIN tasks AS needed ON needed.id = edge.depends_on WHERE edge.task_id = $1) ORDER BY id";
    held(session, needed, IN_SHARE, task.uuid()).await?;
    match deleted_among(session, needed, task.uuid()).await? {
        Some(run) => Err(Error::Deleted { run }.into()),
        None => Ok(()),
    }
}

/// Others may hold the row so too, and write it.
const IN_SHARE: &str = "FOR KEY SHARE";

/// Holds the runs that a query of a value names until the commit; says how many there are. SQLite has one
/// writer.
async fn held(session: &mut impl Session, runs: &str, how: &str, value: Uuid) -> Result<i64> {
    let backend = session.backend();
    let how = if backend == DbBackend::Postgres {
        how
    } else {
        ""
    };
    // Locked in one order, whoever does it.
    let sql = format!("SELECT COUNT(*) FROM ({runs} {how}) AS held");
    let values: [Value; 1] = [value.into()];
    let query = Statement::from_sql_and_values(backend, sql, values);
    Ok(session.number(ACTION, query).await?.unwrap_or_default())
}

/// The first of these runs whose deletion has begun. Asked after they are held, in a statement of its own: who
/// deleted one meanwhile was waited for.
async fn deleted_among(
    session: &mut impl Session,
    runs: &str,
    value: Uuid,
) -> Result<Option<RunId>> {
    let sql = format!(
        "SELECT * FROM runs WHERE id IN (SELECT run_id FROM run_deletions) AND id IN ({runs}) LIMIT 1"
    );
    let values: [Value; 1] = [value.into()];
    let query = Statement::from_sql_and_values(session.backend(), sql, values);
    let found = session.rows::<runs::table::Entity>(ACTION, query).await?;
    Ok(found.first().map(|row| RunId::from_uuid(row.id)))
}

fn not_found(run: RunId) -> Error {
    Error::NotFound {
        entity: "run",
        id: run.to_string(),
    }
}

/// Who needs a run or one below it; `None` when it may go.
async fn why_needed(session: &mut impl Session, run: RunId) -> Result<Option<String>> {
    let begun = "SELECT CAST(1 AS BIGINT) FROM run_deletions WHERE run_id = $1".to_owned();
    if number(session, run, begun).await?.is_some() {
        return Ok(Some("that is under way".to_owned()));
    }
    match needed_by_runs(session, run).await? {
        None => needed_by_work(session, run).await,
        needed => Ok(needed),
    }
}

async fn needed_by_runs(session: &mut impl Session, run: RunId) -> Result<Option<String>> {
    let open = format!("SELECT runs.* FROM runs JOIN tree ON tree.id = runs.id WHERE state {OPEN}");
    if let Some(open) = first::<runs::table::Entity>(session, run, &open).await? {
        return Ok(Some(match open.id == run.uuid() {
            true => "it has not ended".to_owned(),
            false => format!("run {} below it has not ended", open.id),
        }));
    }
    let above = "SELECT above.* FROM runs JOIN runs AS above ON above.id = runs.parent_run
                 WHERE runs.id = $1";
    if let Some(above) = first::<runs::table::Entity>(session, run, above).await? {
        let id = above.id;
        return Ok(Some(format!(
            "it is a step of run {id}, which it is deleted with"
        )));
    }
    let continuing =
        format!("SELECT runs.* FROM runs JOIN tree ON tree.id = runs.continues WHERE state {OPEN}");
    let continuing = first::<runs::table::Entity>(session, run, &continuing).await?;
    Ok(continuing.map(|by| format!("run {}, which has not ended, goes on from it", by.id)))
}

async fn needed_by_work(session: &mut impl Session, run: RunId) -> Result<Option<String>> {
    let waiting = "SELECT waiting.* FROM tree JOIN tasks AS needed ON needed.run_id = tree.id
        JOIN task_dependencies AS edge ON edge.depends_on = needed.id
        JOIN tasks AS waiting ON waiting.id = edge.task_id
        WHERE waiting.run_id NOT IN (SELECT id FROM tree)
          AND waiting.state IN ('queued', 'assigned', 'running')";
    if let Some(task) = first::<tasks::table::Entity>(session, run, waiting).await? {
        let (name, id) = (task.name, task.id);
        return Ok(Some(format!(
            "the task '{name}' ({id}), which has not ended, needs one of it"
        )));
    }
    let alive = "SELECT agents.* FROM agents JOIN tree ON tree.id = agents.run_id
                 WHERE agents.state <> 'terminated'";
    if let Some(agent) = first::<agents::table::Entity>(session, run, alive).await? {
        return Ok(Some(format!("its agent '{}' has not ended", agent.name)));
    }
    let reading = "SELECT agents.* FROM message_recipients AS delivery
        JOIN messages ON messages.id = delivery.message_id
        JOIN agents ON agents.id = delivery.agent_id
        WHERE delivery.status = 'pending' AND (messages.run_id IN (SELECT id FROM tree)
          OR messages.sender_agent_id IN (SELECT agents.id FROM agents JOIN tree ON tree.id = agents.run_id))";
    let reader = first::<agents::table::Entity>(session, run, reading).await?;
    Ok(reader.map(|agent| {
        format!(
            "the agent '{}' has still to read a message of it",
            agent.name
        )
    }))
}

/// The first row that a query below [`TREE`] gives.
async fn first<E: Readable>(
    session: &mut impl Session,
    run: RunId,
    sql: &str,
) -> Result<Option<E::Model>> {
    let sql = format!("WITH RECURSIVE {TREE} {sql} LIMIT 1");
    let values: [Value; 1] = [run.uuid().into()];
    let query = Statement::from_sql_and_values(session.backend(), sql, values);
    let found = session.rows::<E>(ACTION, query).await?;
    Ok(found.into_iter().next())
}

async fn number(session: &mut impl Session, run: RunId, sql: String) -> Result<Option<i64>> {
    let values: [Value; 1] = [run.uuid().into()];
    let query = Statement::from_sql_and_values(session.backend(), sql, values);
    session.number(ACTION, query).await
}

/// Carries out a statement below [`TREE`]; says how many rows it wrote.
async fn execute(session: &mut impl Session, run: RunId, sql: &str) -> Result<u64> {
    let sql = format!("WITH RECURSIVE {TREE} {sql}");
    let values: [Value; 1] = [run.uuid().into()];
    let statement = Statement::from_sql_and_values(session.backend(), sql, values);
    session.execute(ACTION, statement).await
}
