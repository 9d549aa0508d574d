//! Settings are changed in their files: to what is right there, whole or not at all.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::{Project, said};
use crate::terminal::Terminal;

/// A project whose user has a folder for settings, and where the user's file is.
fn project() -> (Project, PathBuf) {
    let mut project = Project::new();
    let state = project.path().join("state");
    project.set("XDG_STATE_HOME", state.display().to_string());
    let folder = project.path().join("config");
    project.set("XDG_CONFIG_HOME", folder.display().to_string());
    (project, folder.join("fusion-kit/config.toml"))
}

/// What is in a folder, but for the data directory.
fn names(folder: &std::path::Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let names = names.map(|entry| entry.file_name().into_string().unwrap());
    let mut names: Vec<String> = names
        .filter(|name| ![".fusion-kit", "state"].contains(&name.as_str()))
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_setting_is_set_in_the_file_of_the_folder_and_is_in_force_then() {
    let (mut project, _) = project();
    let text = "# mine\nOPENROUTER_API_KEY=canary # secret\nAPI_PORT=1 # old\n";
    project.write(".env", text);
    let file = project.path().join(".env");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let shown = file.display().to_string();
    let tried = said(&project, "config set API_PORT 8123 --dry-run --json").await;
    let answer = |dry_run: bool, overridden_by: Value| {
        json!({
            "name": "API_PORT", "file": shown, "origin": "file", "was": "1", "value": "8123",
            "overridden_by": overridden_by, "dry_run": dry_run,
        })
    };
    assert_eq!(tried.expect(0).json(), answer(true, Value::Null));
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    let done = said(&project, "config set API_PORT 8123 --json").await;
    assert_eq!(done.expect(0).json(), answer(false, Value::Null));
    let kept = text.replace("=1 #", "=8123 #");
    assert_eq!(fs::read_to_string(&file).unwrap(), kept);
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o640);
    let force = said(&project, "config get API_PORT --json").await.expect(0);
    assert_eq!(
        force.json(),
        json!({ "name": "API_PORT", "value": "8123", "origin": "file" })
    );
    project.set("API_PORT", "7");
    let hidden = said(&project, "config set API_PORT 8124").await.expect(0);
    hidden.says(&["it does not count: API_PORT is set by environment"]);
    let gone = said(&project, "config unset API_PORT --json")
        .await
        .expect(0)
        .json();
    assert_eq!(
        (&gone["was"], &gone["value"]),
        (&json!("8124"), &Value::Null)
    );
    let left = "# mine\nOPENROUTER_API_KEY=canary # secret\n";
    assert_eq!(fs::read_to_string(&file).unwrap(), left);
    let secret = said(&project, "config unset OPENROUTER_API_KEY --json").await;
    assert_eq!(secret.expect(0).json()["was"], json!("(set)"));
    assert_eq!(names(project.path()), [".env"], "nothing is left beside it");
}

#[tokio::test]
async fn what_is_not_right_is_refused_and_changes_nothing() {
    let (project, user) = project();
    let refused = [
        ("API_PROT 80", "did you mean 'API_PORT'?"),
        ("API_PORT many", "API_PORT is 'many'"),
        ("API_HOST nowhere", "'nowhere' is no address"),
        ("FUSION_AGENTS_AT_ONCE 0", "write a number from 1 to 100000"),
        ("FUSION_RETENTION_DAYS -1", "FUSION_RETENTION_DAYS is '-1'"),
        ("FUSION_KIT_AGENT_UIDS 5", "write a range of user ids"),
        ("FUSION_BASE_URL nowhere", "the base URL is not one"),
        ("FUSION_TOKEN canary", "FUSION_TOKEN is a secret"),
        ("DATABASE_URL sqlite:x", "DATABASE_URL is a secret"),
        ("FUSION_SERVER http://127.0.0.1:9", "is not read from .env"),
        ("FUSION_KIT_SANDBOX off", "is not read from .env"),
        ("token_file t", "token_file is a setting of profiles only"),
        (
            "server http://127.0.0.1:9 --user",
            "FUSION_SERVER is a setting of profiles only",
        ),
        ("server nowhere --profile lab", "nowhere"),
        ("API_PORT 80 --user", "API_PORT is not a setting of"),
    ];
    for (line, told) in refused {
        let done = said(&project, &format!("config set {line}"))
            .await
            .expect(2);
        assert!(done.stderr.contains(told), "{line}: {}", done.stderr);
        assert!(!done.stderr.contains("canary"), "{}", done.stderr);
    }
    let empty = ["config", "set", "API_PORT", ""];
    project
        .run(empty)
        .await
        .expect(2)
        .says(&["config unset API_PORT"]);
    let lines = ["config", "set", "FUSION_NODE_NAME", "a\nAPI_PORT=1"];
    project
        .run(lines)
        .await
        .expect(2)
        .says(&["control character"]);
    assert!(!user.exists() && !project.path().join(".env").exists());
    // What a link leads to was not meant.
    let other = project.path().join("other");
    fs::write(&other, "A=1\n").unwrap();
    symlink(&other, project.path().join(".env")).unwrap();
    said(&project, "config set API_PORT 80")
        .await
        .expect(2)
        .says(&["is a link"]);
    assert_eq!(fs::read_to_string(&other).unwrap(), "A=1\n");
}

#[tokio::test]
async fn a_setting_of_the_user_stands_in_a_profile_or_for_all() {
    let (project, user) = project();
    let set = "config set server http://127.0.0.1:9 --profile lab --json";
    let made = said(&project, set).await.expect(0).json();
    assert_eq!(
        made,
        json!({
            "name": "FUSION_SERVER", "file": user.display().to_string(), "origin": "profile lab",
            "was": null, "value": "http://127.0.0.1:9", "overridden_by": null, "dry_run": false,
        })
    );
    said(&project, "config set FUSION_PROJECT shop --user")
        .await
        .expect(0);
    let text = "project = \"shop\"\n[profiles.lab]\nserver = \"http://127.0.0.1:9\"\n";
    let kept = fs::read_to_string(&user).unwrap();
    assert_eq!(kept.replace("\n\n", "\n"), text);
    assert_eq!(fs::metadata(&user).unwrap().mode() & 0o7777, 0o600);
    let force = said(&project, "config get FUSION_SERVER --profile lab --json").await;
    assert_eq!(force.expect(0).json()["origin"], "profile lab");
    project.write(".env", "FUSION_PROJECT=web\n");
    let hidden = said(&project, "config set project other --user")
        .await
        .expect(0);
    hidden.says(&["it does not count: FUSION_PROJECT is set by file"]);
    // Of two places for the token, none is put in force.
    said(&project, "config set token_env LAB --profile lab")
        .await
        .expect(0);
    let both = said(&project, "config set token_file t --profile lab")
        .await
        .expect(2);
    both.says(&["both token_file and token_env"]);
    said(&project, "config unset token_env --profile lab")
        .await
        .expect(0);
    said(&project, "config unset server --profile none")
        .await
        .expect(0);
    let left = fs::read_to_string(&user).unwrap();
    assert!(!left.contains("none") && !left.contains("token"), "{left}");
    fs::write(&user, "[profiles.lab]\nservr = \"x\"\n").unwrap();
    let wrong = said(&project, "config set project shop --user")
        .await
        .expect(2);
    wrong.says(&["line 2: unknown field `servr`"]);
}

#[tokio::test]
async fn what_is_edited_is_put_in_force_only_when_it_is_right() {
    let (mut project, user) = project();
    project.write(".env", "# mine\nEDITOR='touch payload'\n");
    let file = project.path().join(".env");
    let edit = ["config", "edit"];
    let refused = said(&project, "config edit").await.expect(5);
    refused.says(&["an editor needs a terminal", &file.display().to_string()]);
    let none = Terminal::open(&project, &edit).finish(5).await;
    assert!(none.contains("neither VISUAL nor EDITOR is set"), "{none}");
    project.set("EDITOR", "false");
    let failed = Terminal::open(&project, &edit).finish(1).await;
    assert!(failed.contains("the editor did not end well"), "{failed}");
    project.set("EDITOR", "true");
    let same = Terminal::open(&project, &edit).finish(0).await;
    assert!(same.contains("is as it was"), "{same}");
    project.set("EDITOR", "sed -i s/mine/ours/");
    let done = Terminal::open(&project, &edit).finish(0).await;
    assert!(done.contains("is changed"), "{done}");
    let text = "# ours\nEDITOR='touch payload'\n";
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    assert_eq!(names(project.path()), [".env"], "nothing is left beside it");
    for (wrong, told) in [
        ("API_PORT=many", ".env, line 3: API_PORT is 'many'"),
        (
            "no setting",
            ".env, line 3: .env has a line that is not NAME=value",
        ),
    ] {
        project.set("EDITOR", format!("sed -i '$a {wrong}'"));
        let refused = Terminal::open(&project, &edit).finish(2).await;
        let flat = refused.replace("\r\n", "\n");
        assert!(flat.contains(told), "{flat}");
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
        assert_eq!(names(project.path()), [".env"], "nothing is left beside it");
        let folder = project.path().join("state/fusion-kit/edited");
        let mut kept = names(&folder);
        assert_eq!(kept.len(), 1, "{kept:?}");
        let kept = folder.join(kept.remove(0));
        assert!(flat.contains(&kept.display().to_string()), "{flat}");
        assert_eq!(
            fs::read_to_string(&kept).unwrap(),
            format!("{text}{wrong}\n")
        );
        assert_eq!(fs::metadata(&kept).unwrap().mode() & 0o7777, 0o600);
        fs::remove_file(kept).unwrap();
    }
    // A file that keeps every other command from beginning can be put right.
    fs::create_dir_all(user.parent().unwrap()).unwrap();
    fs::write(&user, "projct = \"shop\"\n").unwrap();
    said(&project, "run list").await.expect(2);
    project.set("EDITOR", "sed -i s/projct/project/");
    Terminal::open(&project, &["config", "edit", "--user"])
        .finish(0)
        .await;
    assert_eq!(fs::read_to_string(&user).unwrap(), "project = \"shop\"\n");
    said(&project, "run list").await.expect(0);
}

#[tokio::test]
async fn kept_copies_are_for_their_owner_and_only_the_newest_stay() {
    let (mut project, _) = project();
    project.write(".env", "# mine\n");
    let folder = project.path().join("state/fusion-kit/edited");
    fs::create_dir_all(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    let now = fs::metadata(&folder).unwrap().modified().unwrap();
    for age in 1..=12_u64 {
        let copy = fs::File::create(folder.join(format!("kept-{age:02}.env"))).unwrap();
        let then = now - std::time::Duration::from_secs(age * 60);
        copy.set_modified(then).unwrap();
    }
    // In another editor now, for however long.
    fs::rename(folder.join("kept-12.env"), folder.join("edited-12.env")).unwrap();
    fs::write(folder.join("mine"), "").unwrap();
    project.set("EDITOR", "true");
    Terminal::open(&project, &["config", "edit"])
        .finish(0)
        .await;
    assert_eq!(names(&folder).len(), 13, "nothing was written");
    project.set("EDITOR", "sed -i '$a no setting'");
    Terminal::open(&project, &["config", "edit"])
        .finish(2)
        .await;
    assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o7777, 0o700);
    let kept = names(&folder);
    let old: Vec<&String> = kept
        .iter()
        .filter(|name| name.starts_with("kept-0"))
        .collect();
    let all: Vec<String> = (1..=9).map(|age| format!("kept-{age:02}.env")).collect();
    assert_eq!(old, all.iter().collect::<Vec<_>>());
    assert_eq!(
        kept.len(),
        12,
        "nine, the new one, one in an editor and one of another name: {kept:?}"
    );
}

#[tokio::test]
async fn what_its_owner_made_read_only_is_not_changed_and_comments_outlive_a_setting() {
    let (mut project, user) = project();
    let closed = |file: &std::path::Path, mode| {
        fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
    };
    project.write(".env", "API_PORT=1\n");
    let file = project.path().join(".env");
    closed(&file, 0o400);
    fs::create_dir_all(user.parent().unwrap()).unwrap();
    let text = "# for all\nproject = \"shop\"\n";
    fs::write(&user, text).unwrap();
    closed(&user, 0o444);
    for line in [
        "config set API_PORT 2",
        "config set API_PORT 2 --dry-run",
        "config unset API_PORT",
        "config unset project --user",
        "project use none",
    ] {
        let refused = said(&project, line).await;
        assert_eq!(refused.code, Some(4), "{line}: {refused:?}");
        refused.says(&["its owner may only read it", "chmod u+w"]);
    }
    project.set("EDITOR", "touch opened; sed -i s/1/2/");
    let refused = Terminal::open(&project, &["config", "edit"])
        .finish(4)
        .await;
    assert!(refused.contains("chmod u+w"), "{refused}");
    assert_eq!(
        names(project.path()),
        [".env", "config"],
        "no editor was opened"
    );
    let kept = [&file, &user].map(|file| fs::read_to_string(file).unwrap());
    assert_eq!(kept, ["API_PORT=1\n", text]);
    closed(&user, 0o600);
    said(&project, "config unset project --user")
        .await
        .expect(0);
    assert_eq!(fs::read_to_string(&user).unwrap(), "# for all\n");
}
