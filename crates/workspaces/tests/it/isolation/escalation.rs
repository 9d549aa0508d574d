use super::{Attempt, World, bare, check, held};

#[tokio::test]
pub(super) async fn no_right_is_kept_or_gained() {
    let status = |name: &str, output: &str| {
        let line = output.lines().find_map(|line| line.strip_prefix(name));
        line.map(|value| value.trim().to_owned())
    };
    let found_in = |output: &str| {
        [
            "CapInh:",
            "CapPrm:",
            "CapEff:",
            "CapAmb:",
            "NoNewPrivs:",
            "Seccomp:",
        ]
        .map(|name| status(name, output).unwrap())
    };
    let none = "0000000000000000";
    let held = [none, none, none, none, "1", "2"];
    let script = "cat /proc/self/status; ulimit -c; ulimit -Hc";
    let world = World::new();
    let agent = world.agent();
    for launcher in [crate::place::launcher(), crate::place::base()] {
        let cancel = tokio_util::sync::CancellationToken::new();
        let command = crate::place::shell(script);
        let finished = launcher.run(agent, &command, &cancel).await.unwrap();
        assert_eq!(found_in(&finished.output), held);
        assert!(finished.output.ends_with("\n0\n0\n"), "{}", finished.output);
        let bound = status("CapBnd:", &finished.output).unwrap();
        // An ordinary user without a namespace can't empty it, and has no way to use it.
        let report = finished.sandbox.unwrap();
        let may = report.has(fusion_workspaces::LayerName::Namespaces) || crate::place::is_root();
        assert!(bound == none || !may, "{bound}");
    }
    // Who starts these tests has some of it, and passes it on.
    let free = bare(&world, script, None);
    assert_ne!(found_in(&free), held, "{free}");
    if crate::place::is_root() {
        for name in ["CapEff:", "CapBnd:"] {
            assert_ne!(status(name, &free).unwrap(), none, "{name}");
        }
    }
}

#[tokio::test]
async fn a_limit_is_not_raised_again() {
    check(&raises()).await;
}

pub(super) fn raises() -> Vec<Attempt> {
    vec![held(
        "d-rlimit-raise",
        "ulimit -Sc 1 2> /dev/null && echo raised",
        |_, o| o == "raised\n",
    )]
}

#[cfg(target_arch = "x86_64")]
#[tokio::test]
async fn doors_of_the_kernel_are_closed() {
    check(&doors()).await;
}

#[cfg(target_arch = "x86_64")]
pub(super) fn doors() -> Vec<Attempt> {
    // Without the sandbox each of these is refused for its arguments, or done; EPERM alone is no
    // answer here, so what an ordinary user may never do anyway is not in this list.
    vec![
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
        call("k-mount", "165, $missing, $missing, $missing, 0, 0"),
        call("k-umount", "166, $missing, 0"),
        call("k-open-tree", "428, -100, $here, 0"),
        call("k-chroot", "161, $missing"),
        call("k-fsopen", "430, $missing, 0").of_root(),
        held(
            "k-module",
            "[ -e /proc/modules ] || echo absent
            perl -e '$m = \"\"; syscall(313, -1, $m, 0); print $!{EBADF} ? \"reached\" : $!'",
            |_, o| o == "reached",
        )
        .of_root(),
        call("k-dmesg", "103, 10, 0, 0").of_root(),
        call("k-swapoff", "168, $missing").of_root(),
        call("d-tiocsti", "16, -1, 0x5412, 0"),
        call("d-tioclinux", "16, -1, 0x541C, 0"),
        call("k-tiocsti-high-bits", "16, -1, 0xFF00005412, 0"),
    ]
}

/// An interface that the kernel may not have: then nothing has to hold it.
#[cfg(target_arch = "x86_64")]
#[tokio::test]
pub(super) async fn other_interfaces_to_the_kernel_are_closed() {
    // getpid of x32, a call of the future, clone3.
    let script = "perl -e 'for (0x40000000 + 39, 467, 600, 435) { $! = 0; print syscall($_, 0, 0), \" \", $! + 0, \"\\n\" }'";
    let closed = "-1 38\n".repeat(4);
    let world = World::new();
    for launcher in [crate::place::launcher(), crate::place::base()] {
        let cancel = tokio_util::sync::CancellationToken::new();
        let finished = launcher
            .run(world.agent(), &crate::place::shell(script), &cancel)
            .await
            .unwrap();
        assert_eq!(finished.output, closed);
    }
    // Every kernel that these tests run on has the last.
    assert_ne!(bare(&world, script, crate::place::uid(1)), closed);
}

#[cfg(target_arch = "x86_64")]
fn call(name: &'static str, arguments: &str) -> Attempt {
    let script = format!(
        "perl -e '$! = 0; $missing = \"missing\"; $here = \".\"; $r = syscall({arguments}); exit if !$r && {clone}; print $r >= 0 || ($! != 1 && $! != 38) ? \"reached\" : \"closed\"'",
        clone = i32::from(name == "k-userns-clone"),
    );
    held(name, script, |_, output| output == "reached")
}

#[tokio::test]
async fn nobody_becomes_more_than_it_is() {
    check(&ranks()).await;
}

pub(super) fn ranks() -> Vec<Attempt> {
    vec![
        held("k-real-root", "id -u", |_, o| o == "0\n").of_root(),
        held(
            "k-setuid-find",
            "[ -u projects/set-user-id ] || echo absent; projects/set-user-id -u",
            |_, o| o == "0\n",
        )
        .held_by_helper(),
        held(
            "k-userns-mount",
            "unshare -U true || echo absent
            unshare -Urm sh -c 'mount -t tmpfs none projects && echo mounted'",
            |_, o| o == "mounted\n",
        ),
        #[cfg(target_arch = "x86_64")]
        held(
            "d-rt-sched",
            // SCHED_FIFO; a machine may leave no time for it.
            "perl -e '$p = pack(\"i\", 1); print syscall(144, 0, 1, $p) == 0 ? \"first\" : \"absent\\n\"'",
            |_, o| o == "first",
        )
        .of_root(),
        // getpid() by the 32-bit gate.
        #[cfg(target_arch = "x86_64")]
        held("k-int80", by_32_bit_gate([20, 0, 0, 0]), |_, o| {
            o == "reached"
        }),
    ]
}

/// Makes and runs a program that enters the kernel as a 32-bit one does, with these in its
/// registers a, b, c and d; where that gives no error it says `reached`.
#[cfg(target_arch = "x86_64")]
pub(super) fn by_32_bit_gate(registers: [u32; 4]) -> String {
    let mut code = Vec::new();
    for (register, value) in [0xb8, 0xbb, 0xb9, 0xba].into_iter().zip(registers) {
        code.push(register);
        code.extend(value.to_le_bytes());
    }
    // int 0x80; test eax, eax; js over what follows.
    code.extend([0xcd, 0x80, 0x85, 0xc0, 0x78, 0x16]);
    // write(1, what is at the end, 7), as a 64-bit program; then exit(0).
    code.extend([0xb8, 1, 0, 0, 0, 0xbf, 1, 0, 0, 0]);
    let end = u32::try_from(HEADERS + code.len() + 21).unwrap();
    code.push(0xbe);
    code.extend((PLACE + end).to_le_bytes());
    code.extend([0xba, 7, 0, 0, 0, 0x0f, 0x05]);
    code.extend([0xb8, 60, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05]);
    code.extend(b"reached");
    let program = [headers(code.len()), code].concat();
    let hex: String = program.iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        "perl -e 'print pack(\"H*\", \"{hex}\")' > projects/gate; chmod +x projects/gate
        projects/gate; [ $? != 139 ] || echo absent"
    )
}

/// Where the program is in memory.
#[cfg(target_arch = "x86_64")]
const PLACE: u32 = 0x40_0000;
/// Length of what is before its code.
#[cfg(target_arch = "x86_64")]
const HEADERS: usize = 64 + 56;

/// Headers of an ELF file for x86-64 with one segment: all of the file, to read and run.
#[cfg(target_arch = "x86_64")]
fn headers(code: usize) -> Vec<u8> {
    let place = u64::from(PLACE);
    let length = u64::try_from(HEADERS + code).unwrap();
    let start = place + u64::try_from(HEADERS).unwrap();
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(16, 0);
    bytes.extend([2, 0, 0x3e, 0, 1, 0, 0, 0]);
    for word in [start, 64, 0] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 64, 0, 0, 0, 0, 0]);
    bytes.extend([1, 0, 0, 0, 5, 0, 0, 0]);
    for word in [0, place, place, length, length, 0x1000] {
        bytes.extend(word.to_le_bytes());
    }
    bytes
}
