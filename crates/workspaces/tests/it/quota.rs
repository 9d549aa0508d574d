//! What a workspace may take of the disk.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use fusion_core::{Coded, ErrorCode};
use fusion_workspaces::{Exit, Finished, Launcher, Resource, Sandbox, Usage, WorkspaceDir};
use tokio_util::sync::CancellationToken;

use crate::place::{Place, base, launcher, processes_of, shell};

const MIB: u64 = 1024 * 1024;
const SMALL: Usage = Usage {
    bytes: 8 * MIB,
    files: 1_000,
};
/// What is written before somebody looks, on a slow machine and a fast disk, and then some.
const AT_MOST: u64 = 4096 * MIB;
/// How long a command may go on that takes too much, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(20);

fn levels() -> [Launcher; 2] {
    [launcher(), base()]
}

async fn run(launcher: &Launcher, agent: &WorkspaceDir, script: &str) -> Finished {
    let cancel = CancellationToken::new();
    launcher.run(agent, &shell(script), &cancel).await.unwrap()
}

/// Runs a script that never ends by itself beside another agent's commands; the script is ended
/// because it took too much, and the others go on meanwhile.
async fn ends_for(resource: Resource, script: &str) {
    let place = Place::new();
    let (greedy, other) = (place.agent(60).with_quota(SMALL), place.agent(61));
    for launcher in levels() {
        let began = Instant::now();
        let (finished, _) = tokio::join!(run(&launcher, &greedy, script), async {
            let done = run(
                &launcher,
                &other,
                "echo on > projects/file; cat projects/file",
            )
            .await;
            assert_eq!(done.output, "on\n");
        });
        assert_eq!(finished.exit, Exit::OverLimit(resource), "{finished:?}");
        assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
        assert_eq!(processes_of(&greedy), [] as [String; 0]);
        assert!(greedy.measure().unwrap().bytes < AT_MOST);
        fs::remove_dir_all(greedy.projects_path()).unwrap();
        fs::remove_dir_all(greedy.path().join(".agent/tmp")).unwrap();
        drop(place.agent(60));
    }
}

/// In files of the size that one may have.
#[tokio::test]
pub(crate) async fn a_command_that_fills_the_disk_is_ended() {
    let fill = |folder: &str| {
        format!(
            "mkdir -p {folder}/deep/deeper; i=0; while :; do i=$((i + 1))
            head -c 200000 /dev/zero > {folder}/deep/deeper/$i; done"
        )
    };
    ends_for(Resource::Disk, &fill("projects")).await;
    ends_for(Resource::Disk, &fill("$TMPDIR")).await;
}

#[tokio::test]
pub(crate) async fn a_command_that_makes_files_without_end_is_ended() {
    let script = "mkdir projects; cd projects; i=0; while :; do i=$((i + 1)); : > $i; done";
    ends_for(Resource::Files, script).await;
}

/// A file without a name takes room as long as it is open.
#[tokio::test]
async fn deleted_files_count_as_long_as_they_are_open() {
    let script = "mkdir -p projects; exec perl -e '
        open F, \">\", \"projects/f\" or die $!; unlink \"projects/f\"; $x = \"x\" x 1000000;
        syswrite F, $x for 1 .. 20; sleep 1000'";
    ends_for(Resource::Disk, script).await;
}

#[tokio::test]
pub(crate) async fn without_a_sandbox_nothing_ends_a_command_that_takes_too_much() {
    let place = Place::new();
    let agent = place.agent(1).with_quota(SMALL);
    let open = launcher().with_sandbox(Sandbox::Off);
    let script = "head -c 20000000 /dev/zero > projects/big; sleep 1; echo done";
    let finished = run(&open, &agent, script).await;
    let ended = (finished.exit, finished.output.as_str());
    assert_eq!(ended, (Exit::Code(0), "done\n"));
}

#[tokio::test]
async fn in_a_full_workspace_a_command_removes_files_and_writes_none() {
    let place = Place::new();
    for launcher in levels() {
        let agent = place.agent(1).with_quota(SMALL);
        fs::write(agent.projects_path().join("big"), vec![b'x'; 10_000_000]).unwrap();
        let told = "[the workspace is over its limit on the disk: this command can remove files, \
                    not write any]\n";
        let finished = run(&launcher, &agent, "echo x > projects/new; echo still here").await;
        assert!(finished.output.starts_with(told), "{finished:?}");
        let size = |name: &str| fs::metadata(agent.projects_path().join(name)).map(|m| m.len());
        assert_ne!(size("new").ok(), Some(2));
        let finished = run(&launcher, &agent, "rm projects/*").await;
        assert_eq!(finished.exit, Exit::Code(0), "{finished:?}");
        let finished = run(
            &launcher,
            &agent,
            "echo x > projects/new && cat projects/new",
        )
        .await;
        let ended = (finished.exit, finished.output.as_str());
        assert_eq!(ended, (Exit::Code(0), "x\n"));
    }
}

#[test]
fn a_file_tool_writes_no_more_than_there_is_room_for() {
    let place = Place::new();
    let agent = place.agent(1).with_quota(SMALL);
    let write = |name: &str, size: usize| agent.write_file(name, &vec![b'x'; size]);
    write("projects/one", 6_000_000).unwrap();
    let refused = write("projects/two", 6_000_000).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Limited);
    let said = "'projects/two' is refused: the workspace may take 8 MiB and 1000 files, and has no \
                room for it: remove what is not needed, or write less";
    assert_eq!(refused.to_string(), said);
    assert!(!agent.projects_path().join("two").exists());
    // What is replaced makes room.
    write("projects/one", 7_000_000).unwrap();
    write("projects/one", 1_000).unwrap();
    write("projects/two", 6_000_000).unwrap();
    // So does what a command removed.
    fs::remove_file(agent.projects_path().join("two")).unwrap();
    write("projects/three", 6_000_000).unwrap();
}

#[test]
fn a_file_tool_makes_no_more_files_than_there_may_be() {
    let place = Place::new();
    let agent = place.agent(1);
    // Makes the folder of files that are being written.
    agent.write_file("projects/first", b"x").unwrap();
    let used = agent.measure().unwrap();
    let quota = Usage {
        files: used.files + 2,
        ..SMALL
    };
    let agent = agent.with_quota(quota);
    let write = |name: &str| agent.write_file(name, b"x");
    write("projects/a").unwrap();
    write("projects/b").unwrap();
    let refused = write("projects/c").unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Limited, "{refused}");
    write("projects/a").unwrap();
    assert!(!Path::new(&agent.projects_path()).join("c").exists());
}
