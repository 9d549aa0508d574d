//! Files that deleted runs named: remembered until somebody has looked whether they are still named.

use std::collections::BTreeSet;

use async_trait::async_trait;
use fusion_core::{RunId, handed_files, named_files};
use fusion_persistence::{KeptFileReader, LooseFile, Result};
use sea_orm::prelude::Uuid;
use sea_orm::{ConnectionTrait, Statement, Value};

use crate::error::trying;
use crate::failure;
use crate::session::Session;
use crate::streams::{self, Stream};
use crate::{SqlStore, json};

const ACTION: &str = "look for files that nobody names";

/// Tasks that are read at once.
const AT_ONCE: usize = 1_000;

pub(crate) mod table {
    #![expect(unreachable_pub, reason = "the shape is sea-orm's")]
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "loose_files")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
        pub sha256: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Remembers files of rows that go.
pub(super) async fn note(
    session: &mut impl Session,
    files: &BTreeSet<String>,
) -> failure::Result<()> {
    let sql = "INSERT INTO loose_files (sha256) VALUES ($1) ON CONFLICT DO NOTHING";
    each(session, sql, files.iter()).await
}

/// They were dealt with. The lock of the event log is taken first: whoever commits has it.
pub(crate) async fn forget(session: &mut impl Session, files: &[String]) -> failure::Result<()> {
    streams::take(session, Stream::Events, 0).await?;
    let sql = "DELETE FROM loose_files WHERE sha256 = $1";
    each(session, sql, files.iter()).await
}

async fn each(
    session: &mut impl Session,
    sql: &str,
    files: impl Iterator<Item = &String> + Send,
) -> failure::Result<()> {
    let backend = session.backend();
    for file in files {
        let values: [Value; 1] = [file.as_str().into()];
        let statement = Statement::from_sql_and_values(backend, sql, values);
        session.execute("note kept files", statement).await?;
    }
    Ok(())
}

#[async_trait]
impl KeptFileReader for SqlStore {
    async fn loose_files(&self, limit: u32) -> Result<Vec<LooseFile>> {
        let sql = "SELECT sha256 FROM loose_files ORDER BY sha256 LIMIT $1";
        let loose: BTreeSet<String> = self
            .texts(sql, [i64::from(limit).into()])
            .await?
            .into_iter()
            .collect();
        if loose.is_empty() {
            return Ok(Vec::new());
        }
        let named = self.files_named(&loose).await?;
        let file = |sha256: String| LooseFile {
            is_named: named.contains(&sha256),
            sha256,
        };
        Ok(loose.into_iter().map(file).collect())
    }

    async fn has_loose_files(&self) -> Result<bool> {
        let sql = "SELECT sha256 FROM loose_files LIMIT 1";
        Ok(!self.texts(sql, []).await?.is_empty())
    }

    async fn files_named(&self, files: &BTreeSet<String>) -> Result<BTreeSet<String>> {
        if files.is_empty() {
            return Ok(BTreeSet::new());
        }
        self.named_among(files).await
    }

    async fn is_being_deleted(&self, run: RunId) -> Result<bool> {
        let sql = "SELECT 'yes' FROM run_deletions WHERE run_id = $1";
        Ok(!self.texts(sql, [run.uuid().into()]).await?.is_empty())
    }
}

/// Rows that name files.
#[derive(Debug, Clone, Copy)]
enum Naming {
    /// Tasks, in what they made.
    Results,
    /// Runs, in what they were handed.
    Inputs,
}

impl Naming {
    fn sql(self) -> String {
        let (table, column, sign) = match self {
            Self::Results => ("tasks", "output_artifacts", "files"),
            Self::Inputs => ("runs", "inputs", "sha256"),
        };
        format!(
            "SELECT id, {column} FROM {table}
             WHERE id > $1 AND {column} LIKE '%\"{sign}\":%' ORDER BY id LIMIT {AT_ONCE}"
        )
    }

    fn files(self, text: &str) -> Result<Vec<String>> {
        Ok(match self {
            Self::Results => named_files(&json::from_text("task output_artifacts", text)?),
            Self::Inputs => handed_files(&json::from_text("run inputs", text)?),
        })
    }
}

impl SqlStore {
    async fn named_among(&self, files: &BTreeSet<String>) -> Result<BTreeSet<String>> {
        let mut named = BTreeSet::new();
        let imported = "SELECT imported FROM runs WHERE imported IS NOT NULL";
        let imported = self.texts(imported, []).await?;
        let is_named = |file: &&String| imported.iter().any(|text| text.contains(file.as_str()));
        named.extend(files.iter().filter(is_named).cloned());
        for naming in [Naming::Results, Naming::Inputs] {
            let mut after = Uuid::nil();
            loop {
                let page = self.naming_after(naming, after).await?;
                for (_, text) in &page {
                    let those = naming.files(text)?.into_iter();
                    named.extend(those.filter(|file| files.contains(file)));
                }
                match page.last() {
                    Some((last, _)) if page.len() == AT_ONCE => after = *last,
                    _ => break,
                }
            }
        }
        Ok(named)
    }

    /// The next rows by their ids that may name files, and where they do.
    async fn naming_after(&self, naming: Naming, after: Uuid) -> Result<Vec<(Uuid, String)>> {
        let sql = naming.sql();
        let reader = self.reader();
        let values: [Value; 1] = [after.into()];
        let query = Statement::from_sql_and_values(reader.get_database_backend(), sql, values);
        let rows = reader.query_all_raw(query).await.map_err(trying(ACTION))?;
        let cells = rows.iter().map(|row| {
            let id = row.try_get_by_index(0).map_err(trying(ACTION))?;
            Ok((id, row.try_get_by_index(1).map_err(trying(ACTION))?))
        });
        cells.collect()
    }

    async fn texts<const N: usize>(&self, sql: &str, values: [Value; N]) -> Result<Vec<String>> {
        let reader = self.reader();
        let query = Statement::from_sql_and_values(reader.get_database_backend(), sql, values);
        let rows = reader.query_all_raw(query).await.map_err(trying(ACTION))?;
        rows.iter()
            .map(|row| row.try_get_by_index(0).map_err(trying(ACTION)))
            .collect()
    }
}
