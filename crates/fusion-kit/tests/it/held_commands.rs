//! `sandbox run` and `tool`: what a person runs as an agent would.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use crate::support::{Finished, Project, wait_for};

#[tokio::test]
async fn streams_and_exit_codes_pass_through() {
    let project = Project::new();
    let script = "cat; echo out; echo err >&2; exit 7";
    let mut command = project
        .fusion_kit(["sandbox", "run", "--", "sh", "-c", script])
        .into_command();
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"in\n").await.unwrap();
    drop(stdin);
    let ended: Finished = child.wait_with_output().await.unwrap().into();
    assert_eq!(
        (ended.code, ended.stdout.as_str(), ended.stderr.as_str()),
        (Some(7), "in\nout\n", "err\n")
    );
    for (argv, code) in [
        (vec!["sh", "-c", "kill -TERM $$"], 143),
        (vec!["sh", "-c", "kill -SEGV $$"], 139),
        (vec!["no-such-program"], 127),
        (vec!["/etc/passwd"], 126),
        (vec!["true"], 0),
    ] {
        let arguments = ["sandbox", "run", "--"].into_iter().chain(argv.clone());
        assert_eq!(project.run(arguments).await.code, Some(code), "{argv:?}");
    }
    assert!(!project.data_dir().exists());
}

#[tokio::test]
async fn a_command_writes_its_workspace_and_nothing_beside_it() {
    let project = Project::new();
    let workspace = project.path().join("project");
    fs::create_dir(&workspace).unwrap();
    fs::write(workspace.join("mine"), "mine").unwrap();
    fs::write(project.path().join("secret"), "secret").unwrap();
    for (name, mode) in [
        ("secret", 0o666),
        ("project/mine", 0o666),
        ("project", 0o777),
        ("", 0o777),
    ] {
        fs::set_permissions(project.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    let script = "cat mine; echo made > made; cat ../secret; echo x > ../secret; echo x > ../new";
    let arguments = [
        "sandbox",
        "run",
        "--workspace",
        "project",
        "--",
        "sh",
        "-c",
        script,
    ];
    let ended = project.run(arguments).await;
    assert_eq!(ended.stdout, "mine");
    assert_eq!(
        fs::read_to_string(workspace.join("made")).unwrap(),
        "made\n"
    );
    assert_eq!(
        fs::read_to_string(project.path().join("secret")).unwrap(),
        "secret"
    );
    assert!(!project.path().join("new").exists());
}

#[tokio::test]
async fn a_workspace_that_can_not_be_one_is_refused() {
    let project = Project::new();
    for folder in ["/usr", "/etc", "none"] {
        let ended = project
            .run(["sandbox", "run", "--workspace", folder, "true"])
            .await;
        assert_eq!(ended.code, Some(125), "{ended:?}");
        assert!(ended.stderr.starts_with("error: "), "{ended:?}");
    }
}

#[tokio::test]
async fn a_workspace_around_or_in_the_records_or_around_the_key_is_refused_untouched() {
    let project = Project::new();
    let (data, keys) = (project.data_dir(), project.path().join("keys"));
    for folder in [&data.join("workspaces"), &keys.join("inner")] {
        fs::create_dir_all(folder).unwrap();
    }
    fs::write(keys.join("key"), "none").unwrap();
    let inside = data.join("workspaces");
    let above = data.parent().unwrap();
    for folder in [inside.as_path(), &data, above, &keys] {
        let folder = folder.to_str().unwrap();
        let called = ["tool", "call", "list_files", "--workspace", folder];
        let held = ["sandbox", "run", "--workspace", folder, "true"];
        for arguments in [called.as_slice(), &held] {
            let mut command = project.fusion_kit(arguments.iter().copied());
            command = command.env("FUSION_MASTER_KEY_FILE", keys.join("key"));
            let ended: Finished = command.into_command().output().await.unwrap().into();
            assert!(
                ended.stderr.contains("can't be a workspace: the "),
                "{folder}: {ended:?}"
            );
            assert!(!std::path::Path::new(folder).join(".agent").exists());
        }
    }
}

#[tokio::test]
async fn a_signal_stops_the_command_with_all_that_came_of_it() {
    a_signal_stops_the_command(Signal::TERM).await;
}

#[tokio::test]
async fn the_end_of_the_terminal_stops_the_command_with_all_that_came_of_it() {
    a_signal_stops_the_command(Signal::HUP).await;
}

/// Neither a process nor the workspace that was made for the command is left.
async fn a_signal_stops_the_command(signal: Signal) {
    let mut project = Project::new();
    let temporary = project.path().join("temporary");
    fs::create_dir(&temporary).unwrap();
    project.set("TMPDIR", temporary.display().to_string());
    let here = project.path().display();
    let script = format!("(setsid sh -c 'sleep 1000' {here} &); echo up; sleep 1000");
    let mut command = project
        .fusion_kit(["sandbox", "run", "--", "sh", "-c", &script])
        .into_command();
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("up"));
    let pid = i32::try_from(child.id().unwrap()).unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
    assert_eq!(child.wait().await.unwrap().code(), Some(130));
    wait_for("their end", || project.processes().is_empty().then_some(())).await;
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0);
}

#[tokio::test]
async fn a_tool_answers_a_person_as_it_answers_an_agent() {
    let project = Project::new();
    let workspace = project.path().join("project");
    fs::create_dir(&workspace).unwrap();
    let requests = [
        json!({ "id": 1, "name": "write_file", "input": { "path": "a", "content": "text" } }),
        json!({ "id": 2, "name": "read_file", "input": { "path": "a" } }),
        json!({ "id": 3, "name": "read_file", "input": { "path": "../secret" } }),
        json!({ "id": 4, "name": "run_command", "input": { "command": "cat a; exit 3" } }),
        json!({ "id": 5, "name": "no_such_tool" }),
    ];
    let mut command = project
        .fusion_kit(["tool", "call", "--lines", "--workspace", "project"])
        .into_command();
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for request in &requests {
        stdin
            .write_all(format!("{request}\n").as_bytes())
            .await
            .unwrap();
    }
    drop(stdin);
    let ended: Finished = child.wait_with_output().await.unwrap().into();
    let answers: Vec<Value> = ended
        .expect(0)
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let told: Vec<(&Value, &Value, &Value)> = answers
        .iter()
        .map(|answer| (&answer["id"], &answer["ok"], &answer["exit_code"]))
        .collect();
    let (yes, no, none) = (json!(true), json!(false), Value::Null);
    let ids: Vec<Value> = (1..=5).map(|id| json!(id)).collect();
    assert_eq!(
        told,
        [
            (&ids[0], &yes, &none),
            (&ids[1], &yes, &none),
            (&ids[2], &no, &none),
            (&ids[3], &no, &json!(3)),
            (&ids[4], &no, &none),
        ]
    );
    assert_eq!(answers[1]["content"], "text");
    assert_eq!(answers[3]["content"], "text\n[exit code 3]");
}

#[tokio::test]
async fn every_tool_is_listed() {
    let project = Project::new();
    let listed = project
        .run(["tool", "list", "--json"])
        .await
        .expect(0)
        .json();
    let names: Vec<&str> = listed["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names[..7],
        [
            "read_file",
            "write_file",
            "edit_file",
            "list_files",
            "glob",
            "grep",
            "run_command"
        ]
    );
}

#[tokio::test]
async fn verify_tells_what_holds_commands() {
    let mut project = Project::new();
    let key = project.path().join("key").display().to_string();
    project.set("FUSION_MASTER_KEY_FILE", key);
    let verified = project.run(["verify", "--json"]).await.expect(0).json();
    let checks = verified["checks"].as_array().unwrap();
    let check = checks
        .iter()
        .find(|check| check["name"] == "sandbox")
        .unwrap();
    let note = check["note"].as_str().unwrap();
    assert!(
        note.starts_with("no-new-privileges, landlock, seccomp, limits"),
        "{note}"
    );
    assert!(!project.data_dir().exists());
}
