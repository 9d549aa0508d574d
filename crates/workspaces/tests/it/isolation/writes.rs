use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use super::{Attempt, check, held};

#[cfg(target_arch = "x86_64")]
#[tokio::test]
async fn nothing_outside_is_written_or_changed() {
    check(&changes()).await;
}

#[cfg(target_arch = "x86_64")]
pub(super) fn changes() -> Vec<Attempt> {
    vec![
        held("w-abs", "echo x > @OUT@/precious", |w, _| !w.is_whole("precious")),
        held("w-dotdot", "echo x > ../../out/precious", |w, _| !w.is_whole("precious")),
        held("w-symlink", "ln -s @OUT@/precious l; echo x > l", |w, _| !w.is_whole("precious")),
        held("w-symlink-dir", "ln -s @OUT@ l; echo x > l/precious", |w, _| !w.is_whole("precious")),
        held("w-proc-root", "echo x > /proc/self/root/@OUTREL@/precious", |w, _| !w.is_whole("precious")),
        held("w-new", "echo x > @OUT@/new", |w, _| w.out().join("new").exists()),
        held("w-rename-out", "echo x > a; perl -e 'rename \"a\", \"@OUT@/new\"'", |w, _| w.out().join("new").exists()),
        held("w-link-out", "echo x > a; ln a @OUT@/new", |w, _| w.out().join("new").exists()),
        held("w-hardlink-modify", "ln @OUT@/precious h; echo x >> h", |w, _| !w.is_whole("precious")),
        held("w-truncate", "perl -e 'truncate \"@OUT@/precious\", 0'", |w, _| !w.is_whole("precious")),
        held("w-unlink", "rm -f @OUT@/precious", |w, _| !w.out().join("precious").exists()),
        held("w-rename-inside", "mv -f @OUT@/precious @OUT@/moved", |w, _| w.out().join("moved").exists()),
        held("w-fifo", "mkfifo @OUT@/new", |w, _| w.out().join("new").exists()),
        held(
            "w-sock",
            "perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Local => \"@OUT@/new\", Listen => 1) or die $!; sleep 0'",
            |w, _| fs::symlink_metadata(w.out().join("new")).is_ok_and(|made| made.file_type().is_socket()),
        ),
        held("w-mkdir", "mkdir @OUT@/new", |w, _| w.out().join("new").exists()),
        held("w-other-ws", "echo x > @OTHER@/secret", |w, _| {
            fs::read_to_string(w.other().join("secret")).is_ok_and(|text| text == "x\n")
        }),
        held("w-tmp-shared", "echo x > /tmp/@TOKEN@", |w, _| taken(w, "/tmp")),
        held("w-shm-shared", "echo x > /dev/shm/@TOKEN@", |w, _| taken(w, "/dev/shm")),
        held("w-chmod", "chmod 600 @OUT@/mine", |w, _| {
            fs::metadata(w.out().join("mine")).unwrap().mode() & 0o777 == 0o600
        }).missed_by_base(),
        held(
            "w-tmpfile-link",
            // O_TMPFILE here, linkat() there.
            "perl -e '$d = \".\"; $t = \"@OUT@/new\"; $f = syscall(257, -100, $d, 020200002, 0600); $f >= 0 or die $!; $n = \"/proc/self/fd/$f\"; syscall(265, -100, $n, -100, $t, 0x400) == 0 or die $!'",
            |w, _| w.out().join("new").exists(),
        ),
        held(
            "w-xattr",
            "perl -e '$f = \"@OUT@/mine\"; $n = \"user.x\"; $v = \"1\"; syscall(188, $f, $n, $v, 1, 0) == 0 or $!{EOPNOTSUPP} and print \"absent\\n\"'",
            |w, _| rustix::fs::getxattr(w.out().join("mine"), "user.x", &mut [0; 8]).is_ok(),
        )
        .missed_by_base(),
        held("w-utime", "touch -d @1000000000 @OUT@/mine", |w, _| {
            fs::metadata(w.out().join("mine")).unwrap().mtime() == 1_000_000_000
        }).missed_by_base(),
    ]
}

/// Whether a file named by the token was made there; it is removed again.
fn taken(world: &super::World, folder: &str) -> bool {
    let file = world.filled(&format!("{folder}/@TOKEN@"));
    fs::remove_file(file).is_ok()
}
