//! The schema: the same on both databases, however a database came to it.

mod shape;
mod upgrade;

use std::collections::BTreeSet;

use fusion_persistence_sql::maintenance::{backup, migrate, migrate_some_steps};
use sea_orm::ConnectionTrait;

use crate::place::Place;
use shape::Shape;
pub(crate) use upgrade::old_file;

async fn fresh(place: &Place) -> Shape {
    migrate(&place.location).await.unwrap();
    Shape::of(place).await
}

/// Puts a table in the way of the second step, and takes it away again.
async fn fails_whole(place: Place, fresh: Shape) {
    migrate_some_steps(&place.location, 1).await.unwrap();
    let in_the_way = place.raw().await;
    in_the_way
        .execute_unprepared("CREATE TABLE api_tokens (in_the_way INTEGER)")
        .await
        .unwrap();
    let before = Shape::of(&place).await;
    place.open().await.map(|_| ()).unwrap_err();
    assert_eq!(Shape::of(&place).await, before);
    in_the_way
        .execute_unprepared("DROP TABLE api_tokens")
        .await
        .unwrap();
    in_the_way.close().await.unwrap();
    place.open().await.unwrap().close().await;
    assert_eq!(Shape::of(&place).await, fresh);
}

async fn one_by_one(place: Place, fresh: Shape) {
    let mut steps = Vec::new();
    loop {
        let migrated = migrate_some_steps(&place.location, 1).await.unwrap();
        assert_eq!(migrated.applied_now.len(), 1);
        steps.extend(migrated.applied_now);
        if migrated.schema.missing.is_empty() {
            assert_eq!(migrated.schema.applied, steps);
            break;
        }
    }
    assert_eq!(Shape::of(&place).await, fresh);
}

#[tokio::test]
async fn the_steps_one_by_one_give_the_fresh_schema_of_sqlite() {
    one_by_one(Place::file(), fresh(&Place::file()).await).await;
}

#[tokio::test]
async fn the_steps_one_by_one_give_the_fresh_schema_of_postgres() {
    let whole = fresh(&Place::server().await).await;
    one_by_one(Place::server().await, whole).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_that_fails_leaves_the_old_schema_of_sqlite() {
    fails_whole(Place::file(), fresh(&Place::file()).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_that_fails_leaves_the_old_schema_of_postgres() {
    let whole = fresh(&Place::server().await).await;
    fails_whole(Place::server().await, whole).await;
}

#[tokio::test]
async fn both_databases_have_the_same_tables_columns_keys_and_indexes() {
    let mut sqlite = fresh(&Place::file()).await;
    let mut postgres = fresh(&Place::server().await).await;
    // The one difference: the index of the words in events is a table of its own kind on each.
    sqlite.0.retain(|name, _| !name.starts_with("event_words"));
    // Its figures about indexes, which PostgreSQL keeps elsewhere.
    sqlite.0.retain(|name, _| !name.starts_with("sqlite_stat"));
    assert!(postgres.0.remove("event_words").is_some());
    let names = |shape: &Shape| shape.0.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(&sqlite), names(&postgres));
    for (name, table) in &sqlite.0 {
        assert_eq!(
            table, &postgres.0[name],
            "SQLite and PostgreSQL differ in {name}"
        );
    }
}

/// 'Indexed by' of the requirements, but for the event log: tables, the columns in front of an index, `-` for
/// falling, and the words of its condition: what has no project is asked for by none.
const INDEXED: [(&str, &[&str], &[&str]); 7] = [
    ("agents", &["state"], &[]),
    (
        "agents",
        &["project_id"],
        &["project_id", "is", "not", "null"],
    ),
    ("agents", &["updated_at"], &[]),
    ("tasks", &["state"], &[]),
    ("tasks", &["agent_id"], &[]),
    ("tasks", &["workflow_id"], &[]),
    ("tasks", &["-priority", "queued_at"], &[]),
];

#[tokio::test]
async fn every_index_of_the_requirements_exists() {
    for place in [Place::file(), Place::server().await] {
        let shape = fresh(&place).await;
        for (table, columns, only_where) in INDEXED {
            let found = shape.0[table].indexes.values().any(|index| {
                index.only_where == only_where
                    && index
                        .columns
                        .starts_with(&columns.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>())
            });
            assert!(found, "{table} has no index by {columns:?}");
        }
    }
}

/// A commit writes no entry of an index but those of `seq` and `id`: types, agents, severities and runs are
/// keys in an index of the log that is filled many events at a time, and so are their times.
#[tokio::test]
async fn the_event_log_has_its_index_beside_it() {
    for place in [Place::file(), Place::server().await] {
        let Shape(tables) = fresh(&place).await;
        let unique = |table: &str| tables[table].unique.iter().map(|key| key.join(" "));
        let names = tables["events"].indexes.keys().collect::<Vec<_>>();
        assert_eq!(names, Vec::<&String>::new());
        assert_eq!(unique("events").collect::<Vec<_>>(), ["id", "seq"]);
        assert_eq!(unique("event_keys").collect::<Vec<_>>(), ["key seq"]);
        assert_eq!(unique("event_pieces").collect::<Vec<_>>(), ["last_seq"]);
    }
}

/// Tables that no backup holds: the steps of the schema, who writes and drives, and what is made from
/// events.
const NOT_COPIED: [&str; 7] = [
    "seaql_migrations",
    "writers",
    "event_words",
    "event_keys",
    "event_pieces",
    "nodes",
    "run_leases",
];

#[tokio::test]
async fn every_table_with_data_of_its_own_is_backed_up() {
    let place = Place::server().await;
    let mut tables: BTreeSet<String> = fresh(&place).await.0.into_keys().collect();
    for name in NOT_COPIED {
        assert!(tables.remove(name), "{name}");
    }
    let file = place.dir.path().join("backup");
    let rows = backup(&place.location, &file).await.unwrap().rows;
    let copied: BTreeSet<String> = rows.into_keys().map(str::to_owned).collect();
    assert_eq!(copied, tables);
}
