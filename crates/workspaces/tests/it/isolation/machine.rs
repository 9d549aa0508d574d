//! Devices, settings and memory of the machine.

use std::fs;

use super::{Attempt, World, check, held};

#[tokio::test]
async fn nothing_is_read_around_the_file_system() {
    check(&devices()).await;
}

pub(super) fn devices() -> Vec<Attempt> {
    vec![
        held(
            "r-blockdev",
            // Empty ones give nothing, and a container may have been given none.
            "for d in /dev/*; do
                [ -b $d ] && head -c 1 $d > projects/byte && [ -s projects/byte ] && echo got && exit
            done; echo absent",
            |_, o| o.lines().any(|line| line == "got"),
        )
        .of_root(),
        held(
            "r-mknod",
            "mknod projects/zero c 1 5 && head -c 1 projects/zero | wc -c",
            |_, o| o == "1\n",
        )
        .of_root(),
        held(
            "r-devmem",
            "[ -c /dev/mem ] || echo absent; head -c 1 /dev/mem | wc -c",
            |_, o| o == "1\n",
        )
        .of_root(),
        #[cfg(target_arch = "x86_64")]
        held(
            "r-file-handle",
            // A file by its number, over a descriptor of its file system.
            "perl -e '$f = \"@OUT@/secret\"; $h = pack(\"Ii\", 128, 0) . \" \" x 128; $m = pack(\"i\", 0);
            $d = \".\"; $at = syscall(257, -100, $d, 0, 0);
            syscall(303, -100, $f, $h, $m, 0) == 0 or $!{EOPNOTSUPP} and print \"absent\\n\";
            $n = syscall(304, $at, $h, 0); open F, \"<&=\", $n or die $!; print <F>'",
            |w, o| w.stolen(o),
        )
        .of_root(),
        held(
            "k-kallsyms",
            "[ \"$(cat /proc/sys/kernel/kptr_restrict)\" != 2 ] && [ -e /proc/kallsyms ] || echo absent
            grep -qv '^00000000' /proc/kallsyms && echo places",
            |_, o| o == "places\n",
        )
        .of_root(),
    ]
}

#[tokio::test]
async fn no_setting_of_the_machine_is_changed() {
    check(&settings()).await;
}

/// Each writes what is there already, or does nothing but say that it was let in.
pub(super) fn settings() -> Vec<Attempt> {
    vec![
        held(
            "w-sysctl",
            "f=/proc/sys/kernel/core_pattern; [ -w $f ] || echo absent
            v=\"$(cat $f)\"; echo \"$v\" > $f && echo written",
            |_, o| o == "written\n",
        )
        .of_root(),
        held(
            "w-sysrq",
            // A letter that no command has.
            "[ -w /proc/sysrq-trigger ] || echo absent; printf _ > /proc/sysrq-trigger && echo pressed",
            |_, o| o == "pressed\n",
        )
        .of_root(),
        held(
            "w-cgroup",
            "for d in /sys/fs/cgroup/unified /sys/fs/cgroup/pids /sys/fs/cgroup; do
                mkdir $d/@TOKEN@ 2> /dev/null && exit; done; echo absent",
            |w, _| made_a_group(w),
        )
        .of_root(),
        held(
            "w-oom-adj",
            "echo 500 > /proc/@VICTIM@/oom_score_adj",
            |w, _| w.victim("oom_score_adj") == "500\n",
        ),
    ]
}

/// Whether a cgroup named by the token was made; it is removed again.
fn made_a_group(world: &World) -> bool {
    let folders = ["unified/", "pids/", ""];
    folders.into_iter().any(|folder| {
        let group = world.filled(&format!("/sys/fs/cgroup/{folder}@TOKEN@"));
        fs::remove_dir(group).is_ok()
    })
}
