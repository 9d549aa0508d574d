//! Files that deleted runs named: remembered until somebody has looked whether they are still named.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use fusion_core::{EventType, RunId, handed_files, named_files};
use fusion_persistence::{
    Error, EventFilter, EventReader as _, KeptFileReader, NamedFiles, Result,
};
use sea_orm::prelude::Uuid;
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Statement,
    Value,
};

use crate::dialect::Dialect;
use crate::error::trying;
use crate::failure;
use crate::session::Session;
use crate::store::{signed, unsigned};
use crate::streams::{self, Stream};
use crate::{SqlStore, json};

const ACTION: &str = "look for files that nobody names";

/// Rows that are read at once.
const AT_ONCE: usize = 1_000;

/// Events that are read at once.
const EVENTS: u32 = 1_000;

pub(crate) mod table {
    #![expect(unreachable_pub, reason = "the shape is sea-orm's")]
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "loose_files")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
        pub sha256: String,
        pub noted: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Remembers files of rows that go, under a number that no noting before had: also where a file was forgotten
/// meanwhile, who looked at it before can tell.
pub(super) async fn note(
    session: &mut impl Session,
    files: &BTreeSet<String>,
) -> failure::Result<()> {
    if files.is_empty() {
        return Ok(());
    }
    let noted = streams::take(session, Stream::Notings, 1).await?;
    let sql = "INSERT INTO loose_files (sha256, noted) VALUES ($1, $2)
               ON CONFLICT (sha256) DO UPDATE SET noted = excluded.noted";
    each(session, sql, files.iter().map(|file| (file, noted))).await
}

/// They were dealt with, but those that were noted again, or are being noted just now: who does that may want
/// the lock of the event log, which is taken first here, as whoever commits has it.
pub(crate) async fn forget(
    session: &mut impl Session,
    files: &BTreeMap<String, u64>,
) -> failure::Result<()> {
    streams::take(session, Stream::Events, 0).await?;
    let sql = format!(
        "DELETE FROM loose_files WHERE sha256 = (
           SELECT sha256 FROM loose_files WHERE sha256 = $1 AND noted = $2 {})",
        Dialect::from(session.backend()).skip_locked()
    );
    let looked_at = files.iter().map(|(file, noted)| (file, signed(*noted)));
    each(session, &sql, looked_at).await
}

async fn each(
    session: &mut impl Session,
    sql: &str,
    files: impl Iterator<Item = (&String, i64)> + Send,
) -> failure::Result<()> {
    let backend = session.backend();
    for (file, noted) in files {
        let values: [Value; 2] = [file.as_str().into(), noted.into()];
        let statement = Statement::from_sql_and_values(backend, sql, values);
        session.execute("note kept files", statement).await?;
    }
    Ok(())
}

#[async_trait]
impl KeptFileReader for SqlStore {
    async fn loose_files(&self, after: Option<&str>, limit: u32) -> Result<BTreeMap<String, u64>> {
        let found = table::Entity::find()
            .filter(table::Column::Sha256.gt(after.unwrap_or_default()))
            .order_by_asc(table::Column::Sha256)
            .limit(u64::from(limit))
            .all(self.reader())
            .await
            .map_err(trying(ACTION))?;
        let numbered =
            |row: table::Model| Ok((row.sha256, unsigned(row.noted, "noting of a file")?));
        found.into_iter().map(numbered).collect()
    }

    async fn files_named(&self, files: &BTreeSet<String>) -> Result<NamedFiles> {
        // Before the rows are read: what is committed meanwhile is seen twice.
        let up_to = self.event_bounds().await?.last;
        let mut named = BTreeSet::new();
        if !files.is_empty() {
            named.extend(self.named_by_imports(files).await?);
            for naming in [Naming::Results, Naming::Inputs] {
                self.take_all_named(naming, files, &mut named).await?;
            }
        }
        Ok(NamedFiles {
            files: named,
            up_to,
        })
    }

    async fn files_named_since(
        &self,
        files: &BTreeSet<String>,
        place: u64,
    ) -> Result<Option<BTreeSet<String>>> {
        let Some(News { tasks, runs }) = self.news_since(place).await? else {
            return Ok(None);
        };
        let mut named = BTreeSet::new();
        if !runs.is_empty() {
            named.extend(self.named_by_imports(files).await?);
        }
        let some: Vec<Uuid> = tasks.into_iter().collect();
        for some in some.chunks(AT_ONCE) {
            let of_these = results("id IN ({})", some.len());
            let made = self
                .texts(&of_these, some.iter().map(|id| Value::from(*id)))
                .await?;
            take_named(&made, files, &mut named)?;
        }
        for run in runs {
            let below = results(&format!("run_id IN ({BELOW})"), 1);
            let made = self.texts(&below, [run.into()]).await?;
            take_named(&made, files, &mut named)?;
        }
        // No event tells of a run that goes on from another with the files that this one was handed.
        self.take_all_named(Naming::Inputs, files, &mut named)
            .await?;
        Ok(Some(named))
    }

    async fn is_being_deleted(&self, run: RunId) -> Result<bool> {
        let sql = "SELECT 'yes' FROM run_deletions WHERE run_id = $1";
        Ok(!self.texts(sql, [run.uuid().into()]).await?.is_empty())
    }
}

/// A run and all runs below it.
const BELOW: &str = "WITH RECURSIVE tree AS (SELECT id FROM runs WHERE id = {}
    UNION ALL SELECT runs.id FROM runs JOIN tree ON runs.parent_run = tree.id) SELECT id FROM tree";

/// Rows that name files.
#[derive(Debug, Clone, Copy)]
enum Naming {
    /// Tasks, in what they made.
    Results,
    /// Runs, in what they were handed.
    Inputs,
}

impl Naming {
    /// Looks for the next rows by their ids that may name files: what they say, and for inputs which of them
    /// are files.
    const fn page(self) -> &'static str {
        match self {
            Self::Results => {
                "SELECT id, output_artifacts, '' FROM tasks
                 WHERE id > $1 AND output_artifacts LIKE '%\"files\":%' ORDER BY id LIMIT $2"
            }
            Self::Inputs => {
                "SELECT runs.id, runs.inputs, workflows.definition
                 FROM runs JOIN workflows ON workflows.id = runs.workflow_id
                 WHERE runs.id > $1 AND runs.inputs LIKE '%\"sha256\":%'
                   AND workflows.definition LIKE '%\"files\"%' ORDER BY runs.id LIMIT $2"
            }
        }
    }

    fn files(self, text: &str, definition: &str) -> Result<Vec<String>> {
        Ok(match self {
            Self::Results => named_files(&json::from_text("task output_artifacts", text)?),
            Self::Inputs => handed_files(
                &json::from_text("workflow definition", definition)?,
                &json::from_text("run inputs", text)?,
            ),
        })
    }
}

/// What tasks made that a condition on so many ids selects, which stand at its `{}`.
fn results(which: &str, ids: usize) -> String {
    let places: Vec<String> = (1..=ids).map(|number| format!("${number}")).collect();
    let which = which.replace("{}", &places.join(", "));
    format!(
        "SELECT output_artifacts FROM tasks WHERE {which} AND output_artifacts LIKE '%\"files\":%'"
    )
}

/// What may name files since a place of the log.
#[derive(Default)]
struct News {
    /// Tasks that ended well, also those that were taken over from another run.
    tasks: BTreeSet<Uuid>,
    /// Runs that were stored whole.
    runs: BTreeSet<Uuid>,
}

/// Adds those of some files that the results of tasks name.
fn take_named(
    results: &[String],
    files: &BTreeSet<String>,
    named: &mut BTreeSet<String>,
) -> Result<()> {
    for text in results {
        let those = Naming::Results.files(text, "")?.into_iter();
        named.extend(those.filter(|file| files.contains(file)));
    }
    Ok(())
}

impl SqlStore {
    /// `None` where the log has lost events after the place.
    async fn news_since(&self, place: u64) -> Result<Option<News>> {
        let types = [EventType::TaskCompleted, EventType::RecordChanged];
        let filter = EventFilter {
            types: types.map(|of| of.as_str().to_owned()).to_vec(),
            ..EventFilter::default()
        };
        let mut news = News::default();
        let mut after = place;
        loop {
            let page = match self.events_after(&filter, after, EVENTS).await {
                Ok(page) => page,
                Err(Error::Gone { .. }) => return Ok(None),
                Err(error) => return Err(error),
            };
            for told in &page {
                let task = told.event.data.get("task_id").and_then(|id| id.as_str());
                match task.and_then(|id| id.parse().ok()) {
                    Some(task) => news.tasks.insert(task),
                    None => told
                        .event
                        .run_id
                        .is_some_and(|run| news.runs.insert(run.uuid())),
                };
            }
            match page.last() {
                Some(last) if page.len() == EVENTS as usize => after = last.seq,
                _ => return Ok(Some(news)),
            }
        }
    }

    /// Imported runs name the file that they came in.
    async fn named_by_imports(&self, files: &BTreeSet<String>) -> Result<BTreeSet<String>> {
        let imported = "SELECT imported FROM runs WHERE imported IS NOT NULL";
        let imported = self.texts(imported, []).await?;
        let is_named = |file: &&String| imported.iter().any(|text| text.contains(file.as_str()));
        Ok(files.iter().filter(is_named).cloned().collect())
    }

    /// Adds those of some files that any row names.
    async fn take_all_named(
        &self,
        naming: Naming,
        files: &BTreeSet<String>,
        named: &mut BTreeSet<String>,
    ) -> Result<()> {
        let mut after = Uuid::nil();
        loop {
            let page = self.naming_after(naming, after).await?;
            for (_, text, definition) in &page {
                let those = naming.files(text, definition)?.into_iter();
                named.extend(those.filter(|file| files.contains(file)));
            }
            match page.last() {
                Some((last, ..)) if page.len() == AT_ONCE => after = *last,
                _ => return Ok(()),
            }
        }
    }

    /// The next rows by their ids that may name files, what they say, and what that is understood by.
    async fn naming_after(
        &self,
        naming: Naming,
        after: Uuid,
    ) -> Result<Vec<(Uuid, String, String)>> {
        let reader = self.reader();
        let most = i64::try_from(AT_ONCE).unwrap_or(i64::MAX);
        let values: [Value; 2] = [after.into(), most.into()];
        let backend = reader.get_database_backend();
        let query = Statement::from_sql_and_values(backend, naming.page(), values);
        let rows = reader.query_all_raw(query).await.map_err(trying(ACTION))?;
        let cells = rows.iter().map(|row| {
            let id = row.try_get_by_index(0).map_err(trying(ACTION))?;
            let text = row.try_get_by_index(1).map_err(trying(ACTION))?;
            Ok((id, text, row.try_get_by_index(2).map_err(trying(ACTION))?))
        });
        cells.collect()
    }

    async fn texts(
        &self,
        sql: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Vec<String>> {
        let reader = self.reader();
        let query = Statement::from_sql_and_values(reader.get_database_backend(), sql, values);
        let rows = reader.query_all_raw(query).await.map_err(trying(ACTION))?;
        rows.iter()
            .map(|row| row.try_get_by_index(0).map_err(trying(ACTION)))
            .collect()
    }
}
