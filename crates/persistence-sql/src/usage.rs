//! The four columns of usage that runs, tasks and journal entries share.

use fusion_core::{Cost, Usage};
use fusion_persistence::Result;
use sea_orm::prelude::Uuid;
use sea_orm::{Statement, Value};

use crate::failure;
use crate::session::Session;
use crate::store::{expect_one, signed, unsigned};

/// A usage as it is stored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Columns {
    pub(crate) turns: i64,
    pub(crate) input_tokens: i64,
    pub(crate) output_tokens: i64,
    pub(crate) cost_picos: i64,
}

impl From<Usage> for Columns {
    fn from(usage: Usage) -> Self {
        Self {
            turns: signed(usage.turns),
            input_tokens: signed(usage.input_tokens),
            output_tokens: signed(usage.output_tokens),
            cost_picos: usage.cost.picos(),
        }
    }
}

impl Columns {
    /// `what` names the row in an error.
    pub(crate) fn usage(self, what: &'static str) -> Result<Usage> {
        Ok(Usage {
            turns: unsigned(self.turns, what)?,
            input_tokens: unsigned(self.input_tokens, what)?,
            output_tokens: unsigned(self.output_tokens, what)?,
            cost: Cost::from_picos(self.cost_picos),
        })
    }
}

/// A table whose rows have a usage that is added to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Booked {
    Run,
    Task,
}

/// Adds to the usage of a row; its version stays.
pub(crate) async fn book(
    session: &mut impl Session,
    row: Booked,
    id: Uuid,
    usage: Usage,
) -> failure::Result<()> {
    let (table, entity) = match row {
        Booked::Run => ("runs", "run"),
        Booked::Task => ("tasks", "task"),
    };
    let sql = format!(
        "UPDATE {table} SET turns = turns + $1, input_tokens = input_tokens + $2,
           output_tokens = output_tokens + $3, cost_picos = cost_picos + $4 WHERE id = $5"
    );
    let Columns {
        turns,
        input_tokens,
        output_tokens,
        cost_picos,
    } = usage.into();
    let values: [Value; 5] = [
        turns.into(),
        input_tokens.into(),
        output_tokens.into(),
        cost_picos.into(),
        id.into(),
    ];
    let statement = Statement::from_sql_and_values(session.backend(), sql, values);
    let written = session.execute("book usage", statement).await?;
    Ok(expect_one(written, entity, &id)?)
}
