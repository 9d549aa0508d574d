//! Every command of the tree without a server, beside one that owns the data directory, and with one
//! that is named: it works, or says exactly why not and what instead. What is run is the first example
//! of each command, so that a new command is walked too.

use std::collections::BTreeMap;

use super::client::Serving;
use crate::support::{Finished, Project};

/// Those that would not end soon: a task that is waited for has nobody here who could do it. And the one that
/// would end the server.
const LEFT_OUT: [&str; 5] = ["bench", "down", "serve", "task create", "tool call"];

/// What can't be done while a server owns the data directory, each told as that.
const OWNERS_ONLY: [&str; 4] = ["db migrate", "db rekey", "db restore", "db vacuum"];

/// What differs beside a server because it is about one.
const ABOUT_SERVERS: [&str; 2] = ["dashboard", "health"];

/// What each command came to.
async fn walked(project: &Project, server: Option<(&str, &str)>) -> BTreeMap<String, Finished> {
    let mut all = BTreeMap::new();
    for (words, example) in fusion_cli::examples() {
        if LEFT_OUT.contains(&words.as_str()) {
            continue;
        }
        let line = example.split_whitespace().skip(1);
        let mut command = project.fusion_kit(line);
        if let Some((url, token)) = server {
            command = command.env("FUSION_SERVER", url).env("FUSION_TOKEN", token);
        }
        let done = command.finish().await;
        let is_told = done.code == Some(0) || is_problem(&done) || words == "verify";
        assert!(
            is_told
                && done
                    .code
                    .is_some_and(|code| code <= 10 || (125..=127).contains(&code)),
            "{example}: {done:?}"
        );
        all.insert(words, done);
    }
    all
}

/// A problem, told to a person or, with `--json`, to a program.
fn is_problem(done: &Finished) -> bool {
    done.stderr.contains("error:") || done.stderr.contains("\"kind\":")
}

/// Whether a way out is told.
fn has_help(done: &Finished) -> bool {
    done.stderr.contains("help:") || done.stderr.contains("\"help\":\"")
}

/// A project with a master key of its own.
fn project() -> Project {
    let mut project = Project::of_examples();
    let key_file = project.path().join("master.key").display().to_string();
    project.set("FUSION_MASTER_KEY_FILE", key_file);
    project
}

#[tokio::test]
async fn every_command_works_beside_a_server_as_without_or_says_why_not() {
    let here = project();
    let without = walked(&here, None).await;
    assert!(without.len() > 40, "{:?}", without.keys());
    let owned = project();
    let serving = Serving::on(&owned).await;
    let beside = walked(&owned, None).await;
    for (words, done) in &beside {
        if OWNERS_ONLY.contains(&words.as_str()) {
            assert!(
                done.stderr.contains("another fusion-kit") && has_help(done),
                "{words}: {done:?}"
            );
        } else if !ABOUT_SERVERS.contains(&words.as_str()) {
            let without = &without[words];
            assert_eq!(done.code, without.code, "{words}: {done:?} {without:?}");
        }
    }
    let asking = project();
    let url = format!("http://{}", serving.address);
    for (words, done) in walked(&asking, Some((&url, &serving.token))).await {
        let is_refused = done.stderr.contains("can't go through a server");
        assert!(!is_refused || has_help(&done), "{words}: {done:?}");
    }
}
