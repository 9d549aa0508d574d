//! What a new user types first: `init`, then what it says comes next.

use std::fs;

use crate::support::{Project, said};
use crate::worktrees::git;

#[tokio::test]
async fn init_makes_a_workflow_that_runs_as_it_says() {
    for (template, file) in [
        ("hello", "hello.yaml"),
        ("plan-implement-review", "plan-implement-review.yaml"),
    ] {
        let project = Project::new();
        let made = project
            .run(["init", "demo", "--template", template])
            .await
            .expect(0);
        let next = format!("next: fusion-kit run demo/{file}\n");
        assert!(made.stdout.ends_with(&next), "{}", made.stdout);
        project
            .run(["run", &format!("demo/{file}")])
            .await
            .expect(0);
    }
}

#[tokio::test]
async fn the_repository_template_works_beside_what_is_checked_out() {
    let project = Project::new();
    let here = project.path();
    git(here, &["init", "--quiet", "--initial-branch=main", "."]).await;
    git(here, &["commit", "--quiet", "--allow-empty", "-m", "one"]).await;
    let made = said(&project, "init --template repo").await.expect(0);
    let next = "next: fusion-kit run repo.yaml\n";
    assert!(made.stdout.ends_with(next), "{}", made.stdout);
    said(&project, "run repo.yaml").await.expect(0);
    let status = git(here, &["status", "--porcelain", "--", "*.md", "*.yaml"]).await;
    assert_eq!(status, "?? repo.script.yaml\n?? repo.yaml");
    let agents = said(&project, "agent list --all --json")
        .await
        .expect(0)
        .json();
    let id = agents["agents"][0]["id"].as_str().unwrap();
    let agent = said(&project, &format!("agent get {id} --json")).await;
    let worktree = agent.expect(0).json()["workspace"]["worktree"].clone();
    let [repository, branch] =
        ["repository", "branch"].map(|name| worktree[name].as_str().unwrap());
    git(here, &["fetch", "--quiet", repository, branch]).await;
    let note = git(here, &["show", "FETCH_HEAD:FUSION-NOTE.md"]).await;
    assert_eq!(note, "Written by an agent of fusion-kit.");
}

#[tokio::test]
async fn the_repository_template_asks_for_a_repository_and_makes_one_where_told() {
    let project = Project::new();
    let refused = said(&project, "init demo --template repo").await.expect(5);
    assert_eq!(
        refused.stderr,
        "error: demo is in no git repository, and this template works on one\n\
         help: nothing was written; make one too with: fusion-kit init demo --template repo --git\n"
    );
    assert_eq!(fs::read_dir(project.path()).unwrap().count(), 0);
    let made = said(&project, "init demo --template repo --git")
        .await
        .expect(0);
    assert_eq!(
        made.stdout,
        "✓ made demo/repo.yaml\n✓ made demo/repo.script.yaml\n✓ made demo/.git\n\
         next: git -C demo commit --allow-empty -m Begin && fusion-kit run demo/repo.yaml\n"
    );
    git(
        project.path(),
        &[
            "-C",
            "demo",
            "commit",
            "--quiet",
            "--allow-empty",
            "-m",
            "Begin",
        ],
    )
    .await;
    said(&project, "run demo/repo.yaml").await.expect(0);
    // One that is there is left as it is, and what is below it is in it.
    let again = said(&project, "init demo/below --git --json")
        .await
        .expect(0)
        .json();
    let files = ["demo/below/hello.yaml", "demo/below/hello.script.yaml"];
    assert_eq!(again["files"], serde_json::json!(files));
}

#[tokio::test]
async fn a_new_data_directory_stays_out_of_the_repository_around_it() {
    let project = Project::new();
    let here = project.path();
    git(here, &["init", "--quiet", "--initial-branch=main", "."]).await;
    said(&project, "init").await.expect(0);
    let run = project
        .fusion_kit(["run", "hello.yaml"])
        .env("FUSION_KIT_DATA_DIR", ".fusion-kit");
    run.finish().await.expect(0);
    assert!(here.join(".fusion-kit/fusion.db").exists());
    git(here, &["add", "--all"]).await;
    let taken = git(here, &["status", "--porcelain", "--untracked-files=all"]).await;
    let names: Vec<&str> = taken.lines().filter_map(|line| line.get(3..)).collect();
    let is_data = |name: &&str| name.contains("fusion-kit/");
    assert_eq!(names.iter().find(|name| is_data(name)), None);
    assert!(names.contains(&"hello.yaml"), "{names:?}");
}

#[tokio::test]
async fn a_second_file_to_run_is_refused_in_plain_words() {
    let project = Project::new();
    let refused = said(&project, "run a.yaml b.yaml").await.expect(2);
    refused.says(&["a run is of one workflow file, and 'b.yaml' is another word"]);
}

#[tokio::test]
async fn the_empty_template_is_valid_as_it_is() {
    let project = Project::new();
    let made = project
        .run(["init", "--template", "empty"])
        .await
        .expect(0)
        .stdout;
    assert!(
        made.ends_with("next: fusion-kit workflow validate workflow.yaml\n"),
        "{made}"
    );
    project
        .run(["workflow", "validate", "workflow.yaml"])
        .await
        .expect(0);
}

#[tokio::test]
async fn init_never_overwrites_a_file() {
    let project = Project::new();
    project.write("hello.script.yaml", "mine");
    let before = project.contents();
    project
        .run(["init"])
        .await
        .expect(5)
        .says(&["hello.script.yaml exists already; nothing was written"]);
    assert_eq!(project.contents(), before);
}

#[tokio::test]
async fn looking_before_the_first_run_makes_nothing() {
    let project = Project::new();
    project
        .run(["run", "list"])
        .await
        .expect(0)
        .says(&["no runs yet; start one with: fusion-kit run FILE"]);
    project
        .run(["run", "show"])
        .await
        .expect(3)
        .says(&["there are no runs yet"]);
    project
        .run(["resume"])
        .await
        .expect(3)
        .says(&["there is no run to resume in "]);
    assert!(project.contents().is_empty());
}

#[tokio::test]
async fn a_run_is_found_by_the_beginning_of_its_id() {
    let project = Project::of_examples();
    let run = project
        .run(["run", "hello.yaml", "--json"])
        .await
        .expect(0)
        .json();
    let id = run["id"].as_str().unwrap();
    let shown = project
        .run(["run", "show", id.get(..12).unwrap(), "--json"])
        .await;
    assert_eq!(shown.expect(0).json()["id"], id);
    project
        .run(["run", "show", "ffff"])
        .await
        .expect(3)
        .says(&["there is no run 'ffff'"]);
    project.run(["resume", id]).await.expect(5).says(&[
        "is completed already",
        &format!("help: see what it did with: fusion-kit run show {id}\n"),
    ]);
    let elsewhere = [".fusion-kit", "resume", id];
    project
        .run(["--data-dir"].iter().chain(&elsewhere))
        .await
        .expect(5)
        .says(&[&format!("run show {id} --data-dir .fusion-kit\n")]);
}
