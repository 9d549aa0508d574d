//! Every operation of the description, with whatever its schemas allow and do not allow, in sequences
//! that follow one another (<https://schemathesis.readthedocs.io/>): nothing breaks the server, and no
//! answer breaks the description.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;

use super::client::Serving;
use crate::support::{Finished, Project, program};

/// Where `cargo xtask test` has put the fuzzer.
const VARIABLE: &str = "FUSION_TEST_SCHEMATHESIS";

/// What must hold of every answer.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance,unsupported_method,\
                      use_after_free";

/// How long it may take before it counts as stuck, beyond what it was given.
const BEYOND: Duration = Duration::from_secs(240);

/// The fuzzer; `None` where there is none, which is told.
fn fuzzer() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "set by `cargo xtask test`")]
    let (found, is_ci) = (std::env::var_os(VARIABLE), std::env::var_os("CI").is_some());
    match found {
        Some(path) => Some(PathBuf::from(path)),
        None => {
            assert!(!is_ci, "{VARIABLE} is not set: CI must fuzz the API");
            eprintln!(
                "left out: {VARIABLE} is not set (`cargo xtask test` does, where Python is there)"
            );
            None
        }
    }
}

/// Seconds that the fuzzer is given.
fn seconds() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "a developer's own choice")]
    let is_full = std::env::var("FUSION_STORM").is_ok_and(|storm| storm == "full");
    if is_full { 1_800 } else { 75 }
}

/// Works for so long on a server, with these operations or without.
async fn fuzz(fuzzer: &Path, project: &Project, serving: &Serving, arguments: &[&str]) -> Finished {
    let description = serving.get("/api/v1/openapi.json").await.expect(200).body;
    project.write("openapi.json", description);
    let url = format!("http://{}", serving.address);
    let token = format!("Authorization: Bearer {}", serving.token);
    let mut command = program(fuzzer);
    command
        .current_dir(project.path())
        .env("HOME", project.path())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .args(["run", "openapi.json", "--url", &url, "-H", &token])
        .args(["--checks", CHECKS, "--continue-on-failure"])
        .args(["--request-timeout", "30", "--warnings", "off"])
        .args(arguments);
    let seconds = Duration::from_secs(seconds());
    let done = timeout(seconds + BEYOND, command.output()).await;
    Finished::from(done.expect("the fuzzer ends in time").unwrap())
}

#[tokio::test]
async fn no_request_breaks_the_server_or_the_description() {
    let Some(fuzzer) = fuzzer() else {
        return;
    };
    let project = Project::new();
    let serving = Serving::on(&project).await;
    // Something to find: most operations are about what is there.
    serving
        .post("/api/v1/projects", &json!({ "name": "found" }))
        .await
        .expect(201);
    let time = seconds().to_string();
    // A stream never ends, and an upgrade is no answer: both have tests of their own. One worker: the
    // parser of Python 3.11 fails now and then when two threads read (python/cpython#106905).
    let arguments = [
        "--max-time",
        time.as_str(),
        "--exclude-path-regex",
        "/(events/stream|ws/events)$",
        "--workers",
        "1",
    ];
    let done = fuzz(&fuzzer, &project, &serving, &arguments).await;
    assert_eq!(done.code, Some(0), "{}\n{}", done.stdout, done.stderr);
    serving.get("/api/v1/health").await.expect(200);
}
