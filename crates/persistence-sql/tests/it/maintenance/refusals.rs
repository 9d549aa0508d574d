//! What maintenance refuses, and that nothing is changed by it.

use std::path::Path;

use fusion_core::{Coded, ErrorCode};
use fusion_persistence::Error;
use fusion_persistence_sql::Location;
use fusion_persistence_sql::maintenance::{backup, check, migrate, restore, status};

use super::filled;
use crate::everything::Everything;
use crate::place::Place;

async fn content(place: &Place) -> Everything {
    let open = place.open().await.unwrap();
    let everything = Everything::of(&open.store).await;
    open.close().await;
    everything
}

/// A filled place with a backup of it.
async fn backed_up() -> Place {
    let place = Place::file();
    filled(&place).await;
    let file = place.dir.path().join("backup");
    backup(&place.location, &file).await.unwrap();
    place
}

#[tokio::test]
async fn a_database_in_memory_has_no_maintenance() {
    let file = Path::new("never-made");
    let refused = [
        migrate(&Location::Memory).await.map(|_| ()).unwrap_err(),
        status(&Location::Memory).await.map(|_| ()).unwrap_err(),
        check(&Location::Memory).await.map(|_| ()).unwrap_err(),
        backup(&Location::Memory, file)
            .await
            .map(|_| ())
            .unwrap_err(),
    ];
    for error in refused {
        assert_eq!(
            error.to_string(),
            "a database in memory has no maintenance: it is gone with its process"
        );
    }
}

#[tokio::test]
async fn where_no_database_is_none_is_made() {
    let place = Place::file();
    assert_eq!(status(&place.location).await.unwrap(), None);
    let file = place.dir.path().join("backup");
    for error in [
        check(&place.location).await.map(|_| ()).unwrap_err(),
        backup(&place.location, &file)
            .await
            .map(|_| ())
            .unwrap_err(),
    ] {
        assert_eq!(error.code(), ErrorCode::NotFound);
    }
    assert_eq!(place.files(), Vec::<String>::new());
    let server = Place::server().await;
    assert_eq!(status(&server.location).await.unwrap(), None);
    let error = backup(&server.location, &file).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::NotFound);
    assert!(!error.to_string().contains(":postgres:"), "{error}");
    assert_eq!(place.files(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_overwrites_no_file() {
    let place = Place::file();
    filled(&place).await;
    let file = place.dir.path().join("notes");
    std::fs::write(&file, "mine").unwrap();
    let refused = backup(&place.location, &file).await.unwrap_err();
    assert!(matches!(refused, Error::Invalid { .. }), "{refused:?}");
    assert_eq!(std::fs::read(&file).unwrap(), b"mine");
    let link = place.dir.path().join("link");
    std::os::unix::fs::symlink("nowhere", &link).unwrap();
    backup(&place.location, &link).await.unwrap_err();
    assert_eq!(place.files(), ["fusion.db", "link", "notes"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_fails_leaves_nothing() {
    let place = Place::file();
    filled(&place).await;
    let nowhere = place.dir.path().join("no-folder").join("backup");
    backup(&place.location, &nowhere).await.unwrap_err();
    let server = Place::server().await;
    filled(&server).await;
    server
        .damage("ALTER TABLE events DROP COLUMN message")
        .await;
    let file = place.dir.path().join("backup");
    backup(&server.location, &file).await.unwrap_err();
    assert_eq!(place.files(), ["fusion.db"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_database_is_neither_backed_up_nor_migrated_nor_restored_to() {
    let place = backed_up().await;
    let file = place.dir.path().join("backup");
    place
        .damage("INSERT INTO seaql_migrations VALUES ('m9999_future', 0)")
        .await;
    let other = place.dir.path().join("other");
    for error in [
        backup(&place.location, &other)
            .await
            .map(|_| ())
            .unwrap_err(),
        migrate(&place.location).await.map(|_| ()).unwrap_err(),
        restore(&place.location, &file, true)
            .await
            .map(|_| ())
            .unwrap_err(),
    ] {
        assert!(error.to_string().contains("m9999_future"), "{error}");
    }
    assert!(!other.exists());
    let target = Place::file();
    let newer = place.dir.path().join("fusion.db");
    let refused = restore(&target.location, &newer, false).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        format!(
            "the backup {} was written by a newer fusion-kit (its schema has step m9999_future): use that version",
            newer.display()
        )
    );
    assert_eq!(target.files(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_sound_backup_is_restored() {
    let place = backed_up().await;
    let path = |name: &str| place.dir.path().join(name);
    let mut bytes = std::fs::read(path("backup")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 8_192].fill(0xa5);
    std::fs::write(path("damaged"), bytes).unwrap();
    std::fs::write(path("text"), "no database at all".repeat(1_000)).unwrap();
    std::fs::write(path("empty"), "").unwrap();
    let foreign =
        crate::raw::connect(format!("sqlite:{}?mode=rwc", path("foreign").display())).await;
    sea_orm::ConnectionTrait::execute_unprepared(&foreign, "CREATE TABLE t (a)")
        .await
        .unwrap();
    foreign.close().await.unwrap();
    let target = Place::file();
    for name in ["damaged", "text", "empty", "foreign"] {
        let refused = restore(&target.location, &path(name), false).await;
        assert_eq!(
            refused.unwrap_err().to_string(),
            format!(
                "{} is damaged, or is no backup of fusion-kit: take another",
                path(name).display()
            )
        );
    }
    let missing = restore(&target.location, &path("missing"), false).await;
    assert_eq!(missing.unwrap_err().code(), ErrorCode::NotFound);
    assert_eq!(target.files(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_is_replaced_only_when_asked() {
    let source = backed_up().await;
    let file = source.dir.path().join("backup");
    for target in [Place::file(), Place::server().await] {
        filled(&target).await;
        let before = content(&target).await;
        let refused = restore(&target.location, &file, false).await.unwrap_err();
        assert!(matches!(refused, Error::Invalid { .. }), "{refused:?}");
        assert_eq!(content(&target).await, before);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_in_use_is_not_restored_to() {
    let source = backed_up().await;
    let file = source.dir.path().join("backup");
    for target in [Place::file(), Place::server().await] {
        filled(&target).await;
        let open = target.open().await.unwrap();
        let before = Everything::of(&open.store).await;
        let refused = restore(&target.location, &file, true).await.unwrap_err();
        assert!(
            refused
                .to_string()
                .starts_with("another process works with the database"),
            "{refused}"
        );
        assert_eq!(Everything::of(&open.store).await, before);
        open.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_that_fails_half_way_leaves_the_old_data() {
    let source = backed_up().await;
    let file = source.dir.path().join("backup");
    let raw = crate::raw::connect(format!("sqlite:{}", file.display())).await;
    // Sound for SQLite, but no id: found when the rows are copied, after many others.
    sea_orm::ConnectionTrait::execute_unprepared(
        &raw,
        "UPDATE events SET id = X'01' WHERE seq = 2",
    )
    .await
    .unwrap();
    raw.close().await.unwrap();
    for target in [Place::file(), Place::server().await] {
        filled(&target).await;
        let before = content(&target).await;
        restore(&target.location, &file, true).await.unwrap_err();
        assert_eq!(content(&target).await, before);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_database_of_a_server_is_migrated_before_it_is_backed_up() {
    let place = Place::server().await;
    fusion_persistence_sql::maintenance::migrate_some_steps(&place.location, 1)
        .await
        .unwrap();
    let file = place.dir.path().join("backup");
    let refused = backup(&place.location, &file).await.unwrap_err();
    assert!(
        refused.to_string().contains("fusion-kit db migrate"),
        "{refused}"
    );
    assert!(!file.exists());
    migrate(&place.location).await.unwrap();
    backup(&place.location, &file).await.unwrap();
}
