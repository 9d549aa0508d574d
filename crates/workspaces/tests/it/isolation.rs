//! What commands try to get at, each attempt by its name in the corpus of the design: with the
//! sandbox it fails, and without it the very same script succeeds, so that a test that holds
//! because its attempt is wrong is found out.
//!
//! Started as root, agents are users of their own. What is attacked is therefore open to all
//! users: the rights of files must not be what holds. `as_an_ordinary_user` runs all of this
//! again as one.

mod corpus;
mod escalation;
mod git;
mod keepsakes;
mod machine;
mod network;
mod others;
mod reads;
mod world;
mod writes;

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::{Duration, Instant};
use std::{env, fs};

use fusion_workspaces::{Exit, Launcher, LayerName, Sandbox};
use tokio_util::sync::CancellationToken;

use crate::place::{HELPER, Place, base, is_root, launcher, shell, uid};
use world::World;

/// How long the success of an attempt may take to show.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether an attempt came to something; looked at from outside where that can be.
type Judge = fn(&World, &str) -> bool;

/// One attempt.
struct Attempt {
    name: &'static str,
    /// For `sh`; `@OUT@` and its like stand for places of the world. It may say `absent` where the
    /// machine lacks what it is about: then it has no control.
    script: String,
    judge: Judge,
    base: Base,
    control: Control,
}

/// Whether Landlock, seccomp and limits hold an attempt without namespaces.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Base {
    Holds,
    /// Known, and said in `docs/sandbox.md`.
    Misses,
}

/// Where the same attempt succeeds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Control {
    /// As a command with the sandbox switched off.
    Off,
    /// As a process of the agent's user without the helper, which alone holds it.
    Bare,
    /// As a process of root, whom the kernel does not refuse it; only tests that root started show it.
    Root,
}

impl Attempt {
    fn missed_by_base(self) -> Self {
        Self {
            base: Base::Misses,
            ..self
        }
    }

    fn held_by_helper(self) -> Self {
        Self {
            control: Control::Bare,
            ..self
        }
    }

    fn of_root(self) -> Self {
        Self {
            control: Control::Root,
            ..self
        }
    }
}

fn held(name: &'static str, script: impl Into<String>, judge: Judge) -> Attempt {
    Attempt {
        name,
        script: script.into(),
        judge,
        base: Base::Holds,
        control: Control::Off,
    }
}

/// Makes every attempt in a world of its own, at each level.
async fn check(attempts: &[Attempt]) {
    let mut wrong = Vec::new();
    let namespaces = world::has_namespaces().await;
    for attempt in attempts {
        wrong.extend(attempt.wrong_control().await);
        wrong.extend(attempt.wrong_at("base", &base()).await);
        if namespaces {
            wrong.extend(attempt.wrong_at("namespaces", &launcher()).await);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

impl Attempt {
    /// What is wrong when the attempt does not come to something without what should hold it.
    async fn wrong_control(&self) -> Option<String> {
        let world = World::new();
        let script = world.filled(&self.script);
        let output = match self.control {
            Control::Off => {
                let open = launcher().with_sandbox(Sandbox::Off);
                run_in(&world, &open, &script).await.1
            }
            Control::Bare => bare(&world, &script, uid(1)),
            Control::Root if is_root() => bare(&world, &script, None),
            Control::Root => return None,
        };
        if output.lines().any(|line| line == "absent") {
            eprintln!(
                "no control of {}: this machine has no such thing",
                self.name
            );
            return None;
        }
        // What was done to another process shows a moment later.
        let came = within(PATIENCE, || (self.judge)(&world, &output)).await;
        (!came).then(|| format!("{} came to nothing without a sandbox: {output}", self.name))
    }

    async fn wrong_at(&self, level: &str, launcher: &Launcher) -> Option<String> {
        let expected = level == "base" && self.base == Base::Misses;
        let world = World::new();
        let (exit, output) = run_in(&world, launcher, &world.filled(&self.script)).await;
        let succeeded = || (self.judge)(&world, &output);
        let came = if expected {
            within(PATIENCE, succeeded).await
        } else {
            succeeded()
        };
        let name = self.name;
        (came != expected)
            .then(|| format!("{name} ({level}): success must be {expected}: {exit:?} {output}"))
    }
}

async fn run_in(world: &World, launcher: &Launcher, script: &str) -> (Exit, String) {
    let cancel = CancellationToken::new();
    let finished = launcher.run(world.agent(), &shell(script), &cancel).await;
    let finished = finished.unwrap();
    (finished.exit, finished.output)
}

/// Runs a script as a process that nothing holds, with the environment of these tests.
#[expect(
    clippy::disallowed_methods,
    reason = "shows what happens without the product"
)]
fn bare(world: &World, script: &str, user: Option<u32>) -> String {
    let mut command = std::process::Command::new("/bin/sh");
    command
        .args(["-c", script])
        .current_dir(world.agent().path())
        .stdin(Stdio::null());
    if let Some(user) = user {
        command.uid(user).gid(user);
    }
    let ended = command.output().unwrap();
    let said = [ended.stdout, ended.stderr].concat();
    String::from_utf8_lossy(&said).into_owned()
}

/// Looks until something holds, or the time is over.
async fn within(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    while began.elapsed() < limit {
        if holds() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    holds()
}

/// A sandbox in which nothing works holds everything.
#[tokio::test]
async fn what_commands_need_works_inside() {
    let script = r#"
        set -e
        echo start > projects/write; cat projects/write
        sh -c 'echo shell' | cat
        perl -e 'pipe(R, W); if (!fork) { print W "process\n"; exit } close W; print <R>; wait'
        touch "$TMPDIR/x" "$HOME/y" && mktemp > /dev/null && echo temporary
        perl -MSocket -e 'socketpair(A, B, AF_UNIX, SOCK_STREAM, 0) or die; print "pair\n"'
        if command -v git > /dev/null; then
            cd projects && git init -q . && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m x
            git log --format=%s | grep -q x; cd ..
        fi
        ln projects/write projects/second; mv projects/second projects/third; rm projects/third
        mkfifo projects/fifo; cat /proc/self/comm; date > /dev/null; echo done > /dev/null
        nice true; ulimit -n > /dev/null; id > /dev/null; ls /usr/bin > /dev/null; echo all
    "#;
    let expected = "start\nshell\nprocess\ntemporary\npair\ncat\nall\n";
    for launcher in [launcher(), base()] {
        let place = Place::new();
        let agent = place.agent(1);
        // Without namespaces there is no /tmp for `mktemp`, but TMPDIR.
        let finished = launcher
            .run(&agent, &shell(script), &CancellationToken::new())
            .await
            .unwrap();
        let ended = (finished.exit, finished.output.as_str());
        assert_eq!(ended, (Exit::Code(0), expected));
    }
}

#[tokio::test]
async fn what_is_in_force_is_told_with_every_command() {
    let place = Place::new();
    let agent = place.agent(1);
    let cancel = CancellationToken::new();
    let run = async |launcher: &Launcher| {
        let finished = launcher.run(&agent, &shell("true"), &cancel).await.unwrap();
        finished.sandbox.unwrap()
    };
    let report = run(&base()).await;
    report.check().unwrap();
    let promised = LayerName::ALL.into_iter().filter(|name| name.is_promised());
    assert!(promised.clone().all(|name| report.has(name)), "{report:?}");
    assert_eq!(report.has(LayerName::OwnUser), is_root());
    assert!(!report.has(LayerName::Namespaces));
    let why = report
        .layers
        .iter()
        .find(|layer| layer.name == LayerName::Namespaces);
    assert_eq!(why.unwrap().detail, "this test does without");
    let report = run(&launcher()).await;
    assert_eq!(
        report.has(LayerName::Namespaces),
        world::has_namespaces().await
    );
    let off = run(&launcher().with_sandbox(Sandbox::Off)).await;
    assert_eq!(off.summary(), "switched off");
    assert!(LayerName::ALL.into_iter().all(|name| !off.has(name)));
}

#[tokio::test]
async fn a_look_from_inside_finds_the_same_layers() {
    let place = Place::new();
    let agent = place.agent(1);
    for launcher in [launcher(), base()] {
        let looked = launcher.look(&agent).await.unwrap();
        looked.check().unwrap();
        let ran = launcher
            .run(&agent, &shell("true"), &CancellationToken::new())
            .await
            .unwrap();
        assert_eq!(Some(looked), ran.sandbox);
    }
}

/// Started as root, all of this is done again by a user who is not.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "starts these tests as another user"
)]
fn as_an_ordinary_user() {
    if !is_root() {
        eprintln!("skipped: these tests are run by an ordinary user already");
        return;
    }
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let tests = place.path().join("tests");
    fs::copy(env::current_exe().unwrap(), &tests).unwrap();
    fs::copy(HELPER, place.path().join("helper")).unwrap();
    let temporary = place.path().join("tmp");
    fs::create_dir(&temporary).unwrap();
    let user = 209_999;
    std::os::unix::fs::chown(&temporary, Some(user), Some(user)).unwrap();
    let run = |modules: &[&str], at_once: &str| {
        let mut ended = std::process::Command::new(&tests)
            .args(modules)
            .args([
                "--test-threads",
                at_once,
                "--skip",
                "kill_9_of_the_launching",
            ])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("TMPDIR", &temporary)
            .env(
                world::REQUIRED,
                env::var_os(world::REQUIRED).unwrap_or_default(),
            )
            .current_dir(&temporary)
            .uid(user)
            .gid(user)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        // Passed on at once: where one of them hangs, the last lines tell which.
        for line in BufReader::new(ended.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            println!("{line}");
            said += &line;
            said += "\n";
        }
        assert!(ended.wait().unwrap().success(), "{said}");
        assert!(!said.contains(" 0 passed"), "{said}");
        said
    };
    let said = run(
        &["isolation::", "run::", "kill::", "archive::", "grants::"],
        "2",
    );
    assert!(said.contains("test isolation::reads::"), "{said}");
    // Alone: the kernel counts all processes of a user, and those of other tests come and go.
    run(&["bombs::"], "1");
}
