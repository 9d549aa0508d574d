//! How much of the machine one command may use.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;

use rustix::process::{Resource as Rlim, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};

const MIB: u64 = 1024 * 1024;

/// Bounds of one command with everything it starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of memory: of each process by the kernel, of all together by a watch that looks
    /// several times a second.
    pub memory: u64,
    /// Processes and threads at the same time.
    pub processes: u64,
    /// Bytes of one file.
    pub file_size: u64,
    /// Open files of one process.
    pub open_files: u64,
    /// Seconds of computing of one process.
    pub cpu_seconds: u64,
    /// Bytes of output; what comes after them ends the command.
    pub output: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 4096 * MIB,
            processes: 256,
            file_size: 1024 * MIB,
            open_files: 4096,
            cpu_seconds: 3600,
            output: 64 * MIB,
        }
    }
}

/// What a command used too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// Memory of all its processes together.
    Memory,
    /// Time of the processor.
    Cpu,
    /// Output.
    Output,
    /// Room on the disk of its workspace.
    Disk,
    /// Files in its workspace.
    Files,
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "memory",
            Self::Cpu => "processor time",
            Self::Output => "output",
            Self::Disk => {
                "room on the disk (the limit of the workspace is reached: remove what is not needed, \
                 or write less)"
            }
            Self::Files => {
                "files (the limit of the workspace is reached: remove those that are not needed, or \
                 make fewer)"
            }
        })
    }
}

/// Puts the limits on this process and all that it starts; says them. The kernel counts all
/// processes of a user: `others` is how many of them are none of this command.
pub(crate) fn put_on(limits: &Limits, others: u64) -> rustix::io::Result<String> {
    let processes = limits.processes.saturating_add(others);
    let wanted = [
        (Rlim::Core, 0),
        // The signal that tells comes at the first figure, the one that kills a second later.
        (Rlim::Cpu, limits.cpu_seconds),
        (Rlim::Data, limits.memory),
        (Rlim::Nproc, processes),
        (Rlim::Fsize, limits.file_size),
        (Rlim::Nofile, limits.open_files),
        (Rlim::Memlock, 8 * MIB),
        (Rlim::Msgqueue, 0),
        (Rlim::Rtprio, 0),
        (Rlim::Nice, 0),
    ];
    for (resource, wanted) in wanted {
        let top = getrlimit(resource)
            .maximum
            .map_or(wanted, |top| top.min(wanted));
        let grace = u64::from(resource == Rlim::Cpu);
        let limit = Rlimit {
            current: Some(top),
            maximum: Some(top.saturating_add(grace)),
        };
        setrlimit(resource, limit)?;
    }
    Ok(format!(
        "{} MiB of memory, {} processes, {} s of computing, files of {} MiB, {} open files, no core dumps",
        limits.memory / MIB,
        limits.processes,
        limits.cpu_seconds,
        limits.file_size / MIB,
        limits.open_files,
    ))
}

/// Threads of a user that run now, as far as they can be seen.
pub(crate) fn tasks_of(user: u32) -> u64 {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let counts = processes.filter_map(|entry| {
        // Cheaper than to read what each says of itself.
        if entry.metadata().ok()?.uid() != user {
            return None;
        }
        let status = fs::read_to_string(entry.path().join("status")).ok()?;
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
        let uid: u32 = field("Uid:")?.split_whitespace().next()?.parse().ok()?;
        let threads: u64 = field("Threads:")?.trim().parse().ok()?;
        (uid == user).then_some(threads)
    });
    counts.sum()
}
