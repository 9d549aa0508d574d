//! Who used most, added up by the database.

use async_trait::async_trait;
use fusion_core::{TopBy, TopPer};
use fusion_persistence::{Result, Sampled, SampledTotal, Top, TopQuery, TopReader, TopRow};
use sea_orm::prelude::Uuid;
use sea_orm::{ConnectionTrait, QueryResult, Statement};

use crate::SqlStore;
use crate::costs::{Key, Query, get, key, number, sum, sums, usage};
use crate::dialect::Dialect;
use crate::error::trying;

const ACTION: &str = "find who used most";

/// The whole statement: a row for each of the greatest, with the sums of all in each of them. Where there
/// is nothing, it is one row with the sums.
fn write(dialect: Dialect, asked: &TopQuery) -> Statement {
    let mut query = Query::new(dialect, asked.costs());
    let facts = query.facts();
    let Key {
        above,
        id,
        name,
        joins,
    } = key(asked.costs().by);
    let (samples, past) = (samples(&mut query, asked.per), query.past());
    let undated = query.all_undated();
    let limit = query.bind(i64::from(asked.limit));
    let order = order(asked.by);
    let sql = format!(
        "WITH RECURSIVE {above} {facts},
         used AS (SELECT {id} AS id, {name} AS name, fact.turns, fact.input_tokens, fact.output_tokens,
             fact.cost_picos, fact.without_price, {NO_FIGURE} AS cpu, {NO_FIGURE} AS memory,
             {NO_FIGURE} AS disk_read, {NO_FIGURE} AS disk_written
           FROM facts AS fact JOIN busy AS task ON task.id = fact.task_id {joins}
           UNION ALL SELECT past.*, {NO_FIGURE}, {NO_FIGURE}, {NO_FIGURE}, {NO_FIGURE} FROM ({past}) AS past
           {samples}),
         grouped AS (SELECT id, name, {sums}, CAST(SUM(without_price) AS BIGINT) AS without_price,
             CAST(COUNT(cpu) AS BIGINT) AS samples, AVG(cpu) AS cpu, MAX(cpu) AS cpu_most, AVG(memory) AS memory,
             MAX(memory) AS memory_most, SUM(disk_read) AS disk_read, SUM(disk_written) AS disk_written
           FROM used GROUP BY id, name),
         best AS (SELECT grouped.*, ROW_NUMBER() OVER (ORDER BY {order}) AS place FROM grouped
           ORDER BY place LIMIT {limit}),
         total AS (SELECT COUNT(*) AS count, {sums},
             CAST(COALESCE(SUM(without_price), 0) AS BIGINT) AS without_price,
             CAST(COALESCE(SUM(samples), 0) AS BIGINT) AS samples,
             COALESCE(SUM(disk_read), {NOTHING}) AS disk_read,
             COALESCE(SUM(disk_written), {NOTHING}) AS disk_written FROM grouped),
         {undated}
         SELECT best.id, best.name, best.turns, best.input_tokens, best.output_tokens, best.cost_picos,
           best.without_price, best.samples, best.cpu, best.cpu_most, best.memory, best.memory_most,
           best.disk_read, best.disk_written, total.count, total.turns, total.input_tokens,
           total.output_tokens, total.cost_picos, total.without_price, total.samples, total.disk_read,
           total.disk_written, undated.turns, undated.input_tokens, undated.output_tokens, undated.cost_picos
         FROM total CROSS JOIN undated LEFT JOIN best ON TRUE ORDER BY best.place",
        sums = sums(""),
    );
    query.finish(sql)
}

const NO_FIGURE: &str = "CAST(NULL AS DOUBLE PRECISION)";
const NOTHING: &str = "CAST(0 AS DOUBLE PRECISION)";

/// The samples, as more of what was used. They are of agents: nobody knows which model or which project a
/// command ran for.
fn samples(query: &mut Query, per: TopPer) -> String {
    match per {
        TopPer::Agent => format!(
            "UNION ALL SELECT agents.id, agents.name, 0, 0, 0, 0, 0, sample.cpu_percent, sample.memory_mb,
               sample.disk_io_read_mb, sample.disk_io_write_mb
             FROM resource_metrics AS sample JOIN agents ON agents.id = sample.agent_id
             WHERE {}",
            query.within("sample.timestamp")
        ),
        TopPer::Model | TopPer::Project => String::new(),
    }
}

/// What puts the rows in order, the same rows always in the same one.
fn order(by: TopBy) -> String {
    let tokens = "input_tokens + output_tokens DESC";
    let first = match by {
        TopBy::Cpu => "cpu DESC NULLS LAST, cpu_most DESC".to_owned(),
        TopBy::Memory => "memory_most DESC NULLS LAST, memory DESC".to_owned(),
        TopBy::Disk => "disk_read + disk_written DESC NULLS LAST".to_owned(),
        TopBy::Tokens => format!("{tokens}, cost_picos DESC"),
        TopBy::Cost => format!("cost_picos DESC, {tokens}"),
    };
    format!("{first}, name IS NULL, name, id")
}

#[async_trait]
impl TopReader for SqlStore {
    async fn top(&self, query: &TopQuery) -> Result<Top> {
        let reader = self.reader();
        let dialect = Dialect::from(reader.get_database_backend());
        let found = reader.query_all_raw(write(dialect, query)).await;
        let found = found.map_err(trying(ACTION))?;
        let mut top = Top::default();
        for row in &found {
            top.groups = number(row, 14)?;
            top.total = sum(row, 15)?;
            top.sampled = SampledTotal {
                samples: number(row, 20)?,
                disk_io_read_mb: get(row, 21)?,
                disk_io_write_mb: get(row, 22)?,
            };
            top.undated = usage(row, 23)?;
            // Without one, only the sums are there.
            if get::<Option<i64>>(row, 2)?.is_some() {
                top.rows.push(TopRow {
                    id: get::<Option<Uuid>>(row, 0)?,
                    name: get(row, 1)?,
                    sum: sum(row, 2)?,
                    sampled: sampled(row)?,
                });
            }
        }
        Ok(top)
    }
}

fn sampled(row: &QueryResult) -> Result<Option<Sampled>> {
    let samples = number(row, 7)?;
    if samples == 0 {
        return Ok(None);
    }
    Ok(Some(Sampled {
        samples,
        cpu_percent: get(row, 8)?,
        cpu_percent_most: get(row, 9)?,
        memory_mb: get(row, 10)?,
        memory_mb_most: get(row, 11)?,
        disk_io_read_mb: get(row, 12)?,
        disk_io_write_mb: get(row, 13)?,
    }))
}
