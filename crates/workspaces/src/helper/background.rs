//! A command that computes for a while weighs a third of what this program does, however many
//! processes it starts: what one of them gets of the processors beside others becomes less as they
//! become more. Else one that computes with many takes from all others what it can get.
//!
//! Two things say how much a process gets, and which of them counts depends on the machine: its
//! niceness, and the niceness of the autogroup of its session, where the kernel has those
//! (sched(7)). In the sandbox a command can make neither smaller. It is a help only: what can't be
//! made nicer stays as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;

use rustix::event::Timespec;
use rustix::process::{
    Pid, getpid, getpriority_pgrp, getpriority_process, setpriority_pgrp, setpriority_process,
};

use crate::tree::Processes;

/// A command is looked at for the first time after this: most are over by then.
pub(super) const FIRST_LOOK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};
/// How much nicer than this program a command is that computes with one process: a third of the
/// weight.
const BEHIND: i32 = 5;
/// What a process weighs beside one that is nicer by one.
const STEP: f64 = 1.25;
/// The largest niceness there is.
const NICEST: i32 = 19;
/// No process is made nicer than this: an ordinary user can't take it back, and a command may have
/// started many for a moment only.
const MOST_FOR_GOOD: i32 = 10;

/// How nice the groups of processes and the sessions of a command were made.
#[derive(Debug, Default)]
pub(super) struct Background {
    groups: BTreeMap<i32, i32>,
    sessions: BTreeMap<i32, i32>,
    /// How many computed at the last look.
    computed: usize,
}

impl Background {
    /// Shares the weight of a command among those that compute now of all that came of this
    /// process, and among their sessions. Processes stay as nice as they once were made; it counts how
    /// many computed at two looks.
    pub(super) fn share(&mut self, processes: &Processes) {
        let own = getpid().as_raw_pid();
        let computing = processes.descendants().filter(|(_, seen)| seen.computes);
        let sessions: Vec<i32> = computing.map(|(_, seen)| seen.session).collect();
        let lasting = sessions.len().min(self.computed);
        self.computed = sessions.len();
        let each = niceness(lasting).min(MOST_FOR_GOOD);
        let of_session = niceness(sessions.iter().collect::<BTreeSet<_>>().len());
        for (pid, seen) in processes.descendants() {
            let was = self.groups.entry(seen.group).or_default();
            let is_due = seen.group != own && *was < each;
            if is_due && make_nicer(processes, seen.group, each).is_ok() {
                *was = each;
            }
            let was = self.sessions.entry(seen.session).or_default();
            if *was != of_session && set_session(pid, of_session).is_ok() {
                *was = of_session;
            }
        }
    }
}

/// With which so many weigh as a command may; nothing for none.
fn niceness(count: usize) -> i32 {
    if count == 0 {
        return 0;
    }
    let count = f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    let enough = (BEHIND..NICEST).find(|nice| STEP.powi(*nice - BEHIND) >= count);
    enough.unwrap_or(NICEST)
}

/// Makes a group of processes so much nicer than this one; those that are nicer still stay so.
fn make_nicer(processes: &Processes, group: i32, by: i32) -> rustix::io::Result<()> {
    let wanted = getpriority_process(None)?.saturating_add(by).min(NICEST);
    let of_group = Pid::from_raw(group);
    if getpriority_pgrp(of_group)? >= wanted {
        return Ok(());
    }
    let made = setpriority_pgrp(of_group, wanted);
    // Root makes them less nice with that.
    for (pid, seen) in processes.descendants() {
        if seen.group == group && seen.niceness > wanted {
            setpriority_process(Pid::from_raw(pid), seen.niceness)?;
        }
    }
    made
}

/// The kernel lets an ordinary user do so ten times a second, on the whole machine.
fn set_session(process: i32, niceness: i32) -> io::Result<()> {
    fs::write(format!("/proc/{process}/autogroup"), niceness.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_are_the_nicer_the_more_they_are() {
        let counts = [0, 1, 2, 4, 8, 16, 60, 10_000];
        assert_eq!(counts.map(niceness), [0, 5, 9, 12, 15, 18, 19, 19]);
    }
}
