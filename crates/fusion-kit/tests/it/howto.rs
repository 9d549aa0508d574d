//! The page about adding a provider, followed to the letter.

use std::fs;

use crate::model_server::{text, turns_asked};
use crate::providers::{answering, project};
use crate::support::examples;

/// Where the server of the page is said to be.
const SAID: &str = "http://127.0.0.1:8080/v1";

/// The blocks of one language in a text.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let begin = format!("```{language}\n");
    let after = page.split(begin.as_str()).skip(1);
    after
        .filter_map(|rest| rest.split("\n```").next())
        .collect()
}

#[tokio::test]
async fn the_commands_of_the_page_add_use_and_remove_a_server() {
    let page = examples().join("../docs/howto/add-a-provider.md");
    let page = fs::read_to_string(page).unwrap();
    let (server, url) = answering([text("Bees dance.")]).await;
    let project = project();
    let [workflow] = blocks(&page, "yaml")[..] else {
        panic!("the page has one workflow file");
    };
    project.write("workshop.yaml", workflow);
    let mut said = Vec::new();
    for block in blocks(&page, "sh") {
        for line in block.lines() {
            let line = line.replace(SAID, &url);
            let words = line.strip_prefix("fusion-kit ").unwrap().split(' ');
            said.push(project.run(words).await.expect(0).stdout);
        }
    }
    assert_eq!(said.len(), 7);
    assert!(said[0].starts_with("✓ added workshop"), "{said:?}");
    assert!(said[3].contains("text: Bees dance."), "{said:?}");
    assert_eq!(turns_asked(&server).await.len(), 2, "the test and the run");
    project
        .run(["provider", "show", "workshop"])
        .await
        .expect(3);
}
