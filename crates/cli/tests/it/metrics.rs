//! What `metrics cost` asks for and prints.

use serde_json::{Value, json};

use crate::support::{Ended, answering, fusion_kit};

fn usage(turns: u64, input: u64, output: u64, usd: &str) -> Value {
    json!({ "turns": turns, "input_tokens": input, "output_tokens": output, "cost_usd": usd })
}

fn costs() -> Value {
    let none = usage(0, 0, 0, "0");
    json!({
        "by": "agent", "since": null, "until": null,
        "costs": [
            { "id": "019ab3c4-0000-7000-8000-000000000001", "name": "writer\u{1b}[2J",
              "usage": usage(12, 34_100, 2010, "0.0042"), "calls_without_price": 2 },
            { "id": null, "name": null, "usage": usage(1, 7, 1, "0.001"), "calls_without_price": 0 },
        ],
        "total": { "usage": usage(14, 34_108, 2012, "0.0053"), "calls_without_price": 2 },
        "rows_left_out": 1,
        "left_out": { "usage": usage(1, 1, 1, "0.0001"), "calls_without_price": 0 },
        "undated": none,
    })
}

#[tokio::test]
async fn costs_are_told_with_their_total_and_with_what_is_not_in_the_table() {
    let said = fusion_kit("metrics cost", &answering(costs())).await;
    let wanted = Ended {
        code: 0,
        out: "\
AGENT       ID                                    CALLS    READ  WRITTEN     COST  NO PRICE
writer␛[2J  019ab3c4-0000-7000-8000-000000000001     12  34,100    2,010  $0.0042         2
(no agent)  -                                         1       7        1   $0.001         0
(total)     -                                        14  34,108    2,012  $0.0053         2
"
        .to_owned(),
        err: "1 more in the total, $0.0001; --limit shows more\n".to_owned(),
    };
    assert_eq!(said, wanted);
    let mut of_a_time = costs();
    of_a_time["by"] = json!("day");
    of_a_time["rows_left_out"] = json!(0);
    of_a_time["undated"] = usage(0, 5, 0, "0.02");
    let said = fusion_kit("metrics cost --by day", &answering(of_a_time)).await;
    assert_eq!(
        said.err,
        "not in the total: calls whose end nobody heard, $0.02 and 5 tokens; when they ended is not known\n"
    );
    let rows = fusion_kit("metrics cost -o jsonl", &answering(costs())).await;
    assert_eq!(rows.out.lines().count(), 2, "{}", rows.out);
}

#[tokio::test]
async fn costs_are_asked_for_by_one_of_the_groups_and_of_a_time() {
    let backend = answering(costs());
    let line = "metrics cost --by model --since 7d --until 2026-11-23T12:00:00Z --limit 3";
    assert_eq!(fusion_kit(line, &backend).await.code, 0);
    assert_eq!(
        *backend.asked.lock().unwrap(),
        [
            "CostArgs { by: Model, since: Some(Ago(604800s)), until: Some(At(2026-11-23T12:00:00Z)), limit: 3 }"
        ]
    );
    for (line, why) in [
        (
            "metrics cost --by colour",
            "[possible values: agent, model, task, workflow, project, day]",
        ),
        (
            "metrics cost --since yesterday",
            "such as 90s, 10m, 2h or 3d",
        ),
        ("metrics cost --limit 0", "1..=500"),
    ] {
        let backend = answering(costs());
        let said = fusion_kit(line, &backend).await;
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{line}");
        assert!(said.err.contains(why), "{line}: {}", said.err);
        assert!(backend.asked.lock().unwrap().is_empty());
    }
}
