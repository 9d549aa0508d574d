//! Rules of webhooks: a row that keeps its place in the log, and the last attempts.

use std::time::Duration;

use fusion_core::{
    NodeId, Sealed, Severity, Timestamp, Webhook, WebhookAttempt, WebhookLease, WebhookSecrets,
    WebhookState, WebhookTrouble,
};
use uuid::Uuid;

use super::entities::lives;
use super::lists::{create_all, selects};
use super::sample::at;
use super::world::{ODD, World, early, late};
use crate::{
    Error, Page, Repository, Store, WEBHOOK_ATTEMPTS, WebhookAttemptFilter, WebhookFilter,
    WriteRepository,
};

/// A webhook with everything in it that a store may stumble over.
fn odd(world: &World) -> Webhook {
    let id: Uuid = world.fresh();
    let owner: Uuid = world.fresh();
    Webhook {
        name: format!("{ODD}{id}"),
        url: ODD.to_owned(),
        events: vec![ODD.to_owned(), "task.*".to_owned()],
        severities: vec![Severity::Critical, Severity::Debug],
        project: Some(world.project.id),
        allows_private: true,
        secrets: WebhookSecrets {
            current: Sealed::from_bytes(vec![0, 255, 0]),
            previous: Some((Sealed::from_bytes(Vec::new()), late())),
        },
        state: WebhookState::Stopped,
        reason: Some(ODD.to_owned()),
        cursor: i64::MAX.unsigned_abs(),
        trouble: WebhookTrouble {
            attempts: i32::MAX.unsigned_abs(),
            since: Some(early()),
            next_at: Some(late()),
        },
        lease: Some(WebhookLease {
            owner: NodeId::from_uuid(owner),
            until: late(),
        }),
        created_at: early(),
        updated_at: late(),
        ..bare(id)
    }
}

/// One with as little as can be.
fn bare(id: Uuid) -> Webhook {
    Webhook {
        id: id.into(),
        name: format!("webhook {id}"),
        url: String::new(),
        events: Vec::new(),
        severities: Vec::new(),
        project: None,
        allows_private: false,
        secrets: WebhookSecrets {
            current: Sealed::from_bytes(vec![1]),
            previous: None,
        },
        state: WebhookState::Enabled,
        reason: None,
        cursor: 0,
        trouble: WebhookTrouble::default(),
        lease: None,
        created_at: at(1),
        updated_at: at(1),
        version: 1,
    }
}

/// Webhooks: all but since when they are there.
pub async fn webhooks_are_kept_as_written(store: &dyn Store) {
    let world = World::store(store).await;
    let keep = |first: &Webhook, kept: &mut Webhook| kept.created_at = first.created_at;
    let bare = || bare(world.fresh());
    lives(store, odd(&world), bare(), keep).await;
    lives(store, bare(), odd(&world), keep).await;
}

/// Webhooks: by name and by state.
pub async fn webhooks_are_selected_by_their_filter(store: &dyn Store) {
    let world = World::store(store).await;
    let (odd, bare) = (odd(&world), bare(world.fresh()));
    create_all(store, &[&odd, &bare]).await;
    selects(store, WebhookFilter::default(), &[&odd, &bare]).await;
    let states = vec![WebhookState::Stopped, WebhookState::Disabled];
    selects(store, only!(WebhookFilter, states), &[&odd]).await;
    let name = Some(bare.name.clone());
    selects(store, only!(WebhookFilter, name), &[&bare]).await;
}

/// A webhook is due while it is enabled, behind the end of the log and not waiting for its next attempt.
pub async fn a_webhook_that_is_behind_the_log_is_due(store: &dyn Store) {
    let world = World::store(store).await;
    let is_due = async || store.due().await.unwrap().webhooks;
    let end = store.event_bounds().await.unwrap().last;
    assert!(end > 0, "the sample tells events");
    let row = Webhook {
        cursor: end,
        ..bare(world.fresh())
    };
    store.create(row.clone()).await.unwrap();
    assert!(!is_due().await, "at the end of the log");
    let mut version = 1;
    let mut put = async |row: Webhook| {
        store.update(Webhook { version, ..row }).await.unwrap();
        version += 1;
    };
    let behind = Webhook {
        cursor: end - 1,
        ..row
    };
    put(behind.clone()).await;
    assert!(is_due().await, "behind it");
    let waiting = |next_at: Timestamp| Webhook {
        trouble: WebhookTrouble {
            next_at: Some(next_at),
            ..behind.trouble
        },
        ..behind.clone()
    };
    put(waiting("2999-01-01T00:00:00Z".parse().unwrap())).await;
    assert!(!is_due().await, "it waits for its next attempt");
    put(waiting(Timestamp::UNIX_EPOCH)).await;
    assert!(is_due().await, "the time of that has come");
    for state in [WebhookState::Disabled, WebhookState::Stopped] {
        put(Webhook {
            state,
            ..behind.clone()
        })
        .await;
        assert!(!is_due().await, "{state}");
    }
}

/// Who writes a webhook as it was before another one wrote it is refused: one node delivers for it.
pub async fn of_two_who_move_a_webhook_on_one_is_refused(store: &dyn Store) {
    let world = World::store(store).await;
    let row = bare(world.fresh());
    store.create(row.clone()).await.unwrap();
    let leased = |seconds: i64| Webhook {
        lease: Some(WebhookLease {
            owner: NodeId::from_uuid(world.fresh()),
            until: at(seconds),
        }),
        ..row.clone()
    };
    let (one, other) = (leased(5), leased(6));
    store.update(one.clone()).await.unwrap();
    let refused = store.update(other).await.unwrap_err();
    assert!(matches!(refused, Error::Conflict { .. }), "{refused:?}");
    let stored = store.get(row.id).await.unwrap();
    assert_eq!(stored, Webhook { version: 2, ..one });
}

fn attempt(world: &World, webhook: &Webhook, seq: u64) -> WebhookAttempt {
    WebhookAttempt {
        id: world.fresh(),
        webhook_id: webhook.id,
        seq,
        event_type: ODD.to_owned(),
        attempt: 3,
        status: Some(u16::MAX),
        error: Some(ODD.to_owned()),
        duration_ms: i64::MAX.unsigned_abs(),
        at: late(),
    }
}

/// Of the attempts of a webhook the last ones are kept; they go with it, and those of others stay.
pub async fn the_last_attempts_of_each_webhook_are_kept_and_go_with_it(store: &dyn Store) {
    let world = World::store(store).await;
    let (one, two) = (bare(world.fresh()), bare(world.fresh()));
    create_all(store, &[&one, &two]).await;
    let lone = WebhookAttempt {
        status: None,
        error: None,
        duration_ms: Duration::ZERO.as_secs(),
        ..attempt(&world, &two, 1)
    };
    store.create(lone.clone()).await.unwrap();
    let mut all = Vec::new();
    for seq in 0..u64::from(WEBHOOK_ATTEMPTS) + 5 {
        let attempt = attempt(&world, &one, seq);
        store.create(attempt.clone()).await.unwrap();
        all.push(attempt);
    }
    let of = |webhook: &Webhook| WebhookAttemptFilter {
        webhook: Some(webhook.id),
    };
    let kept: Vec<&WebhookAttempt> = all.iter().skip(5).collect();
    selects(store, of(&one), &kept).await;
    let refused = store.update(lone.clone()).await.unwrap_err();
    assert!(matches!(refused, Error::Invalid { .. }), "{refused:?}");
    store.delete(one.id, 1).await.unwrap();
    selects(store, of(&one), &[]).await;
    let all = WebhookAttemptFilter::default();
    let left = store.list(&all, Page::first(9)).await.unwrap();
    assert_eq!(left, [lone]);
}
