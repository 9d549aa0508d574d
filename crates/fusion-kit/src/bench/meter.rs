//! What a stretch of work cost: by the kernel's own books (proc(5)).

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeVal;

/// Ticks a second in which the kernel tells the time of other processes: always so on Linux.
const TICKS: u64 = 100;

/// The kernel tells memory in units of this.
const KIB: u64 = 1_024;

/// Processes beside this one whose time counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Others {
    /// None.
    Nobody,
    /// A PostgreSQL server: the parent of this process, and all its children.
    Postgres(i32),
    /// A server of this program; the figures of memory are its own.
    Server(i32),
    /// Both.
    Both { postgres: i32, server: i32 },
    /// Those that this process starts and waits for; its own time does not count.
    Children,
}

/// The books at one moment.
#[derive(Debug)]
pub(super) struct Meter {
    others: Others,
    begun: Instant,
    own: Duration,
    servers: BTreeMap<&'static str, Duration>,
    written: u64,
}

/// What it came to.
#[derive(Debug, Default)]
pub(super) struct Cost {
    wall: Duration,
    own: Duration,
    servers: BTreeMap<&'static str, Duration>,
    written: u64,
    resident: u64,
    most: u64,
}

/// The same as it is printed.
pub(super) struct Figures {
    pub(super) wall: f64,
    pub(super) cpu: f64,
    pub(super) srv_cpu: BTreeMap<String, f64>,
    pub(super) write_bytes: u64,
    pub(super) rss_mb: f64,
    pub(super) maxrss_mb: f64,
}

impl Meter {
    pub(super) fn start(others: Others) -> Self {
        Self {
            begun: Instant::now(),
            own: own(&others),
            servers: servers(&others),
            written: written(&others),
            others,
        }
    }

    /// The cost since the start. `logged` replaces what processes wrote, where a server wrote it.
    pub(super) fn stop(self, logged: Option<u64>) -> Cost {
        let wall = self.begun.elapsed();
        let now = servers(&self.others);
        let of = |(name, time): (&'static str, Duration)| {
            let before = self.servers.get(name).copied().unwrap_or_default();
            (name, time.saturating_sub(before))
        };
        let (resident, most) = memory(&self.others);
        Cost {
            wall,
            own: own(&self.others).saturating_sub(self.own),
            servers: now.into_iter().map(of).collect(),
            written: logged.unwrap_or_else(|| written(&self.others).saturating_sub(self.written)),
            resident,
            most,
        }
    }
}

impl Cost {
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    pub(super) fn figures(self) -> Figures {
        let seconds = |(name, time): (&str, Duration)| (name.to_owned(), time.as_secs_f64());
        Figures {
            wall: self.wall.as_secs_f64(),
            cpu: self.own.as_secs_f64(),
            srv_cpu: self.servers.into_iter().map(seconds).collect(),
            write_bytes: self.written,
            rss_mb: self.resident as f64 / 1e6,
            maxrss_mb: self.most as f64 / 1e6,
        }
    }
}

/// Resident memory of this process, in bytes.
pub(super) fn resident() -> u64 {
    number("/proc/self/status", "VmRSS") * KIB
}

fn own(others: &Others) -> Duration {
    let who = match others {
        Others::Children => UsageWho::RUSAGE_CHILDREN,
        Others::Nobody | Others::Postgres(_) | Others::Server(_) | Others::Both { .. } => {
            UsageWho::RUSAGE_SELF
        }
    };
    let usage = getrusage(who);
    usage.map_or(Duration::ZERO, |usage| {
        time(usage.user_time()) + time(usage.system_time())
    })
}

fn time(time: TimeVal) -> Duration {
    let seconds = u64::try_from(time.tv_sec()).unwrap_or_default();
    let micros = u64::try_from(time.tv_usec()).unwrap_or_default();
    Duration::from_secs(seconds) + Duration::from_micros(micros)
}

fn servers(others: &Others) -> BTreeMap<&'static str, Duration> {
    let (postgres, server) = match others {
        Others::Nobody | Others::Children => (None, None),
        Others::Postgres(postgres) => (Some(*postgres), None),
        Others::Server(server) => (None, Some(*server)),
        Others::Both { postgres, server } => (Some(*postgres), Some(*server)),
    };
    let postgres = postgres.map(|pid| ("postgres", family(pid)));
    let server = server.map(|pid| ("fusion-kit", ticks(stat(&pid.to_string()).get(11..13))));
    postgres.into_iter().chain(server).collect()
}

/// The time of the parent of a process, of all its children, and of those that it has outlived.
fn family(pid: i32) -> Duration {
    let parent = stat(&pid.to_string()).get(1).copied().unwrap_or_default();
    let of_parent = ticks(stat(&parent.to_string()).get(11..15));
    let children = fs::read_dir("/proc").into_iter().flatten().flatten();
    let names = children.filter_map(|entry| entry.file_name().into_string().ok());
    let stats = names.map(|name| stat(&name));
    let stats = stats.filter(|stat| stat.get(1) == Some(&parent));
    stats.map(|stat| ticks(stat.get(11..13))).sum::<Duration>() + of_parent
}

/// The numbers of a process after its name and state: its parent is the first, times are from 11 on.
fn stat(pid: &str) -> Vec<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after = text.rsplit_once(") ").map_or("", |(_, after)| after);
    let numbers = after.split_whitespace();
    // The state is no number: it counts as 0, and keeps the places.
    numbers
        .map(|number| number.parse().unwrap_or_default())
        .collect()
}

fn ticks(counts: Option<&[u64]>) -> Duration {
    let sum: u64 = counts.unwrap_or_default().iter().sum();
    Duration::from_millis(sum.saturating_mul(1_000 / TICKS))
}

/// Resident memory now and the most that it was, in bytes: of the process that is measured.
fn memory(others: &Others) -> (u64, u64) {
    let of = |pid: &str| {
        let file = format!("/proc/{pid}/status");
        (number(&file, "VmRSS") * KIB, number(&file, "VmHWM") * KIB)
    };
    match others {
        Others::Nobody | Others::Postgres(_) => of("self"),
        Others::Server(server) | Others::Both { server, .. } => of(&server.to_string()),
        Others::Children => {
            let most = getrusage(UsageWho::RUSAGE_CHILDREN).map(|usage: Usage| usage.max_rss());
            let most = most.ok().and_then(|most| u64::try_from(most).ok());
            let most = most.unwrap_or_default() * KIB;
            (most, most)
        }
    }
}

/// Bytes that were given to disks, by this process and a server of this program.
fn written(others: &Others) -> u64 {
    let own = number("/proc/self/io", "write_bytes");
    match others {
        Others::Nobody | Others::Postgres(_) | Others::Children => own,
        Others::Server(server) | Others::Both { server, .. } => {
            own + number(&format!("/proc/{server}/io"), "write_bytes")
        }
    }
}

/// The number after a name and a colon.
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
    use std::time::{Duration, Instant};

    use super::{Meter, Others, stat};

    #[test]
    fn work_shows_in_the_time_of_the_process() {
        let meter = Meter::start(Others::Nobody);
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(20) {
            std::hint::spin_loop();
        }
        let figures = meter.stop(None).figures();
        assert!(figures.wall >= 0.02);
        assert!(figures.cpu > 0.0);
        assert!(figures.maxrss_mb >= figures.rss_mb && figures.rss_mb > 1.0);
    }

    #[test]
    fn the_parent_of_a_process_is_found_whatever_its_name() {
        let parent = std::os::unix::process::parent_id();
        assert_eq!(stat("self")[1], u64::from(parent));
    }
}
