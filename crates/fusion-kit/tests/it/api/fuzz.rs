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

/// How often sequences are given twice the time before: their time counts from when the fuzzer begins to read
/// the description, and a machine under load may use it up before the first answer is gone on from.
const MORE_TIME: u32 = 3;

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

/// What is tried, and for how many seconds. Sequences have a time of their own: what each operation is
/// given by itself would use it up.
fn rounds() -> [(&'static str, u64); 2] {
    #[expect(clippy::disallowed_methods, reason = "a developer's own choice")]
    let is_full = std::env::var("FUSION_STORM").is_ok_and(|storm| storm == "full");
    let (single, sequences) = if is_full { (1_200, 600) } else { (50, 25) };
    [
        ("examples,coverage,fuzzing", single),
        ("stateful", sequences),
    ]
}

/// How many links from one answer to the next request were followed, as the fuzzer tells.
fn followed(done: &Finished) -> Option<u64> {
    let line = done
        .stdout
        .lines()
        .find(|line| line.contains("API Links:"))?;
    let (told, _) = line.split_once(" covered")?;
    told.split_whitespace().last()?.parse().ok()
}

/// Works for so long on a server, with these operations or without.
async fn fuzz(
    fuzzer: &Path,
    project: &Project,
    serving: &Serving,
    (phases, seconds): (&str, u64),
) -> Finished {
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
        .args(["--phases", phases, "--max-time", &seconds.to_string()])
        // A stream never ends, and an upgrade is no answer: both have tests of their own.
        .args(["--exclude-path-regex", "/(events/stream|ws/events)$"])
        // It would find its own token, take it away, and be let in nowhere from then on.
        .args(["--exclude-operation-id", "tokens_revoke"])
        // The parser of Python 3.11 fails now and then when two threads read (python/cpython#106905).
        .args(["--workers", "1"]);
    let seconds = Duration::from_secs(seconds);
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
    for (phases, mut seconds) in rounds() {
        for more in (0..=MORE_TIME).rev() {
            let done = fuzz(&fuzzer, &project, &serving, (phases, seconds)).await;
            assert_eq!(done.code, Some(0), "{}\n{}", done.stdout, done.stderr);
            // Else it was let in nowhere at the end, and nothing was tried.
            serving.get("/api/v1/projects").await.expect(200);
            if phases != "stateful" || followed(&done).is_some_and(|links| links > 0) {
                break;
            }
            assert!(more > 0, "no link was followed: {}", done.stdout);
            seconds *= 2;
        }
    }
    serving.get("/api/v1/health").await.expect(200);
}
