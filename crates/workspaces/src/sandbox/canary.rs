//! Tries, from inside, what a command must not be able to do. A layer that says it is in force
//! and lets one of these through is not.

use std::fs::{self, File, OpenOptions};
use std::path::Path;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, socket};
use rustix::process::{Resource, getpid, getrlimit};
use rustix::thread::no_new_privs;

use super::{LayerName, SandboxReport};

/// Takes layers that do not hold out of the report.
/// `outside` is a file that every user of the machine may write.
pub(crate) fn correct(report: &mut SandboxReport, outside: &Path, workspace: &Path, network: bool) {
    let files = holds_files(outside, workspace);
    for (name, held) in [
        (LayerName::NoNewPrivileges, no_new_privs().unwrap_or(false)),
        (LayerName::Landlock, files),
        (LayerName::Seccomp, holds_calls(network)),
        (
            LayerName::Limits,
            getrlimit(Resource::Core).maximum == Some(0),
        ),
        // Where it stands in for Landlock nothing else holds files back.
        (LayerName::Namespaces, is_alone(network) && files),
    ] {
        if report.has(name) && !held {
            report.set(name, Err("it is in force and does not hold".to_owned()));
        }
    }
}

/// The file outside can be neither read nor written, though its rights allow both, and the
/// workspace can be written.
fn holds_files(outside: &Path, workspace: &Path) -> bool {
    let inside = workspace.join(".fusion-canary");
    let written = fs::write(&inside, "").is_ok();
    fs::remove_file(inside).ok();
    let reached =
        File::open(outside).is_ok() || OpenOptions::new().append(true).open(outside).is_ok();
    written && !reached
}

fn holds_calls(network: bool) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let filtered = status.lines().any(|line| line == "Seccomp:\t2");
    let family = if network {
        AddressFamily::PACKET
    } else {
        AddressFamily::INET
    };
    let refused = socket(family, SocketType::DGRAM, None).is_err_and(|error| error == Errno::PERM);
    filtered && refused
}

/// This is the first process of its kind, and there is no network but its own.
fn is_alone(network: bool) -> bool {
    let interfaces = fs::read_to_string("/proc/self/net/dev").unwrap_or_default();
    let others = interfaces
        .lines()
        .filter_map(|line| line.split_once(':'))
        .any(|(name, _)| name.trim() != "lo");
    getpid().is_init() && (network || !others)
}
