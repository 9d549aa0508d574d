//! What commands use is counted.

use std::fs;
use std::time::Duration;

use fusion_workspaces::{Consumed, Custody, Exit, Launcher, WorkspaceDir};
use tokio_util::sync::CancellationToken;

use crate::place::{Place, base, launcher, shell, wait_for};

const MIB: u64 = 1024 * 1024;

/// Computes for a second, with 40 MiB, writes a file of 5 MB, and waits with all that.
const GREEDY: &str = "head -c 5000000 /dev/zero > projects/big; perl -e '$x = \"a\" x (40 << 20);
do { $n++ for 1 .. 10000 } while (times)[0] + (times)[1] < 1; sleep 1 while !-e \"projects/go\"'";

fn used(custody: &Custody) -> Consumed {
    Custody::look(std::slice::from_ref(custody)).unwrap()[0]
}

async fn run(launcher: &Launcher, agent: &WorkspaceDir, cancel: &CancellationToken) -> Exit {
    let command = shell(GREEDY);
    launcher.run(agent, &command, cancel).await.unwrap().exit
}

/// Waits until the command has computed, and says what was seen then.
async fn at_work(custody: &Custody) -> Consumed {
    wait_for("the command's second of computing", || {
        let seen = used(custody);
        (seen.cpu >= Duration::from_millis(900) && seen.memory >= 40 * MIB).then_some(seen)
    })
    .await
}

#[tokio::test]
async fn what_commands_use_is_counted_while_they_run_and_after() {
    let place = Place::new();
    let agent = place.agent(70);
    for launcher in [launcher(), base()] {
        let custody = Custody::default();
        assert_eq!(used(&custody), Consumed::default());
        let launcher = launcher.counted(custody.clone());
        let never = CancellationToken::new();
        let (exit, seen) = tokio::join!(run(&launcher, &agent, &never), async {
            let seen = at_work(&custody).await;
            fs::write(agent.projects_path().join("go"), "").unwrap();
            seen
        });
        assert_eq!(exit, Exit::Code(0));
        let after = used(&custody);
        assert_eq!(after.memory, 0);
        assert!(after.cpu >= seen.cpu && after.cpu < Duration::from_secs(30));
        // The file system may still have it to write; it was counted when it was given.
        assert!(after.written >= 4 * MIB, "{after:?}");
        assert_eq!(used(&custody), after);
        fs::remove_dir_all(agent.projects_path()).unwrap();
        drop(place.agent(70));
    }
}

#[tokio::test]
async fn what_a_stopped_command_used_is_counted_too() {
    let place = Place::new();
    let agent = place.agent(71);
    let custody = Custody::default();
    let launcher = launcher().counted(custody.clone());
    let cancel = CancellationToken::new();
    let (exit, seen) = tokio::join!(run(&launcher, &agent, &cancel), async {
        let seen = at_work(&custody).await;
        cancel.cancel();
        seen
    });
    assert_eq!(exit, Exit::Cancelled);
    let after = used(&custody);
    assert!(
        after.cpu >= seen.cpu && after.written >= 4 * MIB,
        "{after:?}"
    );
    assert_eq!(after.memory, 0);
}

#[tokio::test]
async fn one_look_tells_agents_apart() {
    let place = Place::new();
    let (busy, idle) = (Custody::default(), Custody::default());
    let launcher = launcher().counted(busy.clone());
    let cancel = CancellationToken::new();
    let agent = place.agent(72);
    tokio::join!(run(&launcher, &agent, &cancel), async {
        at_work(&busy).await;
        let looked = Custody::look(&[idle, busy.clone()]).unwrap();
        assert_eq!(looked[0], Consumed::default());
        assert!(looked[1].memory >= 40 * MIB, "{looked:?}");
        cancel.cancel();
    });
}
