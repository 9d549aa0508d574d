use super::{Attempt, check, held};

#[tokio::test]
async fn no_process_outside_is_touched() {
    check(&touches()).await;
}

pub(super) fn touches() -> Vec<Attempt> {
    vec![
        held("p-signal", "kill -STOP @VICTIM@", |w, _| {
            w.victim("stat").contains(") T ")
        }),
        held("p-kill", "kill -9 @VICTIM@", |w, _| !w.victim_lives()),
        held("p-signal-group", "kill -9 -@VICTIM@", |w, _| {
            !w.victim_lives()
        }),
        held(
            "p-priority",
            "perl -e 'setpriority(0, @VICTIM@, 3 + getpriority(0, 0))'",
            |w, _| w.victim_is_slowed(),
        ),
        held(
            "p-priority-user",
            "perl -e 'setpriority(2, $<, 3 + getpriority(0, 0))'",
            |w, _| w.victim_is_slowed(),
        ),
        held(
            "p-proc-mem",
            // Yama asks more of everyone.
            "[ \"$(cat /proc/sys/kernel/yama/ptrace_scope 2> /dev/null || echo 0)\" = 0 ] || echo absent
            perl -e 'open F, \"<\", \"/proc/@VICTIM@/mem\" and print \"open\"'",
            |_, o| o == "open",
        ),
        #[cfg(target_arch = "x86_64")]
        held(
            "p-signal-pidfd",
            "perl -e '$p = syscall(434, @VICTIM@, 0); syscall(424, $p, 9, 0, 0)'",
            |w, _| !w.victim_lives(),
        ),
        #[cfg(target_arch = "x86_64")]
        held(
            "p-scheduler",
            // SCHED_IDLE for the victim.
            "perl -e '$p = pack(\"i\", 0); syscall(144, @VICTIM@, 5, $p)'",
            |w, _| w.victim("sched").lines().any(is_idle),
        ),
        #[cfg(target_arch = "x86_64")]
        held(
            "p-prlimit",
            // RLIMIT_NOFILE 3 for the victim.
            "perl -e '$l = pack(\"QQ\", 3, 3); syscall(302, @VICTIM@, 7, $l, 0)'",
            |w, _| {
                w.victim("limits")
                    .lines()
                    .any(|line| line.starts_with("Max open files") && line.contains(" 3 "))
            },
        ),
    ]
}

/// The line of `/proc/PID/sched` that says `SCHED_IDLE`.
#[cfg(target_arch = "x86_64")]
fn is_idle(line: &str) -> bool {
    let policy = line.strip_prefix("policy").map(str::trim_end);
    policy.is_some_and(|line| line.ends_with(" 5"))
}

/// Calls that end in the kernel with any other answer than "not permitted" and "no such call".
#[cfg(target_arch = "x86_64")]
fn reached(_: &super::World, output: &str) -> bool {
    output == "reached"
}

#[cfg(target_arch = "x86_64")]
#[tokio::test]
async fn calls_on_other_processes_are_closed() {
    check(&calls()).await;
}

#[cfg(target_arch = "x86_64")]
pub(super) fn calls() -> Vec<Attempt> {
    // ESRCH, EINVAL or EFAULT without the sandbox: the call is there.
    vec![
        call("p-ptrace", "101, 16, 0, 0, 0"),
        call("p-vm-readv", "310, $$, 0, 0, 0, 0, 7"),
        call("p-vm-writev", "311, $$, 0, 0, 0, 0, 7"),
        call("p-pidfd-getfd", "438, -1, 0, 0"),
        call("p-kcmp", "312, $$, $$, 99, 0, 0"),
        call("p-setns", "308, -1, 0"),
    ]
}

#[cfg(target_arch = "x86_64")]
fn call(name: &'static str, arguments: &'static str) -> Attempt {
    let script = format!(
        "perl -e '$! = 0; $r = syscall({arguments}); print $r >= 0 || ($! != 1 && $! != 38) ? \"reached\" : \"closed\"'"
    );
    held(name, script, reached)
}
