//! The real clock, the real ids, the log.

use std::ffi::{OsStr, OsString};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::SubsecRound;
use fusion_cli::Exit;
use fusion_core::{Clock, IdSource, Timestamp};
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal, setsid};
use tracing_subscriber::EnvFilter;
use uuid::{ContextV7, Timestamp as UuidTimestamp, Uuid};

use crate::config::Config;

/// The clock of the machine.
#[derive(Debug)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the clock"
    )]
    fn now(&self) -> Timestamp {
        chrono::Utc::now().trunc_subsecs(6)
    }

    fn elapsed(&self) -> Duration {
        // Counts the time in which the machine sleeps too, which `Instant` does not.
        let since_boot = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Duration::try_from(since_boot).unwrap_or_default()
    }
}

/// UUIDv7 that rise also within one millisecond.
#[derive(Debug)]
pub(crate) struct SystemIds {
    context: Mutex<ContextV7>,
}

impl SystemIds {
    pub(crate) fn new() -> Self {
        Self {
            context: Mutex::new(ContextV7::new()),
        }
    }
}

impl SystemIds {
    /// A number that differs each time.
    pub(crate) fn seed(&self) -> u128 {
        // The low bits of these ids are random.
        self.uuid().as_u128()
    }
}

impl IdSource for SystemIds {
    fn uuid(&self) -> Uuid {
        let context = self.context.lock().unwrap_or_else(PoisonError::into_inner);
        Uuid::new_v7(UuidTimestamp::now(&*context))
    }
}

/// The argument in front of a command that ends together with the process that began it.
pub(crate) const CHILD: &str = "__child";

/// The argument in front of a server that goes on in the background.
pub(crate) const DETACHED: &str = "__detached";

/// The arguments of this process; one that is a [`CHILD`] is ended by SIGTERM when its parent, whose
/// number comes next, is gone, and one that is [`DETACHED`] leaves the terminal of who started it.
pub(crate) fn arguments() -> Vec<OsString> {
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    if arguments.get(1).is_some_and(|first| first == CHILD) {
        let given = arguments.drain(1..arguments.len().min(3)).nth(1);
        end_with(given.as_deref().and_then(OsStr::to_str).unwrap_or_default());
    } else if arguments.get(1).is_some_and(|first| first == DETACHED) {
        arguments.remove(1);
        // It fails for one that leads a session already.
        setsid().ok();
    }
    arguments
}

fn end_with(parent: &str) {
    // It can't fail with a signal that there is.
    set_parent_process_death_signal(Some(Signal::TERM)).ok();
    let began_it = parent.parse().ok().and_then(Pid::from_raw);
    if began_it.is_none() || began_it != getppid() {
        std::process::exit(i32::from(Exit::Interrupted.code()));
    }
}

/// Logs go to stderr: errors by default, more with each `-v`, anything with `FUSION_KIT_LOG`. A
/// filter that can't be read counts as none.
pub(crate) fn log_to_stderr(config: &Config, verbose: u8) {
    let level = match verbose {
        0 => "error",
        1 => "warn",
        2 => "info",
        _ => "debug",
    };
    let filter = config.log.as_deref().map(EnvFilter::try_new);
    let filter = match filter {
        Some(Ok(filter)) => filter,
        Some(Err(_)) | None => EnvFilter::new(level),
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
}
