//! Tries, from inside, what a command must not be able to do. A layer that says it is in force
//! and lets one of these through is not.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, socket};
use rustix::process::{Resource, getpid, getrlimit};
use rustix::thread::no_new_privs;

use super::{LayerName, SandboxReport};

/// Takes layers that do not hold out of the report.
pub(crate) fn correct(report: &mut SandboxReport, workspace: &Path, network: bool) {
    for (name, held) in [
        (LayerName::NoNewPrivileges, no_new_privs().unwrap_or(false)),
        (LayerName::Landlock, holds_files(workspace)),
        (LayerName::Seccomp, holds_calls(network)),
        (
            LayerName::Limits,
            getrlimit(Resource::Core).maximum == Some(0),
        ),
        (LayerName::Namespaces, is_alone(network)),
    ] {
        if report.has(name) && !held {
            report.set(name, Err("it is in force and does not hold".to_owned()));
        }
    }
}

/// The folder beside the workspace can't be written, and the workspace can.
fn holds_files(workspace: &Path) -> bool {
    let attempt = |folder: &Path| {
        let file = folder.join(".fusion-canary");
        let made = OpenOptions::new().write(true).create_new(true).open(&file);
        fs::remove_file(file).ok();
        made.map(|_| ()).map_err(|error| error.kind())
    };
    let outside = workspace.parent().map(attempt);
    let denied = matches!(
        outside,
        None | Some(Err(
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
        ))
    );
    denied && attempt(workspace).is_ok()
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
