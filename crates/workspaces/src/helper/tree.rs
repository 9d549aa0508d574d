//! What came of this process, read from `/proc`: every kernel has that, not every one lists
//! children.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use rustix::process::{Pid, getpid};

/// The direct children.
pub(super) fn children() -> io::Result<Vec<Pid>> {
    let own = getpid().as_raw_pid();
    let parents = parents()?.into_iter();
    let children = parents.filter(|(_, parent)| *parent == own);
    Ok(children.filter_map(|(pid, _)| Pid::from_raw(pid)).collect())
}

/// Bytes of memory that the descendants have to themselves or share in memory alone.
pub(super) fn memory() -> io::Result<u64> {
    Ok(descendants()?.into_iter().map(memory_of).sum())
}

/// The ids of everything that came of this process.
pub(super) fn descendants() -> io::Result<Vec<i32>> {
    let parents = parents()?;
    let own = getpid().as_raw_pid();
    let of_ours = parents.keys().filter(|pid| is_below(**pid, own, &parents));
    Ok(of_ours.copied().collect())
}

fn is_below(pid: i32, top: i32, parents: &BTreeMap<i32, i32>) -> bool {
    let mut parent = parents.get(&pid);
    // No line of parents is longer than there are processes.
    for _ in 0..parents.len() {
        match parent {
            Some(parent) if *parent == top => return true,
            Some(next) => parent = parents.get(next),
            None => return false,
        }
    }
    false
}

/// The parent of every process that can be seen.
fn parents() -> io::Result<BTreeMap<i32, i32>> {
    let mut parents = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // Gone since it was listed.
        let Ok(stat) = fs::read(format!("/proc/{pid}/stat")) else {
            continue;
        };
        parents.extend(parent_in(&stat).map(|parent| (pid, parent)));
    }
    Ok(parents)
}

/// Reads the parent from a line of `/proc/PID/stat`: `pid (name) state parent ...`. The name is
/// whatever the process calls itself.
fn parent_in(stat: &[u8]) -> Option<i32> {
    let stat = String::from_utf8_lossy(stat);
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
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

    #[test]
    fn a_process_can_not_hide_its_parent_by_its_name() {
        assert_eq!(parent_in(b"12 (sh) S 7 12 12 0"), Some(7));
        assert_eq!(parent_in(b"12 (a) S 1 (\xff) R 7 12 12 0"), Some(7));
        assert_eq!(parent_in(b"12 (a b\n) S 7 12"), Some(7));
        assert_eq!(parent_in(b""), None);
    }

    #[test]
    fn only_what_is_below_a_process_counts_as_its_own() {
        let parents = BTreeMap::from([(1, 0), (5, 1), (7, 5), (9, 7), (8, 1), (3, 4), (4, 3)]);
        let below: Vec<i32> = parents
            .keys()
            .copied()
            .filter(|pid| is_below(*pid, 5, &parents))
            .collect();
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
