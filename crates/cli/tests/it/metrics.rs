//! What `metrics cost` and `metrics top` ask for and print.

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
        "not in the total: calls whose end nobody heard and calls of deleted runs, $0.02 and 5 tokens; whether they ended in that time is not known\n"
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

fn top() -> Value {
    json!({
        "by": "cpu", "per": "agent", "since": "2026-11-23T12:00:00Z", "until": null,
        "top": [
            { "id": "019ab3c4-0000-7000-8000-000000000001", "name": "builder\u{1b}[2J",
              "sampled": { "samples": 20, "cpu_percent": 187.513, "cpu_percent_most": 301.5,
                "memory_mb": 100.0, "memory_mb_most": 512.25, "disk_io_read_mb": 3.0,
                "disk_io_write_mb": 40.125 },
              "usage": usage(2, 1000, 24, "0.1"), "calls_without_price": 0 },
            { "id": "019ab3c4-0000-7000-8000-000000000002", "name": "writer", "sampled": null,
              "usage": usage(1, 7, 1, "0"), "calls_without_price": 1 },
        ],
        "total": { "usage": usage(4, 1008, 26, "0.1"), "calls_without_price": 1 },
        "sampled": { "samples": 21, "disk_io_read_mb": 3.0, "disk_io_write_mb": 41.0 },
        "rows_left_out": 1,
        "undated": usage(0, 0, 0, "0"),
    })
}

#[tokio::test]
async fn who_used_most_is_told_with_what_commands_and_calls_used() {
    let said = fusion_kit("metrics top", &answering(top())).await;
    let wanted = Ended {
        code: 0,
        out: "\
AGENT        ID                                      CPU     MEMORY     READ   WRITTEN  CALLS  TOKENS  COST
builder␛[2J  019ab3c4-0000-7000-8000-000000000001  188 %  512.2 MiB  3.0 MiB  40.1 MiB      2   1,024  $0.1
writer       019ab3c4-0000-7000-8000-000000000002      -          -        -         -      1       8    $0
(total)      -                                         -          -  3.0 MiB  41.0 MiB      4   1,034  $0.1
"
        .to_owned(),
        err: "1 more in the total; --limit shows more\nthe cost of 1 call is not known: it counts as $0\n"
            .to_owned(),
    };
    assert_eq!(said, wanted);
    let mut models = top();
    models["per"] = json!("model");
    models["sampled"] = Value::Null;
    models["rows_left_out"] = json!(0);
    models["total"]["calls_without_price"] = json!(0);
    models["undated"] = usage(0, 5, 0, "0.02");
    models["top"] = json!([
        { "id": null, "name": "tiny", "sampled": null, "usage": usage(3, 1001, 24, "0.1"),
          "calls_without_price": 0 },
        { "id": null, "name": null, "sampled": null, "usage": usage(0, 7, 0, "0"),
          "calls_without_price": 0 },
    ]);
    let said = fusion_kit("metrics top --per model", &answering(models)).await;
    let wanted = Ended {
        code: 0,
        out: "\
MODEL         ID  CALLS  TOKENS  COST
tiny          -       3   1,025  $0.1
(lost calls)  -       0       7    $0
(total)       -       4   1,034  $0.1
"
        .to_owned(),
        err: "not in the total: calls whose end nobody heard and calls of deleted runs, $0.02 and 5 tokens; whether they ended in that time is not known\n"
            .to_owned(),
    };
    assert_eq!(said, wanted);
    let rows = fusion_kit("metrics top -o jsonl", &answering(top())).await;
    assert_eq!(rows.out.lines().count(), 2, "{}", rows.out);
    let mut nobody = top();
    nobody["top"] = json!([]);
    nobody["rows_left_out"] = json!(0);
    nobody["total"]["calls_without_price"] = json!(0);
    let said = fusion_kit("metrics top", &answering(nobody)).await;
    assert_eq!(
        (said.code, said.out.as_str(), said.err.as_str()),
        (0, "", "nobody used anything in that time\n")
    );
}

#[tokio::test]
async fn who_used_most_is_asked_for_by_one_of_the_figures_and_of_a_time() {
    for (line, asked) in [
        (
            "metrics top",
            "MetricsTopArgs { by: None, per: Agent, since: Ago(600s), until: None, limit: 20 }",
        ),
        (
            "metrics top --by memory --since 2h --until 2026-11-23T12:00:00Z --limit 3",
            "MetricsTopArgs { by: Some(Memory), per: Agent, since: Ago(7200s), until: Some(At(2026-11-23T12:00:00Z)), limit: 3 }",
        ),
        (
            "metrics top --per project --by cost",
            "MetricsTopArgs { by: Some(Cost), per: Project, since: Ago(600s), until: None, limit: 20 }",
        ),
    ] {
        let backend = answering(top());
        assert_eq!(fusion_kit(line, &backend).await.code, 0);
        assert_eq!(*backend.asked.lock().unwrap(), [asked]);
    }
    for (line, why) in [
        (
            "metrics top --by colour",
            "[possible values: cpu, memory, disk, tokens, cost]",
        ),
        (
            "metrics top --per task",
            "[possible values: agent, model, project]",
        ),
        (
            "metrics top --since yesterday",
            "such as 90s, 10m, 2h or 3d",
        ),
        ("metrics top --limit 501", "1..=500"),
    ] {
        let backend = answering(top());
        let said = fusion_kit(line, &backend).await;
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{line}");
        assert!(said.err.contains(why), "{line}: {}", said.err);
        assert!(backend.asked.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn steps_of_time_are_asked_for_by_their_length_and_shown_from_when() {
    let one = json!({
        "id": "019ab3c4-0000-7000-8000-000000000001",
        "agent_id": "019ab3c4-0000-7000-8000-000000000002",
        "timestamp": "2026-11-23T12:00:00Z", "cpu_percent": 50.4, "memory_mb": 12.25,
        "disk_io_read_mb": 0.0, "disk_io_write_mb": 3.0, "api_calls_count": 4,
        "api_provider": "local", "api_tokens_used": 12, "api_cost_usd": "0.01", "samples": 120,
    });
    let backend = answering(json!({ "metrics": [one] }));
    let said = fusion_kit("metrics agent w --since 1d --step 1h", &backend).await;
    let out = "\
FROM                  CPU    MEMORY     READ  WRITTEN  CALLS  TOKENS   COST  PROVIDER
2026-11-23 13:00:00  50 %  12.2 MiB  0.0 MiB  3.0 MiB      4      12  $0.01  local
";
    assert_eq!((said.code, said.out.as_str()), (0, out));
    let asked =
        "AgentMetricsArgs { agent: \"w\", since: Some(86400s), step: Some(3600s), limit: 20 }";
    assert_eq!(*backend.asked.lock().unwrap(), [asked]);
    let said = fusion_kit("metrics agent w", &backend).await;
    assert!(said.out.starts_with("TAKEN"), "{}", said.out);
    let said = fusion_kit("metrics agent w --step 0s", &backend).await;
    assert_eq!(said.code, 2);
}
