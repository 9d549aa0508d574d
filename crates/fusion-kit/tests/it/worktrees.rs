//! Agents that work on the files of a git repository, or on a copy of a folder.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::api::Serving;
use crate::support::{Project, program, step};

/// The user's git, in a folder.
pub(crate) async fn git(folder: &Path, words: &[&str]) -> String {
    let mut git = program("git");
    git.args(["-c", "user.name=U", "-c", "user.email=u@u.invalid"])
        .args([
            "-c",
            "core.hooksPath=/dev/null",
            "-c",
            "core.fsmonitor=false",
        ])
        .args(words)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .current_dir(folder);
    let output = git.output().await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let fault = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {said}{fault}");
    said.trim().to_owned()
}

/// A repository `site` with a branch `main` and a branch `old`, whose hooks and settings run a
/// program that leaves a file `payload` beside it.
pub(crate) async fn repository(project: &Project) -> PathBuf {
    let site = project.path().join("site");
    fs::create_dir(&site).unwrap();
    git(&site, &["init", "--quiet", "--initial-branch=main", "."]).await;
    fs::write(site.join("page"), "old\n").unwrap();
    git(&site, &["add", "."]).await;
    git(&site, &["commit", "--quiet", "-m", "one"]).await;
    git(&site, &["branch", "old"]).await;
    fs::write(site.join("page"), "new\n").unwrap();
    git(&site, &["commit", "--quiet", "-a", "-m", "two"]).await;
    let trap = project.path().join("trap");
    let payload = project.path().join("payload");
    fs::write(&trap, format!("#!/bin/sh\ntouch {}\n", payload.display())).unwrap();
    fs::set_permissions(&trap, Permissions::from_mode(0o755)).unwrap();
    fs::create_dir_all(site.join(".git/hooks")).unwrap();
    for hook in [
        "post-checkout",
        "pre-commit",
        "post-update",
        "reference-transaction",
    ] {
        fs::copy(&trap, site.join(".git/hooks").join(hook)).unwrap();
    }
    let trap = trap.to_str().unwrap();
    for key in [
        "core.fsmonitor",
        "uploadpack.packObjectsHook",
        "core.sshCommand",
    ] {
        git(&site, &["config", key, trap]).await;
    }
    site
}

/// Everything of a repository that an agent must not change.
async fn state(site: &Path) -> Vec<String> {
    let page = fs::read_to_string(site.join("page")).unwrap();
    let config = fs::read_to_string(site.join(".git/config")).unwrap();
    let refs = git(site, &["for-each-ref"]).await;
    let head = git(site, &["symbolic-ref", "HEAD"]).await;
    vec![page, config, refs, head]
}

/// What an agent does: it plants what the host's git would run, commits, and leaves some uncommitted. What
/// git adds to the command of its monitor is a comment there: it would make files of these names.
fn work(project: &Project) -> Value {
    let payload = project.path().join("payload");
    let payload = payload.display();
    let script = format!(
        "cd projects/site && printf '#!/bin/sh\\ntouch {payload}\\nexit 0\\n' > trap && chmod +x trap &&
         mkdir -p .git/hooks && cp trap .git/hooks/pre-commit && cp trap .git/hooks/post-checkout &&
         rm trap && echo more >> page && git commit -qam 'by the agent' && echo left >> page &&
         git config core.fsmonitor 'touch {payload} #' && git config filter.x.clean 'touch {payload}' &&
         echo '* filter=x' > .git/info/attributes; git log --format=%s%n%an; git branch"
    );
    json!([
        { "tool_calls": [{ "name": "write_file",
            "arguments": { "path": "projects/site/note", "content": "a note" } }] },
        { "tool_calls": [{ "name": "run_command", "arguments": { "command": script } }] },
        { "text": "Done." },
    ])
}

fn script(project: &Project, step: &str) -> String {
    let work = work(project);
    json!({ "version": 1, "steps": { step: work } }).to_string()
}

pub(crate) async fn worktree_of(project: &Project, agent: &str) -> Value {
    let shown = project.run(["agent", "get", agent, "--json"]).await;
    shown.expect(0).json()["workspace"]["worktree"].clone()
}

/// What the user gets of the work.
async fn fetched(site: &Path, worktree: &Value) -> (String, String, String) {
    let text = |name: &str| worktree[name].as_str().unwrap_or_default();
    git(
        site,
        &["fetch", "--quiet", text("repository"), text("branch")],
    )
    .await;
    let names = "--format=%s by %an";
    let log = git(
        site,
        &["log", names, &format!("{}..FETCH_HEAD", text("base"))],
    )
    .await;
    let page = git(site, &["show", "FETCH_HEAD:page"]).await;
    let note = git(site, &["show", "FETCH_HEAD:note"]).await;
    (log, page, note)
}

pub(crate) const FLOW: &str = "
version: 1
name: flow
agents:
  dev:
    provider: scripted
    model: script.yaml
    tools: [files, shell]
    workspace: { type: worktree, repository: site }
steps:
  - { id: change, agent: dev, prompt: Change it. }
";

#[tokio::test]
async fn the_work_on_a_worktree_can_be_fetched_and_the_repository_is_only_read() {
    let project = Project::new();
    let site = repository(&project).await;
    project.write("flow.yaml", FLOW);
    project.write("script.yaml", script(&project, "change"));
    let before = state(&site).await;
    project.run(["run", "flow.yaml", "--quiet"]).await.expect(0);
    assert_eq!(state(&site).await, before);
    let worktree = worktree_of(&project, "dev").await;
    assert_eq!(worktree["source"], site.to_str().unwrap());
    assert_eq!(worktree["base"], git(&site, &["rev-parse", "main"]).await);
    let branch = worktree["branch"].as_str().unwrap();
    assert!(branch.starts_with("fusion/dev-change-"), "{branch}");
    let (log, page, note) = fetched(&site, &worktree).await;
    assert_eq!(log, "dev: change by dev\nby the agent by dev");
    assert_eq!(
        (page.as_str(), note.as_str()),
        ("new\nmore\nleft", "a note")
    );
    let diff = project.run(["workspace", "diff", "dev", "--json"]).await;
    let diff = diff.expect(0).json();
    // What the agent's own settings made in its sandbox is among them too.
    let changed = diff["files"].as_array().unwrap();
    for wanted in [
        json!({ "path": "note", "added": 1, "removed": 0 }),
        json!({ "path": "page", "added": 2, "removed": 0 }),
    ] {
        assert!(changed.contains(&wanted), "{changed:?}");
    }
    let text = diff["diff"].as_str().unwrap();
    assert!(text.contains("\n new\n+more\n+left\n"), "{text}");
    assert_eq!(
        json!([diff["base"], diff["branch"], diff["truncated"]]),
        json!([worktree["base"], branch, false])
    );
    assert!(!project.path().join("payload").exists());
    let shown = project.run(["agent", "get", "dev"]).await.expect(0);
    let told = format!(
        "git fetch {} {branch}",
        worktree["repository"].as_str().unwrap()
    );
    assert!(shown.stdout.contains(&told), "{}", shown.stdout);
}

/// Two steps: the first spoils the worktree, so that nothing can be taken in, the second mends it.
#[tokio::test]
async fn work_that_can_not_be_taken_in_is_told_until_it_can() {
    let project = Project::new();
    repository(&project).await;
    let flow = format!(
        "{FLOW}  - {{ id: mend, agent: dev, prompt: Mend it., needs: [change], approval: Go on? }}\n"
    );
    project.write("flow.yaml", flow);
    let run = |command: &str| {
        json!([
            { "tool_calls": [{ "name": "run_command", "arguments": { "command": command } }] },
            { "text": "Done." },
        ])
    };
    let steps = json!({
        "change": run("echo more >> projects/site/page; mv projects/site/.git projects/aside"),
        "mend": run("mv projects/aside projects/site/.git"),
    });
    project.write(
        "script.yaml",
        json!({ "version": 1, "steps": steps }).to_string(),
    );
    let running = project.fusion_kit(["run", "flow.yaml", "--quiet"]).start();
    let asks = |run: &Value| {
        let wait = step(run, "mend")["waiting"]["reason"].as_str();
        wait.is_some_and(|reason| reason.starts_with("approval"))
    };
    project.until("the question", asks).await;
    let inbox = ["inbox", "--json"];
    let item = project.run(inbox).await.expect(0).json()["items"][0].clone();
    let spoiled = worktree_of(&project, "dev").await;
    let why = spoiled["fault"].as_str().unwrap();
    assert_eq!(spoiled["branch"], Value::Null);
    let shown = project.run(["agent", "get", "dev"]).await.expect(0);
    let told = "no work is taken in yet; the newest is only in the workspace: ";
    assert!(shown.stdout.contains(told), "{}", shown.stdout);
    let line = "events tail --type agent.error --json".split_whitespace();
    let event = project.run(line).await.expect(0).json();
    assert_eq!(event["severity"], "warning", "{event:#}");
    let message = event["message"].as_str().unwrap();
    let begin = "what dev did in its worktree for 'change' is not taken in: ";
    assert!(
        message.starts_with(begin) && message.ends_with(why),
        "{message}"
    );

    let approval = item["id"].as_str().unwrap();
    project.run(["approve", approval]).await.expect(0);
    running.finish().await.expect(0);
    let mended = worktree_of(&project, "dev").await;
    assert_eq!(mended["fault"], Value::Null);
    let branch = mended["branch"].as_str().unwrap();
    assert!(branch.starts_with("fusion/dev-mend-"), "{branch}");
}

#[tokio::test]
async fn the_removal_of_a_workspace_keeps_the_work_that_was_not_taken_in() {
    let project = Project::new();
    repository(&project).await;
    project.write("script.yaml", script(&project, "task"));
    let spawn =
        "agent spawn --name dev --provider scripted --model script.yaml --tools files,shell";
    let line = spawn.split_whitespace();
    project
        .run(line.chain(["--workspace", "worktree:site@old"]))
        .await
        .expect(0);
    let shown = project
        .run(["agent", "get", "dev", "--json"])
        .await
        .expect(0)
        .json();
    let workspace = PathBuf::from(shown["workspace"]["path"].as_str().unwrap());
    let page = workspace.join("projects/site/page");
    assert_eq!(fs::read_to_string(&page).unwrap(), "old\n");
    // Nothing was ever asked of the agent: only the end can take this in.
    fs::write(&page, "by hand\n").unwrap();
    let end = ["agent", "terminate", "dev", "--workspace", "remove"];
    project.run(end).await.expect(0);
    assert!(!workspace.exists());
    let repository = &shown["workspace"]["worktree"]["repository"];
    let repository = Path::new(repository.as_str().unwrap());
    let branches = git(
        repository,
        &["for-each-ref", "--format=%(refname)", "refs/heads"],
    )
    .await;
    assert!(
        branches.starts_with("refs/heads/fusion/dev-end-"),
        "{branches}"
    );
    let kept = git(repository, &["show", &format!("{branches}:page")]).await;
    assert_eq!(kept, "by hand");
    assert!(!project.path().join("payload").exists());
}

#[tokio::test]
async fn a_server_makes_the_worktree_that_a_command_asks_for() {
    let project = Project::new();
    let site = repository(&project).await;
    project.write("script.yaml", script(&project, "task"));
    let serving = Serving::on(&project).await;
    let spawn =
        "agent spawn --name dev --provider scripted --model script.yaml --tools files,shell";
    let line = spawn.split_whitespace();
    let spawned = project
        .run(line.chain(["--workspace", "worktree:site@old"]))
        .await;
    spawned.expect(0);
    drop(serving);
    let worktree = worktree_of(&project, "dev").await;
    assert_eq!(
        [&worktree["source"], &worktree["base"]],
        [
            site.to_str().unwrap(),
            &git(&site, &["rev-parse", "old"]).await
        ]
    );
}

#[tokio::test]
async fn a_worktree_of_nothing_is_refused_and_leaves_nothing() {
    let project = Project::new();
    repository(&project).await;
    project.write("script.yaml", script(&project, "task"));
    for (kind, why) in [
        ("worktree:nowhere", "nowhere"),
        ("worktree:site@gone", "gone"),
        ("worktree:site@--upload-pack=x", "no name of a branch"),
        ("directory:nowhere", "nowhere"),
    ] {
        let spawn = "agent spawn --name dev --provider scripted --model script.yaml --workspace";
        let line = spawn.split_whitespace().chain([kind]);
        let refused = project.run(line).await;
        assert_ne!(refused.code, Some(0), "{kind}");
        assert!(refused.stderr.contains(why), "{kind}: {}", refused.stderr);
        let left = fs::read_dir(project.data_dir().join("workspaces"));
        assert_eq!(left.map_or(0, Iterator::count), 0, "{kind}");
        let left = fs::read_dir(project.data_dir().join("repositories"));
        assert_eq!(left.map_or(0, Iterator::count), 0, "{kind}");
    }
    assert!(!project.path().join("payload").exists());
}

#[tokio::test]
async fn a_workspace_begins_with_a_copy_of_its_template() {
    let project = Project::new();
    let template = project.path().join("start");
    fs::create_dir_all(template.join("deep/er")).unwrap();
    fs::write(template.join("deep/er/tool"), "#!/bin/sh\necho ran\n").unwrap();
    let tool = template.join("deep/er/tool");
    fs::set_permissions(tool, Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", template.join("link")).unwrap();
    let call = "cd projects && ./deep/er/tool && readlink link && echo own >> deep/er/tool";
    let turns = json!([
        { "tool_calls": [{ "name": "run_command", "arguments": { "command": call } }] },
        { "text": "Done." },
    ]);
    let script = json!({ "version": 1, "steps": { "only": turns } });
    project.write("script.yaml", script.to_string());
    let flow = FLOW
        .replace(
            "{ type: worktree, repository: site }",
            "{ type: directory, template: start }",
        )
        .replace("id: change", "id: only");
    project.write("flow.yaml", flow);
    project.run(["run", "flow.yaml", "--quiet"]).await.expect(0);
    let shown = project.shown().await;
    let outcome = &shown["steps"][0]["journal"][1]["outcome"]["content"];
    assert_eq!(outcome, "ran\n/etc/passwd\n[exit code 0]");
    let text = fs::read_to_string(template.join("deep/er/tool")).unwrap();
    assert_eq!(text, "#!/bin/sh\necho ran\n");
}
