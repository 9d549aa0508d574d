//! What the commands around the database ask for and print.

use serde_json::{Value, json};

use crate::support::{Ended, Fake, answering, check_snapshot, fusion_kit, problem};

fn status() -> Value {
    json!({
        "place": "/data/fusion.db",
        "database": {
            "kind": "SQLite", "version": "3.51.3", "size_bytes": 901_120,
            "schema": { "applied": ["m0001_runs", "m0002_store"], "missing": [], "newer": [] },
            "rows": { "agents": 3, "events": 1_204, "runs": 1 },
            "last_event": 1_210, "oldest_event": "2026-11-23T12:00:00Z",
        },
    })
}

fn check(name: &str, fault: Option<(&str, &str)>) -> Value {
    let (fault, help) = fault.unzip();
    json!({ "name": name, "note": null, "fault": fault, "help": help })
}

fn done(out: &str) -> Ended {
    Ended {
        code: 0,
        out: out.to_owned(),
        err: String::new(),
    }
}

#[tokio::test]
async fn the_status_tells_place_schema_size_events_and_rows() {
    let said = fusion_kit("db status", &answering(status())).await;
    check_snapshot("db-status.txt", &said.out);
    assert_eq!((said.code, said.err.as_str()), (0, ""));
}

#[tokio::test]
async fn a_schema_that_is_not_of_this_program_is_told_with_the_way_out() {
    let mut report = status();
    report["database"]["schema"]["missing"] = json!(["m0003_more"]);
    let said = fusion_kit("db status --data-dir d", &answering(report.clone())).await;
    let behind =
        "schema  lacks m0003_more; bring it up to date with: fusion-kit db migrate --data-dir d\n";
    assert!(said.out.contains(behind), "{}", said.out);
    report["database"]["schema"]["newer"] = json!(["m0009_later"]);
    let said = fusion_kit("db status", &answering(report)).await;
    let newer = "schema  of a newer fusion-kit (m0009_later): use that version\n";
    assert!(said.out.contains(newer), "{}", said.out);
}

#[tokio::test]
async fn no_database_is_an_answer_and_no_error() {
    let backend = answering(json!({ "place": "/data/fusion.db", "database": null }));
    assert_eq!(
        fusion_kit("db status", &backend).await,
        done(
            "there is no database yet: /data/fusion.db\n\
             it is made when a run starts, or with: fusion-kit db migrate\n"
        )
    );
    assert_eq!(
        fusion_kit("db status --json", &backend).await,
        done("{\"place\":\"/data/fusion.db\",\"database\":null}\n")
    );
}

#[tokio::test]
async fn each_command_asks_for_what_it_was_told() {
    let backend = Fake {
        problem: Some(problem("away")),
        ..Fake::default()
    };
    for line in [
        "db migrate",
        "db status",
        "db backup a.db",
        "db restore a.db",
        "db restore a.db --replace",
        "db restore a.db --dry-run",
        "db rekey",
        "db rekey --retire",
        "verify",
        "verify --online",
        "verify --deep",
        "verify --deep --online",
    ] {
        let said = fusion_kit(line, &backend).await;
        assert_eq!(
            (said.code, said.err.as_str()),
            (10, "error: away\n"),
            "{line}"
        );
    }
    let asked = backend.asked.into_inner().unwrap();
    let expected = [
        "migrate",
        "status",
        "backup a.db",
        "restore a.db false false",
        "restore a.db true false",
        "restore a.db false true",
        "rekey false",
        "rekey true",
        "verify Shallow",
        "verify Online",
        "verify Deep",
        "verify Deep",
    ];
    assert_eq!(asked, expected);
}

#[tokio::test]
async fn what_was_done_is_told_in_a_line_or_two() {
    let schema = json!({ "applied": ["m0001_runs"], "missing": [], "newer": [] });
    let mut migrated =
        json!({ "place": "/d/fusion.db", "applied_now": ["m0001_runs"], "schema": schema });
    assert_eq!(
        fusion_kit("db migrate", &answering(migrated.clone())).await,
        done("✓ /d/fusion.db is up to date now: 1 step applied (m0001_runs)\n")
    );
    migrated["applied_now"] = json!([]);
    assert_eq!(
        fusion_kit("db migrate", &answering(migrated)).await,
        done("✓ /d/fusion.db is up to date\n")
    );
    let rows = json!({ "agents": 1, "runs": 1 });
    let written = json!({ "place": "/d/fusion.db", "file": "b.db", "bytes": 2048, "rows": rows });
    assert_eq!(
        fusion_kit("db backup b.db", &answering(written)).await,
        done(
            "✓ 2 rows written to b.db (2.00 KiB)\n\
             the master key and the workspaces are not in it\n"
        )
    );
    let mut restored = json!({
        "place": "/d/fusion.db", "file": "b.db", "dry_run": true, "rows": rows,
        "replaced": { "runs": 7 }, "upgraded": [],
    });
    assert_eq!(
        fusion_kit("db restore b.db --dry-run", &answering(restored.clone())).await,
        done(
            "would restore 2 rows of b.db into /d/fusion.db, which holds 7 rows that would be lost\n"
        )
    );
    restored["dry_run"] = json!(false);
    restored["upgraded"] = json!(["m0002_store"]);
    assert_eq!(
        fusion_kit("db restore b.db", &answering(restored)).await,
        done(
            "✓ 2 rows of b.db restored into /d/fusion.db\n\
             the backup was of an older schema: m0002_store applied on the way\n"
        )
    );
}

#[tokio::test]
async fn a_rekey_tells_how_many_and_that_the_older_key_is_kept() {
    let mut rekeyed = json!({
        "place": "/d/fusion.db", "sealed_anew": 2, "key": "5c81517156997f24",
        "key_place": "/keys/master.key", "older_keys_kept": true,
    });
    assert_eq!(
        fusion_kit("db rekey", &answering(rekeyed.clone())).await,
        done(
            "✓ 2 credentials sealed anew with the key 5c81517156997f24 of /keys/master.key\n\
             the file keeps the older key; when no other database and no backup needs it: \
             fusion-kit db rekey --retire\n"
        )
    );
    rekeyed["key"] = Value::Null;
    let said = fusion_kit("db rekey", &answering(rekeyed)).await;
    assert!(
        said.out.starts_with("✓ no credential is stored"),
        "{}",
        said.out
    );
}

#[tokio::test]
async fn verify_marks_every_check_and_fails_when_one_does() {
    let right = json!({ "ok": true, "place": "/d/fusion.db", "checks": [check("schema", None)] });
    assert_eq!(
        fusion_kit("verify", &answering(right)).await,
        done("database: /d/fusion.db\n✓ schema\nall is right\n")
    );
    let fault = Some(("readable by others (mode 0644)", "chmod 600 /d/fusion.db"));
    let checks = [check("schema", None), check("file mode", fault)];
    let wrong = answering(json!({ "ok": false, "place": "/d/fusion.db", "checks": checks }));
    let said = fusion_kit("verify", &wrong).await;
    assert_eq!((said.code, said.err.as_str()), (1, ""));
    assert_eq!(
        said.out,
        "database: /d/fusion.db\n\
         ✓ schema\n\
         ✗ file mode: readable by others (mode 0644)\n  help: chmod 600 /d/fusion.db\n\
         1 fault in 2 checks\n"
    );
    assert_eq!(fusion_kit("verify --json", &wrong).await.code, 1);
}

#[tokio::test]
async fn what_was_mended_is_told_before_the_checks_and_only_when_asked_for() {
    let right = json!({ "ok": true, "place": "/d/fusion.db", "checks": [check("schema", None)] });
    let backend = answering(right);
    assert_eq!(
        fusion_kit("doctor --fix", &backend).await,
        done("database: /d/fusion.db\n+ mended: /d/token is closed\n✓ schema\nall is right\n")
    );
    let told = fusion_kit("verify --fix --json", &backend).await.out;
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["mended"], json!(["/d/token is closed"]));
    fusion_kit("verify", &backend).await;
    assert_eq!(
        *backend.asked.lock().unwrap(),
        [
            "mend",
            "verify Shallow",
            "mend",
            "verify Shallow",
            "verify Shallow"
        ]
    );
}

#[tokio::test]
async fn a_vacuum_tells_the_size_before_and_after() {
    let report = json!({ "place": "/data/fusion.db", "before_bytes": 4096, "after_bytes": 2048 });
    let said = fusion_kit("db vacuum", &answering(report)).await;
    assert_eq!(
        said,
        done("✓ vacuumed /data/fusion.db: 4.00 KiB before, 2.00 KiB now\n")
    );
}
