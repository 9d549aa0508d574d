//! What `bench` asks for and prints.

use serde_json::json;

use crate::support::{Fake, fusion_kit, problem};

fn measured() -> Fake {
    Fake {
        report: json!({
            "peer": "fusion-kit", "w": "W3", "n": 10, "conc": 2, "store": "sqlite-full",
            "llm": "raw", "units": 10, "llm_calls": 30, "steps": 30, "wall": 2.0, "cpu": 0.5,
            "srv_cpu": {}, "cpu_total": 0.5, "rss_mb": 20.0, "maxrss_mb": 20.5,
            "write_bytes": 4096, "bytes_per_agent": null,
        }),
        ..Fake::default()
    }
}

#[tokio::test]
async fn the_last_line_of_a_measurement_is_json() {
    let backend = measured();
    let said = fusion_kit("bench w3 --n 10 --conc 2", &backend).await;
    let lines: Vec<&str> = said.out.lines().collect();
    let told = "W3: 10 units, 2 at once, in 2.000 s; 5 a second, 50.000 ms of CPU each; 20.5 MB";
    assert_eq!(lines.first(), Some(&told));
    let last: serde_json::Value = serde_json::from_str(lines.last().unwrap()).unwrap();
    assert_eq!((lines.len(), last), (2, backend.report.clone()));
    let said = fusion_kit("bench W3 --json", &backend).await;
    assert_eq!(said.out.lines().count(), 1);
    let line = "bench W1d --store postgres --llm none --via api";
    assert_eq!(fusion_kit(line, &backend).await.code, 0);
    let asked = backend.asked.lock().unwrap().clone();
    assert_eq!(
        asked,
        [
            "BenchRequest { row: W3, number: Some(10), at_once: Some(2), store: SqliteFull, llm: Raw, via_api: false }",
            "BenchRequest { row: W3, number: None, at_once: None, store: SqliteFull, llm: Raw, via_api: false }",
            "BenchRequest { row: W1d, number: None, at_once: None, store: Postgres, llm: None, via_api: true }",
        ]
    );
}

#[tokio::test]
async fn what_can_not_be_measured_is_refused() {
    let refusing = Fake::refusing(problem("MOCK_URL is not set"));
    let said = fusion_kit("bench W1", &refusing).await;
    assert_eq!(
        (said.code, said.err.as_str()),
        (10, "error: MOCK_URL is not set\n")
    );
    for wrong in [
        "bench",
        "bench W8",
        "bench W1 --n 0",
        "bench W1 --conc 10001",
        "bench W1 --store x",
    ] {
        assert_eq!(fusion_kit(wrong, &measured()).await.code, 2, "{wrong}");
    }
}
