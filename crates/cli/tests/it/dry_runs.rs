//! What `--dry-run` asks for and prints: nothing is done, and nobody is asked anything.

use serde_json::{Value, json};

use crate::support::{answering, fusion_kit};

const ID: &str = "019ab3c4-0000-7000-8000-000000000001";

fn tried(changes: &[[Value; 4]]) -> Value {
    let rows = changes.iter().map(|[kind, name, state, becomes]| {
        json!({ "kind": kind, "id": ID, "name": name, "state": state, "becomes": becomes })
    });
    json!({ "dry_run": true, "changes": rows.collect::<Vec<_>>() })
}

#[tokio::test]
async fn an_operation_is_tried_as_it_was_typed() {
    let lines = [
        (
            "agent pause w --at now",
            r#"PauseAgent { agent: "w", at: Now }"#,
        ),
        (
            "agent terminate a b --workspace archive",
            r#"TerminateAgents { agents: Named(["a", "b"]), workspace: Archive }"#,
        ),
        (
            "agent terminate --all",
            "TerminateAgents { agents: Standing([]), workspace: Keep }",
        ),
        (
            "agent terminate --all --state idle",
            r#"TerminateAgents { agents: Standing(["idle"]), workspace: Keep }"#,
        ),
        ("task cancel t", r#"CancelTask("t")"#),
        ("run pause r --now", r#"PauseRun { run: "r", now: true }"#),
        ("run cancel r", r#"CancelRun("r")"#),
        (
            "workflow delete w --version 2",
            r#"DeleteWorkflow { workflow: "w", version: Some(2) }"#,
        ),
        ("workflow cancel w", r#"CancelWorkflow("w")"#),
        ("schedule delete s", r#"DeleteSchedule("s")"#),
        ("webhook remove h", r#"RemoveWebhook("h")"#),
        ("project archive p", r#"ArchiveProject("p")"#),
        ("project delete p", r#"DeleteProject("p")"#),
        (
            "budget clear p --per day",
            r#"UpdateProject(ProjectUpdate { project: "p", description: None, budgets: ProjectBudgets { usd: None, tokens: None, usd_per_day: Some("none"), tokens_per_day: Some("none") } })"#,
        ),
        ("capability delete c", r#"DeleteCapability("c")"#),
        ("token revoke t", r#"RevokeToken("t")"#),
        (
            "provider remove p --force",
            r#"RemoveProvider { provider: "p", force: true }"#,
        ),
    ];
    for (line, wanted) in lines {
        let backend = answering(tried(&[]));
        let said = fusion_kit(&format!("{line} --dry-run"), &backend).await;
        let nothing = (0, String::new(), "nothing would change\n".to_owned());
        assert_eq!((said.code, said.out, said.err), nothing, "{line}");
        let asked = backend.asked.into_inner().unwrap();
        assert_eq!(asked, [format!("dry run {wanted}")], "{line}");
    }
}

#[tokio::test]
async fn what_would_change_is_a_table() {
    let answer = tried(&[
        [
            json!("agent"),
            json!("w\u{1b}[31m"),
            json!("idle"),
            json!("terminated"),
        ],
        [
            json!("capability"),
            json!("c"),
            Value::Null,
            json!("deleted"),
        ],
    ]);
    let said = fusion_kit("agent terminate w --dry-run", &answering(answer)).await;
    let table = format!(
        "\
KIND        ID                                    NAME    STATE  WOULD BE
agent       {ID}  w␛[31m  idle   terminated
capability  {ID}  c       -      deleted
"
    );
    assert_eq!((said.code, said.out, said.err), (0, table, String::new()));
}

#[tokio::test]
async fn what_would_stay_is_told_and_is_a_failure() {
    let mut answer = tried(&[]);
    answer["left"] = json!([{ "id": ID, "name": "w", "why": "it has ended" }]);
    let said = fusion_kit("agent terminate w --dry-run --quiet", &answering(answer)).await;
    let told = format!("nothing would change\nerror: w ({ID}) would stay: it has ended\n");
    assert_eq!((said.code, said.out, said.err), (1, String::new(), told));
}
