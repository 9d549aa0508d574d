//! The floor: the calls and the durable writes of a row, and nothing else. What a framework adds is
//! measured against it.
//!
//! A step writes twice: what it is about to do (the task taken, the call noted, an event), and what
//! came of it (the call's outcome, the task's end, its successor's count, what it used, an event). One
//! writer commits what waits in one transaction, as any program would that wants to be quick.

mod calls;
mod log;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use nix::sys::resource::{UsageWho, getrusage};
use serde::Serialize;

use calls::Model;
use log::Log;

/// Units that are done first and not counted.
const WARM_UP: u64 = 20;

/// What is done.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The row.
    pub row: String,
    /// Units.
    pub number: u64,
    /// Units at once.
    pub at_once: u32,
    /// Whether each step is written to a file, or nothing is.
    pub is_durable: bool,
    /// The server that answers; without it nothing is asked.
    pub url: Option<String>,
}

/// What it took: the fields of `fusion-kit bench` that are compared.
#[derive(Debug, Serialize)]
pub struct Report {
    peer: &'static str,
    w: String,
    units: u64,
    steps: u64,
    /// Seconds.
    pub wall: f64,
    /// Seconds.
    pub cpu: f64,
    /// Megabytes of 1,000,000 bytes.
    pub maxrss_mb: f64,
}

/// The steps of a unit of a row: so many one after the other, each of so many at once.
fn shape(row: &str) -> Result<&'static [usize]> {
    Ok(match row {
        "W1" | "W1d" | "W2" => &[1],
        "W3" => &[1, 1, 1],
        "W4" => &[1, 200, 1],
        "W7" => &[1, 1, 1, 1, 1],
        other => bail!("there is no floor of {other}"),
    })
}

/// Does the units and says what they took.
///
/// # Errors
/// The row has no floor, the server does not answer, or the file can't be written.
pub async fn measure(plan: &Plan, folder: &Path) -> Result<Report> {
    let log = if plan.is_durable {
        Some(Log::open(&folder.join("floor.db"))?)
    } else {
        None
    };
    let unit = Arc::new(Unit {
        shape: shape(&plan.row)?,
        turns: if plan.row == "W2" { 11 } else { 1 },
        model: plan.url.as_deref().map(Model::new).transpose()?,
        log,
    });
    unit.each(WARM_UP, plan.at_once).await?;
    let (begun, before) = (Instant::now(), used()?);
    unit.each(plan.number, plan.at_once).await?;
    let (wall, (after, most)) = (begun.elapsed(), used()?);
    let steps: usize = unit.shape.iter().sum();
    Ok(Report {
        peer: "floor",
        w: plan.row.clone(),
        units: plan.number,
        steps: plan.number * steps as u64,
        wall: wall.as_secs_f64(),
        cpu: (after - before.0).as_secs_f64(),
        maxrss_mb: most,
    })
}

/// One unit, again and again.
struct Unit {
    shape: &'static [usize],
    /// Calls of a step.
    turns: usize,
    model: Option<Model>,
    log: Option<Log>,
}

impl Unit {
    async fn each(self: &Arc<Self>, number: u64, at_once: u32) -> Result<()> {
        let mut lanes = tokio::task::JoinSet::new();
        let left = Arc::new(std::sync::atomic::AtomicU64::new(number));
        for _ in 0..at_once {
            let (unit, left) = (Arc::clone(self), Arc::clone(&left));
            lanes.spawn(async move {
                use std::sync::atomic::Ordering::Relaxed;
                let take = |left: u64| left.checked_sub(1);
                while left.fetch_update(Relaxed, Relaxed, take).is_ok() {
                    unit.one().await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(lane) = lanes.join_next().await {
            lane??;
        }
        Ok(())
    }

    async fn one(self: &Arc<Self>) -> Result<()> {
        for wide in self.shape {
            if *wide == 1 {
                self.step().await?;
                continue;
            }
            let mut parts = tokio::task::JoinSet::new();
            for _ in 0..*wide {
                let unit = Arc::clone(self);
                parts.spawn(async move { unit.step().await });
            }
            while let Some(part) = parts.join_next().await {
                part??;
            }
        }
        Ok(())
    }

    async fn step(&self) -> Result<()> {
        let mut conversation = calls::Conversation::new(self.turns > 1);
        for _ in 0..self.turns {
            if let Some(log) = &self.log {
                log.begin().await?;
            }
            let said = match &self.model {
                Some(model) => model.ask(&mut conversation).await?,
                None => "Hello, how can I help you today?".to_owned(),
            };
            if let Some(log) = &self.log {
                log.end(said).await?;
            }
        }
        Ok(())
    }
}

/// CPU so far, and the most memory, in megabytes.
#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn used() -> Result<(Duration, f64)> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let time = |time: nix::sys::time::TimeVal| -> Result<Duration> {
        let seconds = u64::try_from(time.tv_sec())?;
        let micros = u64::try_from(time.tv_usec())?;
        Ok(Duration::from_secs(seconds) + Duration::from_micros(micros))
    };
    let cpu = time(usage.user_time())? + time(usage.system_time())?;
    Ok((cpu, usage.max_rss() as f64 * 1_024.0 / 1e6))
}
