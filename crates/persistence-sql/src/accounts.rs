//! Accounts that many runs use up: what they have used, and the room that calls hold in them.
//!
//! Whoever asks for room or settles writes the row of the account first, and so comes after all who
//! did before him. Room counts while its task is under the lease that it was held under.

use std::collections::BTreeMap;

use async_trait::async_trait;
use fusion_core::{Account, Budget, Cost, Fit, Held, Reservation, Spent, TaskId, Usage};
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
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

const HOLDING: &str = "hold room in an account";

/// Whether the room in a row of `account_holds` counts.
const COUNTS: &str = "EXISTS (SELECT 1 FROM tasks WHERE tasks.id = account_holds.task_id
  AND tasks.fence = account_holds.fence AND tasks.state IN ('assigned', 'running'))";

/// All the room in an account, as a row of `accounts`.
const SUMS: &str =
    "SELECT CAST($1 AS TEXT) AS account, CAST(COALESCE(SUM(tokens), 0) AS BIGINT) AS tokens,
       CAST(COALESCE(SUM(cost_picos), 0) AS BIGINT) AS cost_picos
     FROM account_holds WHERE account = $1";

/// Holds the room for a call of a task in the place of what it held, or refuses.
pub(crate) async fn hold(session: &mut impl Session, wanted: &Reservation) -> failure::Result<()> {
    release(session, wanted.task_id).await?;
    for (account, limit) in &wanted.limits {
        let key = account.key();
        let spent = add(session, account, Spent::default()).await?;
        let held = held(session, &key).await?;
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
    match limit.fit(&used, &held, &wanted.call) {
        Fit::Now => Ok(()),
        Fit::Later => Err(refused("calls under way hold the rest".to_owned(), true)),
        Fit::Never(why) => Err(refused(why, false)),
    }
}

/// What calls of other tasks could still use of an account. What is void is taken away.
async fn held(session: &mut impl Session, key: &str) -> failure::Result<Held> {
    let backend = session.backend();
    let of_it = || [stored_as(key)];
    let sql = format!("DELETE FROM account_holds WHERE account = $1 AND NOT {COUNTS}");
    let void = Statement::from_sql_and_values(backend, sql, of_it());
    session.execute(HOLDING, void).await?;
    let sums = Statement::from_sql_and_values(backend, SUMS, of_it());
    let sums = session.rows::<table::Entity>(HOLDING, sums).await?.pop();
    Ok(room(sums.as_ref())?)
}

/// The sums of the room in an account.
fn room(sums: Option<&table::Model>) -> Result<Held> {
    let Spent { cost, tokens } = sums.map(spent).transpose()?.unwrap_or_default();
    Ok(Held { cost, tokens })
}

/// Frees the room that a task holds.
pub(crate) async fn release(session: &mut impl Session, task: TaskId) -> failure::Result<()> {
    let sql = "DELETE FROM account_holds WHERE task_id = $1";
    let statement = Statement::from_sql_and_values(session.backend(), sql, [task.uuid().into()]);
    session.execute("free room in accounts", statement).await?;
    Ok(())
}

/// Adds to what an account has used; says what that is then.
async fn add(session: &mut impl Session, account: &Account, more: Spent) -> failure::Result<Spent> {
    let sql = "INSERT INTO accounts (account, tokens, cost_picos) VALUES ($1, $2, $3)
               ON CONFLICT (account) DO UPDATE SET tokens = accounts.tokens + excluded.tokens,
                 cost_picos = accounts.cost_picos + excluded.cost_picos
               RETURNING account, tokens, cost_picos";
    let values: [Value; 3] = [
        stored_as(&account.key()),
        signed(more.tokens).into(),
        more.cost.picos().into(),
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
        };
        add(session, account, more).await?;
    }
    Ok(())
}

fn spent(row: &table::Model) -> Result<Spent> {
    Ok(Spent {
        cost: Cost::from_picos(row.cost_picos),
        tokens: unsigned(row.tokens, "tokens of an account")?,
    })
}

#[async_trait]
impl AccountReader for SqlStore {
    async fn spent(&self, accounts: &[Account]) -> Result<Vec<Spent>> {
        let sql = "SELECT account, tokens, cost_picos FROM accounts WHERE account = $1";
        let mut found = Vec::with_capacity(accounts.len());
        for account in accounts {
            let row = self.row_of(account, sql).await?;
            found.push(row.as_ref().map(spent).transpose()?.unwrap_or_default());
        }
        Ok(found)
    }

    async fn held(&self, accounts: &[Account]) -> Result<Vec<Held>> {
        let sql = format!("{SUMS} AND {COUNTS}");
        let mut found = Vec::with_capacity(accounts.len());
        for account in accounts {
            found.push(room(self.row_of(account, &sql).await?.as_ref())?);
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
