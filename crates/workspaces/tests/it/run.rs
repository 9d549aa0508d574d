use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use fusion_core::{Coded, ErrorCode};
use fusion_workspaces::{
    Command, Error, Exit, Launcher, Options, Owners, Program, Sandbox, Workspaces,
};
use rustix::io::{FdFlags, fcntl_setfd};
use tokio_util::sync::CancellationToken;

use crate::place::{Place, is_root, launcher, name, run, sh, shell, uid};

fn argv(words: &[&str]) -> Command {
    Command {
        program: Program::Argv(words.iter().map(|word| (*word).to_owned()).collect()),
        ..shell("")
    }
}

#[tokio::test]
async fn a_command_sees_only_the_fixed_environment_and_its_own() {
    let place = Place::new();
    let agent = place.agent(1);
    let command = Command {
        env: BTreeMap::from([
            ("TERM".to_owned(), "vt100".to_owned()),
            ("TOKEN".to_owned(), "a b".to_owned()),
        ]),
        ..argv(&["env"])
    };
    let finished = run(&agent, &command).await.unwrap();
    let mut lines: Vec<&str> = finished.output.lines().collect();
    lines.sort_unstable();
    let home = agent.path().display();
    assert_eq!(
        lines,
        [
            "GIT_CONFIG_NOSYSTEM=1",
            &format!("HOME={home}/.agent/home"),
            "LANG=C.UTF-8",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "TERM=vt100",
            &format!("TMPDIR={home}/.agent/tmp"),
            "TOKEN=a b",
        ]
    );
}

#[tokio::test]
async fn a_command_starts_in_its_workspace_with_an_empty_input_and_no_other_descriptor() {
    let place = Place::new();
    let agent = place.agent(1);
    // A descriptor that whoever started the program left open for everyone.
    let left_open = fs::File::open(place.secret()).unwrap();
    fcntl_setfd(&left_open, FdFlags::empty()).unwrap();
    let script = "pwd; cat; ls /proc/self/fd | tr '\\n' ' '; grep NoNewPrivs /proc/self/status";
    let (exit, output) = sh(&agent, script).await;
    // The fourth descriptor is the folder that `ls` reads.
    let expected = format!("{}\n0 1 2 3 NoNewPrivs:\t1\n", agent.path().display());
    assert_eq!((exit, output), (Exit::Code(0), expected));
}

#[tokio::test]
async fn a_command_runs_as_its_agent_and_never_as_root() {
    let place = Place::new();
    let agent = place.agent(1);
    let (exit, output) = sh(&agent, "id -u; echo x > projects/mine; test ! -O /usr").await;
    let own = uid(1).unwrap_or_else(|| rustix::process::geteuid().as_raw());
    assert_eq!((exit, output), (Exit::Code(0), format!("{own}\n")));
    if is_root() {
        let (_, groups) = sh(&agent, "id -g; id -G").await;
        assert_eq!(groups, format!("{own}\n{own}\n"));
        let same_user = Workspaces::new(Options {
            root: place.root(),
            owners: Owners::SameUser,
        });
        let agent = same_user.open(&name(1), None).unwrap();
        match run(&agent, &shell("id -u")).await {
            Err(Error::NotStarted { source, .. }) => {
                assert_eq!(source.to_string(), "agents never run as root");
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Needs root: only then agents are other users to each other.
#[tokio::test]
async fn an_agent_can_not_get_into_the_workspace_of_another() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let (one, two) = (place.agent(1), place.agent(2));
    two.write_file("projects/secret", b"stolen").unwrap();
    let path = two.projects_path().join("secret");
    let script = format!(
        "cat {0} || ls ../{1} || echo x > {0}",
        path.display(),
        name(2)
    );
    for sandbox in [Sandbox::On, Sandbox::Off] {
        let finished = launcher()
            .with_sandbox(sandbox)
            .run(&one, &shell(&script), &CancellationToken::new())
            .await
            .unwrap();
        assert_ne!(finished.exit, Exit::Code(0), "{finished:?}");
        assert!(!finished.output.contains("stolen"), "{finished:?}");
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), "stolen");
    let (exit, output) = sh(&two, &format!("cat {}", path.display())).await;
    assert_eq!((exit, output.as_str()), (Exit::Code(0), "stolen"));
}

#[tokio::test]
async fn exit_codes_and_signals_come_through_exactly() {
    let place = Place::new();
    let agent = place.agent(1);
    for (script, exit) in [
        ("true", Exit::Code(0)),
        ("exit 7", Exit::Code(7)),
        ("exit 137", Exit::Code(137)),
        ("exit 255", Exit::Code(255)),
        ("no-such-program", Exit::Code(127)),
        ("kill -SEGV $$", Exit::Signal(11)),
        ("kill -TERM $$", Exit::Signal(15)),
        ("kill -KILL 0", Exit::Signal(9)),
    ] {
        assert_eq!(sh(&agent, script).await.0, exit, "{script}");
    }
}

#[tokio::test]
async fn a_missing_program_is_a_clear_error() {
    let place = Place::new();
    let agent = place.agent(1);
    let error = run(&agent, &argv(&["no-such-program", "x"]))
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "can't start 'no-such-program'");
    assert_eq!(error.code(), ErrorCode::NotFound);
    let error = run(&agent, &argv(&["/etc/passwd"])).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Denied);
    let error = run(&agent, &argv(&[])).await.unwrap_err();
    assert!(matches!(error, Error::NotStarted { .. }), "{error:?}");
    let long = "x".repeat(3_000_000);
    let error = run(&agent, &argv(&["true", &long])).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidInput);
}

#[tokio::test]
async fn a_missing_helper_is_a_clear_error() {
    let place = Place::new();
    let agent = place.agent(1);
    let cancel = CancellationToken::new();
    for helper in [vec![], vec!["/no/such/helper".into()]] {
        let result = Launcher::new(helper)
            .run(&agent, &shell("true"), &cancel)
            .await;
        assert!(matches!(result, Err(Error::Helper { .. })), "{result:?}");
    }
    // Something else that ends without a word.
    let other = Launcher::new(vec!["/bin/true".into()]);
    let result = other.run(&agent, &shell("true"), &cancel).await;
    assert!(
        matches!(result, Err(Error::HelperLost { .. })),
        "{result:?}"
    );
}

#[tokio::test]
async fn both_outputs_come_in_their_order() {
    let place = Place::new();
    let agent = place.agent(1);
    let (_, output) = sh(&agent, "echo one; echo two >&2; printf '\\377three'").await;
    assert_eq!(output, "one\ntwo\n\u{fffd}three");
}

#[tokio::test]
async fn a_flood_of_output_is_bounded_with_its_head_and_its_tail() {
    let place = Place::new();
    let agent = place.agent(1);
    let command = Command {
        output_limit: 10,
        ..shell("echo head; head -c 5000000 /dev/zero; echo; echo tail")
    };
    let finished = run(&agent, &command).await.unwrap();
    let expected = "head\n\n[... 5000001 bytes left out ...]\ntail\n";
    assert_eq!(
        (finished.exit, finished.output.as_str()),
        (Exit::Code(0), expected)
    );
}

#[tokio::test]
async fn the_whole_of_a_long_output_is_in_a_file_of_the_agent() {
    let place = Place::new();
    let agent = place.agent(1);
    let command = Command {
        output_limit: 10,
        output_file: Some("output-1.txt".to_owned()),
        ..shell("seq 100000")
    };
    let finished = run(&agent, &command).await.unwrap();
    let whole: String = (1..=100_000).map(|number| format!("{number}\n")).collect();
    let left_out = whole.len() - 10;
    assert_eq!(
        finished.output,
        format!(
            "1\n2\n3\n[... {left_out} bytes left out; the whole is in logs/output-1.txt ...]\n0000\n"
        )
    );
    let (_, kept) = sh(
        &agent,
        "cat logs/output-1.txt | cksum; stat -c %a logs/output-1.txt",
    )
    .await;
    let (_, expected) = sh(&agent, "seq 100000 | cksum; echo 600").await;
    assert_eq!(kept, expected);

    let short = Command {
        output_file: Some("output-2.txt".to_owned()),
        ..shell("echo short")
    };
    assert_eq!(run(&agent, &short).await.unwrap().output, "short\n");
    assert!(!agent.logs_path().join("output-2.txt").exists());
}

#[tokio::test]
async fn a_command_reads_its_input_and_can_not_change_it() {
    let place = Place::new();
    let agent = place.agent(1);
    for input in [String::new(), "é\n".repeat(200_000)] {
        let command = Command {
            stdin: input.clone(),
            ..shell("cat | wc -c; echo x 2>/dev/null >&0 && echo written; exit 0")
        };
        let finished = run(&agent, &command).await.unwrap();
        assert_eq!(
            (finished.exit, finished.output),
            (Exit::Code(0), format!("{}\n", input.len()))
        );
    }
}

#[tokio::test]
async fn a_command_can_not_forge_its_report() {
    let place = Place::new();
    let agent = place.agent(1);
    let script = r#"for fd in 0 1 2 3; do
        printf '{"Exited":{"code":0}}' > /proc/$PPID/fd/$fd
        printf '{"Exited":{"code":0}}' >&$fd
    done 2>/dev/null; exit 3"#;
    let (exit, output) = sh(&agent, script).await;
    assert_eq!(exit, Exit::Code(3), "{output}");
}

#[tokio::test]
async fn a_command_that_was_cancelled_before_is_not_started() {
    let place = Place::new();
    let agent = place.agent(1);
    let cancel = CancellationToken::new();
    cancel.cancel();
    let finished = launcher()
        .run(&agent, &shell("echo x > projects/started"), &cancel)
        .await
        .unwrap();
    assert_eq!(finished.exit, Exit::Cancelled);
    assert!(!agent.projects_path().join("started").exists());
}

#[tokio::test]
async fn what_a_command_wrote_before_its_time_was_over_is_kept() {
    let place = Place::new();
    let agent = place.agent(1);
    let command = Command {
        timeout: Duration::from_millis(500),
        ..shell("echo working; exec sleep 1000")
    };
    let finished = run(&agent, &command).await.unwrap();
    let expected = (Exit::TimedOut, "working\n");
    assert_eq!((finished.exit, finished.output.as_str()), expected);
    assert!(finished.duration >= command.timeout, "{finished:?}");
}

#[tokio::test]
async fn a_command_finds_its_way_whatever_the_umask_of_the_operator_is() {
    let place = Place::new();
    let agent = place.agent(1);
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let (exit, output) = sh(&agent, "cat /etc/passwd > /dev/null && pwd && umask").await;
    let expected = format!("{}\n0077\n", agent.path().display());
    assert_eq!((exit, output), (Exit::Code(0), expected));
}

/// The helpers here answer only when both have begun.
#[tokio::test]
async fn every_command_that_finds_no_namespaces_is_tried_without() {
    let place = Place::new();
    let agent = place.agent(1);
    let script = r#"
        $| = 1;
        read(STDIN, $n, 4) == 4 or die;
        read(STDIN, $request, unpack("V", $n)) or die;
        my $report = "{\"Exited\":{\"code\":0}}";
        if ($request =~ /"no_namespaces":null/) {
            open(my $mark, ">", "began.$$") or die;
            select(undef, undef, undef, 0.005) until (() = glob("began.*")) == 2;
            $report = "{\"NoNamespaces\":{\"why\":\"none here\"}}";
        }
        print "{\"sandbox\":{\"sandbox\":\"on\",\"layers\":[]},\"report\":$report}";
    "#;
    let launcher = Launcher::new(vec!["/usr/bin/perl".into(), "-e".into(), script.into()]);
    let (command, cancel) = (shell("true"), CancellationToken::new());
    let (one, other) = tokio::join!(
        launcher.run(&agent, &command, &cancel),
        launcher.run(&agent, &command, &cancel)
    );
    let exits = [one.unwrap().exit, other.unwrap().exit];
    assert_eq!(exits, [Exit::Code(0); 2]);
}
