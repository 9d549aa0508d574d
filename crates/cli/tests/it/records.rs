//! What the commands about records, events and the program itself ask for and print.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Fake, answering, fusion_kit};

const ID: &str = "019ab3c4-0000-7000-8000-000000000001";

fn project() -> Value {
    json!({
        "id": ID, "name": "shop", "description": "the web\u{1b}[31m shop", "message_queue_config": {},
        "default_provider_id": null, "archived_at": null, "created_at": "2026-11-23T12:00:00Z",
        "updated_at": "2026-11-23T12:00:00Z", "metadata": {},
    })
}

/// The project with what was spent of its budgets.
fn with_budgets() -> Value {
    let limits = |usd: Value, tokens: Value, lost: u64, held: u64| {
        json!({
            "limit_usd": usd, "limit_tokens": tokens, "spent_usd": "0.25", "spent_tokens": 900,
            "lost_usd": "0", "lost_tokens": lost, "held_usd": "0", "held_tokens": held,
        })
    };
    let mut project = project();
    project["budgets"] = json!({
        "total": limits(json!("5"), json!(1_000), 30, 70), "day": "2026-11-23",
        "today": limits(json!(null), json!(null), 0, 0),
        "workflows": [{ "workflow": "release", "budget": limits(json!("2.5"), json!(null), 40, 0) }],
    });
    project
}

fn capability() -> Value {
    json!({
        "id": ID, "name": "review", "description": "reads code", "category": "quality",
        "metadata": {}, "created_at": "2026-11-23T12:00:00Z",
    })
}

fn token() -> Value {
    json!({
        "id": ID, "name": "ci", "scope": "operate", "created_at": "2026-11-23T12:00:00Z",
        "expires_at": null, "revoked_at": null, "secret": "fk_canary",
    })
}

fn event(seq: u64) -> Value {
    json!({
        "seq": seq, "id": ID, "timestamp": "2026-11-23T12:00:00Z", "event_type": "task.completed",
        "severity": "info", "source_agent_id": null, "source_component": "engine", "run_id": ID,
        "data": { "n": 1 }, "message": "done, at last", "message_queue_topic": null,
    })
}

#[tokio::test]
async fn records_are_asked_for_as_they_were_typed() {
    for (line, answer, wanted) in [
        (
            "project create shop --description web --provider p",
            project(),
            "NewProject { name: \"shop\", description: \"web\", provider: Some(\"p\"), budgets: \
             ProjectBudgets { usd: None, tokens: None, usd_per_day: None, tokens_per_day: None } }",
        ),
        (
            "project update shop --budget 5 --budget-tokens none --budget-per-day 0.5 \
             --budget-tokens-per-day 9",
            project(),
            "ProjectUpdate { project: \"shop\", description: None, budgets: ProjectBudgets { usd: \
             Some(\"5\"), tokens: Some(\"none\"), usd_per_day: Some(\"0.5\"), tokens_per_day: \
             Some(\"9\") } }",
        ),
        (
            "project list --limit 7",
            json!([project()]),
            "projects Some(false) 7",
        ),
        ("project get shop", with_budgets(), "project shop"),
        ("project delete shop", project(), "delete project shop"),
        (
            "capability create review --category quality",
            capability(),
            r#"{"category":"quality","description":"","metadata":null,"name":"review"}"#,
        ),
        ("capability list", json!([]), "capabilities 100"),
        ("capability get review", capability(), "capability review"),
        (
            "capability delete review",
            capability(),
            "delete capability review",
        ),
        (
            "token create ci --scope operate",
            token(),
            r#"{"expires_at":null,"name":"ci","scope":"operate"}"#,
        ),
        ("token list", json!([]), "tokens 100"),
        ("token revoke ci", token(), "revoke ci"),
        (
            "health",
            json!({ "status": "healthy", "database": "connected", "bus": "connected", "version": "1" }),
            "health",
        ),
    ] {
        let backend = answering(answer);
        let said = fusion_kit(line, &backend).await;
        assert_eq!(said.code, 0, "{line}: {}", said.err);
        assert_eq!(*backend.asked.lock().unwrap(), [wanted], "{line}");
    }
}

#[tokio::test]
async fn a_list_is_printed_in_each_form() {
    let backend = answering(json!([project()]));
    let out = async |form: &str| {
        let said = fusion_kit(&format!("project list -o {form}"), &backend).await;
        assert_eq!(said.code, 0, "{}", said.err);
        said.out
    };
    let table = out("table").await;
    assert!(
        table.contains("shop") && !table.contains('\u{1b}'),
        "{table}"
    );
    let json: Value = serde_json::from_str(&out("json").await).unwrap();
    assert_eq!(json, json!({ "projects": [project()] }));
    let lines = out("jsonl").await;
    assert_eq!(serde_json::from_str::<Value>(&lines).unwrap(), project());
    let yaml = out("yaml").await;
    assert!(yaml.starts_with("---\nprojects:\n"), "{yaml}");
    assert_eq!(out("name").await, format!("{ID}\n"));
    let both = fusion_kit("project list -o yaml --json", &backend).await;
    assert_eq!(both.code, 2);
}

#[tokio::test]
async fn archived_projects_are_asked_for_as_it_was_typed() {
    for (line, answer, wanted) in [
        ("project list --all", json!([]), "projects None 100"),
        (
            "project list --archived",
            json!([]),
            "projects Some(true) 100",
        ),
        (
            "project archive shop",
            project(),
            "archive true project shop",
        ),
        (
            "project unarchive shop",
            project(),
            "archive false project shop",
        ),
    ] {
        let backend = answering(answer);
        let said = fusion_kit(line, &backend).await;
        assert_eq!(said.code, 0, "{line}: {}", said.err);
        assert_eq!(*backend.asked.lock().unwrap(), [wanted], "{line}");
    }
    let backend = answering(json!([]));
    let both = fusion_kit("project list --all --archived", &backend).await;
    assert_eq!(both.code, 2);
}

#[tokio::test]
async fn an_archived_project_has_its_mark() {
    let mut archived = project();
    archived["archived_at"] = json!("2026-11-24T12:00:00Z");
    let backend = answering(json!([archived, project()]));
    let said = fusion_kit("project list --all", &backend).await;
    let cells =
        |line: &str| -> Vec<String> { line.split_whitespace().map(str::to_owned).collect() };
    let lines: Vec<Vec<String>> = said.out.lines().map(cells).collect();
    assert_eq!(
        lines[0],
        ["PROJECT", "NAME", "MADE", "ARCHIVED", "DESCRIPTION"]
    );
    assert!(lines[1][4].starts_with("2026-11-24"), "{}", said.out);
    assert_eq!(lines[2][4], "-", "{}", said.out);

    let said = fusion_kit("project list", &answering(json!([project()]))).await;
    assert!(!said.out.contains("ARCHIVED"), "{}", said.out);
    let said = fusion_kit("project archive shop", &answering(archived.clone())).await;
    assert!(
        said.out
            .starts_with("the project shop is archived since 2026-11-24"),
        "{}",
        said.out
    );
    let said = fusion_kit("project unarchive shop", &answering(project())).await;
    assert_eq!(said.out, "the project shop takes new work\n");
    let mut detail = with_budgets();
    detail["archived_at"] = json!("2026-11-24T12:00:00Z");
    let said = fusion_kit("project get shop", &answering(detail)).await;
    let last = said.out.lines().last().unwrap();
    assert!(last.starts_with("archived 2026-11-24"), "{last}");
}

#[tokio::test]
async fn what_was_spent_is_told_beside_each_limit() {
    let said = fusion_kit("project get shop", &answering(with_budgets())).await;
    let lines: Vec<&str> = said.out.lines().collect();
    assert_eq!(
        lines[3..6],
        [
            "in all   $0.25 of $5 spent, 900 of 1000 tokens used; lost calls may have cost up to $0 and \
             30 tokens more, which count as used; calls under way hold $0 and 70 tokens",
            "today    $0.25 spent, 900 tokens used",
            "workflow release: $0.25 of $2.5 spent, 900 tokens used; lost calls may have cost up to $0 \
             and 40 tokens more, which count as used",
        ]
    );
}

#[tokio::test]
async fn a_wide_table_cuts_nothing() {
    let mut long = project();
    long["description"] = json!("d".repeat(60));
    let backend = answering(json!([long]));
    let cut = fusion_kit("project list", &backend).await.out;
    let wide = fusion_kit("project list -o wide", &backend).await.out;
    let whole = "d".repeat(60);
    assert_eq!([cut.contains(&whole), wide.contains(&whole)], [false, true]);
}

#[tokio::test]
async fn a_token_is_printed_alone_and_a_list_of_tokens_holds_none() {
    let backend = answering(token());
    let said = fusion_kit("token create ci --scope operate", &backend).await;
    assert_eq!(said.out, "fk_canary\n");
    let backend = answering(json!([token()]));
    for form in ["table", "json", "yaml"] {
        let said = fusion_kit(&format!("token list -o {form}"), &backend).await;
        assert!(said.out.contains("ci") && !said.out.contains("canary"));
    }
}

#[tokio::test]
async fn events_are_told_in_lines_for_people_and_for_programs() {
    let backend = answering(json!([event(1), event(2)]));
    let said = fusion_kit("events tail", &backend).await;
    assert_eq!(said.out.lines().count(), 2);
    assert!(
        said.out.contains("task.completed  done, at last"),
        "{}",
        said.out
    );
    let line = "export events --type task.* --severity warning+ --after 7";
    let said = fusion_kit(line, &backend).await;
    let lines: Vec<Value> = said
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines, [event(1), event(2)]);
    let asked = backend.asked.lock().unwrap().pop().unwrap();
    let wanted = "EventQuery { types: [\"task.*\"], severities: [\"warning+\"], agent: None, \
                  run: None, since: None, until: None, text: None, after: Some(7) } 0 false";
    assert_eq!(asked, wanted);
    let csv = fusion_kit("export events --format csv", &backend).await.out;
    let rows: Vec<&str> = csv.split("\r\n").collect();
    assert_eq!(
        rows[..2],
        [
            "seq,timestamp,event_type,severity,source_agent_id,source_component,run_id,message,data",
            "1,2026-11-23T12:00:00.000000Z,task.completed,info,,engine,\
             019ab3c4-0000-7000-8000-000000000001,\"done, at last\",\"{\"\"n\"\":1}\"",
        ]
    );
}

#[tokio::test]
async fn a_page_of_events_tells_where_the_next_one_begins() {
    let page = json!({ "events": [event(2), event(1)], "next_cursor": "b7.1" });
    let backend = answering(page.clone());
    let said = fusion_kit(
        "events list --type task.* --limit 2 --cursor b9.3",
        &backend,
    )
    .await;
    let lines: Vec<&str> = said.out.lines().collect();
    assert_eq!(
        lines,
        [
            "SEQ  WHEN                 SEVERITY  TYPE            MESSAGE",
            "  2  2026-11-23 13:00:00  info      task.completed  done, at last",
            "  1  2026-11-23 13:00:00  info      task.completed  done, at last",
        ]
    );
    assert_eq!(said.err, "there is more: --cursor b7.1\n");
    let asked = backend.asked.lock().unwrap().pop().unwrap();
    let wanted = "list EventQuery { types: [\"task.*\"], severities: [], agent: None, run: None, \
                  since: None, until: None, text: None, after: None } 2 Some(\"b9.3\")";
    assert_eq!(asked, wanted);
    let whole = fusion_kit("events list --json", &backend).await;
    assert_eq!(serde_json::from_str::<Value>(&whole.out).unwrap(), page);
    assert_eq!(whole.err, "");
    let names = fusion_kit("events list -o name", &backend).await;
    assert_eq!(names.out.lines().count(), 2);
    let both = fusion_kit("events list --after 1 --cursor b9.3", &backend).await;
    assert_eq!((both.code, both.out.as_str()), (2, ""));
}

#[tokio::test]
async fn one_event_is_told_whole() {
    let said = fusion_kit("events get 1", &answering(event(1))).await;
    for line in [
        "seq      1\n",
        "message  done, at last\n",
        "data     {\"n\":1}\n",
    ] {
        assert!(said.out.contains(line), "{}", said.out);
    }
    let json = fusion_kit("events get 1 --json", &answering(event(1))).await;
    assert_eq!(serde_json::from_str::<Value>(&json.out).unwrap(), event(1));
}

#[tokio::test]
async fn settings_are_told_with_where_they_come_from() {
    let settings = json!([
        { "name": "API_PORT", "value": "8080", "origin": "file" },
        { "name": "FUSION_TOKEN", "value": "(set)", "origin": "environment" },
        { "name": "REDIS_URL", "value": null, "origin": "default" },
    ]);
    let backend = answering(settings);
    let said = fusion_kit("config show --origin", &backend).await;
    assert_eq!(
        said.out,
        "SETTING       VALUE  FROM\nAPI_PORT      8080   file\nFUSION_TOKEN  (set)  environment\n"
    );
    let all = fusion_kit("config show --all --json", &backend).await;
    let all: Value = serde_json::from_str(&all.out).unwrap();
    assert_eq!(all["settings"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn only_what_looks_can_be_watched_and_a_failing_look_ends_it() {
    let backend = answering(json!([]));
    let refused = fusion_kit("token revoke ci --watch", &backend).await;
    assert_eq!(refused.code, 2, "{}", refused.err);
    assert!(backend.asked.lock().unwrap().is_empty());
    let failing = Fake::refusing(crate::support::problem("it is away"));
    let ended = fusion_kit("agent list --watch", &failing).await;
    assert_eq!(
        (ended.code, ended.err.as_str()),
        (10, "error: it is away\n")
    );
}

/// Whether a shell reads a script; `None` where there is no such shell.
#[expect(
    clippy::disallowed_methods,
    reason = "the shells themselves say whether a script is one of theirs"
)]
fn parses(shell: &str, script: &str) -> Option<bool> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), script).unwrap();
    let status = Command::new(shell)
        .arg("-n")
        .arg(file.path())
        .stdin(Stdio::null())
        .status()
        .ok()?;
    Some(status.success())
}

#[tokio::test]
async fn completions_are_scripts_of_their_shells() {
    for shell in ["bash", "zsh", "fish"] {
        let said = fusion_kit(&format!("completions {shell}"), &Fake::default()).await;
        assert_eq!(said.code, 0);
        assert!(said.out.contains("terminate"), "{shell}");
        match parses(shell, &said.out) {
            Some(parses) => assert!(parses, "{shell}"),
            None => eprintln!("left out: there is no {shell}"),
        }
    }
}

#[tokio::test]
async fn the_manual_has_a_page_for_each_command() {
    let dir = tempfile::tempdir().unwrap();
    let line = format!("man {}", dir.path().display());
    assert_eq!(fusion_kit(&line, &Fake::default()).await.code, 0);
    let has = |page: &str| dir.path().join(page).exists();
    assert!(has("fusion-kit.1"));
    for command in fusion_cli::command_lines() {
        let page = format!("fusion-kit-{}.1", command.replace(' ', "-"));
        assert!(has(&page), "{page}");
    }
}

#[tokio::test]
async fn a_replay_tells_what_was_sent_and_where_to_go_on() {
    let done = json!({
        "to": "https://hooks.example/x", "dry_run": false, "events": 2, "first_seq": 8,
        "last_seq": 11, "next_after": 11, "interrupted": false, "stopped": null,
    });
    let backend = answering(done.clone());
    let line = "events replay --to https://hooks.example/x --type task.* --since 1h --until \
                2026-11-23T12:00:00Z --after 7 --batch 50 --token-env HOOK --dry-run";
    let said = fusion_kit(line, &backend).await;
    let sent = "sent 2 events to https://hooks.example/x: 8 to 11\n";
    assert_eq!(
        (said.code, said.out.as_str(), said.err.as_str()),
        (0, sent, "")
    );
    let asked = backend.asked.lock().unwrap().pop().unwrap();
    let wanted = "replay EventQuery { types: [\"task.*\"], severities: [], agent: None, run: None, \
                  since: Some(Ago(3600s)), until: Some(At(2026-11-23T12:00:00Z)), text: None, after: \
                  Some(7) } Replay { to: \"https://hooks.example/x\", batch: 50, token_env: \
                  Some(\"HOOK\"), allows_plain_http: false, dry_run: true }";
    assert_eq!(asked, wanted);
    let go_on = "with the same filters, and with times in place of ages, go on with: fusion-kit events replay --to \
                 https://hooks.example/x --after 11\n";
    let line = "events replay --to https://hooks.example/x";
    for (kind, code) in [
        ("denied", 4),
        ("conflict", 5),
        ("limited", 9),
        ("unavailable", 10),
    ] {
        let mut stopped = done.clone();
        stopped["stopped"] = json!({
            "kind": kind, "message": "it said no", "help": null, "faults": [], "file": null,
        });
        let said = fusion_kit(line, &answering(stopped)).await;
        let err = format!("error: it said no\nhelp: {go_on}");
        assert_eq!(
            (said.code, said.out.as_str(), said.err),
            (code, sent, err),
            "{kind}"
        );
    }
    let mut stopped = done;
    stopped["interrupted"] = json!(true);
    let said = fusion_kit(line, &answering(stopped)).await;
    assert_eq!(
        (said.code, said.out.as_str(), said.err.as_str()),
        (130, sent, go_on)
    );
}
