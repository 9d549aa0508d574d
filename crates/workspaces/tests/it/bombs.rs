//! Commands that take all they can get. Each ends, is gone, and hurts nobody else; without the
//! sandbox the same script gets what it wants, as far as that can be tried.

use std::fs;
use std::os::unix::process::CommandExt;
use std::time::{Duration, Instant};

use fusion_workspaces::{
    Command, Exit, Finished, Launcher, Limits, Resource, Sandbox, WorkspaceDir,
};
use tokio_util::sync::CancellationToken;

use crate::place::{Place, base, launcher, processes_of, shell, uid};

const MIB: u64 = 1024 * 1024;

fn small() -> Limits {
    Limits {
        memory: 256 * MIB,
        processes: 64,
        file_size: MIB,
        open_files: 64,
        output: MIB,
        ..Limits::default()
    }
}

fn levels() -> [Launcher; 2] {
    [launcher().with_limits(small()), base().with_limits(small())]
}

async fn run(launcher: &Launcher, agent: &WorkspaceDir, command: &Command) -> Finished {
    launcher
        .run(agent, command, &CancellationToken::new())
        .await
        .unwrap()
}

async fn open(agent: &WorkspaceDir, script: &str) -> Finished {
    run(
        &launcher().with_sandbox(Sandbox::Off),
        agent,
        &shell(script),
    )
    .await
}

#[tokio::test]
pub(crate) async fn a_fork_bomb_is_bounded_and_gone_and_others_go_on() {
    let place = Place::new();
    // As root, processes are counted by user: other tests have users of their own.
    let (bomber, other) = (place.agent(50), place.agent(51));
    let bomb = Command {
        timeout: Duration::from_secs(2),
        ..shell("f() { f & f & sleep 1; }; f; while :; do f; done")
    };
    for launcher in levels() {
        let began = Instant::now();
        let aside = launcher.clone();
        let (finished, most) = tokio::join!(run(&launcher, &bomber, &bomb), async {
            let mut most = 0;
            while began.elapsed() < bomb.timeout {
                most = most.max(processes_of(&bomber).len());
                let done = run(&aside, &other, &shell("echo on")).await;
                assert_eq!(done.output, "on\n");
            }
            most
        });
        assert!(most <= 70, "{most} processes");
        assert!(
            matches!(finished.exit, Exit::TimedOut | Exit::Code(_)),
            "{finished:?}"
        );
        assert_eq!(processes_of(&bomber), [] as [String; 0]);
    }
}

#[tokio::test]
pub(crate) async fn a_command_has_so_many_processes_and_no_more() {
    let place = Place::new();
    let agent = place.agent(56);
    let script = "perl -e 'for (1 .. 100) { $p = fork; last if !defined $p;
        if (!$p) { sleep 100; exit } $n++ } print $n'";
    for launcher in levels() {
        let had: u32 = run(&launcher, &agent, &shell(script))
            .await
            .output
            .parse()
            .unwrap();
        assert!((1..64).contains(&had), "{had} processes");
        assert_eq!(processes_of(&agent), [] as [String; 0]);
    }
    assert_eq!(open(&agent, script).await.output, "100");
}

#[tokio::test]
pub(crate) async fn a_process_that_takes_too_much_memory_gets_none() {
    let place = Place::new();
    let agent = place.agent(53);
    let script = "perl -e '$x = \"a\" x (400 << 20); print length $x'";
    for launcher in levels() {
        let finished = run(&launcher, &agent, &shell(script)).await;
        assert_ne!(finished.exit, Exit::Code(0), "{finished:?}");
    }
    let finished = open(&agent, script).await;
    assert_eq!(
        (finished.exit, finished.output.as_str()),
        (Exit::Code(0), "419430400")
    );
}

#[tokio::test]
pub(crate) async fn processes_that_take_too_much_memory_together_are_ended() {
    let place = Place::new();
    let agent = place.agent(53);
    let script = "for i in 1 2 3 4 5 6; do
        perl -e '$x = \"a\" x (30 << 20); $x .= \"b\" x (30 << 20); sleep 1 while !-e \"projects/over\"' &
    done; wait; echo done";
    for launcher in levels() {
        let finished = run(&launcher, &agent, &shell(script)).await;
        assert_eq!(
            finished.exit,
            Exit::OverLimit(Resource::Memory),
            "{finished:?}"
        );
        assert_eq!(processes_of(&agent), [] as [String; 0]);
    }
    fs::write(agent.projects_path().join("over"), "").unwrap();
    let finished = open(&agent, script).await;
    assert_eq!(
        (finished.exit, finished.output.as_str()),
        (Exit::Code(0), "done\n")
    );
}

#[tokio::test]
pub(crate) async fn a_file_that_grows_without_end_does_not() {
    let place = Place::new();
    let agent = place.agent(53);
    let script = "head -c 8000000 /dev/zero > projects/big";
    let size = || {
        fs::metadata(agent.projects_path().join("big"))
            .unwrap()
            .len()
    };
    for launcher in levels() {
        let finished = run(&launcher, &agent, &shell(script)).await;
        assert_ne!(finished.exit, Exit::Code(0), "{finished:?}");
        assert_eq!(size(), MIB);
    }
    assert_eq!(open(&agent, script).await.exit, Exit::Code(0));
    assert_eq!(size(), 8_000_000);
}

#[tokio::test]
pub(crate) async fn a_process_has_so_many_open_files_and_no_more() {
    let place = Place::new();
    let agent = place.agent(52);
    let script =
        "perl -e 'while ($n < 100 and open $f[$n], \"<\", \"/dev/null\") { $n++ } print $n'";
    for launcher in levels() {
        // Three are open from the start.
        assert_eq!(run(&launcher, &agent, &shell(script)).await.output, "61");
    }
    assert_eq!(open(&agent, script).await.output, "100");
}

#[tokio::test]
pub(crate) async fn a_flood_of_output_ends_its_command() {
    let place = Place::new();
    let agent = place.agent(53);
    for launcher in levels() {
        let finished = run(&launcher, &agent, &shell("echo head; yes")).await;
        assert_eq!(finished.exit, Exit::OverLimit(Resource::Output));
        assert!(finished.output.starts_with("head\ny\n") && finished.output.len() < 20_000);
        assert_eq!(processes_of(&agent), [] as [String; 0]);
    }
    // The limit is kept outside of the sandbox: a larger one is what lets the same through.
    let some = shell("yes | head -c 3000000");
    for (launcher, exit) in [
        (
            launcher().with_limits(small()),
            Exit::OverLimit(Resource::Output),
        ),
        (launcher(), Exit::Code(0)),
    ] {
        assert_eq!(run(&launcher, &agent, &some).await.exit, exit);
    }
}

#[tokio::test]
pub(crate) async fn a_process_that_computes_without_end_is_ended() {
    let place = Place::new();
    let agent = place.agent(54);
    let computing =
        "perl -e 'do { $n++ for 1 .. 10000 } while (times)[0] + (times)[1] < 3; print \"done\"'";
    let limits = Limits {
        cpu_seconds: 1,
        ..small()
    };
    for launcher in [launcher(), base()] {
        let launcher = launcher.with_limits(limits.clone());
        let command = shell(&format!("exec {computing}"));
        let finished = run(&launcher, &agent, &command).await;
        let ended = (finished.exit, finished.output.as_str());
        assert_eq!(ended, (Exit::OverLimit(Resource::Cpu), ""));
    }
    assert_eq!(open(&agent, computing).await.output, "done");
}

/// The kernel counts all processes of a user: those of others than the command don't use its limit
/// up.
#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "stands for other programs of the same user"
)]
async fn a_command_has_its_processes_however_many_its_user_has() {
    let place = Place::new();
    let agent = place.agent(55);
    let others: Vec<_> = (0..80)
        .map(|_| {
            let mut other = std::process::Command::new("sleep");
            if let Some(uid) = uid(55) {
                other.uid(uid).gid(uid);
            }
            other.arg("600").spawn().unwrap()
        })
        .collect();
    for launcher in levels() {
        let script = "for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.1 & done; wait; echo done";
        let finished = run(&launcher, &agent, &shell(script)).await;
        let ended = (finished.exit, finished.output.as_str());
        assert_eq!(ended, (Exit::Code(0), "done\n"));
    }
    for mut other in others {
        other.kill().unwrap();
        other.wait().unwrap();
    }
}

/// Else one that computes with many processes takes from what others begin.
#[tokio::test]
async fn a_command_weighs_the_same_however_many_processes_compute() {
    let place = Place::new();
    let agent = place.agent(59);
    let own = rustix::process::getpriority_process(None).unwrap();
    let processes = format!(
        "for i in 1 2 3 4 5 6 7 8; do (while :; do :; done) & done
        until [ $(nice) -ge {} ]; do :; done; echo nice",
        (own + 10).min(19)
    );
    let sessions = "for i in 1 2 3 4 5 6 7 8; do setsid sh -c 'while :; do :; done' & done
        [ ! -e /proc/$!/autogroup ] || until grep -qE 'nice 1[5-9]$' /proc/$!/autogroup; do :; done
        echo nice";
    let [held, simply] = levels();
    for launcher in [held, simply, launcher().with_sandbox(Sandbox::Off)] {
        for script in [&processes, sessions] {
            let finished = run(&launcher, &agent, &shell(script)).await;
            let ended = (finished.exit, finished.output.as_str());
            assert_eq!(ended, (Exit::Code(0), "nice\n"));
        }
    }
}

/// Root makes processes less nice where it sets a whole group.
#[tokio::test]
async fn who_is_nicer_than_its_command_has_to_be_stays_so() {
    let place = Place::new();
    let agent = place.agent(62);
    let script = "nice -n 19 sh -c 'until [ -e projects/over ]; do :; done; nice' &
        for i in 1 2 3 4 5 6 7; do (until [ -e projects/over ]; do :; done) & done
        n=$(nice); until [ $(nice) -gt $n ] || [ $n -ge 10 ]; do n=$(nice); done
        : > projects/over; wait";
    for launcher in levels() {
        let finished = run(&launcher, &agent, &shell(script)).await;
        let ended = (finished.exit, finished.output.as_str());
        assert_eq!(ended, (Exit::Code(0), "19\n"));
        fs::remove_file(agent.projects_path().join("over")).unwrap();
    }
}
