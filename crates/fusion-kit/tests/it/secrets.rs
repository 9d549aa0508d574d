//! No secret shows: secrets are planted, everything is done with them near by, and then they are
//! looked for in all that was said and all that was written.

use std::collections::BTreeMap;

use data_encoding::{BASE64_NOPAD, HEXLOWER, HEXUPPER};
use fusion_core::{Change, Decision};
use fusion_persistence::Batch;
use fusion_persistence_sql::{Durability, Location, SqlStore};
use fusion_testkit::{Postgres, postgres_binaries};
use serde_json::json;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::own_store::file;
use crate::rekey::{NEW, OLD, provider, store, vault};
use crate::support::{Finished, Project, contents};

const CREDENTIAL: &str = "sk-canary-4bQ9xZ1vT7";

/// The key of a provider that is added by a command.
const ADDED: &str = "sk-canary-pR8sLw3Jd0";

const WORKFLOW: &str = "
version: 1
name: flow
agents: { a: { provider: scripted, model: script.yaml, tools: [shell] } }
steps: [{ id: work, agent: a, prompt: x }]
";

const SCRIPT: &str = "
version: 1
steps:
  work:
    - tool_calls: [{ name: run_command, arguments: { command: 'env; cat /proc/$PPID/environ' } }]
    - text: done
";

/// A text and how it looks in other clothes.
#[derive(Debug)]
struct Canaries(Vec<(&'static str, Vec<Vec<u8>>)>);

impl Canaries {
    fn new() -> Self {
        Self(Vec::new())
    }

    fn plant(&mut self, name: &'static str, secret: &[u8]) {
        let mut forms = vec![
            secret.to_vec(),
            HEXLOWER.encode(secret).into_bytes(),
            HEXUPPER.encode(secret).into_bytes(),
            format!("{secret:?}").into_bytes(),
        ];
        // Base64 of a text that has it inside depends on how many bytes stand before it.
        for before in 0..3 {
            let padded = [&b"AA"[..before], secret].concat();
            let encoded = BASE64_NOPAD.encode(&padded).into_bytes();
            let inner = &encoded[(before * 8).div_ceil(6)..encoded.len() - 2];
            forms.push(inner.to_vec());
        }
        self.0.push((name, forms));
    }

    /// Fails when one of them is in there.
    #[track_caller]
    fn must_not_be_in(&self, place: &str, bytes: &[u8]) {
        for (name, forms) in &self.0 {
            for form in forms {
                let found = bytes.windows(form.len()).any(|window| window == form);
                assert!(!found, "the {name} shows in {place}");
            }
        }
    }

    #[track_caller]
    fn must_not_be_said(&self, what: &str, said: &Finished) {
        self.must_not_be_in(&format!("stdout of {what}"), said.stdout.as_bytes());
        self.must_not_be_in(&format!("stderr of {what}"), said.stderr.as_bytes());
    }
}

/// Runs a command in both forms with everything logged.
async fn listen(project: &Project, canaries: &Canaries, command: &[&str]) -> Vec<Finished> {
    let mut said = Vec::new();
    for json in [&[][..], &["--json"]] {
        let finished = project
            .fusion_kit(command.iter().chain(json))
            .env("FUSION_KIT_LOG", "trace")
            .finish()
            .await;
        canaries.must_not_be_said(&format!("{command:?} {json:?}"), &finished);
        said.push(finished);
    }
    said
}

async fn work_with(project: &Project, canaries: &Canaries) {
    for (command, code) in [
        (&["db", "status"][..], 0),
        (&["verify"], 0),
        (&["run", "flow.yaml"], 0),
        (&["run", "nothing.yaml"], 2),
        (&["run", "failing.yaml"], 6),
        (&["resume"], 3),
        (&["run", "list"], 0),
        (&["run", "show", "-v"], 0),
        (&["workflow", "validate", "flow.yaml"], 0),
        (&["db", "migrate"], 0),
        (&["db", "rekey"], 0),
    ] {
        for said in listen(project, canaries, command).await {
            assert_eq!(said.code, Some(code), "{command:?}: {said:?}");
        }
    }
    let backup = ["db", "backup", "b.db"];
    let written = listen(project, canaries, &backup).await;
    assert_eq!((written[0].code, written[1].code), (Some(0), Some(2)));
    listen(project, canaries, &["db", "restore", "b.db"]).await;
    for said in listen(project, canaries, &["db", "restore", "b.db", "--replace"]).await {
        assert_eq!(said.code, Some(0), "{said:?}");
    }
}

/// Adds a provider whose key is planted, and does everything with it. Its server scolds with the key.
async fn manage_a_provider(project: &Project, canaries: &Canaries) {
    let server = MockServer::start().await;
    let scolding = ResponseTemplate::new(401)
        .set_body_json(json!({ "error": { "message": format!("I dislike {ADDED}") } }));
    Mock::given(any())
        .respond_with(scolding)
        .mount(&server)
        .await;
    let url = format!("{}/v1", server.uri());
    let add = [
        "provider",
        "add",
        "planted",
        "--base-url",
        &url,
        "--key-env",
        "PLANTED",
    ];
    let added = listen(project, canaries, &add).await;
    assert_eq!((added[0].code, added[1].code), (Some(0), Some(5)));
    project.write("stored.yaml", WORKFLOW.replace("scripted", "planted"));
    for (command, code) in [
        (&["provider", "list"][..], 0),
        (&["provider", "show", "planted"], 0),
        (&["provider", "test", "planted"], 4),
        (&["provider", "models", "planted", "--refresh"], 4),
        (&["provider", "quota", "planted"], 0),
        (&["run", "stored.yaml"], 4),
        (&["verify", "--online"], 1),
        (&["provider", "disable", "planted"], 0),
        (&["provider", "enable", "planted"], 0),
        (&["db", "rekey"], 0),
        (&["provider", "add", "twice", ADDED], 2),
        (&["provider", "add", "twice", "--key-env", ADDED], 2),
    ] {
        for said in listen(project, canaries, command).await {
            assert_eq!(said.code, Some(code), "{command:?}: {said:?}");
        }
    }
    let sent = server.received_requests().await.unwrap();
    let sent = sent.last().unwrap().headers["authorization"].to_str();
    assert_eq!(sent.unwrap(), format!("Bearer {ADDED}"));
}

/// All rows of all tables are in the backup, which is a plain file.
fn search_files(project: &Project, canaries: &Canaries) {
    let files: BTreeMap<_, _> = contents(project.path());
    let backup = &files[&project.path().join("b.db")];
    let text = b"openai-compatible";
    let backup = backup.as_ref().unwrap();
    let readable = backup.windows(text.len()).any(|window| window == text);
    assert!(readable, "the backup is not searched as plain text");
    for (path, bytes) in files {
        let place = path.display().to_string();
        canaries.must_not_be_in("a file's name", place.as_bytes());
        canaries.must_not_be_in(&place, bytes.as_deref().unwrap_or_default());
    }
}

async fn search_debug(location: &Location, canaries: &Canaries) {
    let store = SqlStore::open_to_read(location).await.unwrap().unwrap();
    let row = provider(&vault(OLD), 7, CREDENTIAL);
    let change = Change::update(row.clone());
    let batch = Batch::free(Decision::default().with(change.clone()));
    let shown = format!(
        "{location:?} {store:?} {row:?} {change:?} {batch:?} {:?}",
        vault(OLD)
    );
    canaries.must_not_be_in("a Debug form", shown.as_bytes());
    let json = serde_json::to_string(&row).unwrap();
    canaries.must_not_be_in("the JSON form of a provider", json.as_bytes());
}

fn planted() -> (Project, Canaries) {
    let mut canaries = Canaries::new();
    canaries.plant("credential", CREDENTIAL.as_bytes());
    canaries.plant("added key", ADDED.as_bytes());
    for (name, key) in [("master key", NEW), ("old master key", OLD)] {
        canaries.plant(name, key.as_bytes());
        canaries.plant(name, &HEXLOWER.decode(key.as_bytes()).unwrap());
    }
    let mut project = Project::with(WORKFLOW, SCRIPT);
    let failing = WORKFLOW.replace("prompt: x", "prompt: x, verify: ['exit 1']");
    project.write("failing.yaml", failing);
    project.set("FUSION_MASTER_KEY", NEW);
    project.set("FUSION_MASTER_KEY_OLD", OLD);
    project.set("PLANTED", ADDED);
    (project, canaries)
}

#[tokio::test]
async fn no_secret_shows_with_a_file() {
    let (mut project, canaries) = planted();
    project.run(["db", "migrate"]).await.expect(0);
    let location = file(&project);
    store(&location, vec![provider(&vault(NEW), 1, CREDENTIAL)]).await;
    manage_a_provider(&project, &canaries).await;
    work_with(&project, &canaries).await;
    search_files(&project, &canaries);
    search_debug(&location, &canaries).await;

    project.set("FUSION_MASTER_KEY", format!("{NEW}0"));
    for command in [&["verify"][..], &["db", "rekey"]] {
        listen(&project, &canaries, command).await;
    }
    project.set("FUSION_MASTER_KEY", OLD);
    project.set("FUSION_MASTER_KEY_OLD", "");
    for (command, code) in [(&["verify"][..], 1), (&["db", "rekey"], 4)] {
        for said in listen(&project, &canaries, command).await {
            assert_eq!(said.code, Some(code), "{said:?}");
        }
    }
}

#[tokio::test]
async fn no_secret_shows_with_a_server() {
    let server = Postgres::start(&postgres_binaries().unwrap()).unwrap();
    let url = server.url();
    let (before, host) = url.rsplit_once('@').unwrap();
    let (user, password) = before.rsplit_once(':').unwrap();
    let (mut project, mut canaries) = planted();
    canaries.plant("database's password", password.as_bytes());
    canaries.plant("wrong password", b"wrong-canary-8Yk2");
    project.set("DATABASE_URL", url.clone());
    project.run(["db", "migrate"]).await.expect(0);
    let location = Location::from_url(&url, Durability::Full).unwrap();
    store(&location, vec![provider(&vault(OLD), 1, CREDENTIAL)]).await;
    for said in listen(&project, &canaries, &["db", "rekey"]).await {
        assert_eq!(said.code, Some(0), "{said:?}");
    }
    manage_a_provider(&project, &canaries).await;
    work_with(&project, &canaries).await;
    search_files(&project, &canaries);
    search_debug(&location, &canaries).await;

    let refused = [
        format!("{user}:wrong-canary-8Yk2@{host}"),
        format!("{user}:{password}@127.0.0.1:1/postgres"),
        format!("mysql://me:{password}@{host}"),
    ];
    for (number, url) in refused.into_iter().enumerate() {
        project.set("DATABASE_URL", url);
        let command = [&["verify"][..], &["db", "status"], &["run", "flow.yaml"]][number];
        for said in listen(&project, &canaries, command).await {
            assert_ne!(said.code, Some(0), "{said:?}");
        }
    }
}

#[tokio::test]
async fn a_url_that_can_not_be_read_does_not_show_its_password() {
    let (mut project, mut canaries) = planted();
    canaries.plant("database's password", b"password-canary-3Hd6");
    for url in [
        "postgres://me:password-canary-3Hd6@127.0.0.1:port/fusion",
        "postgres://me:password-canary-3Hd6@127.0.0.1:1/fusion?sslmode=nonsense",
        "postgres://me:password-canary-3Hd6@[::1/fusion",
    ] {
        project.set("DATABASE_URL", url);
        for command in [&["db", "status"][..], &["verify"], &["run", "flow.yaml"]] {
            for said in listen(&project, &canaries, command).await {
                assert_ne!(said.code, Some(0), "{said:?}");
            }
        }
    }
}

#[test]
fn a_canary_is_found_in_every_form() {
    let mut canaries = Canaries::new();
    canaries.plant("credential", CREDENTIAL.as_bytes());
    for form in [
        format!("a {CREDENTIAL} b"),
        HEXLOWER.encode(format!("x{CREDENTIAL}").as_bytes()),
        HEXUPPER.encode(CREDENTIAL.as_bytes()),
        BASE64_NOPAD.encode(CREDENTIAL.as_bytes()),
        BASE64_NOPAD.encode(format!("x{CREDENTIAL}y").as_bytes()),
        BASE64_NOPAD.encode(format!("xy{CREDENTIAL}y").as_bytes()),
        format!("{:?}", CREDENTIAL.as_bytes()),
    ] {
        let hidden = std::panic::catch_unwind(|| canaries.must_not_be_in("here", form.as_bytes()));
        assert!(hidden.is_err(), "{form}");
    }
    canaries.must_not_be_in("here", b"sk-canary");
}
