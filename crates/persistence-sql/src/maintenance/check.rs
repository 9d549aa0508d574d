//! Is a database sound? Each check looks for one kind of damage.

use std::fmt::Display;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use fusion_persistence::{Error, Result};
use sea_orm::prelude::Uuid;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, FromQueryResult, Statement};

use super::door;
use crate::dialect::Dialect;
use crate::error::trying;
use crate::location::Location;
use crate::migrations::{Steps, steps};

const ACTION: &str = "check the database";

/// Rows that a fault names at most.
const NAMED: usize = 5;

const RESTORE: &str = "restore a backup: `fusion-kit db restore FILE`";

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// What is wrong; `None` when nothing is.
    pub fault: Option<String>,
    /// The way out of the fault.
    pub help: Option<String>,
}

impl Check {
    fn new(name: &'static str, help: &str, fault: Option<String>) -> Self {
        let help = fault.as_ref().map(|_| help.to_owned());
        Self { name, fault, help }
    }
}

/// A check by a query for the ids of rows that should not be there. It has `LIMIT` [`NAMED`] + 1.
struct Rule {
    name: &'static str,
    /// What is wrong with the rows.
    wrong: &'static str,
    sql: &'static str,
    help: &'static str,
}

const RULES: [Rule; 4] = [
    Rule {
        name: "task dependencies",
        wrong: "queued tasks count another number of unmet dependencies than they have",
        // An item of a list, called after its place, may wait for the end of another without an edge.
        sql: "SELECT id FROM tasks waiting WHERE state = 'queued' AND unmet_dependencies <> (
                SELECT count(*) FROM task_dependencies edge
                JOIN tasks needed ON needed.id = edge.depends_on
                WHERE edge.task_id = waiting.id
                  AND needed.state IN ('queued', 'assigned', 'running'))
                AND NOT (unmet_dependencies = 1 AND dependencies = '[]' AND name LIKE '%[%')
              LIMIT 6",
        help: RESTORE,
    },
    Rule {
        name: "open tasks of runs",
        wrong: "runs count another number of open tasks than they have",
        sql: "SELECT runs.id FROM runs LEFT JOIN (
                SELECT run_id, count(*) AS open FROM tasks
                WHERE state IN ('queued', 'assigned', 'running') GROUP BY run_id) AS counted
              ON counted.run_id = runs.id
              WHERE runs.open_tasks <> coalesce(counted.open, 0) LIMIT 6",
        help: RESTORE,
    },
    Rule {
        name: "leases",
        wrong: "tasks are held by nobody, so that nobody can take them over",
        sql: "SELECT id FROM tasks WHERE state IN ('assigned', 'running')
                AND (lease_owner IS NULL OR lease_until IS NULL) LIMIT 6",
        help: RESTORE,
    },
    Rule {
        name: "workspaces",
        wrong: "workspaces are of an agent that is gone",
        sql: "SELECT id FROM workspaces WHERE NOT EXISTS (
                SELECT 1 FROM agents WHERE agents.id = workspaces.agent_id) LIMIT 6",
        help: RESTORE,
    },
];

/// Of the newest schema only.
const MESSAGES: Rule = Rule {
    name: "messages",
    wrong: "messages have another status than follows from their deliveries",
    sql: "SELECT messages.id FROM messages JOIN (
            SELECT message_id,
              max(CASE status WHEN 'pending' THEN 3 WHEN 'failed' THEN 2
                              WHEN 'expired' THEN 1 ELSE 0 END) AS gravest
            FROM message_recipients GROUP BY message_id) AS counted
          ON counted.message_id = messages.id
          WHERE gravest <> CASE delivery_status WHEN 'pending' THEN 3 WHEN 'failed' THEN 2
                                                WHEN 'expired' THEN 1 ELSE 0 END LIMIT 6",
    help: RESTORE,
};

/// Checks a database from end to end, beside the processes that work with it: its pages, its schema
/// and what its tables must agree on. Each check sees one moment. It reads everything: a million
/// rows take some seconds. A database that can't be read at all gives one check with that fault.
///
/// # Errors
/// `NotFound` when there is no database; else it can't be reached. A fault that was found is no
/// error.
pub async fn check(location: &Location) -> Result<Vec<Check>> {
    let connection = match door::look(location).await {
        Ok(Some(connection)) => connection,
        Ok(None) => return Err(door::none_there(location)),
        Err(error) => return unreadable(location, error),
    };
    let snapshot = door::snapshot(&connection).await?;
    let found = match steps(&snapshot).await {
        Ok(steps) if steps.state.applied.is_empty() => return Err(door::none_there(location)),
        Ok(steps) => look_at_all(location, &snapshot, &steps).await?,
        Err(error) => unreadable(location, error)?,
    };
    door::leave(connection, snapshot).await?;
    Ok(found)
}

/// The one check of a file that can't be read. A server always can, once it is reached.
fn unreadable(location: &Location, error: Error) -> Result<Vec<Check>> {
    if matches!(location, Location::File(..)) {
        return Ok(vec![Check::new("pages", RESTORE, Some(told(error)?))]);
    }
    Err(error)
}

async fn look_at_all(
    location: &Location,
    snapshot: &DatabaseTransaction,
    steps: &Steps,
) -> Result<Vec<Check>> {
    let mut found = vec![schema(steps)];
    let pages = fault_of(pages(snapshot).await)?;
    found.push(Check::new("pages", RESTORE, pages));
    let references = fault_of(references(snapshot).await)?;
    found.push(Check::new("references", RESTORE, references));
    if steps.newer.is_empty() {
        let numbers = fault_of(event_numbers(snapshot).await)?;
        found.push(Check::new("event numbers", RESTORE, numbers));
        let is_newest = steps.state.missing.is_empty();
        for rule in RULES.iter().chain(is_newest.then_some(&MESSAGES)) {
            let fault = fault_of(broken(snapshot, rule).await)?;
            found.push(Check::new(rule.name, rule.help, fault));
        }
    }
    if let Location::File(path, _) = location {
        found.push(file_mode(path));
    }
    Ok(found)
}

/// What a check says of a query that failed: a fault when it is about the data, else an error.
fn fault_of(looked: Result<Option<String>>) -> Result<Option<String>> {
    looked.or_else(|error| told(error).map(Some))
}

fn told(error: Error) -> Result<String> {
    if matches!(
        error,
        Error::Unusable { .. } | Error::Corrupt { .. } | Error::Failed { .. }
    ) {
        Ok(fusion_core::error_chain(&error))
    } else {
        Err(error)
    }
}

fn schema(steps: &Steps) -> Check {
    const NAME: &str = "schema";
    if let Some(newer) = steps.newer.first() {
        let fault = format!("a newer fusion-kit wrote it (its schema has step {newer})");
        return Check::new(NAME, "use that version", Some(fault));
    }
    let missing = &steps.state.missing;
    let fault = (!missing.is_empty()).then(|| format!("it lacks {}", missing.join(", ")));
    Check::new(NAME, "bring it up to date: `fusion-kit db migrate`", fault)
}

/// Whether the database finds its own storage sound.
async fn pages(snapshot: &DatabaseTransaction) -> Result<Option<String>> {
    match Dialect::from(snapshot.get_database_backend()) {
        Dialect::Sqlite => {
            let mut found: Vec<String> = door::all(snapshot, "PRAGMA integrity_check(5)").await?;
            found.retain(|line| line != "ok");
            Ok(listed("SQLite finds", &found))
        }
        Dialect::Postgres => {
            let torn: Option<i64> = door::first(
                snapshot,
                "SELECT checksum_failures FROM pg_stat_database
                 WHERE datname = current_database() AND checksum_failures > 0",
            )
            .await?;
            let invalid: Vec<String> = door::all(
                snapshot,
                "SELECT indexrelid::regclass::text FROM pg_index
                 JOIN pg_class ON pg_class.oid = indexrelid
                 WHERE NOT indisvalid AND relnamespace = current_schema()::regnamespace LIMIT 6",
            )
            .await?;
            Ok(torn
                .map(|pages| format!("the server met {pages} pages with a wrong checksum"))
                .or_else(|| listed("indexes are not valid", &invalid)))
        }
    }
}

/// Whether every reference leads to a row.
async fn references(snapshot: &DatabaseTransaction) -> Result<Option<String>> {
    const WRONG: &str = "rows refer to others that are gone";
    if snapshot.get_database_backend() == DbBackend::Sqlite {
        let sql =
            "SELECT DISTINCT \"table\" || ' to ' || parent FROM pragma_foreign_key_check LIMIT 6";
        let found: Vec<String> = door::all(snapshot, sql).await?;
        return Ok(listed(WRONG, &found));
    }
    // One query for each key of the schema. All of them have one column.
    let queries: Vec<String> = door::all(
        snapshot,
        "SELECT format('SELECT %L FROM %s child WHERE child.%I IS NOT NULL AND NOT EXISTS (
                          SELECT 1 FROM %s parent WHERE parent.%I = child.%I) LIMIT 1',
                       key.conrelid::regclass || ' to ' || key.confrelid::regclass,
                       key.conrelid::regclass, here.attname,
                       key.confrelid::regclass, there.attname, here.attname)
         FROM pg_constraint key
         JOIN pg_attribute here ON here.attrelid = key.conrelid AND here.attnum = key.conkey[1]
         JOIN pg_attribute there ON there.attrelid = key.confrelid AND there.attnum = key.confkey[1]
         WHERE key.contype = 'f' AND key.connamespace = current_schema()::regnamespace",
    )
    .await?;
    let mut found: Vec<String> = Vec::new();
    for query in queries {
        found.extend(door::first::<String>(snapshot, &query).await?);
    }
    Ok(listed(WRONG, &found))
}

#[derive(Debug, FromQueryResult)]
struct Numbers {
    events: i64,
    first: Option<i64>,
    newest: Option<i64>,
    counter: Option<i64>,
}

/// Whether the events are numbered without a gap, up to the counter.
async fn event_numbers(snapshot: &DatabaseTransaction) -> Result<Option<String>> {
    let sql = "SELECT count(*) AS events, min(seq) AS first, max(seq) AS newest,
      (SELECT last_seq FROM event_streams WHERE name = 'main') AS counter FROM events";
    let query = Statement::from_string(snapshot.get_database_backend(), sql);
    let row = snapshot
        .query_one_raw(query)
        .await
        .map_err(trying(ACTION))?;
    let Some(row) = row else { return Ok(None) };
    let numbers = Numbers::from_query_result(&row, "").map_err(trying(ACTION))?;
    Ok(match numbers {
        Numbers { counter: None, .. } => Some("the counter of events is gone".to_owned()),
        Numbers {
            first: Some(first),
            newest: Some(newest),
            events,
            ..
        } if newest - first + 1 != events => Some(format!(
            "{} numbers are missing between {first} and {newest}",
            newest - first + 1 - events
        )),
        Numbers {
            newest: Some(newest),
            counter: Some(counter),
            ..
        } if newest != counter => Some(format!(
            "the newest event is number {newest}, and the counter says {counter}"
        )),
        _ => None,
    })
}

async fn broken(snapshot: &DatabaseTransaction, rule: &Rule) -> Result<Option<String>> {
    let found: Vec<Uuid> = door::all(snapshot, rule.sql).await?;
    Ok(listed(rule.wrong, &found))
}

/// Names the first few; `None` when there are none.
fn listed<T: Display>(wrong: &str, found: &[T]) -> Option<String> {
    if found.is_empty() {
        return None;
    }
    let named: Vec<String> = found.iter().take(NAMED).map(T::to_string).collect();
    let more = if found.len() > NAMED { " and more" } else { "" };
    Some(format!("{wrong}: {}{more}", named.join(", ")))
}

/// Whether the file and those beside it are closed to other users, agents among them.
fn file_mode(path: &Path) -> Check {
    let open: Vec<String> = ["", "-wal", "-shm", "-lock"]
        .into_iter()
        .map(|ending| door::beside(path, ending))
        .filter(|file| {
            std::fs::metadata(file).is_ok_and(|found| found.permissions().mode() & 0o077 != 0)
        })
        .map(|file| file.display().to_string())
        .collect();
    let help = format!("chmod 600 {}", open.join(" "));
    Check::new("file mode", &help, listed("other users can open", &open))
}
