//! The helper: this program again, alone with one command and everything that comes of it.
//!
//! It is single-threaded and has three descriptors: stdin is the request and then the life
//! line, stdout is the way back for the report, stderr is what the command gets as its stdout
//! and stderr. It is a session and a group of its own, and the reaper of every descendant
//! whose parent died, so a process can't leave by forking twice or by a new session.
//!
//! When the program runs as root the helper stays root, out of reach of the agent, and only the
//! command becomes the agent's user. The sandbox is put on in the command's [`first`] process.

mod background;
mod first;
mod room;

use std::env::args_os;
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::Errno;
use rustix::process::{
    DumpableBehavior, Pid, PidfdFlags, Signal, WaitOptions, WaitStatus, geteuid, getpid,
    kill_process, pidfd_open, set_child_subreaper, set_dumpable_behavior, setsid, wait,
};
use rustix::thread::set_no_new_privs;

use crate::process::wire::{self, Answer, Report, Request, Word};
use crate::sandbox::namespaces::{self, Missing};
use crate::sandbox::{Policy, Resource, Sandbox, SandboxReport};
use crate::tree::{self, Processes, Spent};
use background::Background;
use room::Room;

/// How often dead orphans are collected, and memory is looked at, while the command runs.
const LOOK_EVERY: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 250_000_000,
};
/// How long killed processes are given before the next look.
const KILL_PAUSE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 1_000_000,
};

/// What the first process of a sandboxed command says at the most, in bytes.
const WORDS_LIMIT: u64 = 64 * 1024;

/// The three streams of a command.
type Streams = [OwnedFd; 3];

/// What the binary's `main` does when it was started as the helper of a
/// [`Launcher`](crate::Launcher): before any thread or runtime exists, and nothing else.
///
/// It returns only when no process that came of the command is left, however it ended.
#[must_use]
pub fn helper_main() -> ExitCode {
    if args_os().next().is_some_and(|name| name == first::NAME) {
        return first::main();
    }
    match supervise() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn supervise() -> io::Result<()> {
    isolate()?;
    let mut lifeline = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let streams = wire::receive_streams(&lifeline)?;
    let request = wire::decode(&mut lifeline)?;
    let streams = match streams {
        Some(streams) => streams,
        None => captured(&request.stdin)?,
    };
    let answer = hold(&request, streams, &mut lifeline);
    kill_all()?;
    let answer = Answer {
        spent: Spent::here(),
        ..answer?
    };
    let mut control = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    control.write_all(&serde_json::to_vec(&answer)?)
}

/// Makes this process one that nothing can slip into or away from.
fn isolate() -> io::Result<()> {
    close_inherited()?;
    // Away from the terminal: a command can't ask a person there, or be stopped by it.
    setsid()?;
    set_child_subreaper(Some(getpid()))?;
    // A set-user-id program would be out of reach of our signals, and may be root.
    set_no_new_privs(true)?;
    Ok(())
}

/// This input, and both outputs into our stderr.
fn captured(input: &str) -> io::Result<Streams> {
    let output = || io::stderr().as_fd().try_clone_to_owned();
    Ok([stdin_of(input)?, output()?, output()?])
}

/// A file in memory that can be read and not changed: whoever reads it waits for nobody.
fn stdin_of(input: &str) -> io::Result<OwnedFd> {
    if input.is_empty() {
        return Ok(File::open("/dev/null")?.into());
    }
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut file = File::from(memfd_create("stdin", flags)?);
    file.write_all(input.as_bytes())?;
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    fcntl_add_seals(&file, seals)?;
    file.rewind()?;
    Ok(file.into())
}

/// Runs the command to its end, or to the end of the life line.
fn hold(request: &Request, streams: Streams, lifeline: &mut File) -> io::Result<Answer> {
    if request.uid.unwrap_or_else(|| geteuid().as_raw()) == 0 {
        let report = Report::NotStarted {
            errno: None,
            message: "agents never run as root".to_owned(),
        };
        let nothing = SandboxReport::nothing(Sandbox::On, "nothing was started");
        return Ok(Answer::new(nothing, report));
    }
    match &request.policy {
        Some(policy) => sandboxed(request, policy, streams, lifeline),
        None => open(request, streams, lifeline),
    }
}

/// Starts the command's first process, which puts the sandbox on.
fn sandboxed(
    request: &Request,
    policy: &Policy,
    streams: Streams,
    lifeline: &mut File,
) -> io::Result<Answer> {
    let nothing = || SandboxReport::nothing(Sandbox::On, "it was not reached");
    if policy.no_namespaces.is_none()
        && let Err(missing) = namespaces::enter()
    {
        return Ok(Answer::new(nothing(), without_namespaces(missing)));
    }
    hide()?;
    let (ours, theirs) = UnixStream::pair()?;
    let mut first = first::start(theirs.into())?;
    let pid = Pid::from_child(&first);
    let words = first.stdout.take();
    let told = tell(&ours, request, &streams);
    drop(streams);
    // In namespaces the first process looks too, but the command has its user and may starve it.
    let bounds = Bounds {
        memory: policy.limits.memory,
        room: Room::new(policy.quota, policy.used)?,
    };
    let ended = watch(pid, lifeline, Some(bounds))?;
    // Else its words have no end.
    kill_all()?;
    let heard = heard(words)?;
    let report = match (told, ended) {
        (_, ended @ (Report::Stopped | Report::OverLimit { .. })) => ended,
        (Err(error), _) if heard.end.is_none() => not_started(&error),
        (_, ended) => outcome(ended, &heard, policy.no_namespaces.is_none()),
    };
    Ok(Answer::new(heard.sandbox.unwrap_or_else(nothing), report))
}

/// What became of the command whose first process ended like this.
fn outcome(ended: Report, heard: &Heard, is_alone: bool) -> Report {
    let not_started = |message: &str| Report::NotStarted {
        errno: None,
        message: message.to_owned(),
    };
    match (&heard.end, &heard.sandbox) {
        (Some(end), _) => end.clone(),
        (None, None) => not_started("the process that puts the sandbox on failed at it"),
        (None, Some(report)) if report.broken_promise().is_some() => Report::Refused,
        // Only without namespaces does it become the command, whose end is its own.
        (None, Some(_)) if is_alone && matches!(ended, Report::Exited { .. }) => {
            not_started("the process that watches over the command failed at it")
        }
        (None, Some(_)) => ended,
    }
}

/// Whether the command is tried again at the level below, or failed.
fn without_namespaces(missing: Missing) -> Report {
    if missing.is_of_machine {
        Report::NoNamespaces { why: missing.why }
    } else {
        Report::NotStarted {
            errno: None,
            message: missing.why,
        }
    }
}

/// Processes of the same user must not reach our descriptors through /proc, or trace us.
fn hide() -> io::Result<()> {
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

fn tell(to: &UnixStream, request: &Request, streams: &Streams) -> io::Result<()> {
    wire::send_streams(to, streams.each_ref().map(AsFd::as_fd))?;
    (&*to).write_all(&wire::encode(request)?)
}

/// The last word of each kind that the first process said.
#[derive(Default)]
struct Heard {
    sandbox: Option<SandboxReport>,
    end: Option<Report>,
}

fn heard(words: Option<impl Read>) -> io::Result<Heard> {
    let mut text = String::new();
    if let Some(words) = words {
        words.take(WORDS_LIMIT).read_to_string(&mut text)?;
    }
    let mut heard = Heard::default();
    for line in text.lines() {
        match serde_json::from_str(line)? {
            Word::Sandbox(report) => heard.sandbox = Some(report),
            Word::End(report) => heard.end = Some(report),
        }
    }
    Ok(heard)
}

/// Starts the command without a sandbox.
fn open(request: &Request, streams: Streams, lifeline: &mut File) -> io::Result<Answer> {
    hide()?;
    let mut command = command_of(request, streams);
    if let Some(uid) = request.uid {
        // The standard library also drops all other groups when root becomes a user.
        command.uid(uid).gid(uid);
    }
    // So that `kill 0` in a script does not hit the helper.
    let started = command.process_group(0).spawn();
    drop(command);
    let report = match started {
        Ok(child) => watch(Pid::from_child(&child), lifeline, None)?,
        Err(error) => not_started(&error),
    };
    let sandbox = SandboxReport::nothing(Sandbox::Off, "switched off");
    Ok(Answer::new(sandbox, report))
}

/// The command itself, with its environment and streams.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that starts processes"
)]
fn command_of(request: &Request, [stdin, stdout, stderr]: Streams) -> Command {
    let mut words = request.argv.iter();
    // A request without a program fails as an empty name does.
    let mut command = Command::new(words.next().map_or("", String::as_str));
    command
        .args(words)
        .env_clear()
        .envs(&request.env)
        .stdin(stdin)
        .stdout(stdout)
        .stderr(stderr);
    command
}

fn not_started(error: &io::Error) -> Report {
    Report::NotStarted {
        errno: error.raw_os_error(),
        message: error.to_string(),
    }
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

/// What a command may take, as far as somebody has to look.
struct Bounds {
    memory: u64,
    room: Room,
}

impl Bounds {
    /// Says what there is too much of.
    fn look(&mut self, processes: &Processes) -> io::Result<Option<Resource>> {
        if processes.memory() > self.memory {
            return Ok(Some(Resource::Memory));
        }
        self.room.look()
    }
}

/// Waits for the end of a process or of the life line, or until the command uses too much. The
/// weight of the command is shared among its processes meanwhile.
fn watch(main: Pid, lifeline: &mut File, mut bounds: Option<Bounds>) -> io::Result<Report> {
    let ended = pidfd_open(main, PidfdFlags::empty())?;
    let mut background = Background::default();
    let mut pause = background::FIRST_LOOK;
    loop {
        let mut events = [
            PollFd::new(lifeline, PollFlags::IN),
            PollFd::new(&ended, PollFlags::IN),
        ];
        match poll(&mut events, Some(&pause)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let [line, _] = events;
        let line = line.revents();
        if let Some(report) = reap_until(main)? {
            return Ok(report);
        }
        // Nothing is ever sent after the request, so whatever comes is the end.
        if !line.is_empty() && lifeline.read(&mut [0])? == 0 {
            return Ok(Report::Stopped);
        }
        let processes = Processes::look()?;
        background.share(&processes);
        pause = LOOK_EVERY;
        if let Some(bounds) = &mut bounds
            && let Some(resource) = bounds.look(&processes)?
        {
            return Ok(Report::OverLimit { resource });
        }
    }
}

/// Collects what has ended; says how, when it was this process.
fn reap_until(main: Pid) -> io::Result<Option<Report>> {
    while let Reaped::Child(pid, status) = reap()? {
        if pid == main
            && let Some(report) = report_of(status)
        {
            return Ok(Some(report));
        }
    }
    Ok(None)
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
        for child in tree::children()? {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LayerName;

    fn held() -> SandboxReport {
        let mut report = SandboxReport::nothing(Sandbox::On, "not tried");
        for name in LayerName::ALL {
            report.set(name, Ok("yes".to_owned()));
        }
        report
    }

    fn after(ended: Report, sandbox: Option<SandboxReport>, is_alone: bool) -> Report {
        let end = None;
        outcome(ended, &Heard { sandbox, end }, is_alone)
    }

    #[test]
    fn an_end_of_the_first_process_is_the_commands_only_when_it_became_the_command() {
        let ok = || Report::Exited { code: 0 };
        let killed = || Report::Signalled { signal: 9 };
        for is_alone in [true, false] {
            for ended in [ok(), killed()] {
                let report = after(ended, None, is_alone);
                assert!(matches!(report, Report::NotStarted { .. }), "{report:?}");
            }
            let broken = SandboxReport::nothing(Sandbox::On, "not there");
            assert_eq!(after(ok(), Some(broken), is_alone), Report::Refused);
            assert_eq!(after(killed(), Some(held()), is_alone), killed());
        }
        let alone = after(ok(), Some(held()), true);
        assert!(matches!(alone, Report::NotStarted { .. }), "{alone:?}");
        assert_eq!(after(ok(), Some(held()), false), ok());
    }

    #[test]
    fn what_the_first_process_said_of_the_command_counts() {
        let heard = Heard {
            sandbox: Some(held()),
            end: Some(Report::Exited { code: 3 }),
        };
        let said = outcome(Report::Exited { code: 0 }, &heard, true);
        assert_eq!(said, Report::Exited { code: 3 });
    }
}
