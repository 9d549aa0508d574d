//! A server that is started in the background and ended, and a browser that is signed in.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::api::client::{Request, Serving};
use crate::support::{Project, gated_script, said, wait_for};

/// A server in the background; it ends with the test that started it.
struct Background(Value);

impl Background {
    async fn on(project: &Project) -> Self {
        Self::with(project, "--port 0").await
    }

    async fn with(project: &Project, options: &str) -> Self {
        let line = format!("serve --detach --json {options}");
        Self(said(project, &line).await.expect(0).json())
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.0["pid"].as_i64().unwrap()).unwrap()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // One that was ended is gone already.
        kill_process(Pid::from_raw(self.pid()).unwrap(), Signal::KILL).ok();
    }
}

/// The session of a process.
fn session_of(pid: i32) -> i32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    fields.split(' ').nth(3).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_server_in_the_background_is_ready_when_it_is_told_and_goes_on_until_down() {
    let project = Project::new();
    let server = Background::on(&project).await;
    let log = project.data_dir().join("server.log");
    assert_eq!(server.0["log_file"], log.to_str().unwrap());
    let mode = fs::metadata(&log).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(session_of(server.pid()), server.pid());
    assert!(project.data_dir().join(".gitignore").exists());
    let health = said(&project, "health --json").await.expect(0).json();
    assert_eq!(health["status"], "healthy");

    let refused = said(&project, "up --detach --port 0").await.expect(5);
    let (pid, url) = (server.pid(), server.0["url"].as_str().unwrap());
    refused.says(&[
        &format!("a server (pid {pid}) serves {url} on the data directory"),
        "help: to end it: fusion-kit down\n",
    ]);
    let refused = said(&project, "serve --port 0").await.expect(5);
    refused.says(&[&format!("(pid {pid}), which serves {url}, works in")]);

    let ended = said(&project, "down --json").await.expect(0).json();
    assert_eq!(
        json!([ended["pid"], ended["url"]]),
        json!([pid, server.0["url"]])
    );
    said(&project, "health").await.expect(3);
    said(&project, "down").await.expect(3);
    assert!(!project.data_dir().join("server.json").exists());

    // Its data are taken up by the next one.
    let next = Background::on(&project).await;
    assert_ne!(next.pid(), pid);
    said(&project, "down").await.expect(0);
}

#[tokio::test]
async fn a_server_that_does_not_get_ready_says_why_and_leaves_nothing() {
    let project = Project::new();
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port();
    let before = project.contents();
    let refused = said(&project, &format!("serve --detach --port {port}")).await;
    refused.expect(10).says(&[
        &format!("error: can't listen at 127.0.0.1:{port}"),
        "choose another with --port",
    ]);
    assert_eq!(project.contents(), before);
    let refused = said(&project, "serve --detach --host 0.0.0.0").await;
    refused.expect(2).says(&["--allow-plain-http"]);
    said(&project, "down --server http://127.0.0.1:1")
        .await
        .expect(2);
    assert_eq!(project.contents(), before);
}

#[tokio::test]
async fn a_server_that_cannot_be_seen_is_not_ended() {
    let project = Project::new();
    let server = Background::on(&project).await;
    // Another process has the number that is told, as in another container: the lock is not its.
    let other = std::process::id();
    let announcement = project.data_dir().join("server.json");
    let mut told: Value = serde_json::from_slice(&fs::read(&announcement).unwrap()).unwrap();
    told["pid"] = other.into();
    fs::write(&announcement, told.to_string()).unwrap();
    fs::write(project.data_dir().join("lock"), other.to_string()).unwrap();
    let refused = said(&project, "down").await.expect(4);
    refused.says(&["is no process that can be seen from here"]);
    drop(server);
}

const TWO_STEPS: &str = "
version: 1
name: two
agents:
  worker: { provider: scripted, model: script.yaml, tools: [shell] }
steps:
  - { id: first, agent: worker, prompt: one }
  - { id: second, agent: worker, needs: [first], prompt: two }
";

/// A server in the background whose agent is at a command that lasts until the gate is open.
async fn at_work() -> (Project, Background) {
    let mut project = Project::with(TWO_STEPS, &gated_script());
    project.set("FUSION_DRAIN_SECONDS", "600");
    let server = Background::on(&project).await;
    said(&project, "run flow.yaml --detach").await.expect(0);
    let is_at_work = |run: &Value| run["steps"][1]["activity"] == "run_command";
    project.until("a command under way", is_at_work).await;
    (project, server)
}

#[tokio::test]
async fn to_ask_for_the_end_again_or_at_the_same_moment_cuts_nothing_off() {
    let (project, server) = at_work().await;
    let down = || said(&project, "down --timeout 1s");
    let (one, other) = tokio::join!(down(), down());
    for asked in [one, other, down().await] {
        asked.expect(8).says(&[
            "has not ended yet",
            "help: to cut off what is under way: fusion-kit down --now",
        ]);
    }
    // One that is cut off leaves it behind.
    let announcement = project.data_dir().join("server.json");
    assert!(announcement.exists());
    project.open_the_gate();
    wait_for("a clean end", || (!announcement.exists()).then_some(())).await;
    drop(server);
}

#[tokio::test]
async fn a_server_is_ended_at_once_where_that_is_asked_for() {
    let (project, server) = at_work().await;
    said(&project, "down --timeout 1s").await.expect(8);
    said(&project, "down --now").await.expect(0);
    said(&project, "health").await.expect(3);
    // Also without having been asked before.
    let next = Background::on(&project).await;
    assert_ne!(next.pid(), server.pid());
    said(&project, "down --now").await.expect(0);
    said(&project, "down --now").await.expect(3);
}

#[tokio::test]
async fn a_server_that_answers_no_requests_is_found_and_ended() {
    let project = Project::new();
    let server = Background::with(&project, "--roles worker --port 0").await;
    let pid = server.pid();
    assert_eq!(server.0["url"], "");
    said(&project, "health").await.expect(3);
    let refused = said(&project, "serve --detach --port 0").await.expect(5);
    refused.says(&[&format!(
        "a server (pid {pid}) drives runs on the data directory"
    )]);
    let ended = said(&project, "down").await.expect(0);
    assert_eq!(ended.stdout, format!("the server (pid {pid}) has ended\n"));
    assert!(!project.data_dir().join("server.json").exists());
}

#[tokio::test]
async fn a_refused_start_leaves_the_log_of_the_server_that_works_there() {
    let mut project = Project::new();
    project.set("DATABASE_URL", "sqlite:elsewhere.db");
    let server = Background::on(&project).await;
    let log = project.data_dir().join("server.log");
    assert_eq!(server.0["log_file"], log.to_str().unwrap());
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port();
    // As while a server starts: its lock alone tells of it.
    fs::remove_file(project.data_dir().join("server.json")).unwrap();
    for (port, code) in [(0, 5), (port, 10)] {
        let line = format!("serve --detach --port {port}");
        said(&project, &line).await.expect(code);
        assert!(log.exists(), "{code}");
    }
}

#[tokio::test]
async fn a_server_in_the_background_logs_as_much_as_it_was_told_to() {
    let project = Project::new();
    let _server = Background::with(&project, "--port 0 -vvv").await;
    let log = project.data_dir().join("server.log");
    let length = || fs::metadata(&log).ok().map(|found| found.len());
    wait_for("the log", || length().filter(|bytes| *bytes > 0)).await;
}

#[tokio::test]
async fn a_data_directory_in_the_background_keeps_a_name_that_is_no_text() {
    let mut project = Project::new();
    project.set("DATABASE_URL", "sqlite:elsewhere.db");
    let mut folder = OsString::from("--data-dir=");
    folder.push(OsStr::from_bytes(b"data-\xff"));
    let words = ["serve", "--detach", "--json", "--port", "0"].map(OsString::from);
    let started = project.run(words.iter().chain([&folder])).await;
    let server = started.code == Some(0);
    let server = server.then(|| Background(started.json()));
    let entries = fs::read_dir(project.path()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_vec());
    let other = "data-\u{fffd}".as_bytes();
    assert!(!names.into_iter().any(|name| name == other));
    drop(server);
}

/// A command that takes down what it was given, and how it was.
fn browser(project: &Project) -> String {
    let script = project.path().join("browser");
    let text = "#!/bin/sh\nenv > seen-environment\ncp -p \"$1\" seen.new\nmv seen.new seen\n";
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    script.display().to_string()
}

async fn seen(project: &Project) -> String {
    let file = project.path().join("seen");
    let text = wait_for("the browser", || fs::read_to_string(&file).ok()).await;
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    text
}

/// Signs in as a browser does that follows the page.
async fn follow(page: &str) {
    let (before, rest) = page.split_once("/sign-in#code=").unwrap();
    let (_, address) = before.rsplit_once("http://").unwrap();
    let code = rest.split('"').next().unwrap();
    let body = json!({ "code": code });
    let sign_in = Request::new(address.parse().unwrap(), "POST", "/api/v1/sessions").json(&body);
    sign_in.send().await.expect(201);
}

#[tokio::test]
async fn a_browser_is_signed_in_by_a_file_that_only_the_user_can_read() {
    let mut project = Project::new();
    project.set("BROWSER", browser(&project));
    project.set("OPENROUTER_API_KEY", "canary");
    let serving = Serving::with(&project, &["--open"]).await;
    follow(&seen(&project).await).await;
    let environment = fs::read_to_string(project.path().join("seen-environment")).unwrap();
    assert!(environment.contains("PATH=") && !environment.contains("canary"));
    let page = project.data_dir().join("sign-in.html");
    assert!(page.exists());
    let ended = serving.stop(Signal::TERM).await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    assert!(!page.exists());

    fs::remove_file(project.path().join("seen")).unwrap();
    let line = "serve --detach --open --port 0 --json";
    let server = Background(said(&project, line).await.expect(0).json());
    follow(&seen(&project).await).await;
    said(&project, "down").await.expect(0);
    drop(server);
}

#[tokio::test]
async fn a_server_goes_on_where_no_browser_can_be_opened() {
    let project = Project::new();
    let told = project.path().join("told");
    let serve = |name: &str, value: &str, log: &Path| {
        let serve = project.fusion_kit(["serve", "--json", "--port", "0", "--open"]);
        serve.env(name, value).log_to(File::create(log).unwrap())
    };
    for (name, value, why) in [
        ("PATH", "/nowhere", "there is neither xdg-open nor open"),
        ("BROWSER", "exit 3 #", "'exit 3 #' ended with exit code 3"),
    ] {
        let serving = Serving::of(serve(name, value, &told)).await;
        let warning = wait_for("the warning", || {
            let text = fs::read_to_string(&told).unwrap();
            text.contains("help: ").then_some(text)
        })
        .await;
        assert!(
            warning.starts_with(&format!("warning: no browser was opened: {why}"))
                && warning.contains("fusion-kit dashboard prints a link"),
            "{warning}"
        );
        serving.get("/api/v1/runs").await.expect(200);
        assert_eq!(serving.stop(Signal::TERM).await.code, Some(0));
    }
    let refused = said(&project, "serve --open --roles worker").await;
    refused.expect(2).says(&["answers no requests"]);
}
