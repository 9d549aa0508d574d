//! Messages between agents.

use async_trait::async_trait;
use fusion_core::{
    AgentId, Delivery, DeliveryStatus, Letter, Message, MessageId, RunId, Timestamp, Undelivered,
};
use fusion_persistence::{INBOX_BYTES, MessageFilter, MessageReader, Result};
use sea_orm::prelude::Uuid;
use sea_orm::sea_query::{Expr, Query};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbBackend, EntityTrait, FromQueryResult, QueryFilter,
    QueryOrder, QuerySelect, Statement, Value,
};

use crate::deliveries::{self, places};
use crate::dialect::Dialect;
use crate::error::{corrupt, trying};
use crate::failure;
use crate::json;
use crate::session::Session;
use crate::store::{SqlStore, signed, unsigned};
use crate::table::{Col, Stored, any_of, exactly};
use crate::text;

pub(crate) mod table {
    #![expect(
        unreachable_pub,
        reason = "the shape is sea-orm's; columns are documented at the entity in core"
    )]
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "messages")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub seq: i64,
        pub timestamp: DateTimeUtc,
        pub sender_agent_id: Option<Uuid>,
        #[sea_orm(column_type = "Text", nullable)]
        pub recipient_agent_ids: Option<String>,
        #[sea_orm(column_type = "Text")]
        pub topic: String,
        #[sea_orm(column_type = "Text")]
        pub payload: String,
        pub message_type: String,
        pub run_id: Option<Uuid>,
        pub reply_to: Option<Uuid>,
        pub resends: Option<Uuid>,
        pub hops: i64,
        pub delivery_status: String,
        pub delivered_at: Option<DateTimeUtc>,
        pub expiry_at: Option<DateTimeUtc>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Messages in one insert: each may be as long as a megabyte.
const PER_INSERT: usize = 32;

impl Stored for Message {
    type Table = table::Entity;

    const ID: Col<Self> = table::Column::Id;
    const KEPT: &'static [Col<Self>] = &[];

    fn to_row(&self) -> Result<table::Model> {
        Ok(table::Model {
            id: self.id.uuid(),
            seq: signed(self.seq),
            timestamp: self.timestamp,
            sender_agent_id: self.sender_agent_id.map(AgentId::uuid),
            recipient_agent_ids: json::to_text_option(
                "message recipients",
                self.recipient_agent_ids.as_ref(),
            )?,
            topic: self.topic.clone(),
            payload: json::to_text("message payload", &self.payload)?,
            message_type: self.message_type.clone(),
            run_id: self.run_id.map(RunId::uuid),
            reply_to: self.reply_to.map(MessageId::uuid),
            resends: self.resends.map(MessageId::uuid),
            hops: self.hops.into(),
            delivery_status: self.delivery_status.as_str().to_owned(),
            delivered_at: self.delivered_at,
            expiry_at: self.expiry_at,
        })
    }

    fn from_row(row: table::Model) -> Result<Self> {
        Ok(Self {
            id: MessageId::from_uuid(row.id),
            seq: unsigned(row.seq, "message seq")?,
            timestamp: row.timestamp,
            sender_agent_id: row.sender_agent_id.map(AgentId::from_uuid),
            recipient_agent_ids: json::from_text_option(
                "message recipients",
                row.recipient_agent_ids.as_ref(),
            )?,
            topic: row.topic,
            payload: json::from_text("message payload", &row.payload)?,
            message_type: row.message_type,
            run_id: row.run_id.map(RunId::from_uuid),
            reply_to: row.reply_to.map(MessageId::from_uuid),
            resends: row.resends.map(MessageId::from_uuid),
            hops: u32::try_from(row.hops).map_err(|_| corrupt("message hops"))?,
            delivery_status: DeliveryStatus::from_text(&row.delivery_status)
                .ok_or_else(|| corrupt("message delivery_status"))?,
            delivered_at: row.delivered_at,
            expiry_at: row.expiry_at,
        })
    }

    fn condition(filter: &MessageFilter) -> Condition {
        let statuses = filter.statuses.iter().map(|status| status.as_str());
        let sender = filter.sender.map(AgentId::uuid);
        let condition = exactly(Condition::all(), table::Column::SenderAgentId, sender);
        let condition = exactly(condition, table::Column::Topic, filter.topic.clone());
        let run = filter.run.map(RunId::uuid);
        let condition = exactly(condition, table::Column::RunId, run);
        let condition = match filter.recipient {
            Some(agent) => condition.add(is_addressed(agent, statuses)),
            None => any_of(condition, table::Column::DeliveryStatus, statuses),
        };
        condition
            .add_option(
                filter
                    .since
                    .map(|since| table::Column::Timestamp.gte(since)),
            )
            .add_option(filter.until.map(|until| table::Column::Timestamp.lt(until)))
    }

    fn key(&self) -> Uuid {
        self.id.uuid()
    }
}

/// Whether a message has a delivery to this agent, with one of these statuses.
fn is_addressed(
    agent: AgentId,
    statuses: impl Iterator<Item = &'static str>,
) -> sea_orm::sea_query::SimpleExpr {
    let to_agent = Condition::all().add(deliveries::table::Column::AgentId.eq(agent.uuid()));
    let messages = Query::select()
        .column(deliveries::table::Column::MessageId)
        .from(deliveries::table::Entity)
        .cond_where(any_of(
            to_agent,
            deliveries::table::Column::Status,
            statuses,
        ))
        .to_owned();
    table::Column::Id.in_subquery(messages)
}

/// Writes new messages and their deliveries; the first gets the place `first` in the log.
pub(crate) async fn append(
    session: &mut impl Session,
    letters: &[&Letter],
    first: i64,
) -> failure::Result<()> {
    let mut rows = Vec::with_capacity(letters.len());
    for (seq, letter) in (first..).zip(letters) {
        let row = table::Model {
            seq,
            ..letter.message.to_row()?
        };
        rows.push(row);
    }
    for (some, of) in rows.chunks(PER_INSERT).zip(letters.chunks(PER_INSERT)) {
        let insert = text::insert::<table::Entity>(session.backend(), some);
        let written = session.execute("store messages", insert).await;
        written.map_err(|failure| refused(failure, of))?;
    }
    deliveries::append(session, letters, first)
        .await
        .map_err(|failure| refused(failure, letters))
}

/// A refused statement of many messages is told of the first.
fn refused(failure: failure::Failure, letters: &[&Letter]) -> failure::Failure {
    match letters.first() {
        Some(first) => crate::table::refused(failure, &first.message),
        None => failure,
    }
}

/// Gives messages the status that follows from their deliveries, as
/// [`DeliveryStatus::of_message`] says it.
pub(crate) async fn follow_deliveries(
    session: &mut impl Session,
    messages: &[Uuid],
    now: Timestamp,
) -> failure::Result<()> {
    let sql = format!(
        "UPDATE messages SET
           delivery_status = CASE WHEN {pending} THEN 'pending' WHEN {failed} THEN 'failed'
                                  WHEN {expired} THEN 'expired' ELSE 'delivered' END,
           delivered_at = CASE WHEN {pending} OR {failed} OR {expired} THEN NULL ELSE $1 END
         WHERE id IN ({ids})",
        pending = has("pending"),
        failed = has("failed"),
        expired = has("expired"),
        ids = places(2, messages.len()),
    );
    let mut values: Vec<Value> = vec![now.into()];
    values.extend(messages.iter().map(|id| Value::from(*id)));
    let update = Statement::from_sql_and_values(session.backend(), sql, values);
    session
        .execute("count deliveries", update)
        .await
        .map(|_| ())
}

fn has(status: &str) -> String {
    format!(
        "EXISTS (SELECT 1 FROM message_recipients one
                 WHERE one.message_id = messages.id AND one.status = '{status}')"
    )
}

#[derive(Debug, FromQueryResult)]
struct Heard {
    sender_agent_id: Uuid,
    hops: i64,
}

#[derive(Debug, FromQueryResult)]
struct Recipient {
    agent_id: Uuid,
}

#[derive(Debug, FromQueryResult)]
struct Pending {
    message_id: Uuid,
    agent_id: Uuid,
    run_id: Option<Uuid>,
    topic: String,
}

impl From<Pending> for Undelivered {
    fn from(row: Pending) -> Self {
        Self {
            message_id: MessageId::from_uuid(row.message_id),
            agent_id: AgentId::from_uuid(row.agent_id),
            run_id: row.run_id.map(RunId::from_uuid),
            topic: row.topic,
        }
    }
}

impl SqlStore {
    /// Pending deliveries for which a condition holds, in no order.
    async fn undelivered(
        &self,
        joined: &str,
        condition: &str,
        limit: u32,
    ) -> Result<Vec<Undelivered>> {
        let sql = format!(
            "SELECT waiting.message_id, waiting.agent_id, messages.run_id, messages.topic
             FROM message_recipients waiting
             JOIN messages ON messages.id = waiting.message_id {joined}
             WHERE waiting.status = 'pending' AND {condition} LIMIT $1"
        );
        let backend = self.reader().get_database_backend();
        let query = Statement::from_sql_and_values(backend, sql, [i64::from(limit).into()]);
        let rows = Pending::find_by_statement(query).all(self.reader()).await;
        let rows = rows.map_err(trying("look for messages that nobody reads"))?;
        Ok(rows.into_iter().map(Undelivered::from).collect())
    }

    fn now_ms(&self) -> &'static str {
        Dialect::from(self.reader().get_database_backend()).now_ms()
    }
}

#[async_trait]
impl MessageReader for SqlStore {
    async fn inbox(&self, agent: AgentId, after: u64, limit: u32) -> Result<Vec<Message>> {
        let sql = format!(
            "WITH first AS (
               SELECT messages.id, waiting.seq, octet_length(messages.payload) AS bytes
               FROM message_recipients waiting JOIN messages ON messages.id = waiting.message_id
               WHERE waiting.agent_id = $1 AND waiting.status = 'pending' AND waiting.seq > $2
                 AND (waiting.expiry_ms IS NULL OR waiting.expiry_ms > {now})
               ORDER BY waiting.seq LIMIT $3),
             summed AS (SELECT id, sum(bytes) OVER (ORDER BY seq) - bytes AS before FROM first)
             SELECT messages.* FROM summed JOIN messages ON messages.id = summed.id
             WHERE summed.before < $4 ORDER BY messages.seq",
            now = self.now_ms(),
        );
        let values: [Value; 4] = [
            agent.uuid().into(),
            signed(after).into(),
            i64::from(limit).into(),
            i64::from(INBOX_BYTES).into(),
        ];
        let backend = self.reader().get_database_backend();
        let query = Statement::from_sql_and_values(backend, sql, values);
        let rows = self
            .reader()
            .rows_by::<table::Entity>("read an inbox", query);
        rows.await?.into_iter().map(Message::from_row).collect()
    }

    async fn deliveries(&self, message: MessageId) -> Result<Vec<Delivery>> {
        let query = deliveries::table::Entity::find()
            .filter(deliveries::table::Column::MessageId.eq(message.uuid()))
            .order_by_asc(deliveries::table::Column::AgentId);
        let rows = self.reader().list("read deliveries", query).await?;
        rows.into_iter().map(deliveries::from_row).collect()
    }

    async fn hops_heard(&self, agent: AgentId, since: Timestamp) -> Result<Vec<(AgentId, u32)>> {
        let sql = "SELECT sender_agent_id, hops FROM (
               SELECT messages.sender_agent_id, messages.hops, row_number()
                 OVER (PARTITION BY messages.sender_agent_id ORDER BY messages.seq DESC) AS back
               FROM message_recipients heard JOIN messages ON messages.id = heard.message_id
               WHERE heard.agent_id = $1 AND heard.status = 'delivered' AND heard.settled_at >= $2
                 AND messages.sender_agent_id IS NOT NULL) ranked
             WHERE back = 1";
        let backend = self.reader().get_database_backend();
        let query =
            Statement::from_sql_and_values(backend, sql, [agent.uuid().into(), since.into()]);
        let rows = Heard::find_by_statement(query).all(self.reader()).await;
        let rows = rows.map_err(trying("read how far a talk has come"))?;
        let heard = rows.into_iter().map(
            |Heard {
                 sender_agent_id,
                 hops,
             }| {
                let hops = u32::try_from(hops).map_err(|_| corrupt("message hops"))?;
                Ok((AgentId::from_uuid(sender_agent_id), hops))
            },
        );
        heard.collect()
    }

    async fn messages_after(
        &self,
        filter: &MessageFilter,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Message>> {
        let query = table::Entity::find()
            .filter(Message::condition(filter))
            .filter(table::Column::Seq.gt(signed(after)))
            .order_by_asc(table::Column::Seq)
            .limit(u64::from(limit));
        let rows = self.reader().list("read the message log", query).await?;
        rows.into_iter().map(Message::from_row).collect()
    }

    async fn message_ids(
        &self,
        first: MessageId,
        last: MessageId,
        limit: u32,
    ) -> Result<Vec<MessageId>> {
        let ids: Vec<Uuid> = table::Entity::find()
            .select_only()
            .column(table::Column::Id)
            .filter(table::Column::Id.between(first.uuid(), last.uuid()))
            .order_by_asc(table::Column::Id)
            .limit(u64::from(limit))
            .into_tuple()
            .all(self.reader())
            .await
            .map_err(trying("list messages"))?;
        Ok(ids.into_iter().map(MessageId::from_uuid).collect())
    }

    async fn last_message(&self) -> Result<u64> {
        let newest: Option<Option<i64>> = table::Entity::find()
            .select_only()
            .expr(Expr::cust("max(seq)"))
            .into_tuple()
            .one(self.reader())
            .await
            .map_err(trying("read the message log"))?;
        unsigned(newest.flatten().unwrap_or_default(), "message seq")
    }

    async fn agents_with_mail(&self, limit: u32) -> Result<Vec<AgentId>> {
        let query = with_mail(self.reader().get_database_backend(), limit);
        let rows = Recipient::find_by_statement(query).all(self.reader()).await;
        let rows = rows.map_err(trying("look for agents with messages"))?;
        let ids = rows.into_iter().map(|row| AgentId::from_uuid(row.agent_id));
        Ok(ids.collect())
    }

    async fn overdue_deliveries(&self, limit: u32) -> Result<Vec<Undelivered>> {
        let overdue = format!("waiting.expiry_ms <= {}", self.now_ms());
        self.undelivered("", &overdue, limit).await
    }

    async fn stranded_deliveries(&self, limit: u32) -> Result<Vec<Undelivered>> {
        let joined = "JOIN agents ON agents.id = waiting.agent_id";
        self.undelivered(joined, "agents.state = 'terminated'", limit)
            .await
    }
}

/// Messages that nobody will read: those that ran out, and those to agents that have ended.
pub(crate) fn dead(dialect: Dialect) -> Vec<String> {
    let now = dialect.now_ms();
    vec![
        format!("SELECT 1 FROM message_recipients WHERE status = 'pending' AND expiry_ms <= {now}"),
        "SELECT 1 FROM message_recipients waiting CROSS JOIN agents
         WHERE agents.id = waiting.agent_id AND waiting.status = 'pending'
           AND agents.state = 'terminated'"
            .to_owned(),
    ]
}

/// What is waiting for standing agents that are idle.
pub(crate) fn waiting(dialect: Dialect, what: &str) -> String {
    format!(
        "SELECT {what} FROM message_recipients waiting CROSS JOIN agents
         WHERE agents.id = waiting.agent_id AND waiting.status = 'pending'
           AND agents.state = 'idle' AND agents.run_id IS NULL
           AND (waiting.expiry_ms IS NULL OR waiting.expiry_ms > {now})",
        now = dialect.now_ms(),
    )
}

/// The standing agents that are idle and have mail. There are many of these and few messages: SQLite
/// carries a cross join out in the order in which it is written.
fn with_mail(backend: DbBackend, limit: u32) -> Statement {
    let agents = waiting(backend.into(), "DISTINCT waiting.agent_id AS agent_id");
    let sql = format!("{agents} LIMIT $1");
    Statement::from_sql_and_values(backend, sql, [i64::from(limit).into()])
}

#[cfg(test)]
mod tests {
    use sea_orm::DbBackend;

    use super::with_mail;
    use crate::plan::plan_of;

    #[tokio::test]
    async fn a_look_for_mail_reads_no_agent_without_any() {
        assert_eq!(
            plan_of(with_mail(DbBackend::Sqlite, 1), &["waiting", "agents"]).await,
            [
                "SCAN waiting USING COVERING INDEX message_recipients_waiting",
                "SEARCH agents USING INDEX sqlite_autoindex_agents_1 (id=?)",
            ]
        );
    }
}
