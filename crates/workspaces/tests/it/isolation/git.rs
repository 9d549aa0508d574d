//! Repositories that run something when somebody uses them. Git runs in the sandbox only, so what
//! it is made to run is held there; nothing that the product itself does with a workspace runs it.

use std::collections::BTreeMap;
use std::fs;

use super::{Attempt, World, bare, check, held, run_in};
use crate::place::{is_root, launcher, name, uid};

/// Makes the payload, which leaves a file outside.
const PAYLOAD: &str = "command -v git > /dev/null || echo absent
    export HOME=\"$PWD\"; cd projects; printf '#!/bin/sh\\necho x > @OUT@/new; cat\\n' > p; chmod +x p; P=\"$PWD/p\"
    mine() { git -c user.name=a -c user.email=a@b \"$@\" < /dev/null; }
";

/// By name: what is planted, and the harmless use of git that runs it.
const PLANTS: [(&str, &str, &str); 7] = [
    (
        "g-hook",
        "git init -q hook; cp p hook/.git/hooks/post-commit",
        "cd hook; mine commit -q --allow-empty -m x",
    ),
    (
        "g-fsmonitor",
        "git init -q monitor; git -C monitor config core.fsmonitor $P",
        "cd monitor; mine status",
    ),
    (
        "g-filter",
        "git init -q filter; cd filter; echo '* filter=x' > .gitattributes; echo x > f
        git config filter.x.clean $P; cd ..",
        "cd filter; mine add f",
    ),
    (
        "g-diff-external",
        "git init -q differ; cd differ; echo a > f; git add f; mine commit -qm x; echo b > f
        git config diff.external $P; cd ..",
        "cd differ; mine --no-pager diff",
    ),
    (
        "g-gitfile-swap",
        "git init -q swapped; git -C swapped config core.fsmonitor $P
        mkdir file; echo 'gitdir: ../swapped/.git' > file/.git",
        "cd file; mine status",
    ),
    (
        "g-commondir",
        "git init -q common; git -C common config core.fsmonitor $P
        git init -q linked; echo ../../common/.git > linked/.git/commondir",
        "cd linked; mine status",
    ),
    (
        "g-embedded-bare",
        "git init -q --bare embedded; cd embedded; git config core.bare false
        git config core.worktree ..; git config core.fsmonitor $P; cd ..",
        "cd embedded; mine status",
    ),
];

#[tokio::test]
async fn what_a_repository_runs_is_held() {
    check(&plants()).await;
}

pub(super) fn plants() -> Vec<Attempt> {
    let mut attempts: Vec<Attempt> = PLANTS
        .into_iter()
        .map(|(name, plant, usage)| {
            let script = format!("{PAYLOAD}{plant}\n{usage}");
            held(name, script, |w, _| w.out().join("new").exists())
        })
        .collect();
    attempts.push(held(
        "g-worktree-main",
        "printf '#!/bin/sh\\n' > @OUT@/main/.git/hooks/post-checkout",
        |w, _| w.out().join("main/.git/hooks/post-checkout").exists(),
    ));
    attempts
}

#[tokio::test]
async fn nothing_that_the_product_does_with_a_workspace_runs_what_a_repository_names() {
    for (plant_name, plant, usage) in PLANTS {
        let world = World::new();
        let script = world.filled(&format!("{PAYLOAD}{plant}"));
        let (exit, output) = run_in(&world, &launcher(), &script).await;
        if output.lines().any(|line| line == "absent") {
            eprintln!("skipped: there is no git");
            return;
        }
        let planted = world.out().join("new");
        fs::remove_file(&planted).ok();
        let workspaces = world.workspaces();
        let agent = workspaces.open(&name(1), uid(1)).unwrap();
        agent.list_files(".", 10_000).unwrap();
        agent.matching(&["**".to_owned()]).unwrap();
        agent.write_file("projects/more", b"x").unwrap();
        let config = serde_json::json!({});
        let again = workspaces.create(&name(1), uid(1), &config, &BTreeMap::new());
        drop(again.unwrap());
        workspaces
            .archive(&name(1), uid(1), &world.beside("archives"))
            .unwrap();
        assert!(!planted.exists(), "{plant_name}: {exit:?} {output}");

        let used = world.filled(&format!("{PAYLOAD}{usage}"));
        let said = bare(&world, &used, is_root().then(|| uid(1)).flatten());
        assert!(planted.exists(), "{plant_name} came to nothing: {said}");
        workspaces.remove(&name(1)).unwrap();
    }
}
