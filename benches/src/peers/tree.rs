//! What a process and all that it started took, by the kernel's own books (proc(5)).

use std::fs;
use std::time::Duration;

/// Ticks a second in which the kernel tells the time of other processes: always so on Linux.
const TICKS: u64 = 100;

/// The kernel tells memory in units of this.
const KIB: u64 = 1_024;

/// The books of some processes at one moment, with those of processes that they have outlived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Books {
    /// User and system.
    pub(super) cpu: Duration,
    /// Bytes that were given to disks.
    pub(super) written: u64,
    /// Resident memory, in bytes.
    pub(super) resident: u64,
    /// The most that it was in each, in bytes.
    pub(super) most: u64,
}

/// A process that lives.
#[derive(Debug)]
struct Process {
    id: u32,
    parent: u32,
    name: String,
    cpu: Duration,
}

/// Of a process and all below it.
pub(super) fn of(root: u32) -> Books {
    sum(family(root, processes()).iter())
}

/// Of all below a process that have this name.
pub(super) fn named(root: u32, name: &str) -> Books {
    let family = family(root, processes());
    sum(family.iter().filter(|process| process.name == name))
}

fn family(root: u32, mut others: Vec<Process>) -> Vec<Process> {
    let mut found = Vec::new();
    let mut parents = vec![root];
    found.extend(others.extract_if(.., |process| process.id == root));
    while let Some(parent) = parents.pop() {
        for child in others.extract_if(.., |process| process.parent == parent) {
            parents.push(child.id);
            found.push(child);
        }
    }
    found
}

fn sum<'a>(processes: impl Iterator<Item = &'a Process>) -> Books {
    processes.fold(Books::default(), |sum, process| {
        let number = |file: &str, name: &str| number(&format!("/proc/{}/{file}", process.id), name);
        Books {
            cpu: sum.cpu + process.cpu,
            written: sum.written + number("io", "write_bytes"),
            resident: sum.resident + number("status", "VmRSS") * KIB,
            most: sum.most + number("status", "VmHWM") * KIB,
        }
    })
}

fn processes() -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter_map(process).collect()
}

fn process(id: u32) -> Option<Process> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (before, after) = text.rsplit_once(") ")?;
    let fields: Vec<&str> = after.split_whitespace().collect();
    let field = |place: usize| fields.get(place)?.parse::<u64>().ok();
    // Its own time, and that of processes that it has waited for.
    let ticks: u64 = (11..15).filter_map(field).sum();
    Some(Process {
        id,
        parent: u32::try_from(field(1)?).ok()?,
        name: before.split_once('(')?.1.to_owned(),
        cpu: Duration::from_millis(ticks * 1_000 / TICKS),
    })
}

/// The number after a name and a colon; none of a process that is gone.
fn number(file: &str, name: &str) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let found = lines.find(|(field, _)| *field == name);
    let number = found.and_then(|(_, rest)| rest.split_whitespace().next());
    number
        .and_then(|number| number.parse().ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::Duration;

    use super::{family, named, of, processes};

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a process to look at")]
    fn the_books_hold_a_process_its_children_and_those_that_it_has_outlived() {
        // The subshell is waited for; `cat` lives until its input ends.
        let script = "(i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done); echo; cat; :";
        let mut shell = Command::new("sh")
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = [0];
        std::io::Read::read_exact(shell.stdout.as_mut().unwrap(), &mut line).unwrap();
        let names = |all: Vec<super::Process>| -> Vec<String> {
            all.into_iter().map(|process| process.name).collect()
        };
        // The shell may tell before it has started what comes next.
        while names(family(shell.id(), processes())) != ["sh", "cat"] {
            std::thread::yield_now();
        }
        let (all, cat) = (of(shell.id()), named(shell.id(), "cat"));
        assert!(all.cpu >= Duration::from_millis(10), "{all:?}");
        assert_eq!(cat.cpu, Duration::ZERO);
        assert!(all.most > cat.most && cat.most >= cat.resident && cat.resident > 0);
        drop(shell.stdin.take());
        assert!(shell.wait().unwrap().success());
    }
}
