//! What came of a process, read from `/proc`: every kernel has that, not every one lists
//! children.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use rustix::process::{Pid, getpid};
use serde::{Deserialize, Serialize};

/// How long a tick of `/proc` is: a hundredth of a second on every Linux that Rust knows.
const TICK: Duration = Duration::from_millis(10);

/// The direct children.
pub(crate) fn children() -> io::Result<Vec<Pid>> {
    let own = getpid().as_raw_pid();
    let seen = seen()?.into_iter();
    let children = seen.filter(|(_, process)| process.parent == own);
    Ok(children.filter_map(|(pid, _)| Pid::from_raw(pid)).collect())
}

/// Every process that could be seen at one time.
#[derive(Debug)]
pub(crate) struct Processes(BTreeMap<i32, Seen>);

impl Processes {
    pub(crate) fn look() -> io::Result<Self> {
        seen().map(Self)
    }

    /// Everything that came of this process.
    pub(crate) fn descendants(&self) -> impl Iterator<Item = (i32, Seen)> {
        let below = below(getpid().as_raw_pid(), &self.0);
        below.filter_map(|pid| Some((pid, *self.0.get(&pid)?)))
    }

    /// Bytes of memory that the descendants have to themselves or share in memory alone.
    pub(crate) fn memory(&self) -> u64 {
        self.descendants().map(|(pid, _)| memory_of(pid)).sum()
    }
}

/// What processes used since they began, with those of their children that have ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Spent {
    /// Time of processors.
    pub(crate) cpu: Duration,
    /// Bytes read from disks.
    pub(crate) read: u64,
    /// Bytes written to disks.
    pub(crate) written: u64,
}

impl Spent {
    /// Of this process and of all that came of it and has ended.
    pub(crate) fn here() -> Self {
        let time = |who| {
            let used = getrusage(who).ok()?;
            let used = used.user_time() + used.system_time();
            u64::try_from(used.num_microseconds()).ok()
        };
        let own = time(UsageWho::RUSAGE_SELF).unwrap_or_default();
        let others = time(UsageWho::RUSAGE_CHILDREN).unwrap_or_default();
        Self {
            cpu: Duration::from_micros(own.saturating_add(others)),
            ..Self::on_disks("self")
        }
    }

    /// Nothing where this process may not know.
    fn on_disks(pid: &str) -> Self {
        let told = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
        let field = |name: &str| {
            let found = told.lines().find_map(|line| line.strip_prefix(name));
            found.and_then(|bytes| bytes.trim().parse().ok())
        };
        Self {
            cpu: Duration::ZERO,
            read: field("read_bytes:").unwrap_or_default(),
            written: field("write_bytes:").unwrap_or_default(),
        }
    }

    pub(crate) const fn plus(self, other: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_add(other.cpu),
            read: self.read.saturating_add(other.read),
            written: self.written.saturating_add(other.written),
        }
    }

    /// The larger of each.
    pub(crate) fn or_more(self, other: Self) -> Self {
        Self {
            cpu: self.cpu.max(other.cpu),
            read: self.read.max(other.read),
            written: self.written.max(other.written),
        }
    }
}

/// What each of these processes used with everything that came of it, and the memory that this
/// holds. One look at the machine for all of them.
pub(crate) fn looked_at(tops: &[i32]) -> io::Result<Vec<(Spent, u64)>> {
    let seen = seen()?;
    let of_tree = |top: &i32| {
        let spent = |pid: i32| {
            let cpu = seen.get(&pid).map_or(Duration::ZERO, |seen| seen.cpu);
            Spent {
                cpu,
                ..Spent::on_disks(&pid.to_string())
            }
        };
        let tree: Vec<i32> = below(*top, &seen).collect();
        let parts = tree.iter().map(|pid| spent(*pid));
        let memory = tree.iter().map(|pid| memory_of(*pid)).sum();
        (parts.fold(spent(*top), Spent::plus), memory)
    };
    Ok(tops.iter().map(of_tree).collect())
}

/// A process as the machine tells of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    parent: i32,
    pub(crate) group: i32,
    pub(crate) session: i32,
    /// It has a processor or waits for one.
    pub(crate) computes: bool,
    pub(crate) niceness: i32,
    /// With its children that have ended.
    cpu: Duration,
}

fn below(top: i32, seen: &BTreeMap<i32, Seen>) -> impl Iterator<Item = i32> {
    let pids = seen.keys().copied();
    pids.filter(move |pid| is_below(*pid, top, seen))
}

fn is_below(pid: i32, top: i32, seen: &BTreeMap<i32, Seen>) -> bool {
    let mut process = seen.get(&pid);
    // No line of parents is longer than there are processes.
    for _ in 0..seen.len() {
        match process {
            Some(process) if process.parent == top => return true,
            Some(next) => process = seen.get(&next.parent),
            None => return false,
        }
    }
    false
}

/// Every process that can be seen.
fn seen() -> io::Result<BTreeMap<i32, Seen>> {
    let mut seen = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // Gone since it was listed.
        let Ok(stat) = fs::read(format!("/proc/{pid}/stat")) else {
            continue;
        };
        seen.extend(told_in(&stat).map(|process| (pid, process)));
    }
    Ok(seen)
}

/// Reads a line of `/proc/PID/stat`: `pid (name) state parent group session ...`. The name is whatever the
/// process calls itself.
fn told_in(stat: &[u8]) -> Option<Seen> {
    let stat = String::from_utf8_lossy(stat);
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let computes = fields.next()? == "R";
    let mut id = || fields.next()?.parse().ok();
    let (parent, group, session) = (id()?, id()?, id()?);
    // Own time, in the program and in the kernel, and then the same of children.
    let mut fields = fields.skip(7);
    let ticks = fields.by_ref().take(4).map(|ticks| ticks.parse::<u64>());
    let ticks = ticks.filter_map(Result::ok).sum::<u64>();
    // After the priority.
    let niceness = fields.nth(1).and_then(|nice| nice.parse().ok());
    let ticks = u32::try_from(ticks).unwrap_or(u32::MAX);
    let cpu = TICK.saturating_mul(ticks);
    Some(Seen {
        parent,
        group,
        session,
        computes,
        niceness: niceness.unwrap_or_default(),
        cpu,
    })
}

fn memory_of(pid: i32) -> u64 {
    let status = fs::read(format!("/proc/{pid}/status")).unwrap_or_default();
    memory_in(&String::from_utf8_lossy(&status))
}

/// Pages without a file behind them, from `/proc/PID/status`.
fn memory_in(status: &str) -> u64 {
    let kib = status.lines().filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        let counts = matches!(name, "RssAnon" | "RssShmem");
        let value = value.trim().strip_suffix(" kB").filter(|_| counts)?;
        value.parse::<u64>().ok()
    });
    kib.sum::<u64>().saturating_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(parent: i32) -> Seen {
        Seen {
            parent,
            group: 12,
            session: 12,
            computes: false,
            niceness: 0,
            cpu: Duration::ZERO,
        }
    }

    #[test]
    fn a_process_can_not_hide_its_parent_by_its_name() {
        let parent_in = |stat: &[u8]| told_in(stat).map(|process| process.parent);
        assert_eq!(parent_in(b"12 (sh) S 7 12 12 0"), Some(7));
        assert_eq!(parent_in(b"12 (a) S 1 (\xff) R 7 12 12 0"), Some(7));
        assert_eq!(parent_in(b"12 (a b\n) S 7 12 12"), Some(7));
        assert_eq!(parent_in(b""), None);
    }

    #[test]
    fn the_time_of_a_process_is_its_own_and_that_of_its_ended_children() {
        let line = b"12 (sh) S 7 12 12 0 -1 4 100 200 1 2 30 12 40 18 20 5 1 0 999 0 0";
        let cpu = Duration::from_secs(1);
        let niceness = 5;
        let expected = Seen {
            cpu,
            niceness,
            ..with(7)
        };
        assert_eq!(told_in(line), Some(expected));
    }

    #[test]
    fn a_process_that_has_a_processor_or_waits_for_one_computes() {
        let computes = |line: &[u8]| told_in(line).map(|process| process.computes);
        assert_eq!(computes(b"12 (sh) R 7 12 12 0"), Some(true));
        assert_eq!(computes(b"12 (R) S 7 12 12 0"), Some(false));
    }

    #[test]
    fn only_what_is_below_a_process_counts_as_its_own() {
        let seen = [(1, 0), (5, 1), (7, 5), (9, 7), (8, 1), (3, 4), (4, 3)];
        let seen = seen.map(|(pid, parent)| (pid, with(parent)));
        let below: Vec<i32> = below(5, &BTreeMap::from(seen)).collect();
        assert_eq!(below, [7, 9]);
    }

    #[test]
    fn memory_is_what_has_no_file_behind_it() {
        let status =
            "Name:\tx\nVmRSS:\t  100 kB\nRssAnon:\t  40 kB\nRssFile:\t 50 kB\nRssShmem:\t 10 kB\n";
        assert_eq!(memory_in(status), 50 * 1024);
        assert_eq!(memory_in("Name:\tkthreadd\n"), 0);
    }
}
