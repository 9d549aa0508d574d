//! What model calls cost, added up by the database.

use async_trait::async_trait;
use chrono::Duration;
use fusion_core::{CostBy, Timestamp, Usage, WITHOUT_PRICE};
use fusion_persistence::{CostQuery, CostReader, CostRow, CostSum, Costs, Result};
use sea_orm::prelude::Uuid;
use sea_orm::{ConnectionTrait, QueryResult, Statement, TryGetable, Value};

use crate::SqlStore;
use crate::dialect::Dialect;
use crate::error::trying;
use crate::store::unsigned;
use crate::usage::Columns;

const ACTION: &str = "add up costs";

/// The clocks of nodes differ by less: a call that ended in a time is of a task that was at work then, by the
/// clocks of those who wrote it.
const CLOCKS: Duration = Duration::days(1);

/// The condition of tasks that were done here.
pub(crate) const NOT_IMPORTED: &str =
    "run_id NOT IN (SELECT id FROM runs WHERE imported IS NOT NULL)";

/// A statement that is being written.
pub(crate) struct Query {
    dialect: Dialect,
    asked: CostQuery,
    values: Vec<Value>,
}

impl Query {
    pub(crate) fn new(dialect: Dialect, asked: CostQuery) -> Self {
        Self {
            dialect,
            asked,
            values: Vec::new(),
        }
    }

    /// What stands for a value.
    pub(crate) fn bind(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("${}", self.values.len())
    }

    /// What has its moment in the time that is asked for.
    pub(crate) fn within(&mut self, column: &str) -> String {
        let mut conditions = "TRUE".to_owned();
        if let Some(since) = self.asked.since {
            conditions += &format!(" AND {column} >= {}", self.bind(since));
        }
        if let Some(until) = self.asked.until {
            conditions += &format!(" AND {column} < {}", self.bind(until));
        }
        conditions
    }

    /// What is lost and may be of the time that is asked for.
    fn undated(&mut self) -> String {
        if self.asked.is_of_a_time() {
            self.at_work(Duration::zero())
        } else {
            "FALSE".to_owned()
        }
    }

    /// What deleted runs cost of which all is of the time that is asked for, as more of `facts` in their
    /// groups.
    pub(crate) fn past(&mut self) -> String {
        let within = self.past_within();
        let day = match self.dialect {
            Dialect::Sqlite => "substr(past.began_at, 1, 10)",
            Dialect::Postgres => "to_char(past.began_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')",
        };
        let of_day = format!("CASE WHEN past.dated THEN {day} END");
        let (id, name, joins) = match self.asked.by {
            CostBy::Agent => (
                "agents.id",
                "agents.name",
                "LEFT JOIN agents ON agents.id = past.agent_id",
            ),
            CostBy::Model => (NO_ID, "past.model", ""),
            CostBy::Task => (NO_ID, "CAST(NULL AS TEXT)", ""),
            CostBy::Workflow => (NO_ID, "past.workflow", ""),
            CostBy::Project => (
                "projects.id",
                "projects.name",
                "LEFT JOIN projects ON projects.id = past.project_id",
            ),
            CostBy::Day => (NO_ID, of_day.as_str(), ""),
        };
        format!(
            "SELECT {id} AS id, {name} AS name, past.turns, past.input_tokens, past.output_tokens,
               past.cost_picos, past.without_price FROM past_costs AS past {joins} WHERE {within}"
        )
    }

    /// What is lost and may be of the time that is asked for, also of deleted runs.
    pub(crate) fn all_undated(&mut self) -> String {
        let (undated, past) = (self.undated(), self.past_undated());
        format!(
            "undated AS (SELECT {sums} FROM (
               SELECT turns, input_tokens, output_tokens, cost_picos FROM lost WHERE {undated}
               UNION ALL SELECT turns, input_tokens, output_tokens, cost_picos FROM past_costs AS past
                 WHERE {past}) AS of_no_time)",
            sums = sums("")
        )
    }

    /// The condition of what all ended in the time that is asked for.
    fn past_within(&mut self) -> String {
        if !self.asked.is_of_a_time() {
            return "TRUE".to_owned();
        }
        let CostQuery { since, until, .. } = self.asked;
        let mut conditions = "past.dated".to_owned();
        if let Some(since) = since {
            conditions += &format!(" AND past.began_at >= {}", self.bind(since));
        }
        if let Some(until) = until {
            conditions += &format!(" AND past.ended_at < {}", self.bind(until));
        }
        conditions
    }

    /// The condition of what may in part be of that time.
    fn past_undated(&mut self) -> String {
        if !self.asked.is_of_a_time() {
            return "FALSE".to_owned();
        }
        let CostQuery { since, until, .. } = self.asked;
        let mut conditions = format!("NOT ({})", self.past_within());
        if let Some(since) = since {
            conditions += &format!(" AND past.ended_at >= {}", self.bind(since));
        }
        if let Some(until) = until {
            conditions += &format!(" AND past.began_at < {}", self.bind(until));
        }
        conditions
    }

    /// The statement, with what was bound to it.
    pub(crate) fn finish(self, sql: String) -> Statement {
        Statement::from_sql_and_values(self.dialect.into(), sql, self.values)
    }

    /// Tasks at work in that time, or by less than this before or after it.
    fn at_work(&mut self, around: Duration) -> String {
        let CostQuery { since, until, .. } = self.asked;
        let mut conditions = "TRUE".to_owned();
        if let Some(since) = since {
            let since: Timestamp = since.checked_sub_signed(around).unwrap_or(since);
            let since = self.bind(since);
            conditions += &format!(" AND (completed_at IS NULL OR completed_at >= {since})");
        }
        if let Some(until) = until {
            let until: Timestamp = until.checked_add_signed(around).unwrap_or(until);
            let until = self.bind(until);
            conditions += &format!(" AND COALESCE(started_at, queued_at) < {until}");
        }
        conditions
    }

    /// `facts`: what was used, by task and, where they are known, by model and day.
    pub(crate) fn facts(&mut self) -> String {
        let calls = self.calls(&format!(
            "{NOT_IMPORTED} AND run_id NOT IN (SELECT run_id FROM run_deletions)"
        ));
        // What has no time is of no time that is asked for.
        let lost = if self.asked.is_of_a_time() {
            ""
        } else {
            "UNION ALL SELECT task_id, NULL, NULL, turns, input_tokens, output_tokens, cost_picos, 0 FROM lost
             WHERE turns <> 0 OR input_tokens <> 0 OR output_tokens <> 0 OR cost_picos <> 0"
        };
        let ended = self.within("ended");
        format!(
            "{calls},
             facts AS (SELECT task_id, model, day, turns, input_tokens, output_tokens, cost_picos, without_price
               FROM asked WHERE {ended} {lost})"
        )
    }

    /// `asked`: the calls whose end was heard; `lost`: what tasks used beyond these. Of tasks that a condition
    /// on their runs selects, which are `busy`.
    pub(crate) fn calls(&mut self, of_runs: &str) -> String {
        let day = match self.dialect {
            Dialect::Sqlite => "substr(entry.finished_at, 1, 10)",
            Dialect::Postgres => "to_char(entry.finished_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')",
        };
        let at_work = self.at_work(CLOCKS);
        format!(
            "busy AS (SELECT id, name, agent_id, run_id, queued_at, started_at, completed_at,
                 turns, input_tokens, output_tokens, cost_picos FROM tasks
               WHERE (turns > 0 OR input_tokens > 0 OR output_tokens > 0 OR cost_picos <> 0)
                 AND {of_runs} AND {at_work}),
             asked AS (SELECT entry.task_id, entry.name AS model, {day} AS day, entry.finished_at AS ended,
                 entry.turns, entry.input_tokens, entry.output_tokens, entry.cost_picos,
                 CASE WHEN entry.cost_picos = 0 AND substr(entry.outcome, 1, {}) = '{WITHOUT_PRICE}'
                   THEN entry.turns ELSE 0 END AS without_price
               FROM busy JOIN journal_entries AS entry ON entry.task_id = busy.id
               WHERE entry.kind = 'turn' AND entry.finished_at IS NOT NULL),
             lost AS (SELECT busy.id AS task_id, busy.started_at, busy.queued_at, busy.completed_at,
                 busy.turns - COALESCE(told.turns, 0) AS turns,
                 busy.input_tokens - COALESCE(told.input_tokens, 0) AS input_tokens,
                 busy.output_tokens - COALESCE(told.output_tokens, 0) AS output_tokens,
                 busy.cost_picos - COALESCE(told.cost_picos, 0) AS cost_picos
               FROM busy LEFT JOIN (SELECT task_id, {} FROM asked GROUP BY task_id) AS told
                 ON told.task_id = busy.id)",
            WITHOUT_PRICE.len(),
            sums(""),
        )
    }

    /// The whole statement: a row for each of the greatest, with the sums of all in each of them. Where there
    /// is nothing, it is one row with the sums.
    fn write(mut self) -> Statement {
        let facts = self.facts();
        let Key {
            above,
            id,
            name,
            joins,
        } = key(self.asked.by);
        let (past, undated) = (self.past(), self.all_undated());
        let limit = self.bind(i64::from(self.asked.limit));
        let order = "cost_picos DESC, input_tokens + output_tokens DESC, name IS NULL, name, id";
        let sql = format!(
            "WITH RECURSIVE {above} {facts},
             used AS (SELECT {id} AS id, {name} AS name, fact.turns, fact.input_tokens, fact.output_tokens,
                 fact.cost_picos, fact.without_price
               FROM facts AS fact JOIN busy AS task ON task.id = fact.task_id {joins}
               UNION ALL {past}),
             grouped AS (SELECT id, name, {}, CAST(SUM(without_price) AS BIGINT) AS without_price
               FROM used GROUP BY 1, 2),
             best AS (SELECT * FROM grouped ORDER BY {order} LIMIT {limit}),
             total AS (SELECT COUNT(*) AS count, {}, CAST(COALESCE(SUM(without_price), 0) AS BIGINT) AS without_price
               FROM grouped),
             {undated}
             SELECT best.id, best.name, best.turns, best.input_tokens, best.output_tokens, best.cost_picos,
               best.without_price, total.count, total.turns, total.input_tokens, total.output_tokens,
               total.cost_picos, total.without_price, undated.turns, undated.input_tokens,
               undated.output_tokens, undated.cost_picos
             FROM total CROSS JOIN undated LEFT JOIN best ON TRUE
             ORDER BY best.cost_picos DESC, best.input_tokens + best.output_tokens DESC, best.name IS NULL,
               best.name, best.id",
            sums(""),
            sums(""),
        );
        self.finish(sql)
    }
}

/// The sums of the four columns of usage, zero where there is nothing.
pub(crate) fn sums(of: &str) -> String {
    let sum = |column: &str| format!("CAST(COALESCE(SUM({of}{column}), 0) AS BIGINT) AS {column}");
    ["turns", "input_tokens", "output_tokens", "cost_picos"]
        .map(sum)
        .join(", ")
}

/// How a grouping is written.
pub(crate) struct Key {
    pub(crate) above: &'static str,
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
    pub(crate) joins: &'static str,
}

const NO_ID: &str = "CAST(NULL AS uuid)";

/// The project of the nearest run above that has one.
const ABOVE: &str =
    "up AS (SELECT id AS run_id, parent_run AS above, CAST(NULL AS uuid) AS project_id FROM runs
      WHERE parent_run IS NOT NULL
    UNION ALL SELECT up.run_id, runs.parent_run, workflows.project_id FROM up
      JOIN runs ON runs.id = up.above JOIN workflows ON workflows.id = runs.workflow_id
      WHERE up.project_id IS NULL),";

/// As budgets choose it: that of the workflow, else of the agent, else of a run above.
const PROJECT: &str = "JOIN runs ON runs.id = task.run_id
    LEFT JOIN workflows ON workflows.id = runs.workflow_id
    LEFT JOIN agents ON agents.id = task.agent_id
    LEFT JOIN (SELECT run_id, project_id FROM up WHERE project_id IS NOT NULL) AS above ON above.run_id = runs.id
    LEFT JOIN projects ON projects.id = COALESCE(workflows.project_id, agents.project_id, above.project_id)";

pub(crate) fn key(by: CostBy) -> Key {
    let (above, id, name, joins) = match by {
        CostBy::Agent => (
            "",
            "task.agent_id",
            "agents.name",
            "LEFT JOIN agents ON agents.id = task.agent_id",
        ),
        CostBy::Model => ("", NO_ID, "fact.model", ""),
        CostBy::Task => ("", "task.id", "task.name", ""),
        CostBy::Workflow => (
            "",
            NO_ID,
            "CASE WHEN runs.standalone THEN NULL ELSE runs.workflow_name END",
            "JOIN runs ON runs.id = task.run_id",
        ),
        CostBy::Project => (ABOVE, "projects.id", "projects.name", PROJECT),
        CostBy::Day => ("", NO_ID, "fact.day", ""),
    };
    Key {
        above,
        id,
        name,
        joins,
    }
}

#[async_trait]
impl CostReader for SqlStore {
    async fn costs(&self, query: &CostQuery) -> Result<Costs> {
        let reader = self.reader();
        let dialect = Dialect::from(reader.get_database_backend());
        let statement = Query::new(dialect, *query).write();
        let found = reader.query_all_raw(statement).await;
        let found = found.map_err(trying(ACTION))?;
        let mut costs = Costs::default();
        for row in &found {
            costs.groups = number(row, 7)?;
            costs.total = sum(row, 8)?;
            costs.undated = usage(row, 13)?;
            // Without one, only the sums are there.
            if get::<Option<i64>>(row, 2)?.is_some() {
                costs.rows.push(CostRow {
                    id: get::<Option<Uuid>>(row, 0)?,
                    name: get(row, 1)?,
                    sum: sum(row, 2)?,
                });
            }
        }
        Ok(costs)
    }
}

pub(crate) fn get<T: TryGetable>(row: &QueryResult, place: usize) -> Result<T> {
    row.try_get_by_index(place).map_err(trying(ACTION))
}

pub(crate) fn number(row: &QueryResult, place: usize) -> Result<u64> {
    unsigned(get(row, place)?, "a sum of costs")
}

/// The four columns of usage from a place on.
pub(crate) fn usage(row: &QueryResult, place: usize) -> Result<Usage> {
    let columns = Columns {
        turns: get(row, place)?,
        input_tokens: get(row, place + 1)?,
        output_tokens: get(row, place + 2)?,
        cost_picos: get(row, place + 3)?,
    };
    columns.usage("a sum of costs")
}

/// The same, and what comes after them.
pub(crate) fn sum(row: &QueryResult, place: usize) -> Result<CostSum> {
    Ok(CostSum {
        usage: usage(row, place)?,
        calls_without_price: number(row, place + 4)?,
    })
}
