//! The database as a whole: its state, its copies, its keys.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where the database is, and what is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DatabaseStatus {
    /// The path of its file, or the URL of its server without the password.
    pub place: String,
    /// `null` when there is no database there yet.
    pub database: Option<DatabaseView>,
}

/// What is in a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DatabaseView {
    /// `SQLite` or `PostgreSQL`.
    pub kind: String,
    /// Of the library or of the server.
    pub version: String,
    /// What it takes on disk, in bytes.
    pub size_bytes: u64,
    /// Which steps its schema has.
    pub schema: SchemaView,
    /// Rows by table.
    pub rows: BTreeMap<String, u64>,
    /// Number of the newest event; 0 when there was none.
    pub last_event: u64,
    /// Time of the oldest event that is left.
    pub oldest_event: Option<DateTime<Utc>>,
}

/// Which steps a schema has. It is up to date when none is missing and none is newer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SchemaView {
    /// The steps that were applied, in order.
    pub applied: Vec<String>,
    /// The steps that `db migrate` would apply, in order.
    pub missing: Vec<String>,
    /// Applied steps that this program does not know: a newer one wrote the database.
    pub newer: Vec<String>,
}

/// What `db migrate` did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MigrationReport {
    /// The path of the file, or the URL of the server without the password.
    pub place: String,
    /// The steps that were applied now; empty when the schema was up to date.
    pub applied_now: Vec<String>,
    /// Which steps the schema has now.
    pub schema: SchemaView,
}

/// What `db vacuum` gave back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VacuumReport {
    /// The path of the file, or the URL of the server without the password.
    pub place: String,
    /// Bytes on disk before it.
    pub before_bytes: u64,
    /// Bytes on disk after it.
    pub after_bytes: u64,
}

/// What `db backup` wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BackupReport {
    /// Where the database is.
    pub place: String,
    /// The file that was made.
    pub file: String,
    /// Its size.
    pub bytes: u64,
    /// Rows by table.
    pub rows: BTreeMap<String, u64>,
}

/// What `db restore` brought back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RestoreReport {
    /// Where the database is.
    pub place: String,
    /// The backup that was read.
    pub file: String,
    /// Nothing was changed: this is what would be.
    pub dry_run: bool,
    /// Rows by table.
    pub rows: BTreeMap<String, u64>,
    /// Rows by table that the database held before, and lost.
    pub replaced: BTreeMap<String, u64>,
    /// The steps that the backup's schema lacked and that were applied on the way.
    pub upgraded: Vec<String>,
}

/// What `db rekey` did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RekeyReport {
    /// Where the database is.
    pub place: String,
    /// How many credentials are sealed with the new key that were not before.
    pub sealed_anew: u64,
    /// The name of the key in use now, which tells nothing about it; `null` when there is none,
    /// since none was needed yet.
    pub key: Option<String>,
    /// `FUSION_MASTER_KEY`, or the path of the key file.
    pub key_place: String,
    /// The key file still holds older keys, for other databases that share it and for backups.
    pub older_keys_kept: bool,
}

/// What `verify` found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VerifyReport {
    /// Whether every check is right.
    pub ok: bool,
    /// Where the database is.
    pub place: String,
    /// What `--fix` put right before the checks were made, one sentence each.
    #[serde(default)]
    pub mended: Vec<String>,
    /// Every check, in the order in which it was made.
    pub checks: Vec<CheckView>,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckView {
    /// What was looked at.
    pub name: String,
    /// What is worth knowing when it is right.
    pub note: Option<String>,
    /// What is wrong; `null` when it is right.
    pub fault: Option<String>,
    /// The way out of a fault.
    pub help: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::{DatabaseStatus, DatabaseView, SchemaView};
    use serde_json::json;

    #[test]
    fn a_status_keeps_its_wire_form() {
        let status = DatabaseStatus {
            place: "/data/fusion.db".to_owned(),
            database: Some(DatabaseView {
                kind: "SQLite".to_owned(),
                version: "3.51.3".to_owned(),
                size_bytes: 4096,
                schema: SchemaView {
                    applied: vec!["m0001_runs".to_owned()],
                    ..SchemaView::default()
                },
                rows: [("runs".to_owned(), 2)].into(),
                last_event: 7,
                oldest_event: Some("2026-11-23T16:21:19Z".parse().unwrap()),
            }),
        };
        let wire = json!({
            "place": "/data/fusion.db",
            "database": {
                "kind": "SQLite", "version": "3.51.3", "size_bytes": 4096,
                "schema": { "applied": ["m0001_runs"], "missing": [], "newer": [] },
                "rows": { "runs": 2 }, "last_event": 7, "oldest_event": "2026-11-23T16:21:19Z",
            },
        });
        assert_eq!(serde_json::to_value(&status).unwrap(), wire);
        assert_eq!(
            serde_json::from_value::<DatabaseStatus>(wire).unwrap(),
            status
        );
    }

    #[test]
    fn no_database_is_null() {
        let none = DatabaseStatus {
            place: "/data/fusion.db".to_owned(),
            database: None,
        };
        let wire = json!({ "place": "/data/fusion.db", "database": null });
        assert_eq!(serde_json::to_value(&none).unwrap(), wire);
    }
}
