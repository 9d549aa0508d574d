//! Works on every open run until the server stops.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fusion_coordination::{Coordinator, Driven, Error, Raised};
use fusion_core::{RunId, error_chain};
use fusion_persistence::{Page, Reader, Repository, RunFilter};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::wiring::LEASE;

/// How often open runs are looked for.
const LOOK: Duration = Duration::from_millis(100);

/// Open runs that are looked at.
const OPEN: u32 = 1_000;

/// How long nobody may have worked on a run in a database that others write to, before it counts as
/// left: longer than a dead process holds anything.
const LEFT: Duration = LEASE.saturating_add(Duration::from_secs(2));

/// The first rest of a run that can't go on; it doubles with each further one.
const FIRST_REST: Duration = Duration::from_secs(5);

/// The longest rest.
const LONGEST_REST: Duration = Duration::from_secs(300);

type Ended = (RunId, Result<Driven, Error>);

/// What is known of an open run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    /// Nobody was seen at work on it since then.
    Free(Instant),
    /// This process works on it.
    Driven(Duration),
    /// It could not go on.
    Rests(Instant, Duration),
}

/// Drives open runs.
pub(super) struct Host {
    coordinator: Coordinator,
    reader: Arc<dyn Reader>,
    /// Other processes may work on runs of the same database.
    is_shared: bool,
    open: BTreeMap<RunId, Open>,
    drivers: JoinSet<Ended>,
}

impl Host {
    pub(super) fn new(coordinator: Coordinator, reader: Arc<dyn Reader>, is_shared: bool) -> Self {
        Self {
            coordinator,
            reader,
            is_shared,
            open: BTreeMap::new(),
            drivers: JoinSet::new(),
        }
    }

    /// Works until the server stops. When it returns, nothing of any run is under way in this process
    /// any more.
    pub(super) async fn drive(mut self, stop: &CancellationToken) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => {}
                Some(ended) = self.drivers.join_next() => self.note(ended),
                _ = looks.tick() => self.take_up(stop).await,
            }
        }
        while let Some(ended) = self.drivers.join_next().await {
            self.note(ended);
        }
    }

    /// Takes up the runs that nobody works on.
    async fn take_up(&mut self, stop: &CancellationToken) {
        let free = match self.free().await {
            Ok(free) => free,
            Err(error) => {
                tracing::warn!(error = error_chain(&error), "open runs can't be looked for");
                return;
            }
        };
        for run in free {
            let (coordinator, stop) = (self.coordinator.clone(), stop.clone());
            self.drivers.spawn(async move {
                (
                    run,
                    coordinator.resume_run(run, &Raised::default(), &stop).await,
                )
            });
        }
    }

    /// The runs that nobody works on and that may go on now: from here on this process does.
    async fn free(&mut self) -> fusion_persistence::Result<Vec<RunId>> {
        let page = Page::first(OPEN);
        let runs = self.reader.list(&RunFilter::unfinished(), page).await?;
        self.open
            .retain(|id, _| runs.iter().any(|run| run.id == *id));
        let now = Instant::now();
        let mut free = Vec::new();
        for run in runs {
            let known = self.open.get(&run.id).copied().unwrap_or(Open::Free(now));
            let next = match known {
                Open::Rests(until, rest) if now >= until => Open::Driven(rest),
                Open::Driven(_) | Open::Rests(..) => known,
                Open::Free(_) if self.is_shared && self.reader.is_worked_on(run.id).await? => {
                    Open::Free(now)
                }
                Open::Free(since) if self.is_shared && now.duration_since(since) < LEFT => known,
                Open::Free(_) => Open::Driven(FIRST_REST),
            };
            if matches!(
                (known, next),
                (Open::Free(_) | Open::Rests(..), Open::Driven(_))
            ) {
                free.push(run.id);
            }
            self.open.insert(run.id, next);
        }
        Ok(free)
    }

    fn note(&mut self, ended: Result<Ended, JoinError>) {
        match ended {
            Ok((_, Ok(_))) => {}
            Ok((run, Err(error))) => self.rest(run, &error),
            Err(error) => {
                tracing::error!(%error, "a run broke off; it is taken up at the next start");
            }
        }
    }

    /// A run that could not go on rests, each time longer.
    fn rest(&mut self, run: RunId, error: &Error) {
        let rest = match self.open.get(&run) {
            Some(Open::Driven(rest)) => *rest,
            Some(Open::Free(_) | Open::Rests(..)) | None => FIRST_REST,
        };
        tracing::warn!(error = error_chain(error), %run, ?rest, "a run rests");
        let next = (rest * 2).min(LONGEST_REST);
        self.open
            .insert(run, Open::Rests(Instant::now() + rest, next));
    }
}
