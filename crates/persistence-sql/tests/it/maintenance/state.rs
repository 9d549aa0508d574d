//! Status and migration.

use fusion_persistence::{Prune, Store};
use fusion_persistence_sql::SchemaState;
use fusion_persistence_sql::maintenance::{
    DatabaseKind, Migrated, migrate, migrate_some_steps, status,
};

use super::{STEPS, filled};
use crate::place::Place;
use crate::world::at;

fn steps(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_status_of_a_database_in_use_tells_what_it_holds() {
    for place in [Place::file(), Place::server().await] {
        filled(&place).await;
        let open = place.open().await.unwrap();
        let found = status(&place.location).await.unwrap().unwrap();
        let (kind, place_shown) = if place.is_file() {
            let path = place.dir.path().join("fusion.db");
            (DatabaseKind::Sqlite, path.display().to_string())
        } else {
            let shown = format!("{:?}", place.location);
            let (_, url) = shown.split_once('(').unwrap();
            (DatabaseKind::Postgres, url.trim_end_matches(')').to_owned())
        };
        assert_eq!((found.kind, found.place), (kind, place_shown));
        assert!(
            found
                .version
                .starts_with(|first: char| first.is_ascii_digit())
        );
        assert!(found.size_bytes > 100_000, "{}", found.size_bytes);
        assert_eq!(found.schema.missing, Vec::<String>::new());
        assert_eq!(found.newer, Vec::<String>::new());
        assert_eq!((found.rows["tasks"], found.rows["events"]), (2, 3));
        assert_eq!(found.rows["message_recipients"], 2);
        assert_eq!((found.last_event, found.oldest_event), (3, Some(at(200))));
        let prune = Prune {
            events_before: Some(at(300)),
            limit: 10,
            ..Prune::default()
        };
        open.store.prune(prune).await.unwrap();
        let pruned = status(&place.location).await.unwrap().unwrap();
        assert_eq!((pruned.last_event, pruned.oldest_event), (3, None));
        open.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_status_of_an_older_and_of_a_newer_database_is_told() {
    for place in [Place::file(), Place::server().await] {
        migrate_some_steps(&place.location, 1).await.unwrap();
        let old = status(&place.location).await.unwrap().unwrap();
        assert_eq!(
            old.schema,
            SchemaState {
                applied: steps(&STEPS[..1]),
                missing: steps(&STEPS[1..]),
            }
        );
        assert!(old.rows.contains_key("tasks"));
        assert!(!old.rows.contains_key("messages"));
        place
            .damage("INSERT INTO seaql_migrations VALUES ('m9999_future', 0)")
            .await;
        let newer = status(&place.location).await.unwrap().unwrap();
        assert_eq!(newer.newer, ["m9999_future"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_tells_what_it_applied() {
    for place in [Place::file(), Place::server().await] {
        let schema = SchemaState {
            applied: steps(&STEPS),
            missing: vec![],
        };
        migrate_some_steps(&place.location, 1).await.unwrap();
        for applied_now in [steps(&STEPS[1..]), vec![]] {
            let expected = Migrated {
                applied_now,
                schema: schema.clone(),
            };
            assert_eq!(migrate(&place.location).await.unwrap(), expected);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_in_use_is_not_migrated() {
    let place = Place::file();
    let open = place.open().await.unwrap();
    let refused = migrate(&place.location).await.unwrap_err();
    assert!(
        refused
            .to_string()
            .starts_with("another process works with the database"),
        "{refused}"
    );
    open.close().await;
}
