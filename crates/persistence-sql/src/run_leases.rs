//! Leases on runs: who drives them. A run that was never taken has no row here.

use fusion_core::{NodeId, RunId};
use fusion_persistence::{Error, Lease, RunFence, TakeRuns, Wanted};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, QueryFilter, Statement, Value,
};

use crate::claim::millis;
use crate::dialect::Dialect;
use crate::error::{corrupt, trying};
use crate::failure::Result;
use crate::session::Session;
use crate::store::{signed, unsigned};
use crate::tasks::is_fence_off;

/// The condition of a run that no person holds. One that was told to end is driven to its end.
const NOT_HELD: &str = "(halt IS NULL OR halt LIKE '%\"kind\":\"cancel\"%')";

/// The condition of a run that a process may drive: it has not ended, nobody holds it, and it is not a
/// task of its own.
fn open() -> String {
    format!("NOT standalone AND {NOT_HELD} AND state NOT IN ('completed', 'failed', 'cancelled')")
}

pub(crate) mod table {
    #![expect(unreachable_pub, reason = "the shape is sea-orm's")]
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "run_leases")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub run_id: Uuid,
        pub owner: Option<Uuid>,
        pub fence: i64,
        pub lease_until: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Gives a run that was just created to a node.
pub(crate) async fn reserve(session: &mut impl Session, run: RunId, lease: Lease) -> Result<()> {
    let backend = session.backend();
    let sql = format!(
        "INSERT INTO run_leases (run_id, owner, fence, lease_until) VALUES ($1, $2, 1, {} + $3)",
        Dialect::from(backend).now_ms()
    );
    let values: [Value; 3] = [
        run.uuid().into(),
        lease.owner.uuid().into(),
        millis(lease.duration)?.into(),
    ];
    let statement = Statement::from_sql_and_values(backend, sql, values);
    session
        .execute("reserve a run", statement)
        .await
        .map(|_| ())
}

/// Leases runs to a node, in one statement.
pub(crate) async fn take(session: &mut impl Session, take: &TakeRuns) -> Result<Vec<RunFence>> {
    if matches!(&take.wanted, Wanted::These(runs) if runs.is_empty()) {
        return Ok(Vec::new());
    }
    let statement = taking(session.backend(), take)?;
    let rows = session
        .rows::<table::Entity>("take runs", statement)
        .await?;
    Ok(fences(take.lease.owner, rows)?)
}

fn fences(owner: NodeId, rows: Vec<table::Model>) -> fusion_persistence::Result<Vec<RunFence>> {
    let fence = |row: table::Model| {
        Ok(RunFence {
            run: RunId::from_uuid(row.run_id),
            owner,
            number: unsigned(row.fence, "run fence")?,
        })
    };
    rows.into_iter().map(fence).collect()
}

/// The runs that a node drives.
pub(crate) async fn of_node(
    reader: &impl ConnectionTrait,
    node: NodeId,
) -> fusion_persistence::Result<Vec<RunFence>> {
    let rows = table::Entity::find()
        .filter(table::Column::Owner.eq(node.uuid()))
        .all(reader)
        .await
        .map_err(trying("look for the runs of a node"))?;
    fences(node, rows)
}

/// Whether a process drives a run.
pub(crate) async fn is_driven(
    reader: &impl ConnectionTrait,
    run: RunId,
) -> fusion_persistence::Result<bool> {
    let now = Dialect::from(reader.get_database_backend()).now_ms();
    let held = table::Entity::find_by_id(run.uuid())
        .filter(table::Column::Owner.is_not_null())
        .filter(Expr::cust(format!("lease_until >= {now}")))
        .one(reader)
        .await
        .map_err(trying("look for leases"))?;
    Ok(held.is_some())
}

/// Gives all runs of a node up.
pub(crate) async fn release_all(session: &mut impl Session, node: NodeId) -> Result<u64> {
    let backend = session.backend();
    let sql = format!(
        "UPDATE run_leases SET owner = NULL, fence = fence + 1, lease_until = {} - 1
         WHERE owner = $1",
        Dialect::from(backend).now_ms()
    );
    let statement = Statement::from_sql_and_values(backend, sql, [node.uuid().into()]);
    session.execute("give runs up", statement).await
}

/// Runs that have not ended and that nobody holds.
pub(crate) fn unfinished() -> String {
    format!(
        "SELECT 1 FROM runs WHERE NOT standalone AND state IN ('pending', 'ready', 'running')
           AND {NOT_HELD}"
    )
}

/// The condition of a run that nobody drives: neither a lease nor a rest of it has not run out.
pub(crate) fn free(dialect: Dialect) -> String {
    format!(
        "{open} AND NOT EXISTS (SELECT 1 FROM run_leases
           WHERE run_id = runs.id AND lease_until >= {now})",
        open = open(),
        now = dialect.now_ms()
    )
}

/// One statement, whoever else asks: a row that another one just wrote is looked at again. All write in
/// the order of the ids, so that none waits for one that waits for him.
fn taking(backend: DbBackend, take: &TakeRuns) -> Result<Statement> {
    let dialect = Dialect::from(backend);
    let now = dialect.now_ms();
    let (owner, duration) = (take.lease.owner, millis(take.lease.duration)?);
    let mut values: Vec<Value> = vec![owner.uuid().into(), duration.into()];
    let is_over = format!("run_leases.lease_until < {now}");
    let (wanted, may) = match &take.wanted {
        Wanted::Free(limit) => {
            values.push(i64::from(*limit).into());
            (format!("{} ORDER BY id LIMIT $3", free(dialect)), is_over)
        }
        Wanted::These(runs) => {
            let runs = runs.iter().map(|run| run.uuid().into());
            let first = values.len() + 1;
            values.extend(runs);
            let places: Vec<String> = (first..=values.len()).map(|n| format!("${n}")).collect();
            let these = format!(
                "{} AND id IN ({}) ORDER BY id",
                free(dialect),
                places.join(", ")
            );
            (these, is_over)
        }
        Wanted::This(run) => {
            values.push(run.uuid().into());
            let may = format!("{is_over} OR run_leases.owner IS NULL OR run_leases.owner = $1");
            (format!("{} AND id = $3", open()), may)
        }
    };
    let sql = format!(
        "INSERT INTO run_leases (run_id, owner, fence, lease_until)
         SELECT id, {owner}, 1, {now} + $2 FROM runs WHERE {wanted}
         ON CONFLICT (run_id) DO UPDATE SET owner = excluded.owner, fence = run_leases.fence + 1,
           lease_until = excluded.lease_until WHERE {may}
         RETURNING run_id, owner, fence, lease_until",
        owner = match dialect {
            Dialect::Sqlite => "$1",
            Dialect::Postgres => "$1::uuid",
        },
    );
    Ok(Statement::from_sql_and_values(backend, sql, values))
}

/// Refuses the batch unless the run is held.
pub(crate) async fn check(session: &mut impl Session, fence: RunFence) -> Result<()> {
    if is_fence_off() {
        return Ok(());
    }
    let backend = session.backend();
    // Nobody may take the run away before this batch is committed.
    let lock = match Dialect::from(backend) {
        Dialect::Postgres => " FOR SHARE",
        Dialect::Sqlite => "",
    };
    let sql = format!(
        "SELECT fence FROM run_leases WHERE run_id = $1 AND owner = $2 AND fence = $3{lock}"
    );
    let statement = Statement::from_sql_and_values(backend, sql, values_of(fence));
    let found = session.number("check a lease", statement).await?;
    found
        .map(|_| ())
        .ok_or_else(|| Error::NotDriver { run: fence.run }.into())
}

/// The condition of a claim whose driver must hold the run of `$4` for the owner `$2`: its number is the
/// next value of the statement.
pub(crate) fn is_held(place: usize) -> String {
    format!(
        "EXISTS (SELECT 1 FROM run_leases WHERE run_id = $4 AND owner = $2 AND fence = ${place})"
    )
}

/// The number that [`is_held`] wants; `None` where nothing is to be checked.
pub(crate) fn number(driver: Option<RunFence>) -> Option<i64> {
    driver
        .filter(|_| !is_fence_off())
        .map(|fence| signed(fence.number))
}

/// Gives a run up. Nobody takes it before `rest` is over.
pub(crate) async fn release(
    session: &mut impl Session,
    fence: RunFence,
    rest: std::time::Duration,
) -> Result<u64> {
    let backend = session.backend();
    let sql = format!(
        "UPDATE run_leases SET owner = NULL, fence = fence + 1, lease_until = {} - 1 + $4
         WHERE run_id = $1 AND owner = $2 AND fence = $3",
        Dialect::from(backend).now_ms()
    );
    let mut values = values_of(fence).to_vec();
    values.push(millis(rest)?.into());
    let statement = Statement::from_sql_and_values(backend, sql, values);
    session.execute("give a run up", statement).await
}

/// Prolongs the leases of a node, counted from now.
pub(crate) async fn extend(session: &mut impl Session, lease: Lease) -> Result<u64> {
    let backend = session.backend();
    let sql = format!(
        "UPDATE run_leases SET lease_until = {} + $2 WHERE owner = $1",
        Dialect::from(backend).now_ms()
    );
    let values: [Value; 2] = [lease.owner.uuid().into(), millis(lease.duration)?.into()];
    let statement = Statement::from_sql_and_values(backend, sql, values);
    session.execute("extend leases", statement).await
}

/// Lets the leases of a node run out now.
pub(crate) async fn expire(session: &mut impl Session, node: NodeId) -> Result<()> {
    let backend = session.backend();
    let now = Dialect::from(backend).now_ms();
    for sql in [
        format!("UPDATE run_leases SET lease_until = {now} - 1 WHERE owner = $1"),
        format!(
            "UPDATE tasks SET lease_until = {now} - 1
             WHERE lease_owner = $1 AND state IN ('assigned', 'running')"
        ),
    ] {
        let statement = Statement::from_sql_and_values(backend, sql, [node.uuid().into()]);
        session
            .execute("end the leases of a node", statement)
            .await?;
    }
    Ok(())
}

fn values_of(fence: RunFence) -> [Value; 3] {
    [
        fence.run.uuid().into(),
        fence.owner.uuid().into(),
        signed(fence.number).into(),
    ]
}

/// For columns.
pub(crate) fn count(number: i64) -> fusion_persistence::Result<u32> {
    u32::try_from(number).map_err(|_| corrupt("count"))
}
