//! What `budget`, `version`, `info` and `config get` ask for and print.

use serde_json::{Value, json};

use crate::support::{Ended, Fake, answering, fusion_kit};

fn project() -> Value {
    json!({
        "id": "019ab3c4-0000-7000-8000-000000000001", "name": "shop", "description": "",
        "message_queue_config": {}, "default_provider_id": null, "budget_usd": "100",
        "created_at": "2026-11-23T12:00:00Z", "updated_at": "2026-11-23T12:00:00Z", "metadata": {},
    })
}

#[tokio::test]
async fn a_budget_is_the_change_of_a_project() {
    let update = |budgets: &str| {
        format!(
            "ProjectUpdate {{ project: \"shop\", description: None, budgets: ProjectBudgets {{ {budgets} }} }}"
        )
    };
    for (line, budgets) in [
        (
            "budget set shop 100",
            "usd: Some(\"100\"), tokens: None, usd_per_day: None, tokens_per_day: None",
        ),
        (
            "budget set shop 20 --tokens 7 --per day",
            "usd: None, tokens: None, usd_per_day: Some(\"20\"), tokens_per_day: Some(\"7\")",
        ),
        (
            "budget set shop --tokens 7",
            "usd: None, tokens: Some(\"7\"), usd_per_day: None, tokens_per_day: None",
        ),
        (
            "budget clear shop --per day",
            "usd: None, tokens: None, usd_per_day: Some(\"none\"), tokens_per_day: Some(\"none\")",
        ),
        (
            "budget clear shop",
            "usd: Some(\"none\"), tokens: Some(\"none\"), usd_per_day: Some(\"none\"), \
             tokens_per_day: Some(\"none\")",
        ),
    ] {
        let backend = answering(project());
        let said = fusion_kit(line, &backend).await;
        assert_eq!(said.code, 0, "{line}: {}", said.err);
        assert_eq!(*backend.asked.lock().unwrap(), [update(budgets)], "{line}");
    }
    let nothing = fusion_kit("budget set shop", &Fake::default()).await;
    assert_eq!((nothing.code, nothing.out.as_str()), (2, ""));
}

#[tokio::test]
async fn where_there_is_no_project_there_is_no_budget() {
    let none = fusion_kit("budget list --data-dir d", &answering(json!([]))).await;
    let wanted = Ended {
        code: 0,
        out: String::new(),
        err: "no budgets yet; set one with: fusion-kit budget set PROJECT USD --data-dir d\n"
            .to_owned(),
    };
    assert_eq!(none, wanted);
    let json = fusion_kit("budget list --json", &answering(json!([]))).await;
    assert_eq!(json.out, "{\"budgets\":[]}\n");
}

#[tokio::test]
async fn versions_are_told_with_those_of_the_server_that_is_asked() {
    let alone = answering(json!({ "version": "1.2.3", "server": null }));
    assert_eq!(
        fusion_kit("version", &alone).await.out,
        "fusion-kit 1.2.3\n"
    );
    let server = json!({ "url": "http://127.0.0.1:8000", "version": "1.2.4" });
    let asked = answering(json!({ "version": "1.2.3", "server": server }));
    assert_eq!(
        fusion_kit("version", &asked).await.out,
        "fusion-kit 1.2.3\nserver 1.2.4 at http://127.0.0.1:8000\n"
    );
}

#[tokio::test]
async fn the_place_of_everything_is_told_in_a_line_each() {
    let here = json!({
        "data_dir": "/data", "workspaces": "/data/workspaces", "database": "/data/fusion.db",
        "database_kind": "SQLite", "database_version": "3.51.3", "bus": "in process",
        "schema": { "applied": ["a", "b"], "missing": [], "newer": [] },
    });
    let server = json!({
        "url": "http://127.0.0.1:8000", "version": "1.2.3", "status": "healthy",
        "database": "connected", "bus": "connected",
    });
    let all = json!({ "version": "1.2.3", "here": here, "server": server, "nodes": [] });
    assert_eq!(
        fusion_kit("info", &answering(all)).await.out,
        "version    1.2.3\n\
         data       /data\n\
         workspaces /data/workspaces\n\
         database   /data/fusion.db (SQLite 3.51.3)\n\
         schema     up to date (2 steps)\n\
         bus        in process\n\
         server     http://127.0.0.1:8000 at version 1.2.3: healthy, the database is connected, the bus \
         connected\n"
    );
    let bare = json!({ "version": "1.2.3", "here": null, "server": null, "nodes": [] });
    assert_eq!(
        fusion_kit("info", &answering(bare)).await.out,
        "version    1.2.3\nserver     none\n"
    );
}

#[tokio::test]
async fn one_setting_is_printed_and_one_that_is_not_set_is_not_found() {
    let settings = || {
        answering(json!([
            { "name": "API_PORT", "value": "8000", "origin": "file" },
            { "name": "API_HOST", "value": null, "origin": "none" },
        ]))
    };
    let port = fusion_kit("config get API_PORT", &settings()).await;
    assert_eq!((port.code, port.out.as_str()), (0, "8000\n"));
    for (name, told) in [
        ("API_HOST", "API_HOST is not set"),
        ("API_PROT", "there is no setting 'API_PROT'"),
    ] {
        let said = fusion_kit(&format!("config get {name}"), &settings()).await;
        assert_eq!((said.code, said.out.as_str()), (3, ""), "{name}");
        assert!(said.err.contains(told), "{}", said.err);
    }
    let list = fusion_kit("config list", &settings()).await;
    let show = fusion_kit("config show", &settings()).await;
    assert_eq!(list, show);
}

#[tokio::test]
async fn scripts_for_every_shell_are_printed() {
    for (shell, part) in [
        ("bash", "complete -F"),
        ("zsh", "#compdef fusion-kit"),
        ("fish", "complete -c fusion-kit"),
        ("powershell", "Register-ArgumentCompleter"),
        ("elvish", "edit:completion:arg-completer"),
    ] {
        let line = format!("completion {shell}");
        let said = fusion_kit(&line, &Fake::default()).await;
        assert!(said.out.contains(part), "{shell}");
    }
}

#[tokio::test]
async fn runs_are_executions_too() {
    let backend = Fake::default();
    assert_eq!(fusion_kit("execution list --json", &backend).await.code, 0);
    assert_eq!(*backend.asked.lock().unwrap(), ["list 20"]);
}
