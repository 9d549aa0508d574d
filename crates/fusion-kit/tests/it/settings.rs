//! Where settings come from.

use std::fs;

use crate::api::Serving;
use crate::support::{BINARY, Finished, Project, program};

const FLOW: &str = "
version: 1
name: flow
agents: { a: { provider: openai-compatible, model: m } }
steps: [{ id: s, agent: a, prompt: Go. }]
";

#[tokio::test]
async fn a_dot_env_of_a_folder_above_is_not_read() {
    let above = Project::new();
    above.write(".env", "FUSION_BASE_URL=http://127.0.0.1:9/v1\n");
    let folder = above.path().join("project");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("flow.yaml"), FLOW).unwrap();
    let mut command = program(BINARY);
    command.args(["run", "flow.yaml"]).current_dir(&folder);
    Finished::from(command.output().await.unwrap())
        .expect(2)
        .says(&["FUSION_BASE_URL is not set"]);
}

#[tokio::test]
async fn an_empty_variable_counts_as_not_set() {
    let project = Project::of_examples();
    project
        .fusion_kit(["run", "hello.yaml"])
        .env("FUSION_KIT_DATA_DIR", "")
        .finish()
        .await
        .expect(0);
    assert!(project.data_dir().join("fusion.db").exists());
}

const PROFILES: &str = "
[profiles.lab]
server = \"http://127.0.0.1:9\"
token_file = \"lab.token\"
project = \"shop\"

[profiles.home]
data_dir = \"elsewhere\"
project = \"shop\"
";

/// A project whose user has profiles.
fn with_profiles(text: &str) -> Project {
    use std::os::unix::fs::PermissionsExt;
    let mut project = Project::of_examples();
    let folder = project.path().join("config/fusion-kit");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("config.toml"), text).unwrap();
    let token = folder.join("lab.token");
    fs::write(&token, "canary-4711\n").unwrap();
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
    let config = project.path().join("config").display().to_string();
    project.set("XDG_CONFIG_HOME", config);
    project
}

/// What `config show` tells of these settings: value and origin.
async fn shown(project: &Project, words: &[&str]) -> Vec<(String, String)> {
    let line = ["config", "show", "--all", "--json"];
    let said = project.run(line.iter().chain(words)).await.expect(0);
    assert!(!said.stdout.contains("canary"), "{}", said.stdout);
    let said = said.json();
    let of = |name: &str| {
        let mut all = said["settings"].as_array().unwrap().iter();
        let found = all.find(|setting| setting["name"] == name).unwrap();
        let text = |field: &str| found[field].as_str().unwrap_or("-").to_owned();
        (text("value"), text("origin"))
    };
    let names = [
        "FUSION_SERVER",
        "FUSION_TOKEN",
        "FUSION_KIT_DATA_DIR",
        "FUSION_PROJECT",
    ];
    names.map(of).to_vec()
}

fn told(rows: &[(String, String)]) -> Vec<(&str, &str)> {
    let rows = rows.iter();
    rows.map(|(value, origin)| (value.as_str(), origin.as_str()))
        .collect()
}

const NOTHING: (&str, &str) = ("-", "default");

#[tokio::test]
async fn a_profile_gives_what_neither_a_flag_nor_the_environment_says() {
    let mut project = with_profiles(PROFILES);
    project.write(".env", "FUSION_PROJECT=of-dotenv\nFUSION_TOKEN=of-dotenv\n");
    let home = project.path().join("config/fusion-kit/elsewhere");
    let home = home.display().to_string();
    let lab = shown(&project, &["--profile", "lab"]).await;
    let of_lab = [
        ("http://127.0.0.1:9", "profile lab"),
        ("(set)", "profile lab"),
        NOTHING,
        ("shop", "profile lab"),
    ];
    assert_eq!(told(&lab), of_lab);
    // The token goes to the profile's own server only.
    let other = shown(
        &project,
        &["--profile", "lab", "--server", "http://127.0.0.1:8"],
    )
    .await;
    let of_flag = [
        ("http://127.0.0.1:8", "flag"),
        ("(set)", "file"),
        NOTHING,
        ("shop", "profile lab"),
    ];
    assert_eq!(told(&other), of_flag);
    let here = shown(&project, &["--profile", "lab", "--data-dir", "d"]).await;
    let of_dir = [
        NOTHING,
        ("(set)", "file"),
        ("d", "flag"),
        ("shop", "profile lab"),
    ];
    assert_eq!(told(&here), of_dir);
    project.set("FUSION_PROFILE", "home");
    let of_home = [
        NOTHING,
        ("(set)", "file"),
        (home.as_str(), "profile home"),
        ("shop", "profile home"),
    ];
    assert_eq!(told(&shown(&project, &[]).await), of_home);
    assert_eq!(told(&shown(&project, &["--profile", "lab"]).await), of_lab);
    project.set("FUSION_SERVER", "http://127.0.0.1:7");
    project.set("FUSION_PROJECT", "of-environment");
    let of_environment = [
        ("http://127.0.0.1:7", "environment"),
        ("(set)", "file"),
        NOTHING,
        ("of-environment", "environment"),
    ];
    let said = shown(&project, &["--profile", "lab"]).await;
    assert_eq!(told(&said), of_environment);
}

#[tokio::test]
async fn the_project_of_a_profile_is_that_of_what_is_made_without_one() {
    let project = with_profiles(PROFILES);
    project.write("s.yaml", "version: 1\nsteps: { task: [{ text: done }] }\n");
    let said = async |line: &str| {
        let words = line.split(' ').chain(["--profile", "home"]);
        project.run(words).await
    };
    let made = said("project create shop --json").await.expect(0).json();
    said("project create other").await.expect(0);
    let spawn = "agent spawn --provider scripted --model s.yaml --json --name";
    let mine = said(&format!("{spawn} a")).await;
    let other = said(&format!("{spawn} b --project other")).await;
    let project_of = |spawned: Finished| spawned.json()["agents"][0]["project"].clone();
    let of_other = project_of(other);
    assert_eq!(project_of(mine), made["id"]);
    assert_ne!(of_other, made["id"]);
    let task = said("task create Go. --json").await.expect(0).json();
    assert_eq!(task["project_id"], made["id"]);
    assert!(!project.data_dir().exists(), "the profile's folder is used");
}

#[tokio::test]
async fn the_project_of_the_environment_is_that_of_a_workflow_with_a_server_and_without() {
    for serves_first in [false, true] {
        let mut project = Project::of_examples();
        let made = ["project", "create", "shop", "--json"];
        let made = project.run(made).await.expect(0).json();
        project.set("FUSION_PROJECT", "shop");
        let create = ["workflow", "create", "hello.yaml"];
        if !serves_first {
            project.run(create).await.expect(0);
        }
        let serving = Serving::on(&project).await;
        if serves_first {
            project.run(create).await.expect(0);
        }
        let stored = serving.get("/api/v1/workflows").await.expect(200).json();
        assert_eq!(stored["workflows"][0]["project_id"], made["id"]);
    }
}

#[tokio::test]
async fn a_profile_that_is_not_there_or_not_right_is_refused_before_anything_is_done() {
    let refused = async |text: &str, words: &[&str], code: i32| {
        let project = with_profiles(text);
        let said = project.run(["health"].iter().chain(words)).await;
        assert_eq!(said.code, Some(code), "{said:?}");
        said.stderr
    };
    let near = refused(PROFILES, &["--profile", "lap"], 2).await;
    assert!(near.contains("did you mean 'lab'?"), "{near}");
    let none = refused("", &["--profile", "lab"], 2).await;
    assert!(none.contains("[profiles.lab]"), "{none}");
    let typo = "[profiles.lab]\nserver = \"http://127.0.0.1:9\"\ntokenfile = \"x\"\n";
    let typo = refused(typo, &["--profile", "lab"], 2).await;
    assert!(typo.contains("line 3: unknown field `tokenfile`"), "{typo}");
    let gone = PROFILES.replace("lab.token", "nothing");
    let gone = refused(&gone, &["--profile", "lab"], 4).await;
    assert!(gone.contains("token file"), "{gone}");
    let open = PROFILES.replace("lab.token", "config.toml");
    let open = refused(&open, &["--profile", "lab"], 4).await;
    assert!(open.contains("others can read it"), "{open}");
}

/// As of a service that was given the home of another user, or `/dev/null`.
#[tokio::test]
async fn a_home_that_can_not_be_entered_counts_only_when_a_profile_is_named() {
    let mut project = Project::of_examples();
    project.set("XDG_CONFIG_HOME", "/dev/null");
    project.run(["run", "list"]).await.expect(0);
    let named = project.run(["run", "list", "--profile", "lab"]).await;
    named.expect(2).says(&["can't be read"]);
}

#[tokio::test]
async fn the_project_that_is_used_is_kept_in_the_users_file_and_counts_least() {
    let text = format!("# mine\n{PROFILES}");
    let project = with_profiles(&text);
    let file = project.path().join("config/fusion-kit/config.toml");
    let said = async |line: &str| project.run(line.split(' ')).await;
    said("project create web").await.expect(0);
    let refused = project.run(["project", "use", "wep"]).await.expect(3);
    assert!(
        refused.stderr.contains("did you mean 'web'?"),
        "{}",
        refused.stderr
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    let used = said("project use web --json").await.expect(0).json();
    assert_eq!(
        (&used["value"], &used["origin"]),
        (&"web".into(), &"user file".into())
    );
    let kept = fs::read_to_string(&file).unwrap();
    assert!(
        kept.contains("# mine\n") && kept.contains("project = \"web\"\n"),
        "{kept}"
    );
    let of = async |words: &[&str]| shown(&project, words).await[3].clone();
    let is = |value: &str, origin: &str| (value.to_owned(), origin.to_owned());
    assert_eq!(of(&[]).await, is("web", "user file"));
    assert_eq!(of(&["--profile", "home"]).await, is("shop", "profile home"));
    project.write(".env", "FUSION_PROJECT=dot\n");
    assert_eq!(of(&[]).await, is("dot", "file"));
    fs::remove_file(project.path().join(".env")).unwrap();
    // A profile that is named is what is changed.
    said("project use none --profile home").await.expect(0);
    assert_eq!(of(&["--profile", "home"]).await, is("web", "user file"));
    said("project use none").await.expect(0);
    assert_eq!(of(&[]).await, is("-", "default"));
    let left = text.replacen(
        "data_dir = \"elsewhere\"\nproject = \"shop\"\n",
        "data_dir = \"elsewhere\"\n",
        1,
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), left);
}

#[tokio::test]
async fn a_file_of_settings_that_is_a_link_stays_one_and_keeps_its_rights() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    let project = with_profiles("# mine\n");
    let link = project.path().join("config/fusion-kit/config.toml");
    let dotfiles = project.path().join("dotfiles");
    fs::create_dir(&dotfiles).unwrap();
    let target = dotfiles.join("settings");
    fs::rename(&link, &target).unwrap();
    fs::set_permissions(&target, fs::Permissions::from_mode(0o640)).unwrap();
    symlink("../../dotfiles/settings", &link).unwrap();
    let said = async |line: &str| project.run(line.split(' ')).await;
    let is_link = || fs::symlink_metadata(&link).unwrap().is_symlink();
    let mode = || fs::metadata(&target).unwrap().mode() & 0o7777;
    said("project create web").await.expect(0);
    said("project use web").await.expect(0);
    let kept = fs::read_to_string(&target).unwrap();
    assert!(
        kept.contains("# mine\n") && kept.contains("project = \"web\"\n"),
        "{kept}"
    );
    assert_eq!((is_link(), mode()), (true, 0o640));
    // What it leads to is made where it leads to.
    fs::remove_file(&target).unwrap();
    said("project use web").await.expect(0);
    assert_eq!(fs::read_to_string(&target).unwrap(), "project = \"web\"\n");
    assert_eq!((is_link(), mode()), (true, 0o600));
    let names = fs::read_dir(&dotfiles).unwrap().count();
    assert_eq!(names, 1, "nothing is left beside it");
    // A circle leads nowhere.
    fs::remove_file(&target).unwrap();
    symlink("settings", &target).unwrap();
    said("project use web").await.expect(2);
    assert!(is_link());
}
