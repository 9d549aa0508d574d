use super::{Attempt, check, held};

#[tokio::test]
async fn no_right_is_kept_or_gained() {
    let status = |name: &str, output: &str| {
        let line = output.lines().find_map(|line| line.strip_prefix(name));
        line.map(|value| value.trim().to_owned())
    };
    let place = crate::place::Place::new();
    let agent = place.agent(1);
    for launcher in [crate::place::launcher(), crate::place::base()] {
        let cancel = tokio_util::sync::CancellationToken::new();
        let command = crate::place::shell("cat /proc/self/status; ulimit -c; ulimit -Hc");
        let finished = launcher.run(&agent, &command, &cancel).await.unwrap();
        let found = [
            "CapInh:",
            "CapPrm:",
            "CapEff:",
            "CapAmb:",
            "NoNewPrivs:",
            "Seccomp:",
        ]
        .map(|name| status(name, &finished.output).unwrap());
        let none = "0000000000000000";
        assert_eq!(found, [none, none, none, none, "1", "2"]);
        assert!(finished.output.ends_with("\n0\n0\n"), "{}", finished.output);
        let bound = status("CapBnd:", &finished.output).unwrap();
        // An ordinary user without a namespace can't empty it, and has no way to use it.
        let report = finished.sandbox.unwrap();
        let may = report.has(fusion_workspaces::LayerName::Namespaces) || crate::place::is_root();
        assert!(bound == none || !may, "{bound}");
    }
}

#[tokio::test]
async fn a_limit_is_not_raised_again() {
    check(&[held(
        "d-rlimit-raise",
        "ulimit -Sc 1 2> /dev/null && echo raised",
        |_, o| o == "raised\n",
    )])
    .await;
}

#[cfg(target_arch = "x86_64")]
#[tokio::test]
async fn doors_of_the_kernel_are_closed() {
    // Without the sandbox each of these is refused for its arguments, or done; EPERM alone is no
    // answer here, so what an ordinary user may never do anyway is not in this list.
    check(&[
        call("k-userns", "272, 0x10000000"),
        call("k-userns-clone", "56, 0x10000000 | 17, 0, 0, 0, 0"),
        call("k-userfaultfd", "323, 1"),
        call("k-io-uring", "425, 0, 0"),
        call("k-bpf", "321, 99, 0, 0"),
        call("k-perf", "298, 0, 0, -1, -1, 0"),
        call("k-keyctl", "250, 0, -1, 0"),
        call("k-add-key", "248, 0, 0, 0, 0, 0"),
        call("k-name-to-handle", "303, -1, 0, 0, 0, 0"),
        call("k-mount-setattr", "442, -1, 0, 0, 0, 0"),
        call("d-tiocsti", "16, -1, 0x5412, 0"),
        call("d-tioclinux", "16, -1, 0x541C, 0"),
        call("k-tiocsti-high-bits", "16, -1, 0xFF00005412, 0"),
    ])
    .await;
}

/// An interface that the kernel may not have: then nothing has to hold it.
#[cfg(target_arch = "x86_64")]
#[tokio::test]
async fn other_interfaces_to_the_kernel_are_closed() {
    let place = crate::place::Place::new();
    let agent = place.agent(1);
    for launcher in [crate::place::launcher(), crate::place::base()] {
        let cancel = tokio_util::sync::CancellationToken::new();
        // getpid of x32, a call of the future, clone3.
        let script = "perl -e 'for (0x40000000 + 39, 467, 600, 435) { $! = 0; print syscall($_, 0, 0), \" \", $! + 0, \"\\n\" }'";
        let finished = launcher
            .run(&agent, &crate::place::shell(script), &cancel)
            .await
            .unwrap();
        assert_eq!(finished.output, "-1 38\n".repeat(4));
    }
}

#[cfg(target_arch = "x86_64")]
fn call(name: &'static str, arguments: &str) -> Attempt {
    let script = format!(
        "perl -e '$! = 0; $r = syscall({arguments}); exit if !$r && {clone}; print $r >= 0 || ($! != 1 && $! != 38) ? \"reached\" : \"closed\"'",
        clone = i32::from(name == "k-userns-clone"),
    );
    held(name, script.leak(), |_, output| output == "reached")
}
