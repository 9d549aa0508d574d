use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::time::Duration;

use fusion_workspaces::{Command, Error, Exit, Sandbox, WorkspaceDir};
use rustix::process::{Pid, Signal, kill_process};
use tokio_util::sync::CancellationToken;

use crate::place::{
    HELPER, Place, base, children_of, is_root, launcher, name, processes_of, run, runs, sh, shell,
    uid, wait_for,
};

/// Starts processes that do what they can to stay: each writes its id to `projects/pid-*`.
/// Then the script goes on with whatever is added to it.
const STAYERS: &str = r#"
cd projects
stay='trap "" TERM HUP INT; echo $$ > new-$0; mv new-$0 pid-$0; while :; do sleep 1000; done'
sh -c "$stay" child &
(sh -c "$stay" orphan &)
setsid sh -c "$stay" session &
(setsid sh -c "$stay" daemon >/dev/null 2>&1 </dev/null &)
(setsid sh -c "sh -c '$stay' deep & exit" &)
cp /bin/sleep "$(printf 'x) S 1 (\377')"
(setsid "./$(printf 'x) S 1 (\377')" 1000 & echo $! > new-name; mv new-name pid-name)
while [ "$(ls | grep -c pid-)" -lt 6 ]; do sleep 0.01; done
"#;
const STAYER_COUNT: usize = 6;

/// The ids of the stayers as the machine counts them, once all have come up.
fn stayers(dir: &WorkspaceDir) -> Option<Vec<String>> {
    let names = fs::read_dir(dir.projects_path()).unwrap();
    let up = names.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with("pid-")
    });
    (up.count() == STAYER_COUNT).then(|| processes_of(dir))
}

fn running(pids: &[String]) -> Vec<&String> {
    pids.iter().filter(|pid| runs(pid)).collect()
}

#[tokio::test]
pub(crate) async fn a_timeout_kills_every_descendant() {
    let place = Place::new();
    let agent = place.agent(1);
    let command = Command {
        timeout: Duration::from_secs(5),
        ..shell(&format!("{STAYERS} sleep 1000"))
    };
    let finished = run(&agent, &command).await.unwrap();
    assert_eq!(finished.exit, Exit::TimedOut, "{finished:?}");
    let pids = stayers(&agent).expect("all had started");
    assert_eq!(pids, [] as [String; 0]);
}

#[tokio::test]
pub(crate) async fn what_a_command_leaves_behind_dies_with_it() {
    let place = Place::new();
    let agent = place.agent(1);
    let (exit, output) = sh(&agent, &format!("{STAYERS} exit 4")).await;
    assert_eq!(exit, Exit::Code(4), "{output}");
    let pids = stayers(&agent).expect("all had started");
    assert_eq!(pids, [] as [String; 0]);
}

/// The control of what is ended here: with nothing but a shell all of it stays.
#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "shows what happens without the product"
)]
pub(crate) async fn without_a_helper_what_a_command_leaves_behind_stays() {
    let place = Place::new();
    let agent = place.agent(1);
    let mut shell = std::process::Command::new("/bin/sh");
    shell
        .args(["-c", &format!("{STAYERS} sleep 1000")])
        .current_dir(agent.path())
        .env("HOME", agent.path().join(".agent/home"))
        .stdin(Stdio::null());
    if let Some(uid) = uid(1) {
        shell.uid(uid).gid(uid);
    }
    let mut shell = shell.spawn().unwrap();
    let pids = wait_for("the processes", || stayers(&agent)).await;
    let own = shell.id().to_string();
    let left: Vec<String> = pids.into_iter().filter(|pid| *pid != own).collect();
    shell.kill().unwrap();
    shell.wait().unwrap();
    assert!(running(&left).len() >= STAYER_COUNT, "{left:?}");
    // Looked for anew each time: one that is still on its way to its `sleep` was not among them.
    wait_for("their end", || {
        let left = processes_of(&agent);
        for pid in &left {
            let pid = Pid::from_raw(pid.parse().unwrap()).unwrap();
            // A child of one that was killed before may be gone.
            kill_process(pid, Signal::KILL).ok();
        }
        left.is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_cancel_kills_every_descendant() {
    let place = Place::new();
    let agent = place.agent(1);
    let (launcher, command) = (launcher(), shell(&format!("{STAYERS} sleep 1000")));
    let cancel = CancellationToken::new();
    let (finished, pids) = tokio::join!(launcher.run(&agent, &command, &cancel), async {
        let pids = wait_for("the processes", || stayers(&agent)).await;
        assert!(running(&pids).len() >= STAYER_COUNT, "{pids:?}");
        cancel.cancel();
        pids
    });
    assert_eq!(finished.unwrap().exit, Exit::Cancelled);
    assert_eq!(running(&pids), [] as [&String; 0]);
}

#[tokio::test]
async fn a_dropped_run_kills_every_descendant() {
    let place = Place::new();
    let agent = place.agent(1);
    let command = shell(&format!("{STAYERS} sleep 1000"));
    let pids = tokio::select! {
        finished = run(&agent, &command) => panic!("{finished:?}"),
        pids = wait_for("the processes", || stayers(&agent)) => pids,
    };
    wait_for("their end", || running(&pids).is_empty().then_some(())).await;
}

#[tokio::test]
pub(crate) async fn kill_9_of_the_launching_process_leaves_no_process() {
    let place = Place::new();
    let agent = place.agent(1);
    let mut launcher = launching_process(&place, &format!("{STAYERS} sleep 1000"));
    let mut pids = wait_for("the processes", || stayers(&agent)).await;
    let helpers = children_of(launcher.id());
    assert_eq!(helpers.len(), 1, "{helpers:?}");
    pids.extend(helpers);
    assert!(running(&pids).len() > STAYER_COUNT, "{pids:?}");
    launcher.kill().unwrap();
    launcher.wait().unwrap();
    wait_for("their end", || running(&pids).is_empty().then_some(())).await;
}

#[expect(
    clippy::disallowed_methods,
    reason = "stands for the product, to be killed"
)]
fn launching_process(place: &Place, script: &str) -> Child {
    std::process::Command::new(env!("CARGO_BIN_EXE_fusion-exec-launcher"))
        .arg(HELPER)
        .arg(place.root())
        .arg(name(1))
        .arg(uid(1).map_or_else(|| "-".to_owned(), |uid| uid.to_string()))
        .arg(script)
        .stdin(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test]
pub(crate) async fn an_agent_can_not_kill_who_holds_it() {
    let place = Place::new();
    let agent = place.agent(1);
    let script = "kill -9 $PPID; kill -9 1; kill -9 -1; exit 5";
    for launcher in [launcher(), base()] {
        let finished = launcher
            .run(&agent, &shell(script), &CancellationToken::new())
            .await
            .unwrap();
        // `kill -1` leaves out whoever sends it.
        assert_eq!(finished.exit, Exit::Code(5), "{finished:?}");
    }
}

/// Without a sandbox only root, as another user than the agent, holds the helper out of its
/// reach; then at least the loss is told.
#[tokio::test]
pub(crate) async fn without_a_sandbox_an_agent_that_kills_its_helper_fails_or_is_found_out() {
    let place = Place::new();
    let agent = place.agent(1);
    let finished = launcher()
        .with_sandbox(Sandbox::Off)
        .run(
            &agent,
            &shell("kill -9 $PPID; exit 5"),
            &CancellationToken::new(),
        )
        .await;
    if is_root() {
        assert_eq!(finished.unwrap().exit, Exit::Code(5));
    } else {
        assert!(
            matches!(finished, Err(Error::HelperLost { .. })),
            "{finished:?}"
        );
    }
}
