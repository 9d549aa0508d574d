//! Messages and the ends of deliveries, written at the end of a transaction for all of its jobs.
//!
//! All of it happens under the lock of one row, that of the message log: places in the log are in the
//! order of the commits, what waits for an agent can be counted before one more is added, and no two
//! processes wait for each other's rows.

use std::collections::{BTreeMap, BTreeSet};

use fusion_core::{AgentId, Change, Letter, MessageId, NewEvent, Settlement};
use fusion_persistence::Error;
use sea_orm::prelude::Uuid;
use sea_orm::{Statement, Value};

use crate::deliveries::{self, IDS_PER_STATEMENT, places};
use crate::dialect::Dialect;
use crate::failure::Result;
use crate::messages;
use crate::session::Session;
use crate::streams::{self, Stream};

/// How many messages wait for an agent.
pub(crate) mod waiting {
    #![expect(unreachable_pub, reason = "the shape is sea-orm's")]
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "waiting")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub agent_id: Uuid,
        pub messages: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Refuses a letter to an inbox that is seen to be full, before the others of its transaction are
/// touched. Only [`write()`] decides, once nobody else can add one.
pub(crate) async fn look_for_room(session: &mut impl Session, letter: &Letter) -> Result<()> {
    make_sure_of_room(session, &[letter]).await
}

/// Writes the mail of all jobs, given as the changes of each; gives what each has to tell of
/// deliveries that ended.
pub(crate) async fn write(
    session: &mut impl Session,
    jobs: &[&[Change]],
) -> Result<Vec<Vec<NewEvent>>> {
    let letters: Vec<&Letter> = jobs.iter().copied().flatten().filter_map(letter).collect();
    let settles = |change: &Change| matches!(change, Change::SettleDeliveries(_));
    if letters.is_empty() && !jobs.iter().copied().flatten().any(settles) {
        return Ok(Vec::new());
    }
    let first = streams::take(session, Stream::Messages, letters.len()).await?;
    if !letters.is_empty() {
        make_sure_of_room(session, &letters).await?;
        messages::append(session, &letters, first).await?;
    }
    let mut told = Vec::with_capacity(jobs.len());
    for changes in jobs {
        let mut of_job = Vec::new();
        for settlement in changes.iter().filter_map(settlement) {
            of_job.extend(settle(session, settlement).await?);
        }
        told.push(of_job);
    }
    Ok(told)
}

fn letter(change: &Change) -> Option<&Letter> {
    if let Change::SendMessage(letter) = change {
        Some(letter)
    } else {
        None
    }
}

fn settlement(change: &Change) -> Option<&Settlement> {
    if let Change::SettleDeliveries(settlement) = change {
        Some(settlement)
    } else {
        None
    }
}

async fn make_sure_of_room(session: &mut impl Session, letters: &[&Letter]) -> Result<()> {
    let recipients = letters.iter().flat_map(|letter| &letter.recipients);
    let recipients: BTreeSet<AgentId> = recipients.copied().collect();
    let recipients: Vec<AgentId> = recipients.into_iter().collect();
    let mut waiting = BTreeMap::new();
    for some in recipients.chunks(IDS_PER_STATEMENT) {
        let query = count_waiting(session, some);
        let counted = session
            .rows::<waiting::Entity>("count what waits for an agent", query)
            .await?;
        waiting.extend(counted.into_iter().map(|row| (row.agent_id, row.messages)));
    }
    for letter in letters {
        for agent in &letter.recipients {
            let count = waiting.entry(agent.uuid()).or_default();
            *count += 1;
            if *count > i64::from(letter.inbox_limit) {
                let (agent, limit) = (*agent, letter.inbox_limit);
                return Err(Error::InboxFull { agent, limit }.into());
            }
        }
    }
    Ok(())
}

fn count_waiting(session: &impl Session, agents: &[AgentId]) -> Statement {
    let backend = session.backend();
    let sql = format!(
        "SELECT agent_id, count(*) AS messages FROM message_recipients
         WHERE status = 'pending' AND agent_id IN ({agents})
           AND (expiry_ms IS NULL OR expiry_ms > {now}) GROUP BY agent_id",
        agents = places(1, agents.len()),
        now = Dialect::from(backend).now_ms(),
    );
    let ids = agents.iter().map(|agent| Value::from(agent.uuid()));
    Statement::from_sql_and_values(backend, sql, ids.collect::<Vec<_>>())
}

/// Ends deliveries; gives the events of those that this ended.
async fn settle(session: &mut impl Session, settlement: &Settlement) -> Result<Vec<NewEvent>> {
    let settled = deliveries::settle(session, settlement).await?;
    for some in settled.chunks(IDS_PER_STATEMENT) {
        messages::follow_deliveries(session, some, settlement.settled_at).await?;
    }
    let settled: BTreeSet<Uuid> = settled.into_iter().collect();
    let is_told = |message: &MessageId| settled.contains(&message.uuid());
    let told = settlement.told.iter();
    Ok(told
        .filter(|(message, _)| is_told(message))
        .map(|(_, event)| event.clone())
        .collect())
}
