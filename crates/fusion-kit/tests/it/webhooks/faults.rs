//! Webhooks beside what goes wrong around them: clocks, races, keys, sudden deaths.

use std::time::{Duration, Instant};

use fusion_core::{Decision, EventId, EventType, NewEvent, Severity, Webhook, WebhookTrouble};
use fusion_persistence::{Batch, Page, Repository, Store, WebhookFilter, WriteRepository};
use fusion_persistence_sql::SqlStore;
use fusion_testkit::MisbehavingHttp;
use rustix::process::Signal;
use serde_json::json;
use uuid::Uuid;

use super::{added, caught_up, is_signed, place, printed, received, tell, willing};
use crate::api::client::Serving;
use crate::own_store::{OwnStore, file};
use crate::support::{Project, breathe, said};

/// The process dies at its nth passing of one of these.
const POINTS: [&str; 2] = [
    "persistence_sql::before_commit",
    "persistence_sql::after_commit",
];

/// More commits than a server makes that has four events to send.
const LIMIT: u32 = 40;

/// The store, for writing, and its only webhook.
async fn opened(project: &Project) -> (OwnStore, Webhook) {
    let store = OwnStore::of(project).await;
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
    let late = Webhook { trouble, ..row };
    store.update(late).await.unwrap();
    store.close().await;
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
    store.close().await;
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

#[tokio::test]
async fn a_webhook_signs_with_its_secrets_after_a_rekey() {
    let mut project = Project::new();
    let key = project.path().join("master.key");
    project.set("FUSION_MASTER_KEY_FILE", key.display().to_string());
    let receiver = willing().await;
    let old = added(&project, "ops", &receiver.url()).await;
    let rotated = printed(&project, "webhook rotate ops").await;
    let new = rotated["secret"].as_str().unwrap();
    let rekeyed = printed(&project, "db rekey").await;
    assert_eq!(rekeyed["sealed_anew"], 1);
    let retired = printed(&project, "db rekey --retire").await;
    let is = ["sealed_anew", "older_keys_kept"].map(|it| &retired[it]);
    assert_eq!(is, [&json!(0), &json!(false)]);
    printed(&project, "webhook test ops").await;
    let serving = Serving::on(&project).await;
    tell(&serving, "a").await;
    for request in received(&receiver, 2).await {
        is_signed(&request, &old);
        is_signed(&request, new);
    }
    serving.stop(Signal::TERM).await;
}

/// Tells four events; the place of the last.
async fn told_four(project: &Project) -> u64 {
    let (store, row) = opened(project).await;
    let mut decision = Decision::default();
    for number in 1..=4 {
        decision.events.push(NewEvent {
            id: EventId::from_uuid(Uuid::from_u128(number)),
            timestamp: row.created_at,
            event_type: EventType::RecordChanged,
            severity: Severity::Info,
            source_agent_id: None,
            source_component: "test".to_owned(),
            run_id: None,
            data: json!({}),
            message: String::new(),
            message_queue_topic: None,
        });
    }
    let committed = store.commit(Batch::free(decision)).await.unwrap();
    store.close().await;
    committed.last_seq
}

/// Whether a server dies before it has sent all up to this place; it is killed when it does not.
async fn dies(project: &Project, last: u64, point: &str, passing: u32) -> bool {
    let serve = project.fusion_kit(["serve", "--json", "--port", "0"]);
    let plan = format!("{point}={passing}*off->return");
    let mut running = serve.env("FAILPOINTS", plan).start();
    let began = Instant::now();
    while !running.has_ended() {
        let store = SqlStore::open_to_read(&file(project)).await.unwrap();
        if only(&store.unwrap()).await.cursor >= last {
            running.stop(Signal::KILL).await;
            return false;
        }
        breathe(began, "all to be sent, or a death").await;
    }
    true
}

/// How many of four events had come when a process died that did not write so down.
async fn sent_and_not_written(project: &Project, receiver: &MisbehavingHttp, last: u64) -> usize {
    let sent = receiver.requests().len();
    let store = SqlStore::open_to_read(&file(project)).await.unwrap();
    let written = only(&store.unwrap()).await.cursor.saturating_sub(last - 4);
    sent.saturating_sub(usize::try_from(written).unwrap())
}

/// How many requests came beyond the first of each event.
fn repeats(receiver: &MisbehavingHttp) -> usize {
    let requests = receiver.requests();
    let ids = requests.iter().map(|it| it.header("webhook-id").unwrap());
    let mut once: Vec<&str> = ids.collect();
    once.sort_unstable();
    once.dedup();
    requests.len() - once.len()
}

#[tokio::test]
async fn a_death_at_any_commit_of_a_delivery_repeats_no_event_but_the_one_under_way() {
    for point in POINTS {
        let (mut deaths, mut repeated) = (0, 0);
        for passing in 0..LIMIT {
            let project = place();
            let receiver = willing().await;
            added(&project, "ops", &receiver.url()).await;
            let last = told_four(&project).await;
            let has_died = dies(&project, last, point, passing).await;
            let unwritten = sent_and_not_written(&project, &receiver, last).await;
            let serving = Serving::on(&project).await;
            tell(&serving, "after").await;
            caught_up(&serving, &receiver).await;
            let again = repeats(&receiver);
            let may_repeat = unwritten..=usize::from(has_died);
            assert!(may_repeat.contains(&again), "{point} {passing}: {again}");
            serving.stop(Signal::TERM).await;
            if !has_died {
                break;
            }
            deaths += 1;
            repeated += again;
        }
        assert!((4..LIMIT).contains(&deaths), "{point}: {deaths}");
        // Other commits of the server may fall between, so not each of the four is met each time.
        let some = point.contains("before");
        assert_eq!(repeated > 0, some, "{point}: {repeated}");
    }
}
