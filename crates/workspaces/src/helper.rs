//! The helper: this program again, alone with one command and everything that comes of it.
//!
//! It is single-threaded and has three descriptors: stdin is the request and then the life
//! line, stdout is the way back for the report, stderr is what the command gets as its stdout
//! and stderr. It is a session and a group of its own, and the reaper of every descendant
//! whose parent died, so a process can't leave by forking twice or by a new session.
//!
//! When the program runs as root the helper stays root, out of reach of the agent, and only the
//! command becomes the agent's user. Without root the agent can kill its helper; only a kernel
//! sandbox closes that. Its place is [`start`]: what the command may do is decided there.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{
    DumpableBehavior, Pid, PidfdFlags, Signal, WaitOptions, WaitStatus, geteuid, getpid,
    kill_process, pidfd_open, set_child_subreaper, set_dumpable_behavior, setsid, wait,
};
use rustix::thread::set_no_new_privs;

use crate::process::wire::{self, Report, Request};

/// How often dead orphans are collected while the command runs.
const REAP_EVERY: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};
/// How long killed processes are given before the next look.
const KILL_PAUSE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 1_000_000,
};

/// What the binary's `main` does when it was started as the helper of a
/// [`Launcher`](crate::Launcher): before any thread or runtime exists, and nothing else.
///
/// It returns only when no process that came of the command is left, however it ended.
#[must_use]
pub fn helper_main() -> ExitCode {
    match supervise() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn supervise() -> io::Result<()> {
    isolate()?;
    let mut lifeline = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let request = wire::decode(&mut lifeline)?;
    let report = match start(&request, io::stderr().as_fd()) {
        Ok(main) => watch(main, &mut lifeline),
        Err(error) => Ok(Report::NotStarted {
            errno: error.raw_os_error(),
            message: error.to_string(),
        }),
    };
    kill_all()?;
    let mut control = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    control.write_all(&serde_json::to_vec(&report?)?)
}

/// Makes this process one that nothing can slip into or away from.
fn isolate() -> io::Result<()> {
    close_inherited()?;
    // Away from the terminal: a command can't ask a person there, or be stopped by it.
    setsid()?;
    set_child_subreaper(Some(getpid()))?;
    // Processes of the same user must not reach our descriptors through /proc, or trace us.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    // A set-user-id program would be out of reach of our signals, and may be root.
    set_no_new_privs(true)?;
    Ok(())
}

/// Closes every descriptor but the three standard ones. Ours are closed by `exec`; this is
/// about those that whoever started the program left open for everyone.
fn close_inherited() -> io::Result<()> {
    let mut open: Vec<RawFd> = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        open.extend(
            entry?
                .file_name()
                .to_str()
                .and_then(|name| name.parse::<RawFd>().ok()),
        );
    }
    for descriptor in open.into_iter().filter(|descriptor| *descriptor > 2) {
        match nix::unistd::close(descriptor) {
            // The one that the list was read from is closed already.
            Ok(()) | Err(nix::errno::Errno::EBADF) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Starts the command with the helper's stderr as its output.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that starts processes"
)]
fn start(request: &Request, output: BorrowedFd<'_>) -> io::Result<Pid> {
    let (program, arguments) = request
        .argv
        .split_first()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no program is given"))?;
    if request.uid.unwrap_or_else(|| geteuid().as_raw()) == 0 {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "agents never run as root",
        ));
    }
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(&request.env)
        .stdin(Stdio::null())
        .stdout(output.try_clone_to_owned()?)
        .stderr(output.try_clone_to_owned()?)
        // So that `kill 0` in a script does not hit the helper.
        .process_group(0);
    if let Some(uid) = request.uid {
        // The standard library also drops all other groups when root becomes a user.
        command.uid(uid).gid(uid);
    }
    Ok(Pid::from_child(&command.spawn()?))
}

/// Waits for the end of the command or of the life line.
fn watch(main: Pid, lifeline: &mut File) -> io::Result<Report> {
    let ended = pidfd_open(main, PidfdFlags::empty())?;
    loop {
        let mut events = [
            PollFd::new(lifeline, PollFlags::IN),
            PollFd::new(&ended, PollFlags::IN),
        ];
        match poll(&mut events, Some(&REAP_EVERY)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let [line, _] = events;
        let line = line.revents();
        while let Reaped::Child(pid, status) = reap()? {
            if pid == main
                && let Some(report) = report_of(status)
            {
                return Ok(report);
            }
        }
        // Nothing is ever sent after the request, so whatever comes is the end.
        if !line.is_empty() && lifeline.read(&mut [0])? == 0 {
            return Ok(Report::Stopped);
        }
    }
}

fn report_of(status: WaitStatus) -> Option<Report> {
    let exited = status.exit_status().map(|code| Report::Exited { code });
    exited.or_else(|| {
        status
            .terminating_signal()
            .map(|signal| Report::Signalled { signal })
    })
}

/// Kills every descendant. Only direct children are signalled: their ids can't be reused
/// before we have reaped them. When they die, their children become ours.
fn kill_all() -> io::Result<()> {
    loop {
        match reap()? {
            Reaped::Child(..) => continue,
            Reaped::NotYet => {}
            Reaped::NoneLeft => return Ok(()),
        }
        for child in children()? {
            // One that can't be killed is tried again, as long as the launcher waits.
            kill_process(child, Signal::KILL).ok();
        }
        match poll(&mut [], Some(&KILL_PAUSE)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

enum Reaped {
    /// This child had ended.
    Child(Pid, WaitStatus),
    /// There are children, none has ended.
    NotYet,
    /// There is no child.
    NoneLeft,
}

fn reap() -> io::Result<Reaped> {
    match wait(WaitOptions::NOHANG) {
        Ok(Some((pid, status))) => Ok(Reaped::Child(pid, status)),
        Ok(None) | Err(Errno::INTR) => Ok(Reaped::NotYet),
        Err(Errno::CHILD) => Ok(Reaped::NoneLeft),
        Err(error) => Err(error.into()),
    }
}

/// The direct children, read from `/proc`: every kernel has that, not every one lists children.
fn children() -> io::Result<Vec<Pid>> {
    let own = getpid().as_raw_pid();
    let mut children = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // Gone since it was listed.
        let Ok(stat) = fs::read(format!("/proc/{pid}/stat")) else {
            continue;
        };
        if parent_in(&stat) == Some(own) {
            children.extend(Pid::from_raw(pid));
        }
    }
    Ok(children)
}

/// Reads the parent from a line of `/proc/PID/stat`: `pid (name) state parent ...`. The name is
/// whatever the process calls itself.
fn parent_in(stat: &[u8]) -> Option<i32> {
    let stat = String::from_utf8_lossy(stat);
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_can_not_hide_its_parent_by_its_name() {
        assert_eq!(parent_in(b"12 (sh) S 7 12 12 0"), Some(7));
        assert_eq!(parent_in(b"12 (a) S 1 (\xff) R 7 12 12 0"), Some(7));
        assert_eq!(parent_in(b"12 (a b\n) S 7 12"), Some(7));
        assert_eq!(parent_in(b""), None);
    }
}
