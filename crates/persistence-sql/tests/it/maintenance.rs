//! Maintenance of whole databases: schema, state, soundness, backups.

mod moves;
mod refusals;
mod soundness;
mod state;

use fusion_persistence_sql::maintenance::check;

use crate::place::Place;
use crate::world::{Filled, fill};

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
