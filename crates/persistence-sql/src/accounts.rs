//! Accounts that many runs use up: what they have used, and the room that calls hold in them.
//!
//! Whoever asks for room or settles writes the row of the account first, and so comes after all who
//! did before him. Room is held while its task is under the lease that it was held under. Room that is
//! still there when that lease has ended is void: nobody said what became of the call, so it counts as
//! used. Whoever asks for room next adds it to what is lost.

use std::collections::BTreeMap;

use async_trait::async_trait;
use fusion_core::{Account, Budget, CallEnd, Cost, Fit, Held, Reservation, Spent, TaskId, Usage};
use fusion_persistence::{AccountReader, Error, Result};
use sea_orm::{ConnectionTrait, Statement, Value};

use crate::SqlStore;
use crate::failure;
use crate::session::Session;
use crate::store::{signed, unsigned};
use crate::table::stored_as;

pub(crate) mod table {
    #![expect(unreachable_pub, reason = "the shape is sea-orm's")]
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "accounts")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
        pub account: String,
        pub tokens: i64,
        pub cost_picos: i64,
        pub lost_tokens: i64,
        pub lost_cost_picos: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// The room of calls under way.
pub(crate) mod room {
    #![expect(unreachable_pub, reason = "the shape is sea-orm's")]
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "account_holds")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub task_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
        pub account: String,
        pub fence: i64,
        pub tokens: i64,
        pub cost_picos: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

const HOLDING: &str = "hold room in an account";

/// Whether the room in a row of `account_holds` is held for a call under way.
const HELD: &str = "EXISTS (SELECT 1 FROM tasks WHERE tasks.id = account_holds.task_id
  AND tasks.fence = account_holds.fence AND tasks.state IN ('assigned', 'running'))";

/// All the room in an account, as a row of `accounts`.
const SUMS: &str =
    "SELECT CAST($1 AS TEXT) AS account, CAST(COALESCE(SUM(tokens), 0) AS BIGINT) AS tokens,
       CAST(COALESCE(SUM(cost_picos), 0) AS BIGINT) AS cost_picos,
       CAST(0 AS BIGINT) AS lost_tokens, CAST(0 AS BIGINT) AS lost_cost_picos
     FROM account_holds WHERE account = $1";

const RETURNING: &str = "RETURNING task_id, account, fence, tokens, cost_picos";

/// Holds the room for a call of a task in the place of what it held, or refuses.
pub(crate) async fn hold(session: &mut impl Session, wanted: &Reservation) -> failure::Result<()> {
    take_over(session, wanted).await?;
    for (account, limit) in &wanted.limits {
        let key = account.key();
        let (spent, held) = state(session, &key).await?;
        fits(wanted, &key, limit, (spent, held))?;
        let sql = "INSERT INTO account_holds (task_id, account, fence, tokens, cost_picos)
                   VALUES ($1, $2, $3, $4, $5)";
        let call = wanted.call;
        let values: [Value; 5] = [
            wanted.task_id.uuid().into(),
            stored_as(&key),
            signed(wanted.fence).into(),
            signed(call.tokens.unwrap_or_default()).into(),
            call.cost.unwrap_or_default().picos().into(),
        ];
        let statement = Statement::from_sql_and_values(session.backend(), sql, values);
        session.execute(HOLDING, statement).await?;
    }
    Ok(())
}

fn fits(
    wanted: &Reservation,
    key: &str,
    limit: &Budget,
    (spent, held): (Spent, Held),
) -> Result<()> {
    let aside = wanted.set_aside;
    let used = Usage {
        input_tokens: spent.tokens.saturating_add(aside.tokens),
        cost: spent.cost + aside.cost,
        ..Usage::default()
    };
    let refused = |why: String, may_fit| Error::OverBudget {
        account: key.to_owned(),
        why,
        may_fit,
    };
    match limit.fit_beside(&spent.lost, &used, &held, &wanted.call) {
        Fit::Now => Ok(()),
        Fit::Later => Err(refused("calls under way hold the rest".to_owned(), true)),
        Fit::Never(why) => Err(refused(why, false)),
    }
}

/// What an account has used, and what calls of other tasks could still use. Void room becomes part of
/// what is lost.
async fn state(session: &mut impl Session, key: &str) -> failure::Result<(Spent, Held)> {
    let mut spent = add(session, key, Spent::default()).await?;
    let backend = session.backend();
    let of_it = || [stored_as(key)];
    let sql = format!("DELETE FROM account_holds WHERE account = $1 AND NOT {HELD} {RETURNING}");
    let void = Statement::from_sql_and_values(backend, sql, of_it());
    for room in session.rows::<room::Entity>(HOLDING, void).await? {
        spent = lose(session, &room).await?;
    }
    // What the statement before left there, also where its lease ended just now.
    let sums = Statement::from_sql_and_values(backend, SUMS, of_it());
    let sums = session.rows::<table::Entity>(HOLDING, sums).await?.pop();
    Ok((spent, in_all(sums.as_ref())?))
}

/// The sums of the room in an account.
fn in_all(sums: Option<&table::Model>) -> Result<Held> {
    let Spent { cost, tokens, .. } = sums.map(spent).transpose()?.unwrap_or_default();
    Ok(Held { cost, tokens })
}

/// Gives up the room that a task holds under a lease.
pub(crate) async fn release(
    session: &mut impl Session,
    (task, fence): (TaskId, u64),
    ended: CallEnd,
) -> failure::Result<()> {
    let sql = format!("DELETE FROM account_holds WHERE task_id = $1 AND fence = $2 {RETURNING}");
    let values: [Value; 2] = [task.uuid().into(), signed(fence).into()];
    let statement = Statement::from_sql_and_values(session.backend(), sql, values);
    let gone = session.rows::<room::Entity>("give room in accounts up", statement);
    let gone = gone.await?;
    match ended {
        CallEnd::Known => Ok(()),
        CallEnd::Unknown => lose_all(session, gone).await,
    }
}

/// Takes away what a task that asks for room held before. What is there of a lease before is void.
async fn take_over(session: &mut impl Session, wanted: &Reservation) -> failure::Result<()> {
    let sql = format!("DELETE FROM account_holds WHERE task_id = $1 {RETURNING}");
    let values = [wanted.task_id.uuid().into()];
    let statement = Statement::from_sql_and_values(session.backend(), sql, values);
    let mut lost = session.rows::<room::Entity>(HOLDING, statement).await?;
    let own = signed(wanted.fence);
    lost.retain(|room| room.fence != own || wanted.before == CallEnd::Unknown);
    lose_all(session, lost).await
}

/// Adds room of calls that nobody knows the end of to what is lost, in the order of all writers.
async fn lose_all(session: &mut impl Session, mut lost: Vec<room::Model>) -> failure::Result<()> {
    lost.sort_by_key(|room| nesting(&room.account));
    for room in &lost {
        lose(session, room).await?;
    }
    Ok(())
}

/// Adds room to what is lost; says what the account has used then.
async fn lose(session: &mut impl Session, room: &room::Model) -> failure::Result<Spent> {
    let lost = Held {
        cost: Cost::from_picos(room.cost_picos),
        tokens: unsigned(room.tokens, "room in an account")?,
    };
    let more = Spent {
        lost,
        ..Spent::default()
    };
    add(session, &room.account, more).await
}

/// Where an account stands in the order in which all write them.
fn nesting(key: &str) -> usize {
    let narrow = ["run:", "agent:", "workflow:", "project:"];
    let place = narrow.iter().position(|kind| key.starts_with(kind));
    place.unwrap_or(narrow.len())
}

/// Adds to what an account has used; says what that is then.
async fn add(session: &mut impl Session, key: &str, more: Spent) -> failure::Result<Spent> {
    let sql = "INSERT INTO accounts (account, tokens, cost_picos, lost_tokens, lost_cost_picos)
               VALUES ($1, $2, $3, $4, $5)
               ON CONFLICT (account) DO UPDATE SET tokens = accounts.tokens + excluded.tokens,
                 cost_picos = accounts.cost_picos + excluded.cost_picos,
                 lost_tokens = accounts.lost_tokens + excluded.lost_tokens,
                 lost_cost_picos = accounts.lost_cost_picos + excluded.lost_cost_picos
               RETURNING account, tokens, cost_picos, lost_tokens, lost_cost_picos";
    let values: [Value; 5] = [
        stored_as(key),
        signed(more.tokens).into(),
        more.cost.picos().into(),
        signed(more.lost.tokens).into(),
        more.lost.cost.picos().into(),
    ];
    let statement = Statement::from_sql_and_values(session.backend(), sql, values);
    let row = session
        .rows::<table::Entity>("add to an account", statement)
        .await?
        .pop();
    Ok(row.as_ref().map(spent).transpose()?.unwrap_or_default())
}

/// Adds what the jobs of a transaction used: always in the same order, so that they can't deadlock.
pub(crate) async fn settle(
    session: &mut impl Session,
    used: &BTreeMap<Account, Usage>,
) -> failure::Result<()> {
    for (account, usage) in used {
        let more = Spent {
            cost: usage.cost,
            tokens: usage.tokens(),
            ..Spent::default()
        };
        add(session, &account.key(), more).await?;
    }
    Ok(())
}

fn spent(row: &table::Model) -> Result<Spent> {
    Ok(Spent {
        cost: Cost::from_picos(row.cost_picos),
        tokens: unsigned(row.tokens, "tokens of an account")?,
        lost: Held {
            cost: Cost::from_picos(row.lost_cost_picos),
            tokens: unsigned(row.lost_tokens, "lost tokens of an account")?,
        },
    })
}

#[async_trait]
impl AccountReader for SqlStore {
    async fn spent(&self, accounts: &[Account]) -> Result<Vec<Spent>> {
        let void = |column: &str| {
            format!(
                "CAST((SELECT COALESCE(SUM({column}), 0) FROM account_holds
                   WHERE account_holds.account = accounts.account AND NOT {HELD}) AS BIGINT)"
            )
        };
        let sql = format!(
            "SELECT account, tokens, cost_picos, lost_tokens + {} AS lost_tokens,
               lost_cost_picos + {} AS lost_cost_picos
             FROM accounts WHERE account = $1",
            void("account_holds.tokens"),
            void("account_holds.cost_picos"),
        );
        let mut found = Vec::with_capacity(accounts.len());
        for account in accounts {
            let row = self.row_of(account, &sql).await?;
            found.push(row.as_ref().map(spent).transpose()?.unwrap_or_default());
        }
        Ok(found)
    }

    async fn held(&self, accounts: &[Account]) -> Result<Vec<Held>> {
        let sql = format!("{SUMS} AND {HELD}");
        let mut found = Vec::with_capacity(accounts.len());
        for account in accounts {
            found.push(in_all(self.row_of(account, &sql).await?.as_ref())?);
        }
        Ok(found)
    }
}

impl SqlStore {
    /// What a query about one account gives.
    async fn row_of(&self, account: &Account, sql: &str) -> Result<Option<table::Model>> {
        let reader = self.reader();
        let key = [stored_as(&account.key())];
        let query = Statement::from_sql_and_values(reader.get_database_backend(), sql, key);
        let rows = reader.rows_by::<table::Entity>("look at an account", query);
        Ok(rows.await?.into_iter().next())
    }
}
