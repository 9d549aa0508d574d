//! What deleted runs cost: by model, agent, workflow, project and hour, so that sums are the same without
//! them. A row says when the first and the last of its calls ended.

use fusion_core::{CostBy, RunId};
use fusion_persistence::CostQuery;
use sea_orm::Statement;

use super::{ACTION, TREE};
use crate::costs::{NOT_IMPORTED, Query, key, sums};
use crate::dialect::Dialect;
use crate::failure::Result;
use crate::session::Session;

pub(crate) mod costs {
    #![expect(unreachable_pub, reason = "the shape is sea-orm's")]
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "past_costs")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub run_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub place: i64,
        #[sea_orm(column_type = "Text", nullable)]
        pub workflow: Option<String>,
        pub project_id: Option<Uuid>,
        pub agent_id: Option<Uuid>,
        #[sea_orm(column_type = "Text", nullable)]
        pub model: Option<String>,
        pub began_at: DateTimeUtc,
        pub ended_at: DateTimeUtc,
        pub dated: bool,
        pub turns: i64,
        pub input_tokens: i64,
        pub output_tokens: i64,
        pub cost_picos: i64,
        pub without_price: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Books what a run and those below it cost, before their tasks go. Of calls whose end nobody heard it is
/// kept when their task was at work.
pub(super) async fn take_over(session: &mut impl Session, run: RunId) -> Result<()> {
    let dialect = Dialect::from(session.backend());
    let everything = CostQuery {
        by: CostBy::Project,
        since: None,
        until: None,
        limit: 0,
    };
    let mut query = Query::new(dialect, everything);
    let root = query.bind(run.uuid());
    let calls = query.calls(&format!(
        "run_id IN (SELECT id FROM tree) AND {NOT_IMPORTED}"
    ));
    let project = key(CostBy::Project);
    let hour = match dialect {
        Dialect::Sqlite => "substr(ended, 1, 13) || ':00:00+00:00'",
        Dialect::Postgres => "date_trunc('hour', ended AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'",
    };
    let sql = format!(
        "INSERT INTO past_costs (run_id, place, workflow, project_id, agent_id, model, began_at, ended_at,
           dated, turns, input_tokens, output_tokens, cost_picos, without_price)
         WITH RECURSIVE {TREE}, {above} {calls},
         told AS (SELECT task_id, model, {hour} AS part, {hour} AS part_end, ended AS began_at,
             ended AS ended_at, TRUE AS dated, turns, input_tokens, output_tokens, cost_picos, without_price FROM asked
           UNION ALL SELECT task_id, NULL, COALESCE(started_at, queued_at),
             COALESCE(completed_at, started_at, queued_at), COALESCE(started_at, queued_at),
             COALESCE(completed_at, started_at, queued_at), FALSE,
             turns, input_tokens, output_tokens, cost_picos, 0 FROM lost
             WHERE turns <> 0 OR input_tokens <> 0 OR output_tokens <> 0 OR cost_picos <> 0),
         kept AS (SELECT CASE WHEN runs.standalone THEN NULL ELSE runs.workflow_name END AS workflow,
             {id} AS project_id,
             CASE WHEN agents.run_id IN (SELECT id FROM tree) THEN NULL ELSE task.agent_id END AS agent_id,
             fact.model AS model, fact.part AS part, fact.part_end AS part_end, fact.dated AS dated,
             MIN(fact.began_at) AS began_at, MAX(fact.ended_at) AS ended_at, {sums}, CAST(SUM(fact.without_price) AS BIGINT) AS without_price
           FROM told AS fact JOIN busy AS task ON task.id = fact.task_id {joins}
           GROUP BY 1, 2, 3, 4, 5, 6, 7)
         SELECT {root}, ROW_NUMBER() OVER (ORDER BY part, part_end, dated, model, workflow, project_id,
             agent_id), workflow, project_id, agent_id, model, began_at, ended_at, dated,
           turns, input_tokens, output_tokens, cost_picos, without_price FROM kept",
        above = project.above,
        id = project.id,
        joins = project.joins,
        sums = sums("fact."),
    );
    let statement: Statement = query.finish(sql);
    session.execute(ACTION, statement).await?;
    Ok(())
}
