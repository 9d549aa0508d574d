//! Nodes: their rows, what one sees of the others, and the leases that tasks lost.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use fusion_core::{
    NamedSnapshot, Node, NodeId, NodeRole, NodeState, TaskId, Timestamp, WorkspaceId,
};
use fusion_persistence::{
    Due, Kept, Lease, Loss, NodeChange, NodeReader, NodeSeen, Outlook, Result, RunFence, TakeRuns,
};
use sea_orm::prelude::Uuid;
use sea_orm::{ConnectionTrait, QueryResult, Statement, Value};

use crate::claim;
use crate::dialect::Dialect;
use crate::due;
use crate::error::{corrupt, trying};
use crate::failure;
use crate::losses;
use crate::run_leases;
use crate::session::Session;
use crate::snapshots;
use crate::store::{SqlStore, unsigned};
use crate::streams::{self, Stream};
use crate::table::stored_as;

/// Free runs that are counted at most: nobody takes more at once.
const COUNTED: u32 = 10_000;

/// The first half of the keys of the locks by which nodes show life: "node" in ASCII.
pub(crate) const LIFE: i32 = 0x6e6f_6465;

/// The columns of a row and of what is counted for it.
const COLUMNS: &str = "id, epoch, name, version, roles, capacity, state, started_at, last_seen";

/// What a node wants to be written.
#[derive(Debug)]
pub(crate) enum NodeWork {
    Keep(Lease),
    Take(TakeRuns),
    Change(Box<NodeChange>),
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum NodeDone {
    Kept(Kept),
    Taken(Vec<RunFence>),
    Changed(u64),
}

impl NodeDone {
    /// Whether nothing was written. A node that holds nothing was seen all the same.
    pub(crate) const fn is_nothing(&self) -> bool {
        match self {
            Self::Kept(_) => false,
            Self::Taken(taken) => taken.is_empty(),
            Self::Changed(count) => *count == 0,
        }
    }
}

/// Writes what a node wants.
pub(crate) async fn run(session: &mut impl Session, work: &NodeWork) -> failure::Result<NodeDone> {
    Ok(match work {
        NodeWork::Keep(lease) => NodeDone::Kept(keep(session, *lease).await?),
        NodeWork::Take(wanted) => NodeDone::Taken(run_leases::take(session, wanted).await?),
        NodeWork::Change(wanted) => NodeDone::Changed(change(session, wanted).await?),
    })
}

/// Prolongs the leases of a node in one statement, for a database that carries it out without a
/// transaction around it. Gives how many tasks and runs it holds.
pub(crate) fn keeping(dialect: Dialect, lease: Lease) -> Result<Statement> {
    let now = dialect.now_ms();
    let sql = format!(
        "WITH kept_tasks AS (UPDATE tasks SET lease_until = {now} + $2
                             WHERE lease_owner = $1 AND state IN ('assigned', 'running') RETURNING 1),
              kept_runs AS (UPDATE run_leases SET lease_until = {now} + $2 WHERE owner = $1 RETURNING 1),
              seen AS (UPDATE nodes SET {SEEN}, last_seen = {now} WHERE id = $1)
         SELECT (SELECT count(*) FROM kept_tasks), (SELECT count(*) FROM kept_runs)"
    );
    let duration = claim::millis(lease.duration)?;
    let values: [Value; 2] = [lease.owner.uuid().into(), duration.into()];
    Ok(Statement::from_sql_and_values(dialect.into(), sql, values))
}

/// The same in the transaction of a session.
async fn keep(session: &mut impl Session, lease: Lease) -> failure::Result<Kept> {
    let kept = Kept {
        tasks: claim::extend(session, lease).await?,
        runs: run_leases::extend(session, lease).await?,
    };
    see(session, lease).await?;
    Ok(kept)
}

async fn change(session: &mut impl Session, change: &NodeChange) -> failure::Result<u64> {
    match change {
        NodeChange::Register(node) => register(session, node).await,
        NodeChange::State { id, state } => set_state(session, *id, *state).await,
        NodeChange::Expire(id) => {
            run_leases::expire(session, *id).await?;
            set_state(session, *id, NodeState::Down).await
        }
        NodeChange::Forget(id) => {
            let sql = "DELETE FROM nodes WHERE id = $1";
            execute(session, sql, vec![id.uuid().into()]).await
        }
        NodeChange::Release { fence, rest } => run_leases::release(session, *fence, *rest).await,
        NodeChange::ReleaseAll(id) => run_leases::release_all(session, *id).await,
        NodeChange::Prune(before) => {
            let sql = "DELETE FROM nodes WHERE state = 'down' AND last_seen < $1";
            execute(session, sql, vec![before.timestamp_millis().into()]).await
        }
    }
}

async fn execute(
    session: &mut impl Session,
    sql: impl Into<String>,
    values: Vec<Value>,
) -> failure::Result<u64> {
    let statement = Statement::from_sql_and_values(session.backend(), sql, values);
    session.execute("write down a node", statement).await
}

async fn register(session: &mut impl Session, node: &Node) -> failure::Result<u64> {
    let epoch = streams::take(session, Stream::Nodes, 1).await?;
    let now = Dialect::from(session.backend()).now_ms();
    let sql =
        format!("INSERT INTO nodes ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, {now}, {now})");
    let roles: Vec<&str> = node.roles.iter().map(|role| role.as_str()).collect();
    let values = vec![
        node.id.uuid().into(),
        epoch.into(),
        stored_as(&node.name),
        stored_as(&node.version),
        roles.join(",").into(),
        i32::try_from(node.capacity).unwrap_or(i32::MAX).into(),
        node.state.as_str().into(),
    ];
    execute(session, sql, values).await?;
    Ok(unsigned(epoch, "epoch of a node")?)
}

async fn set_state(
    session: &mut impl Session,
    id: NodeId,
    state: NodeState,
) -> failure::Result<u64> {
    let sql = "UPDATE nodes SET state = $2 WHERE id = $1 AND state <> 'down'";
    let values = vec![id.uuid().into(), state.as_str().into()];
    execute(session, sql, values).await
}

/// A node that was found dead and is seen is up again.
const SEEN: &str = "state = CASE WHEN state = 'down' THEN 'up' ELSE state END";

/// Notes that a node was seen.
async fn see(session: &mut impl Session, lease: Lease) -> failure::Result<()> {
    let now = Dialect::from(session.backend()).now_ms();
    let sql = format!("UPDATE nodes SET {SEEN}, last_seen = {now} WHERE id = $1");
    execute(session, sql, vec![lease.owner.uuid().into()]).await?;
    Ok(())
}

/// One row for each node that `chosen` chooses, with what there is to do beside it, and `also`.
fn look(dialect: Dialect, also: &str, chosen: &str) -> String {
    let now = dialect.now_ms();
    let (shows_life, up_for) = match dialect {
        Dialect::Sqlite => ("NULL".to_owned(), "0".to_owned()),
        Dialect::Postgres => (
            format!(
                "CASE WHEN EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted
                   AND classid::bigint = {LIFE} AND objid::bigint = nodes.epoch AND objsubid = 2
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
                 THEN 1 ELSE 0 END"
            ),
            "(extract(epoch FROM clock_timestamp() - pg_postmaster_start_time()) * 1000)::bigint"
                .to_owned(),
        ),
    };
    format!(
        "SELECT {COLUMNS}, {now} - last_seen AS silent_for, {shows_life} AS shows_life,
           (SELECT count(*) FROM run_leases WHERE owner = nodes.id AND lease_until >= {now}) AS runs,
           (SELECT count(*) FROM tasks WHERE lease_owner = nodes.id
              AND state IN ('assigned', 'running') AND lease_until >= {now}) AS tasks,
           (SELECT count(*) FROM (SELECT 1 FROM runs WHERE {free} LIMIT {COUNTED}) AS free) AS free_runs,
           CASE WHEN EXISTS (SELECT 1 FROM tasks WHERE state IN ('assigned', 'running')
              AND lease_until < {now}) THEN 1 ELSE 0 END AS has_lost_tasks,
           {up_for} AS up_for{also}
         FROM nodes {chosen}",
        free = run_leases::free(dialect),
    )
}

const ACTION: &str = "look at the nodes";

async fn rows(
    reader: &impl ConnectionTrait,
    (also, chosen): (&str, &str),
    values: Vec<Value>,
) -> Result<Vec<QueryResult>> {
    let backend = reader.get_database_backend();
    let sql = look(Dialect::from(backend), also, chosen);
    let query = Statement::from_sql_and_values(backend, sql, values);
    reader.query_all_raw(query).await.map_err(trying(ACTION))
}

fn get<T: sea_orm::TryGetable>(row: &QueryResult, column: &str) -> Result<T> {
    row.try_get("", column).map_err(trying(ACTION))
}

fn millis(row: &QueryResult, column: &str) -> Result<Duration> {
    let millis: i64 = get(row, column)?;
    Ok(Duration::from_millis(u64::try_from(millis).unwrap_or(0)))
}

fn seen(row: &QueryResult) -> Result<NodeSeen> {
    let time = |column| {
        let millis: i64 = get(row, column)?;
        Timestamp::from_timestamp_millis(millis).ok_or_else(|| corrupt("time of a node"))
    };
    let roles: String = get(row, "roles")?;
    let roles = roles.split(',').filter(|role| !role.is_empty());
    let roles: Option<BTreeSet<NodeRole>> = roles.map(NodeRole::from_text).collect();
    let state: String = get(row, "state")?;
    let capacity: i32 = get(row, "capacity")?;
    let shows_life: Option<i32> = get(row, "shows_life")?;
    Ok(NodeSeen {
        node: Node {
            id: NodeId::from_uuid(get::<Uuid>(row, "id")?),
            epoch: unsigned(get(row, "epoch")?, "epoch of a node")?,
            name: get(row, "name")?,
            version: get(row, "version")?,
            roles: roles.ok_or_else(|| corrupt("roles of a node"))?,
            capacity: run_leases::count(capacity.into())?,
            state: NodeState::from_text(&state).ok_or_else(|| corrupt("state of a node"))?,
            started_at: time("started_at")?,
            last_seen: time("last_seen")?,
        },
        runs: run_leases::count(get(row, "runs")?)?,
        tasks: run_leases::count(get(row, "tasks")?)?,
        silent_for: millis(row, "silent_for")?,
        shows_life: shows_life.map(|it| it == 1),
    })
}

#[async_trait]
impl NodeReader for SqlStore {
    async fn outlook(&self, with_due: bool) -> Result<Outlook> {
        let due = match with_due {
            true => format!(
                ", {}",
                due::columns(self.reader().get_database_backend().into())
            ),
            false => String::new(),
        };
        let up = "WHERE state <> 'down' ORDER BY epoch";
        let rows = rows(self.reader(), (&due, up), Vec::new()).await?;
        let mut outlook = Outlook {
            nodes: Vec::with_capacity(rows.len()),
            free_runs: 0,
            has_lost_tasks: false,
            up_for: Duration::ZERO,
            due: None,
        };
        for row in &rows {
            outlook.nodes.push(seen(row)?);
            outlook.free_runs = run_leases::count(get(row, "free_runs")?)?;
            outlook.has_lost_tasks = get::<i32>(row, "has_lost_tasks")? == 1;
            outlook.up_for = millis(row, "up_for")?;
            if with_due && outlook.due.is_none() {
                outlook.due = Some(due::of_row(row)?);
            }
        }
        self.signs().note(&outlook.nodes);
        Ok(outlook)
    }

    async fn due(&self) -> Result<Due> {
        due::look(self.reader()).await
    }

    async fn nodes(&self, limit: u32) -> Result<Vec<NodeSeen>> {
        let chosen = "ORDER BY epoch DESC LIMIT $1";
        let rows = rows(self.reader(), ("", chosen), vec![i64::from(limit).into()]).await?;
        rows.iter().map(seen).collect()
    }

    async fn runs_of_node(&self, node: NodeId) -> Result<Vec<RunFence>> {
        run_leases::of_node(self.reader(), node).await
    }

    async fn losses(&self, task: TaskId) -> Result<Vec<Loss>> {
        losses::of(self.reader(), task).await
    }

    async fn snapshot_of(&self, workspace: WorkspaceId) -> Result<Option<NamedSnapshot>> {
        snapshots::of(self.reader(), workspace).await
    }
}
