//! Webhooks beside what goes wrong around them: clocks, races, keys, sudden deaths.

use std::time::Duration;

use fusion_core::{Webhook, WebhookTrouble};
use fusion_persistence::{Page, Repository, WebhookFilter, WriteRepository};
use fusion_persistence_sql::{Durability, Location, SqlStore};
use rustix::process::Signal;
use tokio_util::task::TaskTracker;

use super::{added, caught_up, place, tell, willing};
use crate::api::client::Serving;
use crate::support::Project;

fn file(project: &Project) -> Location {
    Location::File(project.data_dir().join("fusion.db"), Durability::Full)
}

/// The store, for writing, and its only webhook.
async fn opened(project: &Project) -> (SqlStore, Webhook) {
    let (file, writing) = (file(project), TaskTracker::new());
    let store = SqlStore::open(&file, &writing).await.unwrap();
    let row = only(&store).await;
    (store, row)
}

async fn only(store: &SqlStore) -> Webhook {
    let all = WebhookFilter::default();
    store.list(&all, Page::first(1)).await.unwrap().remove(0)
}

#[tokio::test]
async fn a_clock_that_was_set_back_holds_up_no_webhook() {
    let project = place();
    let receiver = willing().await;
    added(&project, "ops", &receiver.url()).await;
    let (store, row) = opened(&project).await;
    let ahead = row.created_at + Duration::from_hours(3);
    let trouble = WebhookTrouble {
        attempts: 1,
        since: Some(ahead),
        next_at: Some(ahead + Duration::from_secs(5)),
    };
    store.update(Webhook { trouble, ..row }).await.unwrap();
    store.close().await.unwrap();
    let serving = Serving::on(&project).await;
    tell(&serving, "a").await;
    caught_up(&serving, &receiver).await;
    serving.stop(Signal::TERM).await;
}
