//! Starts workflows by the clock: one node for each occurrence.
//!
//! An occurrence is dealt with in the commit that creates its run and moves the schedule on: who read an
//! older version of the schedule is refused, so that of several nodes one starts it, and a death before
//! that commit leaves it to be started, and after it started.

use std::path::Path;
use std::time::Duration;

use fusion_core::{
    Budget, Decision, Occurrence, Overlap, Run, RunId, Schedule, ScheduleId, Timestamp, Workflow,
    error_chain,
};
use fusion_messaging::Subscription;
use fusion_persistence::{Batch, Error as StoreError, Page, Repository, ScheduleFilter};
use futures::FutureExt as _;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use crate::cron::{Recurrence, RecurrenceFault};
use crate::error::listed;
use crate::{Ask, Coordinator, Error, Result, check_models};

/// Schedules that there may be.
pub const MAX_SCHEDULES: u32 = 1_000;

/// Says that a schedule was made or changed.
const CHANGED: &str = "schedule.changed";

/// The longest time between two looks. Where the clock is set, or a hint is lost, a heartbeat tells that a
/// schedule is due.
const LONGEST_LOOK: Duration = Duration::from_hours(1);

/// After how long an occurrence is looked at again that waits for the end of the run before it.
const QUEUED_LOOK: Duration = Duration::from_secs(5);

/// The wait after the store failed.
const AFTER_A_FAILURE: Duration = Duration::from_secs(1);

/// A schedule that a person asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct NewSchedule {
    /// Its unique name.
    pub name: String,
    /// The stored workflow, whose newest version is started.
    pub workflow: String,
    /// What each run is given.
    pub inputs: Map<String, Value>,
    /// Five fields of cron.
    pub cron: String,
    /// An IANA time zone.
    pub timezone: String,
    /// What becomes of an occurrence while the run of the one before goes on.
    pub overlap: Overlap,
}

impl NewSchedule {
    /// The row, which is due at the first occurrence after now.
    ///
    /// # Errors
    /// Everything that is wrong with its cron and its time zone.
    pub fn row(
        self,
        id: ScheduleId,
        now: Timestamp,
    ) -> std::result::Result<Schedule, Vec<RecurrenceFault>> {
        let recurrence = Recurrence::parse(&self.cron, &self.timezone, now)?;
        Ok(Schedule {
            id,
            name: self.name,
            workflow: self.workflow,
            inputs: self.inputs,
            cron: self.cron,
            timezone: self.timezone,
            overlap: self.overlap,
            is_paused: false,
            next_at: recurrence.after(now),
            last_at: None,
            last_run: None,
            last_error: None,
            created_at: now,
            updated_at: now,
            version: 1,
        })
    }
}

/// A schedule that a person holds, or lets go on with the next occurrence from now on.
#[must_use]
pub fn held(schedule: Schedule, hold: bool, now: Timestamp) -> Schedule {
    if hold {
        return schedule.paused(now);
    }
    let recurrence = Recurrence::parse(&schedule.cron, &schedule.timezone, now).ok();
    let next = recurrence.and_then(|recurrence| recurrence.after(now));
    schedule.resumed(next, now)
}

impl Coordinator {
    /// Says that a schedule was made or changed.
    pub fn hint_schedules(&self) {
        self.hint(CHANGED);
    }

    /// Listens to what is said of schedules, from now on.
    pub(crate) async fn hear_of_schedules(&self) -> Result<Subscription> {
        self.listen(CHANGED).await
    }

    /// Starts what is due until `cancel` is called. A store that fails is tried again.
    pub(crate) async fn keep_schedules(
        &self,
        hints: &mut Subscription,
        cancel: &CancellationToken,
    ) {
        let mut sweep = self.sweep_for(|due| due.schedules, QUEUED_LOOK);
        loop {
            // One look answers all hints that are there.
            while let Some(Some(_)) = hints.recv().now_or_never() {}
            let looked = self.start_due().await;
            sweep.done();
            let wait = looked.unwrap_or_else(|error| {
                let error = error_chain(&error);
                tracing::error!(error, "schedules could not be looked at");
                AFTER_A_FAILURE
            });
            tokio::select! {
                biased;
                () = cancel.cancelled() => return,
                Some(_) = hints.recv() => {}
                () = sweep.come() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Starts what is due now; says after how long there may be more.
    ///
    /// # Errors
    /// The store fails. A schedule that can't be dealt with keeps no other from being started.
    pub async fn start_due(&self) -> Result<Duration> {
        let filter = ScheduleFilter {
            paused: Some(false),
            ..ScheduleFilter::default()
        };
        let (mut wait, mut page) = (LONGEST_LOOK, Page::first(MAX_SCHEDULES));
        loop {
            let some: Vec<Schedule> = self.parts.store.list(&filter, page).await?;
            let Some(last) = some.last() else {
                return Ok(wait);
            };
            page.after = Some(last.id);
            let is_last = some.len() < page.limit as usize;
            for schedule in some {
                wait = wait.min(self.look_at(schedule).await);
            }
            if is_last {
                return Ok(wait);
            }
        }
    }

    /// Deals with a schedule where it is due; says after how long to look again.
    async fn look_at(&self, schedule: Schedule) -> Duration {
        let now = self.parts.clock.now();
        if !schedule.is_due(now) {
            return until(schedule.awaited(), now);
        }
        let (id, name) = (schedule.id, schedule.name.clone());
        match self.deal_with(schedule, now).await {
            Ok(wait) => wait,
            // Another node, or a person, was first.
            Err(error) if error.is_conflict() => Duration::ZERO,
            Err(error) => {
                let error = error_chain(&error);
                tracing::error!(schedule.id = %id, name, error, "a schedule could not be dealt with");
                AFTER_A_FAILURE
            }
        }
    }

    /// Deals with the occurrence that is due; says after how long to look again.
    async fn deal_with(&self, schedule: Schedule, now: Timestamp) -> Result<Duration> {
        let recurrence = match Recurrence::parse(&schedule.cron, &schedule.timezone, now) {
            Ok(recurrence) => recurrence,
            Err(faults) => {
                let never = Occurrence {
                    at: now,
                    next: None,
                };
                let why = listed(&faults);
                self.leave_out(schedule, never, (why, None)).await?;
                return Ok(LONGEST_LOOK);
            }
        };
        let occurrence = Occurrence {
            // What was missed while nobody served is made up for once.
            at: recurrence.latest(schedule.next_at.unwrap_or(now), now),
            next: recurrence.after(now),
        };
        let going = self.still_going(&schedule).await?;
        match (going, schedule.overlap) {
            (None, _) => self.fire(schedule, occurrence).await?,
            (Some(_), Overlap::Queue) => return Ok(QUEUED_LOOK),
            (Some(run), Overlap::Skip) => {
                let why = format!("run {run} still goes on");
                self.leave_out(schedule, occurrence, (why, Some(run)))
                    .await?;
            }
        }
        Ok(until(occurrence.next, now))
    }

    /// The last run of a schedule, while it has not ended.
    async fn still_going(&self, schedule: &Schedule) -> Result<Option<RunId>> {
        let Some(id) = schedule.last_run else {
            return Ok(None);
        };
        let run: Option<Run> = self.parts.store.find(id).await?;
        Ok(run.filter(|run| !run.state.is_final()).map(|run| run.id))
    }

    /// Starts a run, or says in the schedule why it can't be started.
    async fn fire(&self, schedule: Schedule, occurrence: Occurrence) -> Result<()> {
        let Err(why) = self.try_to_fire(&schedule, occurrence).await? else {
            return Ok(());
        };
        self.leave_out(schedule, occurrence, (why, None)).await
    }

    /// `Ok(Err(why))` when it is not the store that stands in its way.
    async fn try_to_fire(
        &self,
        schedule: &Schedule,
        occurrence: Occurrence,
    ) -> Result<std::result::Result<(), String>> {
        let found = self.parts.store.latest_workflow(&schedule.workflow).await?;
        let Some(workflow) = found else {
            let why = format!("there is no workflow '{}'", schedule.workflow);
            return Ok(Err(why));
        };
        let inputs = match workflow.definition.resolve_inputs(&schedule.inputs) {
            Ok(inputs) => inputs,
            Err(faults) => return Ok(Err(listed(&faults))),
        };
        match self
            .create_due(schedule, occurrence, (&workflow, inputs))
            .await
        {
            Ok(()) => Ok(Ok(())),
            Err(Error::Store(archived @ StoreError::Archived { .. })) => {
                Ok(Err(archived.to_string()))
            }
            Err(error @ Error::Store(_)) => Err(error),
            Err(error) => Ok(Err(error_chain(&error))),
        }
    }

    /// Creates the run of an occurrence in the commit that moves the schedule on.
    async fn create_due(
        &self,
        schedule: &Schedule,
        occurrence: Occurrence,
        (workflow, inputs): (&Workflow, Map<String, Value>),
    ) -> Result<()> {
        crate::run_file::expect_own(&workflow.name)?;
        let base_dir = Path::new(&workflow.base_dir);
        let registry = &self.parts.providers;
        let models = check_models(registry, &workflow.definition, &inputs, base_dir).await?;
        let ask = |run| Ask {
            also: schedule.clone().fired(occurrence, run, self.moment()),
            ..Ask::default()
        };
        let made = self
            .create_run_of(workflow, inputs, (models, Budget::default()), ask)
            .await;
        made.map(|_| ())
    }

    /// Moves a schedule on past an occurrence that starts nothing.
    async fn leave_out(
        &self,
        schedule: Schedule,
        occurrence: Occurrence,
        why: (String, Option<RunId>),
    ) -> Result<()> {
        let decision: Decision = schedule.skipped(occurrence, why, self.moment());
        self.commit(Batch::free(decision)).await
    }
}

/// How long it is until then, within reason.
fn until(then: Option<Timestamp>, now: Timestamp) -> Duration {
    let time = then.map(|then| (then - now).to_std().unwrap_or_default());
    time.map_or(LONGEST_LOOK, |time| time.min(LONGEST_LOOK))
}
