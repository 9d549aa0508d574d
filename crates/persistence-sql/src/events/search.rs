//! Reading the event log: forwards without a gap, and backwards; by keys and by words.

use async_trait::async_trait;
use fusion_core::{Event, EventId};
use fusion_persistence::{Error, EventBounds, EventFilter, EventReader, Result};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbBackend, EntityTrait, Order, QueryFilter,
    QueryOrder, QuerySelect, Statement, Value,
};

use super::filter::{Meant, meant};
use super::keys::entry;
use super::{from_row, index, table};
use crate::dialect::Dialect;
use crate::error::{corrupt, trying};
use crate::store::{SqlStore, signed, unsigned};
use crate::words::Wanted;

/// Events of a page at most.
const PAGE_LIMIT: u32 = 10_000;

/// Hits in SQLite's index of words, the newest first.
const HITS: &str =
    "SELECT rowid AS seq FROM event_words WHERE event_words MATCH $1 AND rowid >= $2 AND rowid < $3
  ORDER BY rowid DESC LIMIT $4";

/// Events with a key between two places.
const WITH_KEY: &str = "SELECT seq FROM event_keys WHERE key = $1 AND seq >= $2 AND seq < $3";

/// Hits that are looked at first; then twice as many, and so on.
const FIRST_PIECE: usize = 256;

/// Hits in one query: below SQLite's 32,766 bound values, and as many rows as are read at once.
const LARGEST_PIECE: usize = PAGE_LIMIT as usize;

/// The first event that is left; after all have gone by age, the next one that will come. Then the
/// last that was told.
const BOUNDS: &str = "SELECT coalesce((SELECT min(seq) FROM events), last_seq + 1), last_seq
  FROM event_streams WHERE name = 'main'";

/// Where the first piece begins that has an event as young, and where the last ends that has one as old.
const PIECES: &str = "SELECT (SELECT min(first_seq) FROM event_pieces WHERE newest >= $1),
  (SELECT max(last_seq) FROM event_pieces WHERE oldest < $2)";

/// How many of the newest events PostgreSQL looks through before it asks its index of words.
const WINDOW: i64 = 20_000;

/// Both are told to be done first: the planner, left to itself, walks the log and looks at each event.
const HITS_IN_A_WINDOW: &str = "seq IN (WITH recent AS MATERIALIZED
    (SELECT seq, words FROM event_words WHERE seq >= $2 AND seq < $3)
  SELECT seq FROM recent WHERE words @@ CAST($1 AS tsquery))";

const HITS_IN_THE_INDEX: &str = "seq IN (WITH hits AS MATERIALIZED
    (SELECT seq FROM event_words WHERE words @@ CAST($1 AS tsquery))
  SELECT seq FROM hits WHERE seq >= $2 AND seq < $3)";

const READ: &str = "read events";

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
        let Some(search) = self.search(filter, limit).await? else {
            return Ok(Vec::new());
        };
        let found = self.forwards(&search, signed(after)).await?;
        // Looked at after the events, so that none was deleted between the two unnoticed.
        let oldest = self.event_bounds().await?.oldest;
        if after.saturating_add(1) < oldest {
            return Err(Error::Gone { oldest });
        }
        found.into_iter().map(from_row).collect()
    }

    async fn event_bounds(&self) -> Result<EventBounds> {
        let ask = Statement::from_string(self.reader().get_database_backend(), BOUNDS);
        let [oldest, last] = self.reader().numbers(READ, ask).await?;
        let number = |number: Option<i64>| number.ok_or_else(|| corrupt("stream of numbers"));
        Ok(EventBounds {
            oldest: unsigned(number(oldest)?, "event seq")?,
            last: unsigned(number(last)?, "event seq")?,
        })
    }

    async fn events_before(
        &self,
        filter: &EventFilter,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<Event>> {
        let Some(search) = self.search(filter, limit).await? else {
            return Ok(Vec::new());
        };
        let found = self
            .backwards(&search, before.map_or(i64::MAX, signed))
            .await?;
        found.into_iter().map(from_row).collect()
    }
}

/// A search that is under way.
struct Search {
    /// What holds besides the words.
    condition: Condition,
    keys: Option<Vec<String>>,
    wanted: Option<Wanted>,
    limit: usize,
    /// Up to here the index is asked; what is newer is read.
    reached: i64,
    /// Where the indexed events begin and end (not in it) that may be of the times of the filter.
    span: (i64, i64),
}

impl Search {
    /// Adds the rows that have the wanted words.
    fn keep(&self, rows: Vec<table::Model>, found: &mut Vec<table::Model>) {
        match &self.wanted {
            None => found.extend(rows),
            Some(wanted) => {
                found.extend(rows.into_iter().filter(|row| wanted.is_in(&row.message)));
            }
        }
    }

    /// How many events are still wanted.
    fn left(&self, found: &[table::Model]) -> u64 {
        self.limit.saturating_sub(found.len()) as u64
    }

    /// How many rows are worth reading at once.
    fn at_once(&self, found: &[table::Model]) -> u64 {
        match self.wanted {
            None => self.left(found),
            Some(_) => u64::from(PAGE_LIMIT),
        }
    }
}

impl SqlStore {
    /// Begins a search; `None` where nothing can be found.
    async fn search(&self, filter: &EventFilter, limit: u32) -> Result<Option<Search>> {
        let wanted = match filter.text.as_deref().map(Wanted::new) {
            Some(None) => return Ok(None),
            wanted => wanted.flatten(),
        };
        let Some(Meant { condition, keys }) = meant(filter)? else {
            return Ok(None);
        };
        let is_dated = filter.since.is_some() || filter.until.is_some();
        let reached = if is_dated || keys.is_some() || wanted.is_some() {
            index::reached(self.reader()).await?
        } else {
            0
        };
        let whole = (0, reached.saturating_add(1));
        let span = if is_dated {
            self.span(filter, whole).await?
        } else {
            whole
        };
        Ok(Some(Search {
            condition,
            keys,
            wanted,
            limit: limit.min(PAGE_LIMIT) as usize,
            reached,
            span,
        }))
    }

    /// The part of the indexed events that may be of the times of a filter.
    async fn span(&self, filter: &EventFilter, (first, end): (i64, i64)) -> Result<(i64, i64)> {
        let values: [Value; 2] = [filter.since.into(), filter.until.into()];
        let backend = self.reader().get_database_backend();
        let ask = Statement::from_sql_and_values(backend, PIECES, values);
        let [young, old] = self.reader().numbers(READ, ask).await?;
        let from = filter.since.map_or(first, |_| young.unwrap_or(end));
        let to = filter
            .until
            .map_or(end, |_| old.map_or(first, |last| last + 1));
        Ok((from, to.min(end)))
    }

    /// Events in the order of the log, until there are enough.
    async fn forwards(&self, search: &Search, after: i64) -> Result<Vec<table::Model>> {
        let mut found = Vec::new();
        let (from, to) = search.span;
        let from = from.max(after.saturating_add(1));
        match &search.keys {
            Some(keys) => {
                self.keyed_forwards(search, keys, (from, to), &mut found)
                    .await?
            }
            None => self.one_by_one(search, (from, to), &mut found).await?,
        }
        let from = search.reached.max(after).saturating_add(1);
        self.one_by_one(search, (from, i64::MAX), &mut found)
            .await?;
        found.truncate(search.limit);
        Ok(found)
    }

    /// Looks at each event of a part of the log.
    async fn one_by_one(
        &self,
        search: &Search,
        (mut from, to): (i64, i64),
        found: &mut Vec<table::Model>,
    ) -> Result<()> {
        while from < to && search.left(found) > 0 {
            let at_once = search.at_once(found);
            let query = table::Entity::find()
                .filter(search.condition.clone())
                .filter(table::Column::Seq.gte(from))
                .filter(table::Column::Seq.lt(to))
                .order_by_asc(table::Column::Seq)
                .limit(at_once);
            let rows = self.reader().list(READ, query).await?;
            let is_last = (rows.len() as u64) < at_once;
            from = rows.last().map_or(to, |last| last.seq.saturating_add(1));
            search.keep(rows, found);
            if is_last {
                break;
            }
        }
        Ok(())
    }

    async fn keyed_forwards(
        &self,
        search: &Search,
        keys: &[String],
        (mut from, to): (i64, i64),
        found: &mut Vec<table::Model>,
    ) -> Result<()> {
        let mut piece = FIRST_PIECE;
        while from < to && search.left(found) > 0 {
            let hits = self.with_keys(keys, (from, to), Order::Asc, piece).await?;
            let Some(last) = hits.last().copied() else {
                break;
            };
            let query = table::Entity::find()
                .filter(search.condition.clone())
                .filter(table::Column::Seq.is_in(hits))
                .order_by_asc(table::Column::Seq)
                .limit(search.at_once(found));
            search.keep(self.reader().list(READ, query).await?, found);
            from = last.saturating_add(1);
            piece = LARGEST_PIECE.min(piece * 2);
        }
        Ok(())
    }

    /// The newest events in the falling order of the log: those that are not indexed are read, the
    /// others are found in the index.
    async fn backwards(&self, search: &Search, before: i64) -> Result<Vec<table::Model>> {
        let mut found = Vec::new();
        let new = (search.reached.saturating_add(1), before);
        let condition = search.condition.clone();
        let limit = match search.wanted {
            None => search.left(&found),
            Some(_) => u64::MAX,
        };
        let rows = self.newest_first(condition, new, limit).await?;
        search.keep(rows, &mut found);
        let (from, to) = search.span;
        let part = (from, to.min(before));
        match (&search.wanted, &search.keys) {
            (Some(wanted), _) => match Dialect::from(self.reader().get_database_backend()) {
                Dialect::Sqlite => self.by_index(search, wanted, part, &mut found).await?,
                Dialect::Postgres => self.by_windows(search, wanted, part, &mut found).await?,
            },
            (None, Some(keys)) => self.keyed_backwards(search, keys, part, &mut found).await?,
            (None, None) => {
                let condition = search.condition.clone();
                let limit = search.left(&found);
                found.extend(self.newest_first(condition, part, limit).await?);
            }
        }
        found.truncate(search.limit);
        Ok(found)
    }

    async fn keyed_backwards(
        &self,
        search: &Search,
        keys: &[String],
        (from, mut to): (i64, i64),
        found: &mut Vec<table::Model>,
    ) -> Result<()> {
        let mut piece = FIRST_PIECE;
        while search.left(found) > 0 {
            let hits = self.with_keys(keys, (from, to), Order::Desc, piece).await?;
            let Some(last) = hits.last().copied() else {
                break;
            };
            found.extend(self.hits(search, hits, search.left(found)).await?);
            to = last;
            piece = LARGEST_PIECE.min(piece * 2);
        }
        Ok(())
    }

    /// The first places of a part of the log, in an order, whose events have one of the keys. An event
    /// has no two keys of a kind.
    async fn with_keys(
        &self,
        keys: &[String],
        (from, to): (i64, i64),
        order: Order,
        most: usize,
    ) -> Result<Vec<i64>> {
        let is_falling = order == Order::Desc;
        let way = if is_falling { "DESC" } else { "ASC" };
        let sql = format!("{WITH_KEY} ORDER BY seq {way} LIMIT {most}");
        let backend = self.reader().get_database_backend();
        let mut hits: Vec<i64> = Vec::new();
        for key in keys {
            let values: [Value; 3] = [key.as_str().into(), from.into(), to.into()];
            let look = Statement::from_sql_and_values(backend, &sql, values);
            let rows = self.reader().rows_by::<entry::Entity>(READ, look).await?;
            hits.extend(rows.into_iter().map(|row| row.seq));
        }
        hits.sort_unstable();
        if is_falling {
            hits.reverse();
        }
        hits.truncate(most);
        Ok(hits)
    }

    /// SQLite's index gives its hits in the order of the log, so it is read piece by piece.
    async fn by_index(
        &self,
        search: &Search,
        wanted: &Wanted,
        (from, mut to): (i64, i64),
        found: &mut Vec<table::Model>,
    ) -> Result<()> {
        let query = wanted.query(Dialect::Sqlite);
        let mut piece = FIRST_PIECE;
        while search.left(found) > 0 {
            let most = i64::try_from(piece).unwrap_or(i64::MAX);
            let values: [Value; 4] = [query.clone().into(), from.into(), to.into(), most.into()];
            let look = Statement::from_sql_and_values(DbBackend::Sqlite, HITS, values);
            let rows = self.reader().rows_by::<entry::Entity>(READ, look).await?;
            let Some(last) = rows.last().map(|row| row.seq) else {
                break;
            };
            let hits = rows.into_iter().map(|row| row.seq).collect();
            found.extend(self.hits(search, hits, search.left(found)).await?);
            to = last;
            piece = LARGEST_PIECE.min(piece * 2);
        }
        Ok(())
    }

    /// PostgreSQL's index is not in the order of the log, so a common word would cost all its hits:
    /// the newest events are looked through first. A word that is rare there is asked of the index.
    async fn by_windows(
        &self,
        search: &Search,
        wanted: &Wanted,
        (from, to): (i64, i64),
        found: &mut Vec<table::Model>,
    ) -> Result<()> {
        let window = from.max(to.saturating_sub(WINDOW));
        for (hits, from, to) in [
            (HITS_IN_A_WINDOW, window, to),
            (HITS_IN_THE_INDEX, from, window),
        ] {
            if search.left(found) == 0 || from >= to {
                return Ok(());
            }
            let query = Value::from(wanted.query(Dialect::Postgres));
            let hits = Expr::cust_with_values(hits, [query, from.into(), to.into()]);
            let hit = search.condition.clone().add(hits);
            let limit = search.left(found);
            found.extend(self.newest_first(hit, (from, to), limit).await?);
        }
        Ok(())
    }

    /// Those of some events that meet the condition, the newest first.
    async fn hits(&self, search: &Search, hits: Vec<i64>, limit: u64) -> Result<Vec<table::Model>> {
        let condition = search.condition.clone();
        // With a range beside the places, SQLite would walk the whole log for many of them.
        let query = table::Entity::find()
            .filter(condition.add(table::Column::Seq.is_in(hits)))
            .order_by_desc(table::Column::Seq)
            .limit(limit);
        self.reader().list(READ, query).await
    }

    /// The newest events of a part of the log that meet a condition.
    async fn newest_first(
        &self,
        condition: Condition,
        (from, to): (i64, i64),
        limit: u64,
    ) -> Result<Vec<table::Model>> {
        if from >= to || limit == 0 {
            return Ok(Vec::new());
        }
        let query = table::Entity::find()
            .filter(condition)
            .filter(table::Column::Seq.gte(from))
            .filter(table::Column::Seq.lt(to))
            .order_by_desc(table::Column::Seq)
            .limit(limit.min(u64::from(u32::MAX)));
        self.reader().list(READ, query).await
    }
}
