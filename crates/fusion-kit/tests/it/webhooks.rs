//! Webhooks, by the commands, over the API, on several nodes and over sudden deaths of the server.

mod faults;
mod kept;
mod resent;

use std::time::{Duration, Instant};

use fusion_core::{Decision, EventId, EventType, NewEvent, Severity, Timestamp};
use fusion_persistence::{Batch, EventReader, Prune, Store};
use fusion_secrets::WebhookSecret;
use fusion_testkit::{Act, HttpRequest, MisbehavingHttp};
use rustix::process::Signal;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::api::client::Serving;
use crate::nodes::cluster::Cluster;
use crate::own_store::OwnStore;
use crate::support::{Project, breathe, said};

/// Answers with a status.
fn status(line: &str, headers: &str) -> Vec<Act> {
    let head = format!("HTTP/1.1 {line}\r\ncontent-length: 0\r\n{headers}\r\n");
    vec![Act::Send(head.into_bytes())]
}

async fn receiver(
    script: impl Fn(&HttpRequest) -> Vec<Act> + Send + Sync + 'static,
) -> MisbehavingHttp {
    MisbehavingHttp::start(script).await.unwrap()
}

async fn willing() -> MisbehavingHttp {
    receiver(|_| status("204 No Content", "")).await
}

fn place() -> Project {
    let mut project = Project::new();
    project.set("FUSION_MASTER_KEY", "7".repeat(64));
    project
}

async fn printed(project: &Project, words: &str) -> Value {
    let said = said(project, &format!("{words} --json")).await;
    said.expect(0).json()
}

/// Makes a webhook for changes of records; its secret.
async fn added(project: &Project, name: &str, url: &str) -> String {
    let add = format!("webhook add {url} --name {name} --allow-private --event record.*");
    let made = printed(project, &add).await;
    made["secret"].as_str().unwrap().to_owned()
}

/// Makes a record, which is told.
async fn tell(serving: &Serving, name: &str) {
    let new = json!({ "name": name });
    serving.post("/api/v1/projects", &new).await.expect(201);
}

/// The ids of all events about records, in their order.
async fn told(serving: &Serving) -> Vec<Value> {
    let path = "/api/v1/events?event_type=record.*&after=0&limit=500";
    let page = serving.get(path).await.expect(200).json();
    page["events"].as_array().unwrap().clone()
}

fn bodies(receiver: &MisbehavingHttp) -> Vec<Value> {
    let requests = receiver.requests();
    let bodies = requests.iter().map(|it| serde_json::from_slice(&it.body));
    bodies.collect::<Result<_, _>>().unwrap()
}

/// Until so many requests have come.
async fn received(receiver: &MisbehavingHttp, count: usize) -> Vec<HttpRequest> {
    let began = Instant::now();
    loop {
        let requests = receiver.requests();
        if requests.len() >= count {
            return requests;
        }
        breathe(began, &format!("{count} requests")).await;
    }
}

/// Until all events about records have come, each once at least, in their order.
async fn caught_up(serving: &Serving, receiver: &MisbehavingHttp) {
    let began = Instant::now();
    loop {
        let (told, mut came) = (told(serving).await, bodies(receiver));
        came.dedup();
        if came.last() == told.last() {
            assert_eq!(came, told);
            return;
        }
        breathe(began, "all events to come").await;
    }
}

fn is_signed(request: &HttpRequest, secret: &str) {
    let secret = WebhookSecret::parse(&SecretString::from(secret)).unwrap();
    let header = |name| request.header(name).unwrap();
    let body = std::str::from_utf8(&request.body).unwrap();
    let timestamp = header("webhook-timestamp").parse().unwrap();
    let expected = secret.sign(header("webhook-id"), timestamp, body);
    let signatures: Vec<&str> = header("webhook-signature").split(' ').collect();
    assert!(signatures.contains(&expected.as_str()), "{request:?}");
    assert_eq!(header("content-type"), "application/json");
}

async fn until(project: &Project, name: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let shown = printed(project, &format!("webhook get {name}")).await;
        if holds(&shown) {
            return shown;
        }
        breathe(began, what).await;
    }
}

#[tokio::test]
async fn each_event_of_the_filter_comes_signed_and_in_order() {
    let project = place();
    let serving = Serving::on(&project).await;
    let receiver = willing().await;
    let secret = added(&project, "ops", &receiver.url()).await;
    for name in ["a", "b", "c"] {
        tell(&serving, name).await;
    }
    caught_up(&serving, &receiver).await;
    let requests = receiver.requests();
    let mut ids: Vec<&str> = requests
        .iter()
        .map(|it| it.header("webhook-id").unwrap())
        .collect();
    ids.dedup();
    assert_eq!(ids.len(), 4, "the webhook itself, and three projects");
    for request in &requests {
        is_signed(request, &secret);
    }
    let newest = told(&serving).await.last().unwrap()["seq"].clone();
    let shown = until(&project, "ops", "the place to be kept", |it| {
        it["cursor"] == newest
    })
    .await;
    assert_eq!(
        (&shown["state"], &shown["failed_attempts"]),
        (&json!("enabled"), &json!(0))
    );
    let deliveries = printed(&project, "webhook deliveries ops").await;
    let newest_first = &deliveries["deliveries"][0];
    let is = ["seq", "event_type", "attempt", "status", "error"].map(|it| &newest_first[it]);
    let record = json!("record.changed");
    assert_eq!(is, [&newest, &record, &json!(1), &json!(204), &Value::Null]);
    serving.stop(Signal::TERM).await;
}

#[tokio::test]
async fn a_server_that_is_killed_loses_no_event_and_keeps_their_order() {
    let project = place();
    let serving = Serving::on(&project).await;
    let receiver = willing().await;
    added(&project, "ops", &receiver.url()).await;
    for number in 0..20 {
        tell(&serving, &format!("before {number}")).await;
    }
    received(&receiver, 5).await;
    serving.stop(Signal::KILL).await;
    let serving = Serving::on(&project).await;
    tell(&serving, "after").await;
    caught_up(&serving, &receiver).await;
    serving.stop(Signal::TERM).await;
}

#[tokio::test]
async fn what_is_not_taken_is_tried_again_under_the_same_id() {
    let project = place();
    let serving = Serving::on(&project).await;
    let first = std::sync::atomic::AtomicBool::new(true);
    let receiver = receiver(move |_| {
        if first.swap(false, std::sync::atomic::Ordering::Relaxed) {
            status("503 Service Unavailable", "retry-after: 1\r\n")
        } else {
            status("200 OK", "")
        }
    })
    .await;
    added(&project, "ops", &receiver.url()).await;
    let failing = |it: &Value| it["failed_attempts"] == 1 && it["next_attempt_at"].is_string();
    until(&project, "ops", "an attempt to fail", failing).await;
    let requests = received(&receiver, 2).await;
    let ids = [0, 1].map(|place: usize| requests[place].header("webhook-id").unwrap());
    assert_eq!(ids[0], ids[1]);
    assert_eq!(requests[0].body, requests[1].body);
    until(&project, "ops", "the trouble to end", |it| {
        it["failed_attempts"] == 0
    })
    .await;
    let deliveries = printed(&project, "webhook deliveries ops").await;
    let rows = deliveries["deliveries"].as_array().unwrap();
    let tries: Vec<_> = rows
        .iter()
        .map(|it| (&it["attempt"], &it["status"]))
        .collect();
    let (one, two) = (json!(1), json!(2));
    assert_eq!(tries, [(&two, &json!(200)), (&one, &json!(503))]);
    serving.stop(Signal::TERM).await;
}

#[tokio::test]
async fn a_receiver_that_is_gone_stops_its_webhook_which_is_told_once() {
    let project = place();
    let serving = Serving::on(&project).await;
    let gone = receiver(|_| status("410 Gone", "")).await;
    // It wants to hear of its own failure, too.
    let add = format!("webhook add {} --name gone --allow-private", gone.url());
    printed(&project, &add).await;
    tell(&serving, "a").await;
    let shown = until(&project, "gone", "it to stop", |it| {
        it["state"] == "stopped"
    })
    .await;
    assert_eq!(
        shown["reason"],
        "the receiver answered 410: it is gone for good"
    );
    tell(&serving, "b").await;
    let page = serving.get("/api/v1/events?event_type=webhook.*").await;
    let page = page.expect(200).json();
    assert_eq!(page["events"].as_array().unwrap().len(), 1, "{page}");
    assert_eq!(page["events"][0]["data"]["name"], "gone");
    let asked = gone.requests().len();
    printed(&project, "webhook enable gone").await;
    received(&gone, asked + 1).await;
    until(&project, "gone", "it to stop again", |it| {
        it["state"] == "stopped"
    })
    .await;
    assert_eq!(gone.requests().len(), asked + 1);
    serving.stop(Signal::TERM).await;
}

#[tokio::test]
async fn a_receiver_that_hangs_holds_up_no_other_and_not_the_end_of_the_server() {
    let project = place();
    let serving = Serving::on(&project).await;
    let (hanging, willing) = (receiver(|_| vec![Act::Hang]).await, willing().await);
    added(&project, "hanging", &hanging.url()).await;
    added(&project, "ops", &willing.url()).await;
    received(&hanging, 1).await;
    tell(&serving, "a").await;
    let began = Instant::now();
    while bodies(&willing).last() != told(&serving).await.last() {
        breathe(began, "the other to hear").await;
    }
    let began = Instant::now();
    serving.stop(Signal::TERM).await;
    let took = began.elapsed();
    assert!(
        took < Duration::from_secs(15),
        "an attempt takes 20 s: {took:?}"
    );
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_a_private_address_must_be_allowed() {
    let project = place();
    let target = willing().await;
    let to = format!("location: {}/\r\n", target.url());
    let redirecting = receiver(move |_| status("307 Temporary Redirect", &to)).await;
    let add = format!("webhook add {} --name r", redirecting.url());
    let refused = said(&project, &add).await.expect(2);
    refused.says(&["http://", "--allow-private"]);
    let private = "webhook add https://10.0.0.1/ --name p";
    said(&project, private)
        .await
        .expect(2)
        .says(&["10.0.0.1", "--allow-private"]);
    let name = "webhook add https://localhost:1/ --name l";
    said(&project, name).await.expect(0);
    let tested = project.run(["webhook", "test", "l"]).await.expect(1);
    assert!(
        tested.stdout.contains("is not a public address"),
        "{tested:?}"
    );
    printed(&project, &format!("{add} --allow-private")).await;
    let tested = said(&project, "webhook test r --json")
        .await
        .expect(1)
        .json();
    assert_eq!(
        (&tested["taken"], &tested["status"]),
        (&json!(false), &json!(307))
    );
    assert_eq!(target.requests(), []);
}

#[tokio::test]
async fn only_events_of_the_project_come_where_one_is_named() {
    let mut project = Project::with(FLOW, "version: 1\nsteps:\n  s: [{ text: done }]\n");
    project.set("FUSION_MASTER_KEY", "7".repeat(64));
    let serving = Serving::on(&project).await;
    let receiver = willing().await;
    for line in [
        "project create shop".to_owned(),
        "workflow create flow.yaml --project shop".to_owned(),
        format!(
            "webhook add {} --allow-private --event workflow.completed --project shop",
            receiver.url()
        ),
    ] {
        said(&project, &line).await.expect(0);
    }
    project.write("other.yaml", FLOW.replace("name: flow", "name: other"));
    said(&project, "workflow create other.yaml").await.expect(0);
    let path = "/api/v1/events?event_type=workflow.completed";
    let mut runs = Value::Null;
    for (before, name) in ["other", "flow", "other", "flow"].into_iter().enumerate() {
        let start = format!("workflow start {name}");
        said(&project, &start).await.expect(0);
        let is_done = |page: &Value| page["events"].as_array().unwrap().len() > before;
        runs = serving.until(path, is_done).await;
    }
    received(&receiver, 2).await;
    let all = runs["events"].as_array().unwrap();
    assert_eq!(all.len(), 4, "{runs}");
    // The newest first: those of the project are the first and the third.
    assert_eq!(bodies(&receiver), [all[2].clone(), all[0].clone()]);
    serving.stop(Signal::TERM).await;
}

#[tokio::test]
async fn what_an_agent_of_the_project_does_comes_too() {
    let mut project = Project::with(FLOW, "version: 1\nsteps:\n  task: [{ text: done }]\n");
    project.set("FUSION_MASTER_KEY", "7".repeat(64));
    let serving = Serving::on(&project).await;
    let receiver = willing().await;
    let spawn = "agent spawn --provider scripted --model script.yaml --name";
    for line in [
        "project create shop".to_owned(),
        format!("{spawn} ours --project shop"),
        format!("{spawn} other"),
        format!(
            "webhook add {} --allow-private --event workflow.completed --project shop",
            receiver.url()
        ),
        "agent send other Go.".to_owned(),
        "agent send ours Go.".to_owned(),
    ] {
        said(&project, &line).await.expect(0);
    }
    let path = "/api/v1/events?event_type=workflow.completed";
    let both = |page: &Value| page["events"].as_array().unwrap().len() == 2;
    let done = serving.until(path, both).await;
    received(&receiver, 1).await;
    let found = bodies(&receiver);
    let all = done["events"].as_array().unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    let sent = all.iter().find(|event| **event == found[0]).unwrap();
    let told = sent["message"].as_str().unwrap();
    assert!(told.contains("ours@"), "{told}");
    serving.stop(Signal::TERM).await;
}

const FLOW: &str = "
version: 1
name: flow
agents: { a: { provider: scripted, model: script.yaml } }
steps: [{ id: s, agent: a, prompt: x }]
";

#[tokio::test]
async fn two_servers_on_one_database_send_each_event_once() {
    let cluster = Cluster::start().await;
    let (one, two) = (cluster.node("one").await, cluster.node("two").await);
    let receiver = willing().await;
    let new = json!({
        "name": "ops", "url": receiver.url(), "events": ["record.*"], "allow_private": true,
    });
    one.post("/api/v1/webhooks", &new).await.expect(201);
    for number in 0..10 {
        tell(&one, &format!("one {number}")).await;
        tell(&two, &format!("two {number}")).await;
    }
    let began = Instant::now();
    let all = told(&one).await;
    let ours: Vec<Value> = all
        .into_iter()
        .skip_while(|it| it["data"]["resource_type"] != "webhook")
        .collect();
    while bodies(&receiver).len() < ours.len() {
        breathe(began, "all events to come").await;
    }
    assert_eq!(bodies(&receiver), ours);
    // The other one goes on where the first was killed.
    one.stop(Signal::KILL).await;
    tell(&two, "alone").await;
    received(&receiver, ours.len() + 1).await;
    two.stop(Signal::TERM).await;
}

#[tokio::test]
async fn events_that_went_by_their_age_are_told_as_a_gap() {
    let project = place();
    let receiver = willing().await;
    added(&project, "ops", &receiver.url()).await;
    let store = OwnStore::of(&project).await;
    let mut decision = Decision::default();
    for number in 1..=3 {
        decision.events.push(NewEvent {
            id: EventId::from_uuid(uuid::Uuid::from_u128(number)),
            timestamp: Timestamp::UNIX_EPOCH,
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
    let last = store.commit(Batch::free(decision)).await.unwrap().last_seq;
    let old = Prune {
        events_before: Some("2000-01-01T00:00:00Z".parse().unwrap()),
        limit: 100,
        ..Prune::default()
    };
    // What is not in the index of the log yet is not deleted.
    let began = Instant::now();
    while store.event_bounds().await.unwrap().oldest <= last {
        store.prune(old).await.unwrap();
        breathe(began, "the events to go").await;
    }
    store.close().await;
    let serving = Serving::on(&project).await;
    until(&project, "ops", "the gap to be passed", |it| {
        it["cursor"].as_u64() >= Some(last)
    })
    .await;
    let deliveries = printed(&project, "webhook deliveries ops").await;
    let gap = deliveries["deliveries"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (&gap["event_type"], &gap["seq"]),
        (&json!("gap"), &json!(last))
    );
    let why =
        format!("the events 1 to {last} were deleted by their age before they were looked at");
    assert_eq!(gap["error"], why);
    serving.stop(Signal::TERM).await;
}
