//! Webhooks beside what goes wrong around them: clocks, races, keys, sudden deaths.

use std::time::Duration;

use fusion_core::{Webhook, WebhookTrouble};
use fusion_persistence::{Page, Repository, WebhookFilter, WriteRepository};
use fusion_persistence_sql::{Durability, Location, SqlStore};
use rustix::process::Signal;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::{added, caught_up, place, printed, tell, willing};
use crate::api::client::Serving;
use crate::support::{Project, said};

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

/// Of those who add one at the same moment each may have counted one less than there may be.
#[tokio::test]
async fn each_webhook_is_served_and_found_however_many_there_are() {
    let project = place();
    let receiver = willing().await;
    added(&project, "ops", &receiver.url()).await;
    let (store, row) = opened(&project).await;
    for number in 0..100 {
        let newer = Webhook {
            id: Uuid::from_u128(u128::MAX - number).into(),
            name: format!("more {number}"),
            ..row.clone()
        };
        store.create(newer).await.unwrap();
    }
    store.close().await.unwrap();
    let is_found = async || {
        let found = printed(&project, "webhook get ops").await;
        assert_eq!(found["id"], row.id.to_string());
        let add = "webhook add https://hooks.example/ --name another";
        let refused = said(&project, add).await.expect(2);
        refused.says(&["there are 100 webhooks already"]);
    };
    is_found().await;
    let serving = Serving::on(&project).await;
    is_found().await;
    tell(&serving, "a").await;
    caught_up(&serving, &receiver).await;
    serving.stop(Signal::TERM).await;
}
