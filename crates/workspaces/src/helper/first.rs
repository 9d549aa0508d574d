//! The first process of a sandboxed command: it puts the layers on, from the outermost to the
//! one that can't be changed any more, and then is the command, or, where it is the first
//! process of a namespace, starts it and watches over it.
//!
//! A single thread with nothing of the product in it. What it says goes to the helper over a
//! pipe that the command never has.

use std::env::args_os;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Gid, Mode, OFlags, Uid, openat};
use rustix::process::{
    Pid, PidfdFlags, Signal, getuid, pidfd_open, set_parent_process_death_signal, setsid, umask,
};
use rustix::thread::{
    no_new_privs, set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

use super::{LOOK_EVERY, Streams, command_of, hide, not_started, reap_until, without_namespaces};
use crate::process::wire::{self, Report, Request, Word};
use crate::sandbox::filter::Open;
use crate::sandbox::folders::GrantedFolders;
use crate::sandbox::namespaces::Missing;
use crate::sandbox::rules::{Allowed, Covered, Tree};
use crate::sandbox::{
    LayerName, Policy, Resource, Sandbox, SandboxReport, canary, filter, limits, namespaces, rules,
    view,
};
use crate::tree::Processes;

/// What this process is called when it starts, by which the program knows what to be.
pub(super) const NAME: &str = "fusion-sandbox";

/// Starts this program again as the first process of a command; it is told what to do over
/// `line`.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that starts processes"
)]
pub(super) fn start(line: OwnedFd) -> io::Result<Child> {
    Command::new("/proc/self/exe")
        .arg0(NAME)
        .args(args_os().skip(1))
        .env_clear()
        .stdin(line)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
}

pub(super) fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn run() -> io::Result<()> {
    let line = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut words = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    die_with_helper(&line)?;
    let streams = wire::receive_streams(&line)?.ok_or(io::ErrorKind::InvalidInput)?;
    let request = wire::decode(&mut &line)?;
    let policy = request.policy.as_ref().ok_or(io::ErrorKind::InvalidInput)?;
    setsid()?;
    let first = First {
        request: &request,
        policy,
    };
    let report = match first.put_on(&line)? {
        Ok(report) => report,
        Err(end) => return say(&mut words, &Word::End(end)),
    };
    let is_kept = report.broken_promise().is_none();
    say(&mut words, &Word::Sandbox(report))?;
    let end = if !is_kept {
        Report::Refused
    } else if request.canary.is_some() {
        Report::Exited { code: 0 }
    } else if first.is_alone() {
        first.watch_over(streams)?
    } else {
        // Comes back only when it failed.
        let error = command_of(&request, streams).exec();
        not_started(&error)
    };
    say(&mut words, &Word::End(end))
}

/// The kernel ends this process with the helper, who may be gone already.
fn die_with_helper(line: &File) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let mut events = [PollFd::new(line, PollFlags::empty())];
    poll(&mut events, Some(&Timespec::default()))?;
    let [line] = events;
    if line.revents().contains(PollFlags::HUP) {
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    Ok(())
}

fn say(words: &mut File, word: &Word) -> io::Result<()> {
    let mut line = serde_json::to_vec(word)?;
    line.push(b'\n');
    words.write_all(&line)
}

struct First<'a> {
    request: &'a Request,
    policy: &'a Policy,
}

impl First<'_> {
    /// Whether this is the first process of a namespace.
    const fn is_alone(&self) -> bool {
        self.policy.no_namespaces.is_none()
    }

    /// Puts every layer on. What it can't do without is an error; a missing layer is in the
    /// report; without namespaces that the machine does not have, somebody has to begin again.
    fn put_on(&self, line: &File) -> io::Result<Result<SandboxReport, Report>> {
        let mut report = SandboxReport::nothing(Sandbox::On, "it was not reached");
        // Before the others are out of sight.
        let others = self.others();
        if self.is_alone()
            && let Err(missing) = self.separate()
        {
            return Ok(Err(without_namespaces(missing)));
        }
        report.set(LayerName::Namespaces, self.alone());
        let granted = match GrantedFolders::open(&self.policy.grants) {
            Ok(granted) => granted,
            Err(message) => {
                let errno = None;
                return Ok(Err(Report::NotStarted { errno, message }));
            }
        };
        namespaces::bound()?;
        let limits = limits::put_on(&self.policy.limits, others);
        report.set(LayerName::Limits, limits.map_err(|error| error.to_string()));
        report.set(LayerName::OwnUser, become_user(self.request.uid)?);
        namespaces::give_up()?;
        // Becoming another user has undone this.
        die_with_helper(line)?;
        if self.is_alone() {
            hide()?;
        }
        set_no_new_privs(true)?;
        let sealed = no_new_privs()?.then(|| "for every program".to_owned());
        report.set(
            LayerName::NoNewPrivileges,
            sealed.ok_or_else(|| "the kernel did not take it".to_owned()),
        );
        let covered = self.restrict_files(&mut report, &granted)?;
        report.set(LayerName::Seccomp, filter::put_on(self.open(covered)));
        if let Some(outside) = &self.request.canary {
            let network = self.policy.grants.network;
            canary::correct(&mut report, outside, &self.request.workspace, network);
        }
        Ok(Ok(report))
    }

    /// Processes that the kernel counts with those of this command: all of the same user, but in a
    /// user namespace, which only an ordinary user's command has.
    fn others(&self) -> u64 {
        match self.request.uid {
            Some(user) => limits::tasks_of(user),
            None if self.is_alone() => 0,
            None => limits::tasks_of(getuid().as_raw()),
        }
    }

    fn separate(&self) -> Result<(), Missing> {
        namespaces::separate(self.policy.grants.network)?;
        // Whatever the operator's is, the command's user must find the way in.
        let usual = umask(Mode::WGRP | Mode::WOTH);
        let made = view::make(&view::Wanted {
            workspace: &self.request.workspace,
            grants: &self.policy.grants,
            hidden: &self.request.hidden,
        });
        umask(usual);
        made
    }

    fn alone(&self) -> Result<String, String> {
        match &self.policy.no_namespaces {
            Some(why) => Err(why.clone()),
            None if self.policy.grants.network => {
                Ok("files, processes, IPC and names; the network is the machine's".to_owned())
            }
            None => Ok("files, processes, network, IPC and names".to_owned()),
        }
    }

    fn restrict_files(
        &self,
        report: &mut SandboxReport,
        granted: &GrantedFolders,
    ) -> io::Result<Option<Covered>> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let workspace = openat(CWD, ".", flags, Mode::empty())?;
        let covered = rules::put_on(&Allowed {
            workspace: workspace.as_fd(),
            network: self.policy.grants.network,
            granted,
            hidden: &self.request.hidden,
            tree: if self.is_alone() {
                Tree::Own
            } else {
                Tree::Machine
            },
        });
        let outcome = covered.as_ref().map_err(Clone::clone).and_then(|covered| {
            let others_are_safe =
                covered.signals() || self.is_alone() || self.request.uid.is_some();
            if others_are_safe {
                Ok(covered.described())
            } else {
                Err("the kernel's Landlock can't hold back signals to others".to_owned())
            }
        });
        report.set(LayerName::Landlock, outcome);
        Ok(covered.ok())
    }

    fn open(&self, covered: Option<Covered>) -> Open {
        let network = self.policy.grants.network;
        let abstract_closed = covered.is_some_and(Covered::abstract_sockets);
        let paths_closed = covered.is_some_and(Covered::socket_paths);
        let own_sockets = if self.is_alone() {
            !network || abstract_closed
        } else {
            abstract_closed && paths_closed
        };
        Open {
            network,
            unix_sockets: own_sockets,
            ipc: self.is_alone(),
        }
    }

    /// Starts the command and waits for its end. When this process ends, the kernel ends
    /// everything else in the namespace.
    fn watch_over(&self, streams: Streams) -> io::Result<Report> {
        let mut command = command_of(self.request, streams);
        let started = command.process_group(0).spawn();
        // The streams go with it: their other ends must see their end.
        drop(command);
        let main = match started {
            Ok(child) => Pid::from_child(&child),
            Err(error) => return Ok(not_started(&error)),
        };
        let ended = pidfd_open(main, PidfdFlags::empty())?;
        loop {
            let mut events = [PollFd::new(&ended, PollFlags::IN)];
            match poll(&mut events, Some(&LOOK_EVERY)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            if let Some(report) = reap_until(main)? {
                return Ok(report);
            }
            if Processes::look()?.memory() > self.policy.limits.memory {
                let resource = Resource::Memory;
                return Ok(Report::OverLimit { resource });
            }
        }
    }
}

/// Becomes the agent's own user, for good. The outer error means that nothing may run.
fn become_user(uid: Option<u32>) -> io::Result<Result<String, String>> {
    let Some(uid) = uid else {
        return Ok(Err("the command has the user of this program".to_owned()));
    };
    let (user, group) = (Uid::from_raw(uid), Gid::from_raw(uid));
    set_thread_groups(&[])?;
    set_thread_res_gid(group, group, group)?;
    set_thread_res_uid(user, user, user)?;
    Ok(Ok(
        "apart from the operator and from other agents".to_owned()
    ))
}
