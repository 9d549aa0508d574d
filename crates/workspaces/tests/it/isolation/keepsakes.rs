//! What the operator has beside the workspaces, and what a program is started with.

use super::{Attempt, check, held};

#[tokio::test]
async fn nothing_of_the_operator_is_read() {
    check(&reads()).await;
}

pub(super) fn reads() -> Vec<Attempt> {
    vec![
        held("r-db", "cat @DATA@/fusion-kit.db", |w, o| w.stolen(o)),
        held("r-cred", "cat @DATA@/master.key", |w, o| w.stolen(o)),
        held("r-ssh", "cat @HOME@/.ssh/id_ed25519", |w, o| w.stolen(o)),
        held("r-shm-file", "cat /dev/shm/secret-@VICTIM@", |w, o| {
            w.stolen(o)
        }),
        held("r-env", "env", |_, o| o.lines().any(is_foreign)).held_by_helper(),
        held(
            "r-inherited-fd",
            "perl -e 'open F, \"<&=\", @LEAK@ or die $!; print <F>'",
            |w, o| w.stolen(o),
        )
        .held_by_helper(),
        held(
            "r-inherited-dirfd",
            "cat /proc/self/fd/@LEAKED_FOLDER@/secret",
            |w, o| w.stolen(o),
        )
        .held_by_helper(),
        // A key of the agent's user, by keyctl's SEARCH and READ. A container may have closed it.
        #[cfg(target_arch = "x86_64")]
        held(
            "r-keyring",
            "perl -e '$t = \"user\"; $d = \"@KEY@\"; $b = \" \" x 64;
            $k = syscall(250, 10, -4, $t, $d, 0);
            $k >= 0 and syscall(250, 11, $k, $b, 64) > 0 and print $b or print \"absent\\n\"'",
            |w, o| w.stolen(o),
        ),
    ]
}

/// Whether a line of `env` is a variable that commands are not given.
fn is_foreign(line: &str) -> bool {
    let given = [
        "GIT_CONFIG_NOSYSTEM",
        "HOME",
        "LANG",
        "OLDPWD",
        "PATH",
        "PWD",
        "SHLVL",
        "TERM",
        "TMPDIR",
        "_",
    ];
    line.split_once('=')
        .is_some_and(|(name, _)| !given.contains(&name))
}

#[tokio::test]
async fn nothing_of_the_operator_is_changed() {
    check(&changes()).await;
}

pub(super) fn changes() -> Vec<Attempt> {
    vec![
        held("w-db", "echo x >> @DATA@/fusion-kit.db", |w, _| {
            !w.is_kept("data/fusion-kit.db")
        }),
        held("w-shell-rc", "echo x >> @HOME@/.bashrc", |w, _| {
            !w.is_kept("home/.bashrc")
        }),
        held(
            "w-path-hijack",
            "echo '#!/bin/sh' > @HOME@/bin/git",
            |w, _| w.beside("home/bin/git").exists(),
        ),
        held(
            "w-inherited-fd",
            "perl -e 'open F, \">>&=\", @LEAK@ or die $!; print F \"x\"'",
            |w, _| !w.is_whole("leaked"),
        )
        .held_by_helper(),
        held(
            "w-swap-root",
            "cd .. && mv @NAME@ swapped && ln -s /etc @NAME@",
            |w, _| w.beside("workspaces/swapped").exists(),
        ),
    ]
}
