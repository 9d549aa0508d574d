//! What `config set`, `config unset` and `config edit` ask for and print.

use serde_json::{Value, json};

use crate::support::{answering, fusion_kit};

fn changed(was: &Value, value: &Value, more: (&Value, bool)) -> Value {
    let (overridden_by, dry_run) = more;
    json!({
        "name": "API_PORT", "file": "/p/.env", "origin": "file", "was": was, "value": value,
        "overridden_by": overridden_by, "dry_run": dry_run,
    })
}

#[tokio::test]
async fn a_setting_is_changed_as_it_was_typed() {
    let request = |name: &str, value: &str, file: &str, dry_run: bool| {
        format!(
            "SettingRequest {{ name: {name:?}, value: {value}, file: {file}, dry_run: {dry_run} }}"
        )
    };
    let port = |value: &str, dry_run| request("API_PORT", value, "Folder", dry_run);
    let lines = [
        ("set API_PORT 80", port("Some(\"80\")", false)),
        ("set API_PORT -1 --dry-run", port("Some(\"-1\")", true)),
        ("unset API_PORT", port("None", false)),
        (
            "set project p --user",
            request("project", "Some(\"p\")", "User", false),
        ),
        (
            "unset project --profile lab",
            request("project", "None", "Profile(\"lab\")", false),
        ),
    ];
    for (line, wanted) in lines {
        let answer = changed(&Value::Null, &Value::Null, (&Value::Null, false));
        let backend = answering(answer.clone());
        let said = fusion_kit(&format!("config {line} --json"), &backend).await;
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{line}");
        assert_eq!(serde_json::from_str::<Value>(&said.out).unwrap(), answer);
        let asked = backend.asked.into_inner().unwrap();
        assert_eq!(asked, [wanted], "{line}");
    }
    let both = fusion_kit(
        "config set project p --user --profile lab",
        &answering(json!({})),
    )
    .await;
    assert_eq!((both.code, both.out.as_str()), (2, ""));
}

#[tokio::test]
async fn what_was_changed_is_told_and_what_stands_before_it() {
    let (none, port) = (Value::Null, json!("80"));
    let of = |was: &Value, value: &Value, dry_run| changed(was, value, (&Value::Null, dry_run));
    let told = [
        (of(&none, &port, false), "API_PORT is now 80 in /p/.env\n"),
        (
            of(&json!("8"), &port, true),
            "API_PORT would be 80 in /p/.env, it was 8\n",
        ),
        (
            of(&port, &port, false),
            "API_PORT is 80 already in /p/.env\n",
        ),
        (
            of(&port, &none, false),
            "API_PORT is now not set in /p/.env, it was 80\n",
        ),
        (of(&none, &none, false), "API_PORT is not set in /p/.env\n"),
    ];
    for (answer, line) in told {
        let said = fusion_kit("config set API_PORT 80", &answering(answer)).await;
        assert_eq!(
            (said.code, said.out.as_str(), said.err.as_str()),
            (0, line, "")
        );
    }
    let hidden = changed(&none, &port, (&json!("environment"), false));
    let said = fusion_kit("config set API_PORT 80", &answering(hidden)).await;
    assert_eq!(
        said.err,
        "it does not count: API_PORT is set by environment\n"
    );
}

#[tokio::test]
async fn settings_are_edited_on_a_terminal_only() {
    let backend = answering(json!({}));
    let said = fusion_kit("config edit", &backend).await;
    let told = "error: an editor needs a terminal\nhelp: the file is /p/.env\n";
    assert_eq!(
        (said.code, said.out.as_str(), said.err.as_str()),
        (5, "", told)
    );
    assert!(backend.asked.into_inner().unwrap().is_empty());
}
