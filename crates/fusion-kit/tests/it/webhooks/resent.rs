//! Events that are sent again because a person wants that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fusion_testkit::{HttpRequest, MisbehavingHttp};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::{added, is_signed, place, printed, receiver, status, tell, until};
use crate::api::client::Serving;
use crate::support::{Project, said};

/// A receiver that takes what comes once it is told to, and the switch.
async fn switched() -> (MisbehavingHttp, Arc<AtomicBool>) {
    let takes = Arc::new(AtomicBool::new(false));
    let is_on = Arc::clone(&takes);
    let answers = move |_: &HttpRequest| {
        if is_on.load(Ordering::Relaxed) {
            status("204 No Content", "")
        } else {
            // Nobody tries again within the time of a test.
            status("503 Service Unavailable", "retry-after: 3600\r\n")
        }
    };
    (receiver(answers).await, takes)
}

/// Sequence, attempt and status of each delivery, the newest first.
async fn deliveries(project: &Project) -> Vec<Value> {
    let told = printed(project, "webhook deliveries ops").await;
    let rows = told["deliveries"].as_array().unwrap().iter();
    let is = |it: &Value| json!([it["seq"], it["attempt"], it["status"]]);
    rows.map(is).collect()
}

#[tokio::test]
async fn an_event_in_the_way_is_sent_again_at_once_and_those_after_it_come() {
    let project = place();
    let serving = Serving::on(&project).await;
    let (receiver, takes) = switched().await;
    let secret = added(&project, "ops", &receiver.url()).await;
    let stuck = until(&project, "ops", "an attempt to fail", |it| {
        it["failed_attempts"] == 1
    })
    .await;
    tell(&serving, "after").await;
    let seq = deliveries(&project).await[0][0].clone();

    let refused = said(&project, &format!("webhook resend ops {seq} --json")).await;
    let refused = refused.expect(1).json();
    assert_eq!(
        json!([refused["taken"], refused["status"]]),
        json!([false, 503])
    );
    let shown = printed(&project, "webhook get ops").await;
    assert_eq!(shown["next_attempt_at"], stuck["next_attempt_at"]);
    assert_eq!(shown["failed_attempts"], 1);

    takes.store(true, Ordering::Relaxed);
    let taken = printed(&project, &format!("webhook resend ops {seq}")).await;
    assert_eq!(json!([taken["taken"], taken["status"]]), json!([true, 204]));
    let newest = serving
        .get("/api/v1/events?limit=1")
        .await
        .expect(200)
        .json();
    let newest = newest["events"][0]["seq"].clone();
    until(&project, "ops", "the others to come", |it| {
        it["cursor"] == newest && it["failed_attempts"] == 0
    })
    .await;
    let requests = receiver.requests();
    let ids: Vec<&str> = requests
        .iter()
        .map(|it| it.header("webhook-id").unwrap())
        .collect();
    assert_eq!((ids[0], ids[1]), (ids[1], ids[2]), "the same event");
    requests.iter().for_each(|it| is_signed(it, &secret));
    let made = deliveries(&project).await;
    let of_it: Vec<&Value> = made.iter().filter(|it| it[0] == seq).collect();
    assert_eq!(
        of_it,
        [
            &json!([seq, 3, 204]),
            &json!([seq, 2, 503]),
            &json!([seq, 1, 503])
        ]
    );
    let told = serving
        .get("/api/v1/events?event_type=record.changed")
        .await;
    let told = told.expect(200).json();
    let resent = told["events"].as_array().unwrap().iter();
    assert_eq!(
        resent.filter(|it| it["data"]["action"] == "resent").count(),
        2
    );
    serving.stop(Signal::TERM).await;
}

#[tokio::test]
async fn what_was_taken_is_sent_again_without_a_server_and_moves_nothing() {
    let project = place();
    let serving = Serving::on(&project).await;
    let (receiver, takes) = switched().await;
    takes.store(true, Ordering::Relaxed);
    added(&project, "ops", &receiver.url()).await;
    tell(&serving, "a").await;
    until(&project, "ops", "both to be taken", |_| {
        receiver.requests().len() >= 2
    })
    .await;
    serving.stop(Signal::TERM).await;

    let before = printed(&project, "webhook get ops").await;
    let made = printed(&project, "webhook deliveries ops").await;
    let first = made["deliveries"].as_array().unwrap().last().unwrap();
    let id = first["id"].as_str().unwrap();
    let resent = project.run(["webhook", "resend", "ops", id]).await;
    assert!(resent.expect(0).stdout.starts_with("it was taken: 204"));
    let requests = receiver.requests();
    let last = requests.last().unwrap();
    assert_eq!(
        (last.header("webhook-id"), &last.body),
        (requests[0].header("webhook-id"), &requests[0].body)
    );
    let after = printed(&project, "webhook get ops").await;
    assert_eq!(after["cursor"], before["cursor"]);
    assert_eq!(deliveries(&project).await[0], json!([first["seq"], 2, 204]));

    for (delivery, code, why) in [
        ("999999", 3, "webhook 'ops' has no delivery 999999"),
        ("zz", 3, "webhook 'ops' has no delivery zz"),
        ("0", 2, "several deliveries of webhook 'ops'"),
    ] {
        let refused = said(&project, &format!("webhook resend ops {delivery}")).await;
        refused.expect(code).says(&[why]);
    }
    assert_eq!(receiver.requests().len(), requests.len());
}

#[tokio::test]
async fn no_two_attempts_have_one_number() {
    let project = place();
    let serving = Serving::on(&project).await;
    let receiver = receiver(|_: &HttpRequest| status("503 Service Unavailable", "")).await;
    added(&project, "ops", &receiver.url()).await;
    until(&project, "ops", "an attempt to fail", |it| {
        it["failed_attempts"] == 1
    })
    .await;
    let seq = deliveries(&project).await[0][0].clone();
    said(&project, &format!("webhook resend ops {seq}"))
        .await
        .expect(1);
    until(&project, "ops", "the next attempt to fail", |it| {
        it["failed_attempts"] == 2
    })
    .await;
    let mut numbers: Vec<Value> = deliveries(&project).await;
    numbers.retain(|it| it[0] == seq);
    assert_eq!(
        numbers,
        [
            json!([seq, 3, 503]),
            json!([seq, 2, 503]),
            json!([seq, 1, 503])
        ]
    );
    serving.stop(Signal::TERM).await;
}
