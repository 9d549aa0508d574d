//! What people decide about the work in workspaces: taken in while no step is at work, removed once the
//! agent has ended, and never the only copy unless that is said.

use std::fs;
use std::path::{Path, PathBuf};

use fusion_core::Workspace;
use fusion_persistence::{Page, Repository, WorkspaceFilter};
use fusion_persistence_sql::SqlStore;
use serde_json::{Value, json};

use crate::api::Serving;
use crate::crash::die_at;
use crate::own_store::file;
use crate::support::{GATE, Project, said};
use crate::terminal::Terminal;
use crate::worktrees::{git, repository, worktree_of};

const SCRIPT: &str = r#"
version: 1
steps:
  task:
    - tool_calls: [{ name: write_file, arguments: { path: projects/poem.txt, content: "bees" } }]
    - text: "Done."
"#;

const SPAWN: &str =
    "agent spawn --provider scripted --model script.yaml --tools files,shell --name";

/// Points at which the binary can be made to die.
const POINTS: [&str; 2] = [
    "persistence_sql::before_commit",
    "persistence_sql::after_commit",
];

/// More commits than a removal makes.
const LIMIT: u32 = 50;

async fn spawn(project: &Project, name: &str, more: &str) {
    said(project, &format!("{SPAWN} {name} {more}"))
        .await
        .expect(0);
}

async fn get(project: &Project, name: &str) -> Value {
    let line = format!("agent get {name} --json");
    said(project, &line).await.expect(0).json()
}

async fn path_of(project: &Project, name: &str) -> PathBuf {
    let shown = get(project, name).await;
    PathBuf::from(shown["workspace"]["path"].as_str().unwrap())
}

/// A project with an agent `dev` on the repository `site`.
async fn with_worktree() -> (Project, PathBuf) {
    let project = Project::new();
    let site = repository(&project).await;
    project.write("script.yaml", SCRIPT);
    spawn(&project, "dev", "--workspace worktree:site").await;
    (project, site)
}

/// A project with an agent `w` that wrote `poem.txt` and has ended.
async fn ended() -> Project {
    let project = Project::new();
    project.write("script.yaml", SCRIPT);
    spawn(&project, "w", "").await;
    said(&project, "agent send w Write. --wait --quiet")
        .await
        .expect(0);
    said(&project, "agent terminate w").await.expect(0);
    project
}

/// What a file is in a branch of the engine's repository.
async fn in_branch(worktree: &Value, file: &str) -> String {
    let text = |name: &str| worktree[name].as_str().unwrap();
    let what = format!("{}:{file}", text("branch"));
    git(Path::new(text("repository")), &["show", &what]).await
}

#[tokio::test]
async fn what_lies_uncommitted_is_taken_in_while_the_agent_rests() {
    let (project, _) = with_worktree().await;
    let none = said(&project, "workspace commit dev -m x").await.expect(0);
    assert_eq!(none.stdout, "nothing was made yet\n");
    let page = path_of(&project, "dev").await.join("projects/site/page");
    fs::write(&page, "by hand\n").unwrap();
    let commit = ["workspace", "commit", "dev", "-m", "By a person", "--json"];
    let done = project.run(commit).await.expect(0).json();
    let worktree = worktree_of(&project, "dev").await;
    assert_eq!(done["before"], Value::Null);
    assert_eq!(done["branch"], worktree["branch"]);
    assert_eq!(in_branch(&worktree, "page").await, "by hand");
    let repository = Path::new(worktree["repository"].as_str().unwrap());
    let tip = done["commit"].as_str().unwrap();
    let subject = ["log", "-1", "--format=%s by %an", tip];
    assert_eq!(git(repository, &subject).await, "By a person by dev");
    assert_eq!(get(&project, "dev").await["state"], "idle");
    let again = project.run(commit).await.expect(0).json();
    assert_eq!(json!([again["before"], again["commit"]]), json!([tip, tip]));

    // The branch of a step takes in what comes after it.
    said(&project, "agent send dev Write. --wait --quiet")
        .await
        .expect(0);
    let step = worktree_of(&project, "dev").await;
    said(&project, "agent pause dev").await.expect(0);
    fs::write(&page, "again\n").unwrap();
    let text = said(&project, "workspace commit dev -m More")
        .await
        .expect(0);
    let worktree = worktree_of(&project, "dev").await;
    assert_eq!(worktree["branch"], step["branch"]);
    assert_eq!(in_branch(&worktree, "page").await, "again");
    let begin = format!("{} is at ", step["branch"].as_str().unwrap());
    assert!(text.stdout.starts_with(&begin), "{}", text.stdout);
    assert_eq!(get(&project, "dev").await["state"], "paused");
    said(&project, "agent terminate dev").await.expect(0);
    fs::write(&page, "after its end\n").unwrap();
    said(&project, "workspace commit dev -m Last")
        .await
        .expect(0);
    assert_eq!(in_branch(&worktree, "page").await, "after its end");
    assert!(!project.path().join("payload").exists());
}

#[tokio::test]
async fn nothing_is_taken_in_while_a_step_is_at_work_and_a_plain_directory_has_no_branch() {
    let project = Project::new();
    repository(&project).await;
    let turns = json!([
        { "tool_calls": [{ "name": "run_command", "arguments": { "command": GATE } }] },
        { "text": "Done." },
    ]);
    let script = json!({ "version": 1, "steps": { "task": turns } });
    project.write("script.yaml", script.to_string());
    let serving = Serving::on(&project).await;
    spawn(&project, "dev", "--workspace worktree:site").await;
    spawn(&project, "plain", "").await;
    let plain = said(&project, "workspace commit plain -m x").await;
    plain.expect(5).says(&["the agent 'plain' has no worktree"]);
    said(&project, "agent send dev Write.").await.expect(0);
    let id = get(&project, "dev").await["id"].clone();
    let place = format!("/api/v1/agents/{}", id.as_str().unwrap());
    let is = |state: &'static str| move |agent: &Value| agent["state"] == state;
    serving.until(&place, is("working")).await;
    let refused = said(&project, "workspace commit dev -m x").await;
    refused.expect(5).says(&["the agent 'dev' is at work"]);
    let refused = said(&project, "workspace discard dev --yes").await;
    refused.expect(5).says(&["the agent 'dev' has not ended"]);
    project.open_the_gate();
    serving.until(&place, is("idle")).await;
    let page = path_of(&project, "dev").await.join("projects/site/page");
    fs::write(page, "by hand\n").unwrap();
    said(&project, "workspace commit dev -m x").await.expect(0);
    let worktree = worktree_of(&project, "dev").await;
    assert_eq!(in_branch(&worktree, "page").await, "by hand");
    assert_eq!(get(&project, "dev").await["state"], "idle");
    said(&project, "agent terminate dev").await.expect(0);
    let dry = said(&project, "workspace gc --older-than 1d --dry-run --json").await;
    let dry = dry.expect(0).json();
    let why = (&dry["dry_run"], &dry["kept"][0]["why"], &dry["removed"]);
    let later = json!("its agent ended later than that");
    assert_eq!(why, (&json!(true), &later, &json!([])));
    // What opened the gate.
    let path = path_of(&project, "dev").await;
    fs::remove_file(path.join("projects/go")).unwrap();
    let gone = said(&project, "workspace discard dev --json").await;
    assert_eq!(gone.expect(0).json()["branch"], worktree["branch"]);
}

#[tokio::test]
async fn the_only_copy_of_work_is_removed_only_when_that_is_said() {
    let project = ended().await;
    let path = path_of(&project, "w").await;
    let shown = path.display().to_string();
    for line in ["workspace discard w", "workspace discard w --dry-run"] {
        let refused = said(&project, line).await.expect(5);
        let only =
            format!("the workspace of 'w' ({shown}) has 1 files of 4 bytes that are nowhere");
        refused.says(&[&only, "help: keep them with `workspace export`", "--yes"]);
        assert!(path.join("projects/poem.txt").exists());
    }
    let dry = said(&project, "workspace discard w --yes --dry-run").await;
    let dry = dry.expect(0).stdout;
    assert!(
        dry.starts_with(&format!("w: would remove {shown} (")),
        "{dry}"
    );
    assert!(path.exists());
    let done = said(&project, "workspace discard w --yes").await.expect(0);
    let begin = format!("w: removed {shown} (");
    assert!(done.stdout.starts_with(&begin), "{}", done.stdout);
    assert!(!path.exists());
    let listed = said(&project, "workspace list --json").await.expect(0);
    assert_eq!(listed.json()["workspaces"][0]["state"], "removed");
    let again = said(&project, "workspace discard w").await.expect(0);
    assert_eq!(again.stdout, format!("w: {shown} is gone already\n"));
    let told = "events tail --type record.changed --json".split(' ');
    let event = project.run(told).await.expect(0).json();
    assert_eq!(event["message"], "the workspace of w is removed");
}

#[tokio::test]
async fn a_worktree_is_taken_in_before_it_goes_and_what_lies_beside_it_stays() {
    let (project, _) = with_worktree().await;
    let path = path_of(&project, "dev").await;
    said(&project, "agent terminate dev").await.expect(0);
    fs::write(path.join("projects/site/page"), "by hand\n").unwrap();
    fs::write(path.join("projects/notes"), "12345").unwrap();
    let refused = said(&project, "workspace discard dev").await.expect(5);
    refused.says(&["1 files of 5 bytes that are nowhere else"]);
    fs::remove_file(path.join("projects/notes")).unwrap();
    let done = said(&project, "workspace discard dev --json")
        .await
        .expect(0);
    let done = done.json();
    assert!(!path.exists());
    let worktree = worktree_of(&project, "dev").await;
    assert_eq!(done["branch"], worktree["branch"]);
    let branch = worktree["branch"].as_str().unwrap();
    assert!(branch.starts_with("fusion/dev-end-"), "{branch}");
    assert_eq!(in_branch(&worktree, "page").await, "by hand");
    assert!(!project.path().join("payload").exists());
}

#[tokio::test]
async fn branches_and_repositories_within_a_worktree_are_only_copies_too() {
    let (project, _) = with_worktree().await;
    let path = path_of(&project, "dev").await;
    said(&project, "agent terminate dev").await.expect(0);
    let git = path.join("projects/site/.git");
    fs::write(git.join("refs/heads/side"), format!("{}\n", "1".repeat(40))).unwrap();
    fs::write(git.join("refs/stash"), format!("{}\n", "2".repeat(40))).unwrap();
    let refused = said(&project, "workspace discard dev").await.expect(5);
    refused.says(&["has 2 branches, tags or stashes of its worktree that are nowhere else"]);
    for name in ["refs/heads/side", "refs/stash"] {
        fs::remove_file(git.join(name)).unwrap();
    }
    fs::create_dir_all(path.join("projects/site/inner/.git")).unwrap();
    let refused = said(&project, "workspace discard dev").await.expect(5);
    refused.says(&["has 1 files of", "that are nowhere else"]);
    fs::remove_dir_all(path.join("projects/site/inner")).unwrap();
    said(&project, "workspace discard dev").await.expect(0);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_folder_that_is_not_here_stays_on_the_list_of_gc_whatever_is_said() {
    let project = ended().await;
    fs::remove_dir_all(path_of(&project, "w").await).unwrap();
    let kept = loop {
        let line = "workspace gc --older-than 1s --yes --json";
        let done = said(&project, line).await.expect(0).json();
        assert_eq!(done["removed"], json!([]));
        let why = done["kept"][0]["why"].as_str().unwrap().to_owned();
        if why != "its agent ended later than that" {
            break why;
        }
    };
    assert!(kept.starts_with("its folder is not here: "), "{kept}");
    assert_eq!(get(&project, "w").await["workspace"]["exists"], true);
}

#[tokio::test]
async fn a_folder_that_somebody_else_removed_is_told_of_until_a_person_says_so() {
    let project = ended().await;
    let path = path_of(&project, "w").await;
    fs::remove_dir_all(&path).unwrap();
    let refused = said(&project, "workspace discard w").await;
    refused.expect(3).says(&["there is no workspace at"]);
    assert_eq!(get(&project, "w").await["workspace"]["exists"], true);
    said(&project, "workspace discard w --yes").await.expect(0);
    assert_eq!(get(&project, "w").await["workspace"]["exists"], false);
}

#[tokio::test]
async fn the_workspaces_of_agents_that_ended_long_ago_go_and_the_others_are_told_with_their_reasons()
 {
    let (project, _) = with_worktree().await;
    spawn(&project, "lives", "").await;
    spawn(&project, "writer", "").await;
    spawn(&project, "idler", "").await;
    let writer = path_of(&project, "writer").await;
    fs::write(writer.join("projects/poem"), "bees").unwrap();
    for name in ["dev", "writer", "idler"] {
        let line = format!("agent terminate {name}");
        said(&project, &line).await.expect(0);
    }
    let names = |rows: &Value| {
        let rows = rows.as_array().unwrap().iter();
        let names = rows.map(|row| row["name"].as_str().unwrap().to_owned());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    };
    // A week is what counts when nothing is said.
    let young = said(&project, "workspace gc --json").await.expect(0).json();
    assert_eq!(names(&young["kept"]), ["dev", "idler", "writer"]);
    assert_eq!(young["removed"], json!([]));
    let old = loop {
        let line = "workspace gc --older-than 1s --dry-run --json";
        let dry = said(&project, line).await.expect(0).json();
        let is_young = |row: &Value| row["why"] == "its agent ended later than that";
        if !dry["kept"].as_array().unwrap().iter().any(is_young) {
            break dry;
        }
    };
    assert_eq!(names(&old["removed"]), ["dev", "idler"]);
    let done = said(&project, "workspace gc --older-than 1s")
        .await
        .expect(0);
    let kept = format!(
        "writer: kept {0}: the workspace of 'writer' ({0}) has 1 files of 4 bytes that are nowhere else\n",
        writer.display()
    );
    assert!(done.stdout.ends_with(&kept), "{}", done.stdout);
    for (name, exists) in [
        ("dev", false),
        ("idler", false),
        ("writer", true),
        ("lives", true),
    ] {
        assert_eq!(path_of(&project, name).await.exists(), exists, "{name}");
    }
    let line = "workspace gc --older-than 1s --yes --json";
    let all = said(&project, line).await.expect(0).json();
    assert_eq!(
        (names(&all["removed"]), &all["kept"]),
        (vec!["writer".to_owned()], &json!([]))
    );
    let none = said(&project, "workspace gc").await.expect(0);
    assert_eq!(none.stdout, "no agent that has ended has a workspace\n");
}

/// Whether the removal of the one workspace was begun.
async fn is_marked(project: &Project) -> bool {
    let store = SqlStore::open_to_read(&file(project))
        .await
        .unwrap()
        .unwrap();
    let every = WorkspaceFilter::default();
    let rows: Vec<Workspace> = store.list(&every, Page::first(1)).await.unwrap();
    rows[0].agent_config.get("discarding").is_some()
}

#[tokio::test]
async fn a_death_at_any_commit_of_a_removal_leaves_it_to_be_done_again() {
    let command = ["workspace", "discard", "dev"];
    for point in POINTS {
        let (mut deaths, mut cut) = (0, 0);
        for passing in 0..LIMIT {
            let (project, _) = with_worktree().await;
            let path = path_of(&project, "dev").await;
            fs::write(path.join("projects/site/page"), "by hand\n").unwrap();
            said(&project, "agent terminate dev").await.expect(0);
            if die_at(&project, &command, point, passing).await.is_none() {
                break;
            }
            deaths += 1;
            // As if it had died in the middle of the removal, once that was begun.
            if path.exists() && is_marked(&project).await {
                cut += 1;
                fs::remove_dir_all(path.join("projects/site/.git")).unwrap();
            }
            project.run(command).await.expect(0);
            assert!(!path.exists(), "{point} {passing}");
            let shown = get(&project, "dev").await;
            assert_eq!(shown["workspace"]["exists"], false, "{point} {passing}");
            let worktree = worktree_of(&project, "dev").await;
            let kept = in_branch(&worktree, "page").await;
            assert_eq!(kept, "by hand", "{point} {passing}");
        }
        assert!((2..LIMIT).contains(&deaths), "{point}: {deaths}");
        assert_eq!(cut > 0, point.ends_with("after_commit"), "{point}: {cut}");
    }
}

#[tokio::test]
async fn an_end_that_died_in_the_middle_of_a_removal_is_gone_on_with() {
    let command = ["agent", "terminate", "dev", "--workspace", "remove"];
    let mut cut = 0;
    for passing in (0..LIMIT).step_by(4) {
        let (project, _) = with_worktree().await;
        let path = path_of(&project, "dev").await;
        fs::write(path.join("projects/site/page"), "by hand\n").unwrap();
        let point = "workspaces::removing";
        if die_at(&project, &command, point, passing).await.is_none() {
            break;
        }
        cut += u32::from(!path.join("projects/site/.git/HEAD").exists());
        // Any command that opens the engine goes on with what a death left.
        said(&project, "agent resume nobody").await;
        assert!(!path.exists(), "{passing}");
        let shown = get(&project, "dev").await;
        let ended = (&shown["state"], &shown["workspace"]["exists"]);
        assert_eq!(ended, (&json!("terminated"), &json!(false)), "{passing}");
        let worktree = worktree_of(&project, "dev").await;
        let kept = in_branch(&worktree, "page").await;
        assert_eq!(kept, "by hand", "{passing}");
    }
    assert!(cut > 0, "no death left a worktree without its repository");
}

#[tokio::test]
async fn a_workspace_opens_in_the_editor_of_a_person_on_a_terminal_only() {
    let mut project = Project::new();
    project.write("script.yaml", SCRIPT);
    // A file of settings beside the work is no place for a program to run.
    project.write(".env", "EDITOR=touch payload\n");
    spawn(&project, "w", "").await;
    let path = path_of(&project, "w").await;
    let open = ["workspace", "open", "w"];
    let refused = project.run(open).await.expect(5);
    refused.says(&["an editor needs a terminal", "fusion-kit workspace path w"]);
    let none = Terminal::open(&project, &open).finish(5).await;
    assert!(none.contains("neither VISUAL nor EDITOR is set"), "{none}");
    project.set("EDITOR", "false");
    let said = Terminal::open(&project, &open).finish(1).await;
    assert!(said.contains("the editor did not end well"), "{said}");
    project.set("VISUAL", "printf '<%s>' 'an argument'");
    let said = Terminal::open(&project, &open).finish(0).await;
    let wanted = format!("<an argument><{}>", path.display());
    assert!(said.contains(&wanted), "{said}");
    assert!(!project.path().join("payload").exists());
}
