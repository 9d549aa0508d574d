//! Reading the event log: forwards without a gap, backwards by time, and by words.

use std::cmp::Reverse;
use std::str::FromStr;

use async_trait::async_trait;
use fusion_core::{AgentId, Event, EventId, EventType, RunId, Severity};
use fusion_messaging::Pattern;
use fusion_persistence::{Error, EventBounds, EventFilter, EventPlace, EventReader, Result};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbBackend, EntityTrait, Order, QueryFilter,
    QueryOrder, QuerySelect, Statement, Value,
};

use super::{from_row, table};
use crate::dialect::Dialect;
use crate::error::{corrupt, trying};
use crate::store::{SqlStore, signed, unsigned};
use crate::table::exactly;
use crate::words::{self, Wanted};

/// Events of a page at most.
const PAGE_LIMIT: u32 = 10_000;

/// Hits in SQLite's index of words, the newest first.
const HITS: &str = "SELECT rowid FROM event_words WHERE event_words MATCH $1 AND rowid < $2
  ORDER BY rowid DESC LIMIT $3";

/// Hits that are looked at first; then twice as many, and so on.
const FIRST_PIECE: i64 = 256;

/// Hits in one query: below SQLite's 32,766 bound values.
const LARGEST_PIECE: i64 = 16_384;

/// The first event that is left; after all have gone by age, the next one that will come. Then the
/// last that was told.
const BOUNDS: &str = "SELECT coalesce((SELECT min(seq) FROM events), last_seq + 1), last_seq
  FROM event_streams WHERE name = 'main'";

/// How many of the newest events PostgreSQL looks through before it asks its index of words.
const WINDOW: i64 = 20_000;

/// Both are told to be done first: the planner, left to itself, walks the log and looks at each event.
const HITS_IN_A_WINDOW: &str = "seq IN (WITH recent AS MATERIALIZED
    (SELECT seq, words FROM event_words WHERE seq >= $2 AND seq < $3)
  SELECT seq FROM recent WHERE words @@ CAST($1 AS tsquery))";

const HITS_IN_THE_INDEX: &str = "seq IN (WITH hits AS MATERIALIZED
    (SELECT seq FROM event_words WHERE words @@ CAST($1 AS tsquery))
  SELECT seq FROM hits WHERE seq >= $2 AND seq < $3)";

#[async_trait]
impl EventReader for SqlStore {
    async fn event(&self, id: EventId) -> Result<Option<Event>> {
        table::Entity::find()
            .filter(table::Column::Id.eq(id.uuid()))
            .one(self.reader())
            .await
            .map_err(trying("read an event"))?
            .map(from_row)
            .transpose()
    }

    async fn events_after(
        &self,
        filter: &EventFilter,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Event>> {
        let Some(condition) = all_of(filter)? else {
            return Ok(Vec::new());
        };
        let wanted = match filter.text.as_deref().map(Wanted::new) {
            None => None,
            Some(None) => return Ok(Vec::new()),
            Some(wanted) => wanted,
        };
        let found = self.forwards(condition, wanted, after, limit).await?;
        // Looked at after the events, so that none was deleted between the two unnoticed.
        let oldest = self.event_bounds().await?.oldest;
        if after.saturating_add(1) < oldest {
            return Err(Error::Gone { oldest });
        }
        Ok(found)
    }

    async fn event_bounds(&self) -> Result<EventBounds> {
        const ACTION: &str = "read events";
        let ask = Statement::from_string(self.reader().get_database_backend(), BOUNDS);
        let [oldest, last] = self.reader().numbers(ACTION, ask).await?;
        let number = |number: Option<i64>| number.ok_or_else(|| corrupt("stream of numbers"));
        Ok(EventBounds {
            oldest: unsigned(number(oldest)?, "event seq")?,
            last: unsigned(number(last)?, "event seq")?,
        })
    }

    async fn events_before(
        &self,
        filter: &EventFilter,
        before: Option<EventPlace>,
        limit: u32,
    ) -> Result<Vec<Event>> {
        let limit = limit.min(PAGE_LIMIT);
        match filter.text.as_deref() {
            None => self.by_time(filter, before, limit).await,
            Some(text) => match Wanted::new(text) {
                Some(wanted) => self.by_words(filter, &wanted, before, limit).await,
                None => Ok(Vec::new()),
            },
        }
    }
}

impl SqlStore {
    /// Events in the order of the log, until there are enough that have the wanted words.
    async fn forwards(
        &self,
        condition: Condition,
        wanted: Option<Wanted>,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Event>> {
        let limit = limit.min(PAGE_LIMIT);
        let at_once = if wanted.is_some() { PAGE_LIMIT } else { limit };
        let enough = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut place = signed(after);
        let mut found = Vec::new();
        loop {
            let query = table::Entity::find()
                .filter(condition.clone())
                .filter(table::Column::Seq.gt(place))
                .order_by_asc(table::Column::Seq)
                .limit(u64::from(at_once));
            let rows = self.reader().list("read events", query).await?;
            let Some(last) = rows.last() else { break };
            place = last.seq;
            for row in rows {
                if wanted
                    .as_ref()
                    .is_none_or(|wanted| wanted.is_in(&row.message))
                {
                    found.push(from_row(row)?);
                }
            }
            if wanted.is_none() || found.len() >= enough {
                break;
            }
        }
        found.truncate(enough);
        Ok(found)
    }

    /// One query for each value of the narrowest condition, each in the order of an index; what
    /// they find is merged here.
    async fn by_time(
        &self,
        filter: &EventFilter,
        before: Option<EventPlace>,
        limit: u32,
    ) -> Result<Vec<Event>> {
        let Some(branches) = branches(filter)? else {
            return Ok(Vec::new());
        };
        let mut found = Vec::new();
        for condition in branches {
            let mut query = table::Entity::find().filter(condition);
            if let Some(place) = before {
                query = query.filter(older_than(place));
            }
            let query = query
                .order_by_desc(table::Column::Timestamp)
                .order_by_desc(table::Column::Seq)
                .limit(u64::from(limit));
            let rows = self.reader().list("read events", query).await?;
            for row in rows {
                found.push(from_row(row)?);
            }
        }
        found.sort_by_key(|event| Reverse((event.event.timestamp, event.seq)));
        found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(found)
    }

    /// The newest events with the wanted words, in the order of the log: those that are not indexed
    /// yet are read, the others are found in the index.
    async fn by_words(
        &self,
        filter: &EventFilter,
        wanted: &Wanted,
        before: Option<EventPlace>,
        limit: u32,
    ) -> Result<Vec<Event>> {
        let Some(condition) = all_of(filter)? else {
            return Ok(Vec::new());
        };
        let reached = words::reached(self.reader()).await?;
        let upper = before.map_or(i64::MAX, |place| signed(place.seq));
        let search = Search {
            condition,
            wanted,
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
        };
        let mut found = Vec::new();
        if upper > reached {
            let new = search.condition.clone();
            let new = new.add(table::Column::Seq.gt(reached));
            let rows = self.newest_first(new, upper, u32::MAX).await?;
            found.extend(rows.into_iter().filter(|row| wanted.is_in(&row.message)));
        }
        let upper = Ord::min(upper, reached + 1);
        match Dialect::from(self.reader().get_database_backend()) {
            Dialect::Sqlite => self.by_index(&search, upper, &mut found).await?,
            Dialect::Postgres => self.by_windows(&search, upper, &mut found).await?,
        }
        found.truncate(search.limit);
        found.into_iter().map(from_row).collect()
    }

    /// SQLite's index gives its hits in the order of the log, so it is read piece by piece.
    async fn by_index(
        &self,
        search: &Search<'_>,
        mut upper: i64,
        found: &mut Vec<table::Model>,
    ) -> Result<()> {
        let query = search.wanted.query(Dialect::Sqlite);
        let mut piece = FIRST_PIECE;
        while found.len() < search.limit {
            let values: [Value; 3] = [query.clone().into(), upper.into(), piece.into()];
            let look = Statement::from_sql_and_values(DbBackend::Sqlite, HITS, values);
            let hits: Vec<i64> = self
                .reader()
                .query_all_raw(look)
                .await
                .map_err(trying("search events"))?
                .iter()
                .map(|row| row.try_get_by_index(0))
                .collect::<std::result::Result<_, _>>()
                .map_err(trying("search events"))?;
            let Some(last) = hits.last().copied() else {
                return Ok(());
            };
            let hit = search.condition.clone().add(table::Column::Seq.is_in(hits));
            let rows = self.newest_first(hit, upper, search.left(found)).await?;
            found.extend(rows);
            upper = last;
            piece = Ord::min(piece * 2, LARGEST_PIECE);
        }
        Ok(())
    }

    /// PostgreSQL's index is not in the order of the log, so a common word would cost all its hits:
    /// the newest events are looked through first. A word that is rare there is asked of the index.
    async fn by_windows(
        &self,
        search: &Search<'_>,
        upper: i64,
        found: &mut Vec<table::Model>,
    ) -> Result<()> {
        let lower = Ord::max(upper.saturating_sub(WINDOW), 1);
        for (hits, lower, upper) in [
            (HITS_IN_A_WINDOW, lower, upper),
            (HITS_IN_THE_INDEX, 1, lower),
        ] {
            if found.len() >= search.limit || upper <= 1 {
                return Ok(());
            }
            let query = Value::from(search.wanted.query(Dialect::Postgres));
            let hits = Expr::cust_with_values(hits, [query, lower.into(), upper.into()]);
            let hit = search.condition.clone().add(hits);
            let rows = self.newest_first(hit, upper, search.left(found)).await?;
            found.extend(rows);
        }
        Ok(())
    }

    async fn newest_first(
        &self,
        condition: Condition,
        upper: i64,
        limit: u32,
    ) -> Result<Vec<table::Model>> {
        let query = table::Entity::find()
            .filter(condition)
            .filter(table::Column::Seq.lt(upper))
            .order_by(table::Column::Seq, Order::Desc)
            .limit(u64::from(limit));
        self.reader().list("search events", query).await
    }
}

fn older_than(place: EventPlace) -> Condition {
    let same_time = Condition::all()
        .add(table::Column::Timestamp.eq(place.timestamp))
        .add(table::Column::Seq.lt(signed(place.seq)));
    let older = Condition::any()
        .add(table::Column::Timestamp.lt(place.timestamp))
        .add(same_time);
    // Follows from the rest, but only this tells SQLite where to begin in the index.
    Condition::all()
        .add(table::Column::Timestamp.lte(place.timestamp))
        .add(older)
}

/// A search that is under way.
struct Search<'w> {
    /// What holds besides the words.
    condition: Condition,
    wanted: &'w Wanted,
    limit: usize,
}

impl Search<'_> {
    /// How many events are still wanted.
    fn left(&self, found: &[table::Model]) -> u32 {
        u32::try_from(self.limit.saturating_sub(found.len())).unwrap_or(u32::MAX)
    }
}

/// The types that a filter selects; `None` when its patterns match no type.
fn types(filter: &EventFilter) -> Result<Option<Vec<EventType>>> {
    if filter.types.is_empty() {
        return Ok(Some(Vec::new()));
    }
    let mut patterns = Vec::with_capacity(filter.types.len());
    for text in &filter.types {
        let pattern = Pattern::from_str(text).map_err(|error| Error::Invalid {
            reason: format!("'{text}' is not a pattern of event types: {error}"),
        })?;
        patterns.push(pattern);
    }
    let matching: Vec<EventType> = EventType::ALL
        .iter()
        .copied()
        .filter(|kind| {
            kind.as_str()
                .parse()
                .is_ok_and(|subject| patterns.iter().any(|pattern| pattern.matches(&subject)))
        })
        .collect();
    Ok((!matching.is_empty()).then_some(matching))
}

/// What holds for every branch.
fn common(filter: &EventFilter) -> Condition {
    let condition = Condition::all()
        .add_option(
            filter
                .since
                .map(|since| table::Column::Timestamp.gte(since)),
        )
        .add_option(filter.until.map(|until| table::Column::Timestamp.lt(until)));
    exactly(condition, table::Column::RunId, filter.run.map(RunId::uuid))
}

fn type_is(types: &[EventType]) -> Condition {
    crate::table::any_of(
        Condition::all(),
        table::Column::EventType,
        types.iter().map(|kind| kind.as_str()),
    )
}

fn severity_is(severities: &[Severity]) -> Condition {
    let condition = crate::table::any_of(
        Condition::all(),
        table::Column::Severity,
        severities.iter().map(|severity| severity.as_str()),
    );
    if severities.is_empty() || severities.contains(&Severity::Info) {
        return condition;
    }
    // In the words of the index `events_by_severity`, so that it is used.
    condition.add(Expr::cust("severity <> 'info'"))
}

fn agent_is(agents: &[AgentId]) -> Condition {
    let condition = Condition::all();
    if agents.is_empty() {
        return condition;
    }
    condition.add(table::Column::SourceAgentId.is_in(agents.iter().map(|agent| agent.uuid())))
}

/// The whole filter in one condition; `None` when nothing can match.
fn all_of(filter: &EventFilter) -> Result<Option<Condition>> {
    let Some(types) = types(filter)? else {
        return Ok(None);
    };
    Ok(Some(
        common(filter)
            .add(type_is(&types))
            .add(severity_is(&filter.severities))
            .add(agent_is(&filter.agents)),
    ))
}

/// The filter as one condition for each value of its narrowest part, so that each can be answered in
/// the order of an index; `None` when nothing can match.
fn branches(filter: &EventFilter) -> Result<Option<Vec<Condition>>> {
    let Some(types) = types(filter)? else {
        return Ok(None);
    };
    let rest = common(filter);
    let branches = if !filter.agents.is_empty() {
        let rest = rest
            .add(type_is(&types))
            .add(severity_is(&filter.severities));
        let each = filter.agents.iter();
        each.map(|agent| rest.clone().add(agent_is(&[*agent])))
            .collect()
    } else if !types.is_empty() {
        let rest = rest.add(severity_is(&filter.severities));
        let each = types.iter();
        each.map(|kind| rest.clone().add(type_is(&[*kind])))
            .collect()
    } else if !filter.severities.is_empty() {
        let each = filter.severities.iter();
        each.map(|severity| rest.clone().add(severity_is(&[*severity])))
            .collect()
    } else {
        vec![rest]
    };
    Ok(Some(branches))
}
