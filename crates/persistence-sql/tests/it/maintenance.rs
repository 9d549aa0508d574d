//! Maintenance of whole databases: schema, state, soundness, backups.

mod moves;
mod refusals;
mod soundness;
mod state;

use fusion_persistence_sql::maintenance::check;

use crate::place::Place;
use crate::world::{Filled, fill};

/// All steps of the schema, in their order.
const STEPS: [&str; 23] = [
    "m0001_runs",
    "m0002_store",
    "m0003_event_indexes",
    "m0004_deliveries",
    "m0005_waits",
    "m0006_courses",
    "m0007_control",
    "m0008_pool",
    "m0009_nodes",
    "m0010_accounts",
    "m0011_lookups",
    "m0012_schedules",
    "m0013_sub_workflows",
    "m0014_issuers",
    "m0015_snapshots",
    "m0016_fewer_indexes",
    "m0017_lost_calls",
    "m0018_log_index",
    "m0019_archived_projects",
    "m0020_webhooks",
    "m0021_imported_runs",
    "m0022_deleted_runs",
    "m0023_notings_and_lives",
];

/// Fills a database; it is closed again.
async fn filled(place: &Place) -> Filled {
    let open = place.open().await.unwrap();
    let filled = fill(&open.store).await;
    open.close().await;
    filled
}

/// What the checks find wrong: their names.
async fn faults(place: &Place) -> Vec<&'static str> {
    let checks = check(&place.location).await.unwrap();
    for check in &checks {
        assert_eq!(check.fault.is_some(), check.help.is_some(), "{check:?}");
    }
    let wrong = checks.into_iter().filter(|check| check.fault.is_some());
    wrong.map(|check| check.name).collect()
}
