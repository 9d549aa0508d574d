//! `schedule`: what is asked for, and what a person sees of it.

use serde_json::{Value, json};

use crate::support::{answering, check_snapshot, fusion_kit};

const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

fn nightly() -> Value {
    json!({
        "id": ID, "name": "nightly", "workflow": "report", "inputs": { "depth": 2 },
        "cron": "0 3 * * *", "timezone": "Europe/Berlin", "overlap": "skip", "paused": false,
        "next_at": "2026-11-24T02:00:00Z", "last_at": "2026-11-23T02:00:00Z", "last_run": null,
        "last_error": "there is no workflow\u{1b}[31m 'report'",
        "created_at": "2026-11-23T12:00:00Z", "updated_at": "2026-11-23T12:00:00Z",
    })
}

fn held() -> Value {
    json!({
        "id": ID, "name": "often", "workflow": "poll", "inputs": {}, "cron": "*/5 * * * *",
        "timezone": "UTC", "overlap": "queue", "paused": true, "next_at": "2026-11-23T12:05:00Z",
        "last_at": "2026-11-23T12:00:00Z", "last_run": ID, "last_error": null,
        "created_at": "2026-11-23T11:00:00Z", "updated_at": "2026-11-23T12:01:00Z",
    })
}

#[tokio::test]
async fn schedules_are_asked_for_as_they_were_typed() {
    for (line, answer, wanted) in [
        (
            "schedule create nightly --workflow report --cron @daily -i depth=2",
            nightly(),
            "NewSchedule { name: \"nightly\", workflow: \"report\", cron: \"@daily\", timezone: \
             \"UTC\", overlap: \"skip\", inputs: {\"depth\": \"2\"} }",
        ),
        (
            "schedule create x --workflow w --cron @daily --timezone Asia/Tokyo --overlap queue",
            nightly(),
            "NewSchedule { name: \"x\", workflow: \"w\", cron: \"@daily\", timezone: \
             \"Asia/Tokyo\", overlap: \"queue\", inputs: {} }",
        ),
        ("schedule list --limit 7", json!([]), "schedules 7"),
        ("schedule get nightly", nightly(), "schedule nightly"),
        ("schedule pause nightly", nightly(), "pause nightly: true"),
        ("schedule resume nightly", nightly(), "pause nightly: false"),
        (
            "schedule delete nightly",
            nightly(),
            "delete schedule nightly",
        ),
    ] {
        let backend = answering(answer);
        let said = fusion_kit(line, &backend).await;
        assert_eq!(said.code, 0, "{line}: {}", said.err);
        assert_eq!(*backend.asked.lock().unwrap(), [wanted], "{line}");
    }
}

#[tokio::test]
async fn an_input_that_is_given_twice_is_refused() {
    let line = "schedule create n --workflow w --cron @daily -i depth=1 -i depth=2";
    let backend = answering(nightly());
    let said = fusion_kit(line, &backend).await;
    assert_eq!(said.code, 2);
    assert!(said.err.contains("'depth' is given twice"), "{}", said.err);
}

#[tokio::test]
async fn schedules_are_shown_with_what_comes_next_and_what_came_of_the_last() {
    let backend = answering(json!([held(), nightly()]));
    let list = fusion_kit("schedule list", &backend).await;
    check_snapshot("schedule-list.txt", &list.out);
    let one = fusion_kit("schedule get nightly", &answering(nightly())).await;
    let other = fusion_kit("schedule get often", &answering(held())).await;
    check_snapshot("schedule-get.txt", &format!("{}\n{}", one.out, other.out));
}

#[tokio::test]
async fn a_program_gets_what_the_server_says() {
    let backend = answering(json!([held(), nightly()]));
    let list = fusion_kit("schedule list --json", &backend).await;
    let list: Value = serde_json::from_str(&list.out).unwrap();
    assert_eq!(list, json!({ "schedules": [held(), nightly()] }));
    let one = fusion_kit("schedule pause often --json", &answering(held())).await;
    assert_eq!(serde_json::from_str::<Value>(&one.out).unwrap(), held());
}
