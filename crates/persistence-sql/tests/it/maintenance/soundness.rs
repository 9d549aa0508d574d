//! Each check finds the damage that it is for.

use std::os::unix::fs::PermissionsExt;

use fusion_persistence_sql::maintenance::{check, migrate_some_steps};

use super::{STEPS, faults, filled};
use crate::place::Place;

const NOTHING: [&str; 0] = [];

async fn both() -> [Place; 2] {
    let places = [Place::file(), Place::server().await];
    for place in &places {
        filled(place).await;
    }
    places
}

/// Damages both databases alike; gives the names of the checks that find it, and what they say.
async fn found_after(sql: &str) -> [Vec<(&'static str, String)>; 2] {
    let mut found = [Vec::new(), Vec::new()];
    for (place, found) in both().await.iter().zip(&mut found) {
        place.damage(sql).await;
        let checks = check(&place.location).await.unwrap();
        found.extend(
            checks
                .into_iter()
                .filter_map(|check| Some((check.name, check.fault?))),
        );
    }
    found
}

async fn names_after(sql: &str) -> Vec<&'static str> {
    let [sqlite, postgres] = found_after(sql).await;
    let names = |found: &[(&'static str, String)]| found.iter().map(|fault| fault.0).collect();
    let (sqlite, postgres): (Vec<_>, Vec<_>) = (names(&sqlite), names(&postgres));
    assert_eq!(sqlite, postgres);
    sqlite
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sound_database_has_no_fault_also_while_it_is_in_use() {
    for place in both().await {
        assert_eq!(faults(&place).await, NOTHING);
        let open = place.open().await.unwrap();
        assert_eq!(faults(&place).await, NOTHING);
        open.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gap_in_the_event_numbers_is_found() {
    let [sqlite, postgres] = found_after("DELETE FROM events WHERE seq = 2").await;
    let expected = [(
        "event numbers",
        "1 numbers are missing between 1 and 3".to_owned(),
    )];
    assert_eq!(sqlite, expected);
    assert_eq!(postgres, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_counter_of_events_is_found() {
    let wrong = "UPDATE event_streams SET last_seq = 2 WHERE name = 'main'";
    assert_eq!(names_after(wrong).await, ["event numbers"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_count_of_unmet_dependencies_is_found() {
    let wrong = "UPDATE tasks SET unmet_dependencies = 0 WHERE name = 'second'";
    assert_eq!(names_after(wrong).await, ["task dependencies"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_count_of_open_tasks_is_found() {
    assert_eq!(
        names_after("UPDATE runs SET open_tasks = 1").await,
        ["open tasks of runs"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_nobody_can_take_over_is_found() {
    let wrong = "UPDATE tasks SET lease_until = NULL WHERE name = 'first'";
    assert_eq!(names_after(wrong).await, ["leases"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workspace_without_its_agent_is_found() {
    let wrong =
        "DELETE FROM message_recipients; DELETE FROM messages; DELETE FROM resource_metrics;
                 DELETE FROM agents WHERE name = 'one'";
    assert_eq!(names_after(wrong).await, ["references", "workspaces"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_with_another_status_than_its_deliveries_is_found() {
    let wrong = "UPDATE messages SET delivery_status = 'delivered'";
    assert_eq!(names_after(wrong).await, ["messages"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reference_to_nothing_is_found() {
    let [sqlite, postgres] = found_after("DELETE FROM provider_configs").await;
    let expected = "rows refer to others that are gone: ";
    for found in [sqlite, postgres] {
        assert_eq!(found.len(), 1);
        let (name, fault) = &found[0];
        assert_eq!(*name, "references");
        let mut named: Vec<&str> = fault.strip_prefix(expected).unwrap().split(", ").collect();
        named.sort_unstable();
        assert_eq!(
            named,
            ["agents to provider_configs", "projects to provider_configs"]
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_and_a_newer_schema_are_found() {
    for place in [Place::file(), Place::server().await] {
        migrate_some_steps(&place.location, 1).await.unwrap();
        let [first, rest @ ..] = &check(&place.location).await.unwrap()[..] else {
            panic!("nothing was checked");
        };
        let lacks = format!("it lacks {}", STEPS[1..].join(", "));
        assert_eq!(first.fault, Some(lacks));
        assert!(rest.iter().all(|check| check.fault.is_none()), "{rest:?}");
        place
            .damage("INSERT INTO seaql_migrations VALUES ('m9999_future', 0)")
            .await;
        assert_eq!(faults(&place).await, ["schema"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_page_of_a_file_is_found() {
    let place = Place::file();
    filled(&place).await;
    let path = place.dir.path().join("fusion.db");
    let raw = place.raw().await;
    let root: Vec<Page> = crate::place::rows(
        &raw,
        "SELECT rootpage AS root FROM sqlite_master WHERE name = 'workflows_by_project'",
    )
    .await;
    raw.close().await.unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let start = usize::try_from(root[0].root - 1).unwrap() * 4_096;
    bytes[start..start + 4_096].fill(0xa5);
    std::fs::write(&path, &bytes).unwrap();
    assert!(faults(&place).await.contains(&"pages"));
    bytes[100..4_096].fill(0xa5);
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(faults(&place).await, ["pages"]);
}

#[derive(sea_orm::FromQueryResult)]
struct Page {
    root: i32,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalid_index_of_a_server_is_found() {
    let place = Place::server().await;
    filled(&place).await;
    place
        .damage(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'runs_by_state'::regclass",
        )
        .await;
    let pages = check(&place.location).await.unwrap().swap_remove(1);
    assert_eq!(pages.name, "pages");
    assert_eq!(
        pages.fault.as_deref(),
        Some("indexes are not valid: runs_by_state")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_others_can_read_is_found() {
    let place = Place::file();
    filled(&place).await;
    let path = place.dir.path().join("fusion.db");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let mode = check(&place.location).await.unwrap().pop().unwrap();
    let path = path.display().to_string();
    assert_eq!(mode.name, "file mode");
    let (fault, help) = (mode.fault.unwrap(), mode.help.unwrap());
    assert!(
        fault.starts_with(&format!("other users can open: {path}")),
        "{fault}"
    );
    assert!(help.starts_with(&format!("chmod 600 {path}")), "{help}");
}
