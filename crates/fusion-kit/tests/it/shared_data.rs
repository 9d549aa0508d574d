//! The data directory: one owner at a time, readers beside it, and a disk without room.

use rustix::process::Signal;

use crate::support::{BINARY, Project, is_root, program, step, wait_for};

const WORKFLOW: &str = "
version: 1
name: flow
agents: { a: { provider: scripted, model: script.yaml, tools: [shell] } }
steps: [{ id: work, agent: a, prompt: x }]
outputs: { text: \"${{ steps.work.outputs.text }}\" }
";

#[tokio::test]
async fn a_second_process_is_refused_and_readers_are_not() {
    let project = Project::with(
        WORKFLOW,
        "version: 1\ndelay: 60s\nsteps: { work: [{ text: done }] }\n",
    );
    let running = project.fusion_kit(["run", "flow.yaml"]).start();
    project
        .until("the model call", |run| {
            step(run, "work")["activity"] == "turn 1"
        })
        .await;
    // That one read the run a moment before its steps.
    let shown = project.shown().await;
    assert_eq!(
        (&shown["state"], &shown["interrupted"]),
        (&"running".into(), &false.into())
    );
    let list = project
        .run(["run", "list", "--json"])
        .await
        .expect(0)
        .json();
    assert_eq!(list["runs"][0]["state"], "running");
    assert_eq!(list["runs"][0]["interrupted"], false);

    let refusal = format!(
        "another fusion-kit (pid {}) works in the data directory",
        running.pid()
    );
    for arguments in [&["run", "flow.yaml"][..], &["resume"]] {
        let refused = project.run(arguments).await.expect(5);
        refused.says(&[
            &refusal,
            "help: wait until it is done, stop it, or use another --data-dir",
        ]);
    }
    let other = project
        .fusion_kit(["run", "flow.yaml", "--data-dir", "other"])
        .start();
    wait_for("the other run", || {
        project
            .path()
            .join("other/fusion.db")
            .exists()
            .then_some(())
    })
    .await;
    other.signal(Signal::TERM);
    other.finish().await;
    running.stop(Signal::INT).await.expect(130);
    assert_eq!(project.shown().await["interrupted"], true);
}

/// In a mount of its own, gone with the process: a small disk as the data directory, which the
/// agent's command fills up; then room is made.
const ON_A_SMALL_DISK: &str = r#"
mkdir data && mount -t tmpfs -o size=2m,mode=0711 none data || exit 99
"$1" run flow.yaml --data-dir data >full.out 2>full.err; echo $? >full.code
"$1" run list --json --data-dir data >list.out
rm data/workspaces/*/projects/filler || exit 98
"$1" resume --data-dir data >resumed.out 2>resumed.err; echo $? >resumed.code
"#;

#[tokio::test]
async fn a_full_disk_ends_the_process_clearly_and_resume_goes_on_when_there_is_room() {
    if !is_root() {
        eprintln!("skipped: only root can mount a small disk");
        return;
    }
    let script = "
version: 1
steps:
  work:
    - tool_calls: [{ name: run_command, arguments: { command: 'cat /dev/zero > projects/filler' } }]
    - text: done
";
    let project = Project::with(WORKFLOW, script);
    let ended = program("unshare")
        .args(["--mount", "sh", "-c", ON_A_SMALL_DISK, "sh", BINARY])
        .current_dir(project.path())
        .output()
        .await
        .unwrap();
    if ended.status.code() == Some(99) || ended.status.code() == Some(1) {
        eprintln!("skipped: no mount is allowed here: {ended:?}");
        return;
    }
    let read = |name: &str| std::fs::read_to_string(project.path().join(name)).unwrap();
    let said = read("full.err");
    assert_eq!(read("full.code"), "10\n", "{said}");
    assert!(said.contains("disk is full"), "{said}");
    assert_eq!(
        said.matches("database or disk is full").count(),
        1,
        "{said}"
    );
    let resume = said
        .rsplit("go on with: fusion-kit resume ")
        .next()
        .unwrap();
    assert!(resume.ends_with(" --data-dir data\n"), "{said}");
    assert!(read("list.out").contains("\"interrupted\":true"));
    assert_eq!(read("resumed.code"), "0\n", "{}", read("resumed.err"));
    assert!(read("resumed.out").contains("text: done"));
}

#[tokio::test]
async fn a_disk_that_is_full_from_the_start_is_told_and_nothing_is_left() {
    if !is_root() {
        eprintln!("skipped: only root can mount a small disk");
        return;
    }
    let project = Project::with(WORKFLOW, "version: 1\nsteps: { work: [{ text: done }] }\n");
    let on_a_full_disk = r#"
mkdir disk && mount -t tmpfs -o size=64k,mode=0711 none disk || exit 99
cat /dev/zero > disk/filler
"$1" run flow.yaml --data-dir disk/data >out 2>err; echo $? >code
ls -A disk >left
"#;
    let ended = program("unshare")
        .args(["--mount", "sh", "-c", on_a_full_disk, "sh", BINARY])
        .current_dir(project.path())
        .output()
        .await
        .unwrap();
    if ended.status.code() == Some(99) || ended.status.code() == Some(1) {
        eprintln!("skipped: no mount is allowed here: {ended:?}");
        return;
    }
    let read = |name: &str| std::fs::read_to_string(project.path().join(name)).unwrap();
    assert_eq!(read("code"), "10\n", "{}", read("err"));
    assert!(
        read("err").contains("No space left on device"),
        "{}",
        read("err")
    );
    assert_eq!(read("left"), "filler\n");
}
