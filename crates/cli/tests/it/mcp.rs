//! What `mcp` offers to programs.

use serde_json::Value;

use crate::support::{Fake, fusion_kit};

#[tokio::test]
async fn the_tools_are_listed_with_what_each_does_and_takes() {
    let backend = Fake::default();
    let said = fusion_kit("mcp tools --only task", &backend).await;
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    let first: Vec<&str> = said
        .out
        .lines()
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    assert_eq!(first, ["TOOL", "EFFECT", "WHAT", "IT", "DOES"]);
    assert!(said.out.contains("task_create  changes"), "{}", said.out);
    assert!(said.out.contains("task_cancel  ends"), "{}", said.out);
    assert!(said.out.contains("task_get     looks"), "{}", said.out);
    let said = fusion_kit("mcp tools --only task --json", &backend).await;
    let list: Value = serde_json::from_str(&said.out).unwrap();
    let mut create = list["tools"].as_array().unwrap().iter();
    let create = create.find(|tool| tool["name"] == "task_create").unwrap();
    assert_eq!(create["input_schema"]["required"], serde_json::json!([]));
    assert_eq!(*backend.asked.lock().unwrap(), [] as [&str; 0]);
}

#[tokio::test]
async fn commands_are_served_at_the_place_of_this_one() {
    let backend = Fake::default();
    let line = "mcp serve --scope read --only inbox --data-dir /d --profile p";
    let said = fusion_kit(line, &backend).await;
    assert_eq!(
        (said.code, said.out.as_str(), said.err.as_str()),
        (0, "", "")
    );
    assert_eq!(
        *backend.asked.lock().unwrap(),
        [r#"serve inbox at ["--profile=p", "--data-dir=/d"]"#]
    );
    let refused = fusion_kit("mcp serve --only approve", &backend).await;
    assert_eq!(refused.code, 2);
    assert!(
        refused.err.contains("'approve' needs --scope admin"),
        "{}",
        refused.err
    );
}
