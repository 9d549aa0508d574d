use super::{Attempt, check, held};

#[tokio::test]
async fn nothing_outside_is_read_by_a_path() {
    check(&by_path()).await;
}

pub(super) fn by_path() -> Vec<Attempt> {
    vec![
        held("r-abs", "cat @OUT@/secret", |w, o| w.stolen(o)),
        held("r-dotdot", "cat ../../out/secret", |w, o| w.stolen(o)),
        held(
            "r-deep-dotdot",
            "cat projects/../../../../../../../../@OUTREL@/secret",
            |w, o| w.stolen(o),
        ),
        held("r-symlink", "ln -s @OUT@/secret l; cat l", |w, o| {
            w.stolen(o)
        }),
        held(
            "r-symlink-dir",
            "ln -s @OUT@ l; cat l/folder/secret",
            |w, o| w.stolen(o),
        ),
        held(
            "r-symlink-rel-chain",
            "ln -s ../../out a; ln -s a/folder b; cat b/secret",
            |w, o| w.stolen(o),
        ),
        held("r-hardlink", "ln @OUT@/secret h; cat h", |w, o| w.stolen(o)),
        held(
            "r-proc-self-root",
            "cat /proc/self/root/@OUTREL@/secret",
            |w, o| w.stolen(o),
        ),
        held(
            "r-proc-self-cwd",
            "cat /proc/self/cwd/../../out/secret",
            |w, o| w.stolen(o),
        ),
        held("r-other-ws", "cat @OTHER@/secret", |w, o| w.stolen(o)),
        held("r-other-ws-list", "ls @OTHER@; ls ..", |_, o| {
            o.contains("secret")
        }),
        held("r-parent-names", "ls ../..", |_, o| o.contains("out")),
        held("r-run", "ls /run/", |_, o| !o.contains("cannot")),
        held("r-home", "ls /root /home /var /srv /etc/shadow", |_, o| {
            o.contains("/var:\n") && !o.contains("'/var'")
        }),
    ]
}

#[tokio::test]
async fn nothing_is_read_through_another_process() {
    check(&through_processes()).await;
}

pub(super) fn through_processes() -> Vec<Attempt> {
    vec![
        held(
            "r-proc-pid-root",
            "cat /proc/@VICTIM@/root/@OUTREL@/secret",
            |w, o| w.stolen(o),
        ),
        held("r-proc-pid-cwd", "cat /proc/@VICTIM@/cwd/secret", |w, o| {
            w.stolen(o)
        }),
        held("r-proc-pid-fd", "cat /proc/@VICTIM@/fd/9", |w, o| {
            w.stolen(o)
        }),
        held("r-proc-environ", "cat /proc/@VICTIM@/environ", |w, o| {
            w.stolen(o)
        }),
        held("r-proc-cmdline", "cat /proc/@VICTIM@/cmdline", |w, o| {
            w.stolen(o)
        })
        .missed_by_base(),
        held("p-ps", "ls /proc | grep -cx @VICTIM@", |_, o| o == "1\n").missed_by_base(),
        held(
            "r-sysv-shm",
            "perl -e '$id = shmget(@VICTIM@, 64, 0) // die $!; shmread($id, $b, 0, 64) or die $!; print $b'",
            |w, o| w.stolen(o),
        ),
    ]
}
