//! A person's own git merges what an agent made; whatever stands in its way leaves the checkout as it was.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::api::Serving;
use crate::support::{Finished, Project, contents};
use crate::worktrees::{FLOW, git, repository, worktree_of};

/// A project whose agent `dev` did this in its worktree of the repository `site`.
async fn made(command: &str) -> (Project, PathBuf) {
    let project = Project::new();
    let site = repository(&project).await;
    git(&site, &["config", "user.name", "Ada"]).await;
    git(&site, &["config", "user.email", "ada@a.invalid"]).await;
    project.write("flow.yaml", FLOW);
    work(&project, command).await;
    (project, site)
}

/// Another run of the same agent's workflow.
async fn work(project: &Project, command: &str) {
    let script = format!("cd projects/site && {command}");
    let turns = json!([
        { "tool_calls": [{ "name": "run_command", "arguments": { "command": script } }] },
        { "text": "Done." },
    ]);
    let script = json!({ "version": 1, "steps": { "change": turns } });
    project.write("script.yaml", script.to_string());
    project.run(["run", "flow.yaml", "--quiet"]).await.expect(0);
}

const MORE: &str =
    "echo more > new && echo changed > page && git add . && git commit -qm 'by the agent'";

async fn merge(project: &Project, more: &[&str]) -> Finished {
    project
        .run(["workspace", "merge", "dev"].iter().chain(more))
        .await
}

/// Everything of a checkout but the store of its objects, in which nothing is ever changed.
fn all_of(site: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let objects = site.join(".git/objects");
    let all = contents(site).into_iter();
    all.filter(|(path, _)| !path.starts_with(&objects))
        .collect()
}

/// Fails unless a merge is refused with this code and these words, and leaves every byte as it was.
async fn refused(project: &Project, site: &Path, more: &[&str], (code, says): (i32, &[&str])) {
    let before = all_of(site);
    merge(project, more).await.expect(code).says(says);
    assert_eq!(all_of(site), before, "{more:?}");
}

#[tokio::test]
async fn a_merge_is_a_commit_of_the_person_with_both_parents_and_runs_no_hook() {
    let (project, site) = made(MORE).await;
    let before = git(&site, &["rev-parse", "HEAD"]).await;
    let worktree = worktree_of(&project, "dev").await;
    let branch = worktree["branch"].as_str().unwrap();
    let merged = merge(&project, &["--json"]).await.expect(0).json();
    let head = git(&site, &["rev-parse", "HEAD"]).await;
    let agent = merged["agent"].clone();
    assert_eq!(
        merged,
        json!({
            "agent": agent, "repository": site, "branch": branch, "branches": 1, "into": "main",
            "strategy": "merge", "before": before, "commit": head,
            "files": [
                { "path": "new", "added": 1, "removed": 0 },
                { "path": "page", "added": 1, "removed": 1 },
            ],
        })
    );
    let told = git(&site, &["log", "-1", "--format=%an|%cn|%s|%P", "HEAD"]).await;
    let tip = git(&site, &["rev-parse", "HEAD^2"]).await;
    let subject = format!("Merge branch '{branch}' into main");
    assert_eq!(told, format!("Ada|Ada|{subject}|{before} {tip}"));
    let who = git(&site, &["log", "-1", "--format=%an %s", "HEAD^2"]).await;
    assert_eq!(who, "dev by the agent");
    assert_eq!(fs::read_to_string(site.join("page")).unwrap(), "changed\n");
    assert_eq!(git(&site, &["status", "--porcelain"]).await, "");
    assert!(!project.path().join("payload").exists());

    let again = merge(&project, &[]).await.expect(0);
    assert_eq!(again.stdout, format!("main has all of {branch} already\n"));
    assert_eq!(git(&site, &["rev-parse", "HEAD"]).await, head);
}

#[tokio::test]
async fn a_squash_is_one_commit_and_a_fast_forward_none() {
    let (project, site) = made(MORE).await;
    let before = git(&site, &["rev-parse", "HEAD"]).await;
    let squash = ["--strategy", "squash"];
    let said = merge(&project, &squash).await.expect(0);
    let branch = worktree_of(&project, "dev").await["branch"].clone();
    let branch = branch.as_str().unwrap();
    let head = git(&site, &["rev-parse", "HEAD"]).await;
    let short: String = head.chars().take(12).collect();
    assert_eq!(
        said.stdout,
        format!(
            "squashed {branch} into main: {short} in {}\n\
             ADDED  REMOVED  PATH\n    1        0  new\n    1        1  page\n",
            site.display()
        )
    );
    let told = git(&site, &["log", "-1", "--format=%an|%P|%B"]).await;
    let message = format!("Squash branch '{branch}'\n\n* by the agent");
    assert_eq!(told, format!("Ada|{before}|{message}"));
    // The same again comes to nothing: all of it is there.
    merge(&project, &squash).await.expect(0);
    assert_eq!(git(&site, &["rev-parse", "HEAD"]).await, head);

    let diverged = "'main' has gone on since: it can't just move on to the branch";
    refused(&project, &site, &["--strategy", "ff"], (5, &[diverged])).await;
    let ff = ["--strategy", "ff", "-m", "x"];
    refused(&project, &site, &ff, (2, &["makes no commit"])).await;
    // A branch that is not checked out moves without the files that lie there.
    git(&site, &["branch", "next", &before]).await;
    fs::write(site.join("page"), "not committed\n").unwrap();
    let ff = ["--strategy", "ff", "--into", "next", "--json"];
    let moved = merge(&project, &ff).await.expect(0).json();
    assert_eq!(
        git(&site, &["rev-parse", "next"]).await,
        moved["commit"].as_str().unwrap()
    );
    let subject = git(&site, &["log", "-1", "--format=%s", "next"]).await;
    assert_eq!(subject, "by the agent");
    let page = fs::read_to_string(site.join("page")).unwrap();
    assert_eq!(page, "not committed\n");
    let own = ["--into", "next", "--strategy", "squash", "-m", "Mine"];
    git(&site, &["branch", "-f", "next", &before]).await;
    merge(&project, &own).await.expect(0);
    let subject = git(&site, &["log", "-1", "--format=%s", "next"]).await;
    assert_eq!(subject, "Mine");
}

#[tokio::test]
async fn a_conflict_changes_no_byte_of_the_checkout_and_names_its_files() {
    let (project, site) = made(MORE).await;
    fs::write(site.join("page"), "otherwise\n").unwrap();
    git(&site, &["commit", "--quiet", "-am", "mine"]).await;
    fs::write(site.join("untracked"), "x").unwrap();
    let worktree = worktree_of(&project, "dev").await;
    let by_hand = format!(
        "by hand: git -C {0} fetch {1} {2} && git -C {0} merge FETCH_HEAD",
        site.display(),
        worktree["repository"].as_str().unwrap(),
        worktree["branch"].as_str().unwrap(),
    );
    let words = ["nothing is merged: both changed page\n", by_hand.as_str()];
    refused(&project, &site, &[], (5, &words)).await;
    refused(&project, &site, &["--strategy", "squash"], (5, &words)).await;
}

#[tokio::test]
async fn a_checkout_that_is_not_at_rest_is_refused_as_it_is() {
    let (project, site) = made(MORE).await;
    fs::write(site.join("page"), "mine\n").unwrap();
    let says = ["has changes that are not committed: page", "stash"];
    refused(&project, &site, &[], (5, &says)).await;
    git(&site, &["checkout", "--quiet", "page"]).await;

    for file in ["MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD"] {
        let head = git(&site, &["rev-parse", "HEAD"]).await;
        fs::write(site.join(".git").join(file), format!("{head}\n")).unwrap();
        let says = ["is in the middle of a "];
        refused(&project, &site, &[], (5, &says)).await;
        fs::remove_file(site.join(".git").join(file)).unwrap();
    }
    fs::create_dir(site.join(".git/rebase-merge")).unwrap();
    refused(&project, &site, &[], (5, &["the middle of a rebase"])).await;
    fs::remove_dir(site.join(".git/rebase-merge")).unwrap();

    git(&site, &["checkout", "--quiet", "--detach"]).await;
    refused(&project, &site, &[], (5, &["name it with --into BRANCH"])).await;
    git(&site, &["checkout", "--quiet", "main"]).await;
    let near = ["there is no branch 'mian'", "did you mean 'main'?"];
    refused(&project, &site, &["--into", "mian"], (3, &near)).await;

    // Another folder of the same repository has it.
    let beside = project.path().join("beside");
    let path = beside.to_str().unwrap();
    git(&site, &["worktree", "add", "--quiet", path, "old"]).await;
    let says = format!("is checked out in {path}");
    refused(&project, &site, &["--into", "old"], (5, &[&says])).await;
}

#[tokio::test]
async fn no_untracked_file_is_overwritten_not_even_an_ignored_one() {
    let command =
        format!("{MORE} && echo theirs > secret && git add -f secret && git commit -qm s");
    let (project, site) = made(&command).await;
    fs::write(site.join("new"), "mine\n").unwrap();
    let before = contents(&site);
    let tracked = |all: BTreeMap<PathBuf, Option<Vec<u8>>>| {
        let git = site.join(".git");
        let all = all
            .into_iter()
            .filter(move |(path, _)| !path.starts_with(&git));
        all.collect::<BTreeMap<_, _>>()
    };
    merge(&project, &[]).await.expect(5).says(&["new"]);
    assert_eq!(tracked(contents(&site)), tracked(before));
    fs::remove_file(site.join("new")).unwrap();

    fs::write(site.join(".git/info/exclude"), "secret\n").unwrap();
    fs::write(site.join("secret"), "mine\n").unwrap();
    let head = git(&site, &["rev-parse", "HEAD"]).await;
    let before = contents(&site);
    merge(&project, &[]).await.expect(5).says(&["secret"]);
    assert_eq!(tracked(contents(&site)), tracked(before));
    assert_eq!(git(&site, &["rev-parse", "HEAD"]).await, head);
}

#[tokio::test]
async fn nothing_that_the_branch_brings_is_run_by_the_persons_git() {
    let command = "mkdir -p .husky tools && for f in .husky/post-merge tools/clean .settings; do
         printf '#!/bin/sh\\ntouch ../payload\\ncat\\n' > $f && chmod +x $f; done &&
         echo '* filter=own' > .gitattributes && git add . && git commit -qm plants";
    let (project, site) = made(command).await;
    for (name, value, file) in [
        ("core.hooksPath", ".husky", ".husky/post-merge"),
        (
            "filter.own.smudge",
            "sh -c './tools/clean %f'",
            "tools/clean",
        ),
        ("include.path", "../.settings", ".settings"),
    ] {
        git(&site, &["config", name, value]).await;
        let told = name.to_lowercase();
        let words = format!("the branch changes {file}, which your git runs or reads as {told}");
        let first = format!("look at {file} first");
        refused(&project, &site, &[], (5, &[&words, &first])).await;
        git(&site, &["config", "--unset", name]).await;
    }
    // One that the person has elsewhere is the person's own; what steers it is told.
    let own = project.path().join("own");
    fs::write(&own, "#!/bin/sh\ncat\n").unwrap();
    let smudge = format!("sh {}", own.display());
    git(&site, &["config", "filter.own.smudge", &smudge]).await;
    let said = merge(&project, &[]).await.expect(0);
    said.says(&["look at .gitattributes: it steers what git does with other files"]);
    assert!(!project.path().join("payload").exists());
}

/// A filter that must run and fails ends git in the middle of its writing: what it left is told.
#[tokio::test]
async fn a_merge_that_git_breaks_off_is_told_with_the_way_back() {
    let more = "echo '*.bin filter=broken' > .gitattributes && echo 1 > a.bin && echo x > page && \
                git add . && git commit -qm 'by the agent'";
    let (project, site) = made(more).await;
    for (name, value) in [("smudge", "false"), ("required", "true")] {
        git(&site, &["config", &format!("filter.broken.{name}"), value]).await;
    }
    let before = git(&site, &["rev-parse", "HEAD"]).await;
    let broken = merge(&project, &[]).await.expect(5);
    let way_back = format!("reset --hard {before}");
    broken.says(&["git had begun to write files of", "git -C", &way_back]);
    assert_eq!(git(&site, &["rev-parse", "HEAD"]).await, before);
    assert_ne!(git(&site, &["status", "--porcelain"]).await, "");
}

#[tokio::test]
async fn settings_are_seen_through_links_the_home_and_aliases() {
    let more =
        "mkdir -p tools && echo x > tools/x.sh && git add . && git commit -qm 'by the agent'";
    let (project, site) = made(more).await;
    let link = project.path().join("link");
    std::os::unix::fs::symlink(&site, &link).unwrap();
    let through_link = link.join("tools/x.sh").display().to_string();
    for (setting, value) in [
        ("core.editor", through_link.as_str()),
        ("alias.x", "!tools/x.sh"),
        ("pager.log", "tools/x.sh"),
        ("include.path", "../tools/x.sh"),
    ] {
        git(&site, &["config", setting, value]).await;
        let says = ["tools/x.sh", setting];
        refused(&project, &site, &[], (5, &says)).await;
        git(&site, &["config", "--unset", setting]).await;
    }
    // Another alias names a command of git.
    git(&site, &["config", "alias.tools", "log tools"]).await;
    merge(&project, &[]).await.expect(0);
}

#[tokio::test]
async fn a_setting_of_the_person_that_squashes_or_a_long_history_changes_nothing_of_a_merge() {
    let more = "for i in $(seq 1 120); do echo $i > new && git add . && \
                git commit -qm \"$i: $(printf 'long %.0s' $(seq 1 400))\"; done";
    let (project, site) = made(more).await;
    git(&site, &["config", "branch.main.mergeOptions", "--squash"]).await;
    let squash = ["--strategy", "squash", "--json"];
    let merged = merge(&project, &squash).await.expect(0).json();
    let head = git(&site, &["rev-parse", "HEAD"]).await;
    assert_eq!(merged["commit"], head);
    assert_eq!(git(&site, &["status", "--porcelain"]).await, "");
    let said = git(&site, &["log", "-1", "--format=%b"]).await;
    let lines: Vec<&str> = said.lines().collect();
    let first = lines.first().copied();
    assert_eq!((first, lines.len()), (Some("* and 20 earlier ones"), 101));
    assert!(lines.last().unwrap().starts_with("* 120: long long"));
}

#[tokio::test]
async fn the_newest_of_several_branches_is_merged_and_others_by_their_name() {
    let project = Project::new();
    let site = repository(&project).await;
    for (name, value) in [("user.name", "Ada"), ("user.email", "ada@a.invalid")] {
        git(&site, &["config", name, value]).await;
    }
    let flow = format!("{FLOW}  - {{ id: more, agent: dev, prompt: More., needs: [change] }}\n");
    project.write("flow.yaml", flow);
    let turns = |file: &str| {
        let path = format!("projects/site/{file}");
        json!([
            { "tool_calls": [{ "name": "write_file", "arguments": { "path": path, "content": "x\n" } }] },
            { "text": "Done." },
        ])
    };
    let steps = json!({ "change": turns("one"), "more": turns("two") });
    let script = json!({ "version": 1, "steps": steps });
    project.write("script.yaml", script.to_string());
    project.run(["run", "flow.yaml", "--quiet"]).await.expect(0);
    let worktree = worktree_of(&project, "dev").await;
    let repository = Path::new(worktree["repository"].as_str().unwrap());
    let names = ["for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads"];
    let names = git(repository, &names).await;
    let first = names
        .lines()
        .find(|name| name.contains("-change-"))
        .unwrap();
    let newest = names.lines().find(|name| name.contains("-more-")).unwrap();
    let near = format!("did you mean '{first}'?");
    let wrong = format!("{first}x");
    refused(&project, &site, &["--branch", &wrong], (3, &[&near])).await;
    let one = merge(&project, &["--branch", first]).await.expect(0);
    assert!(one.stdout.contains(first), "{}", one.stdout);
    let files = |site: &Path| ["one", "two"].map(|name| site.join(name).exists());
    assert_eq!(files(&site), [true, false]);
    let both = merge(&project, &[]).await.expect(0);
    let told = format!("{newest} is the newest of 2 branches: name another with --branch");
    both.says(&[&told]);
    assert_eq!(files(&site), [true, true]);
}

#[tokio::test]
async fn a_server_of_this_machine_tells_what_to_merge_and_one_elsewhere_how_it_is_done_by_hand() {
    let (project, site) = made(MORE).await;
    let serving = Serving::on(&project).await;
    let through = async |project: &Project| {
        let url = format!("http://{}", serving.address);
        let words = ["workspace", "merge", "dev", "--json", "--server", &url];
        let command = project
            .fusion_kit(words)
            .env("FUSION_TOKEN", &serving.token);
        command.finish().await
    };
    // As from another machine: what the server tells of is not here.
    let aside = project.path().join("aside");
    fs::rename(&site, &aside).unwrap();
    let refused = through(&project).await.expect(5);
    let problem: Value = serde_json::from_str(&refused.stderr).unwrap();
    let help = problem["help"].as_str().unwrap();
    let begin = format!("by hand: git -C {} fetch ", site.display());
    assert!(help.starts_with(&begin), "{help}");
    fs::rename(&aside, &site).unwrap();
    let merged = through(&project).await.expect(0).json();
    assert_eq!(merged["into"], "main");
    assert_eq!(fs::read_to_string(site.join("page")).unwrap(), "changed\n");
}

#[tokio::test]
async fn an_agent_without_a_worktree_or_without_work_has_nothing_to_merge() {
    let project = Project::new();
    repository(&project).await;
    project.write(
        "script.yaml",
        "version: 1\nsteps: { task: [{ text: Done. }] }\n",
    );
    for (name, workspace, says) in [
        ("plain", None, "the agent 'plain' has no worktree"),
        (
            "idle",
            Some("worktree:site"),
            "no work of 'idle' is taken in yet",
        ),
    ] {
        let spawn = "agent spawn --provider scripted --model script.yaml --name";
        let words = spawn.split(' ').chain([name]);
        let more = workspace.into_iter().flat_map(|kind| ["--workspace", kind]);
        project.run(words.chain(more)).await.expect(0);
        let refused = project.run(["workspace", "merge", name]).await;
        refused.expect(5).says(&[says]);
    }
}
