//! Started by an ordinary user: when these tests run as root, the binary is started as `nobody`.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::PathBuf;

use crate::support::{BINARY, Finished, Project, is_root, program, states};

const NOBODY: u32 = 65_534;

/// A project of `nobody`, with a copy of the binary that `nobody` can start.
struct Theirs {
    project: Project,
    place: tempfile::TempDir,
    binary: PathBuf,
}

impl Theirs {
    fn new() -> Self {
        let project = Project::of_examples();
        let place = tempfile::TempDir::new().unwrap();
        let binary = place.path().join("fusion-kit");
        fs::set_permissions(place.path(), Permissions::from_mode(0o755)).unwrap();
        if fs::hard_link(BINARY, &binary).is_err() {
            fs::copy(BINARY, &binary).unwrap();
        }
        if is_root() {
            chown(project.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        fs::set_permissions(project.path(), Permissions::from_mode(0o700)).unwrap();
        Self {
            project,
            place,
            binary,
        }
    }

    async fn run(&self, arguments: &[&str], env: &[(&str, &str)]) -> Finished {
        let mut command = program(&self.binary);
        command
            .args(arguments)
            .current_dir(self.project.path())
            .envs(env.iter().copied());
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command.output().await.unwrap().into()
    }
}

#[tokio::test]
async fn the_main_example_runs_for_an_ordinary_user() {
    let theirs = Theirs::new();
    let run = theirs
        .run(&["run", "plan-implement-review.yaml", "--json"], &[])
        .await
        .expect(0)
        .json();
    assert_eq!(
        states(&run),
        [
            ("plan", "completed"),
            ("implement", "completed"),
            ("review", "completed")
        ]
    );
    let workspace = fs::metadata(run["agents"][0]["workspace_path"].as_str().unwrap()).unwrap();
    let owner = fs::metadata(theirs.project.path()).unwrap().uid();
    assert_eq!((workspace.uid(), workspace.mode() & 0o7777), (owner, 0o700));
}

#[tokio::test]
async fn a_folder_of_somebody_else_is_refused_and_stays_as_it_was() {
    if !is_root() {
        eprintln!("skipped: only root can make folders of somebody else");
        return;
    }
    let theirs = Theirs::new();
    let before = theirs.project.contents();
    let closed = theirs.place.path().join("data");
    let data_dir = ["run", "hello.yaml", "--data-dir", closed.to_str().unwrap()];
    theirs.run(&data_dir, &[]).await.expect(10).says(&[
        "can't use the data directory ",
        "Permission denied",
        "help: choose a folder that you can write to",
    ]);
    let root = [("WORKSPACES_ROOT", closed.to_str().unwrap())];
    theirs
        .run(&["run", "hello.yaml"], &root)
        .await
        .expect(4)
        .says(&[
            "can't write to the workspaces folder ",
            "Permission denied",
            "help: choose another place with --data-dir or WORKSPACES_ROOT",
        ]);
    assert_eq!(theirs.project.contents(), before);
    assert!(!closed.exists());
}

#[tokio::test]
async fn a_command_of_an_ordinary_user_can_not_read_the_keys_of_the_program() {
    let theirs = Theirs::new();
    let workflow = "
version: 1
name: flow
agents:
  worker: { provider: scripted, model: looks.yaml, tools: [shell] }
steps:
  - { id: work, agent: worker, prompt: x, verify: [\"! grep -q sk-planted found\"] }
";
    let script = "
version: 1
steps:
  work:
    - tool_calls:
        - name: run_command
          arguments: { command: 'cat /proc/[0-9]*/environ > found 2>/dev/null; wc -c found' }
    - text: done
";
    theirs.project.write("flow.yaml", workflow);
    theirs.project.write("looks.yaml", script);
    let keys = [("OPENROUTER_API_KEY", "sk-planted")];
    theirs.run(&["run", "flow.yaml"], &keys).await.expect(0);
}
