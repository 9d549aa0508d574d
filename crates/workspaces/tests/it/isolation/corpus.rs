//! The list of what was tried when the sandbox was designed. Each name has an attempt in one of the
//! tables, or a test of its own that shows the same.

use std::collections::BTreeSet;

use super::{Attempt, escalation, git, keepsakes, machine, network, others, reads, writes};
use crate::{bombs, kill, quota};

/// Every name, by class.
const NAMES: [(char, &str); 7] = [
    (
        'r',
        "dotdot deep-dotdot abs symlink symlink-dir symlink-rel-chain hardlink proc-self-root \
         proc-self-cwd proc-pid-root proc-pid-cwd proc-pid-fd inherited-fd inherited-dirfd other-ws \
         other-ws-list db cred ssh env proc-environ proc-cmdline file-handle blockdev mknod devmem \
         shm-file sysv-shm keyring parent-names",
    ),
    (
        'w',
        "abs dotdot symlink symlink-dir proc-root rename-out link-out hardlink-modify truncate \
         unlink chmod utime xattr tmpfile-link fifo sock other-ws db shell-rc path-hijack \
         tmp-shared shm-shared inherited-fd sysctl sysrq cgroup oom-adj swap-root",
    ),
    (
        'g',
        "hook fsmonitor filter diff-external gitfile-swap commondir embedded-bare worktree-main",
    ),
    (
        'n',
        "tcp4 tcp6 mptcp fastopen udp listen unix unix-symlink unix-dgram abstract agent-env vsock \
         netlink packet alg int80",
    ),
    (
        'p',
        "ptrace vm-readv proc-mem pidfd-getfd signal signal-pidfd signal-group priority prlimit \
         setns ps orphan term-ignore sigkill-launcher kill-supervisor",
    ),
    (
        'd',
        "forks memory memory-tree disk bigfile tmp-disk inodes fds rlimit-raise cpu core output \
         rt-sched tiocsti",
    ),
    (
        'k',
        "real-root caps capbnd nnp seccomp userns userns-mount mount open-tree fsopen umount chroot \
         bpf userfaultfd io-uring perf keyctl module dmesg kallsyms x32 int80 setuid-find",
    ),
];
const COUNT: usize = 134;

/// A test that shows what an attempt by this name would, and the test with its control: the same one
/// where nothing else is said.
type Shown = (&'static str, fn(), Option<fn()>);

const SHOWN: [Shown; 20] = [
    (
        "p-orphan",
        kill::what_a_command_leaves_behind_dies_with_it,
        Some(kill::without_a_helper_what_a_command_leaves_behind_stays),
    ),
    (
        "p-term-ignore",
        kill::a_timeout_kills_every_descendant,
        Some(kill::without_a_helper_what_a_command_leaves_behind_stays),
    ),
    (
        "p-sigkill-launcher",
        kill::kill_9_of_the_launching_process_leaves_no_process,
        Some(kill::without_a_helper_what_a_command_leaves_behind_stays),
    ),
    (
        "p-kill-supervisor",
        kill::an_agent_can_not_kill_who_holds_it,
        Some(kill::without_a_sandbox_an_agent_that_kills_its_helper_fails_or_is_found_out),
    ),
    (
        "d-forks",
        bombs::a_fork_bomb_is_bounded_and_gone_and_others_go_on,
        Some(bombs::a_command_has_so_many_processes_and_no_more),
    ),
    (
        "d-memory",
        bombs::a_process_that_takes_too_much_memory_gets_none,
        None,
    ),
    (
        "d-memory-tree",
        bombs::processes_that_take_too_much_memory_together_are_ended,
        None,
    ),
    (
        "d-bigfile",
        bombs::a_file_that_grows_without_end_does_not,
        None,
    ),
    (
        "d-fds",
        bombs::a_process_has_so_many_open_files_and_no_more,
        None,
    ),
    ("d-output", bombs::a_flood_of_output_ends_its_command, None),
    (
        "d-disk",
        quota::a_command_that_fills_the_disk_is_ended,
        Some(quota::without_a_sandbox_nothing_ends_a_command_that_takes_too_much),
    ),
    (
        "d-tmp-disk",
        quota::a_command_that_fills_the_disk_is_ended,
        Some(quota::without_a_sandbox_nothing_ends_a_command_that_takes_too_much),
    ),
    (
        "d-inodes",
        quota::a_command_that_makes_files_without_end_is_ended,
        Some(quota::without_a_sandbox_nothing_ends_a_command_that_takes_too_much),
    ),
    (
        "d-cpu",
        bombs::a_process_that_computes_without_end_is_ended,
        None,
    ),
    ("d-core", escalation::no_right_is_kept_or_gained, None),
    ("k-caps", escalation::no_right_is_kept_or_gained, None),
    ("k-capbnd", escalation::no_right_is_kept_or_gained, None),
    ("k-nnp", escalation::no_right_is_kept_or_gained, None),
    ("k-seccomp", escalation::no_right_is_kept_or_gained, None),
    (
        "k-x32",
        escalation::other_interfaces_to_the_kernel_are_closed,
        None,
    ),
];

fn attempts() -> Vec<Attempt> {
    [
        reads::by_path(),
        reads::through_processes(),
        keepsakes::reads(),
        keepsakes::changes(),
        machine::devices(),
        machine::settings(),
        writes::changes(),
        git::plants(),
        network::contacts(),
        network::families(),
        network::raw(),
        others::touches(),
        others::calls(),
        escalation::raises(),
        escalation::doors(),
        escalation::ranks(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[test]
fn every_name_of_the_corpus_is_tried() {
    let names: Vec<String> = NAMES
        .into_iter()
        .flat_map(|(class, names)| {
            names
                .split_whitespace()
                .map(move |name| format!("{class}-{name}"))
        })
        .collect();
    assert_eq!(names.len(), COUNT);
    let tried: BTreeSet<String> = attempts()
        .iter()
        .map(|attempt| attempt.name)
        .chain(SHOWN.map(|(name, _, _)| name))
        .map(ToOwned::to_owned)
        .collect();
    let missing: Vec<&String> = names.iter().filter(|name| !tried.contains(*name)).collect();
    assert_eq!(missing, [] as [&String; 0]);
}

#[test]
fn no_attempt_is_there_twice() {
    let attempts = attempts();
    let names: BTreeSet<&str> = attempts.iter().map(|attempt| attempt.name).collect();
    assert_eq!(names.len(), attempts.len());
}
