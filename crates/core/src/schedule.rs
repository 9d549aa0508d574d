//! Schedules: when a workflow is started by the clock.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::transition::text_enum;
use crate::{
    Change, Decision, EventId, EventType, Moment, NewEvent, RunId, ScheduleId, Severity, Timestamp,
};

text_enum! {
    /// What becomes of an occurrence while the run of the one before is still going on.
    Overlap {
        /// It is left out.
        Skip = "skip",
        /// It waits for the end of that run; of several that wait, the last is started.
        Queue = "queue",
    }
}

/// A workflow that is started by the clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// Names the schedule.
    pub id: ScheduleId,
    /// Unique.
    pub name: String,
    /// The workflow, whose newest version is started.
    pub workflow: String,
    /// What each run is given.
    pub inputs: Map<String, Value>,
    /// When: five fields of cron.
    pub cron: String,
    /// The time zone that they are read in, by its name in the IANA database.
    pub timezone: String,
    /// What becomes of an occurrence while the run of the one before goes on.
    pub overlap: Overlap,
    /// Nothing is started.
    pub is_paused: bool,
    /// The next occurrence that nobody has dealt with; `None` when there is none any more.
    pub next_at: Option<Timestamp>,
    /// The last one that was dealt with.
    pub last_at: Option<Timestamp>,
    /// The last run that was started.
    pub last_run: Option<RunId>,
    /// Why the last occurrence started nothing; `None` when it did.
    pub last_error: Option<String>,
    /// When the row was made.
    pub created_at: Timestamp,
    /// When the row last changed.
    pub updated_at: Timestamp,
    /// Row version; a commit that read an older one is refused.
    pub version: u64,
}

/// An occurrence of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occurrence {
    /// When it was due.
    pub at: Timestamp,
    /// The one after it, later than now; `None` when there is none.
    pub next: Option<Timestamp>,
}

impl Schedule {
    /// Whether there is something to do now.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.awaited().is_some_and(|next| next <= now)
    }

    /// When there will be something to do; `None` when a person holds it, or there never will.
    #[must_use]
    pub fn awaited(&self) -> Option<Timestamp> {
        self.next_at.filter(|_| !self.is_paused)
    }

    /// An occurrence started a run. To be written with that run: who read an older row is refused, so
    /// that of several who deal with the same occurrence one succeeds.
    #[must_use]
    pub fn fired(self, occurrence: Occurrence, run: RunId, moment: Moment<'_>) -> Decision {
        let message = format!("schedule {} started run {run}", self.name);
        let event = NewEvent {
            data: self.told(occurrence, Some(run)),
            ..NewEvent::of_run(moment, EventType::ScheduleFired, run, message)
        };
        let moved = Self {
            last_run: Some(run),
            last_error: None,
            ..self.moved_on(occurrence, moment.now)
        };
        Decision::default()
            .with(Change::update(moved))
            .telling(event)
    }

    /// An occurrence starts nothing; `why` says why not, and `run` is the one that was in its way.
    #[must_use]
    pub fn skipped(
        self,
        occurrence: Occurrence,
        (why, run): (String, Option<RunId>),
        moment: Moment<'_>,
    ) -> Decision {
        let event = NewEvent {
            id: EventId::from_uuid(moment.ids.uuid()),
            timestamp: moment.now,
            event_type: EventType::ScheduleSkipped,
            severity: Severity::Warning,
            source_agent_id: None,
            source_component: "coordination".to_owned(),
            run_id: None,
            data: self.told(occurrence, run),
            message: format!("schedule {} started nothing: {why}", self.name),
            message_queue_topic: None,
        };
        let moved = Self {
            last_error: Some(why),
            ..self.moved_on(occurrence, moment.now)
        };
        Decision::default()
            .with(Change::update(moved))
            .telling(event)
    }

    /// A person holds it.
    #[must_use]
    pub fn paused(self, now: Timestamp) -> Self {
        Self {
            is_paused: true,
            updated_at: now,
            ..self
        }
    }

    /// A person lets it go on with `next`, its first occurrence from now on. What is not held stays as
    /// it is: an occurrence that is due is not lost by that.
    #[must_use]
    pub fn resumed(self, next: Option<Timestamp>, now: Timestamp) -> Self {
        if !self.is_paused {
            return self;
        }
        Self {
            is_paused: false,
            next_at: next,
            updated_at: now,
            ..self
        }
    }

    fn moved_on(self, occurrence: Occurrence, now: Timestamp) -> Self {
        Self {
            next_at: occurrence.next,
            last_at: Some(occurrence.at),
            updated_at: now,
            ..self
        }
    }

    fn told(&self, occurrence: Occurrence, run: Option<RunId>) -> Value {
        json!({
            "schedule_id": self.id,
            "name": self.name,
            "occurrence": occurrence.at,
            "run_id": run,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};
    use uuid::Uuid;

    use super::{Occurrence, Overlap, Schedule};
    use crate::{
        Change, Decision, EventType, IdSource, Moment, Row, RunId, ScheduleId, Severity, Timestamp,
    };

    #[derive(Debug)]
    struct Always(Uuid);

    impl IdSource for Always {
        fn uuid(&self) -> Uuid {
            self.0
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_timestamp(seconds, 0).unwrap()
    }

    fn schedule() -> Schedule {
        Schedule {
            id: ScheduleId::from_uuid(Uuid::from_u128(1)),
            name: "nightly".to_owned(),
            workflow: "w".to_owned(),
            inputs: Map::new(),
            cron: "0 3 * * *".to_owned(),
            timezone: "UTC".to_owned(),
            overlap: Overlap::Skip,
            is_paused: false,
            next_at: Some(at(100)),
            last_at: None,
            last_run: None,
            last_error: Some("of before".to_owned()),
            created_at: at(0),
            updated_at: at(0),
            version: 4,
        }
    }

    fn due() -> Occurrence {
        Occurrence {
            at: at(160),
            next: Some(at(220)),
        }
    }

    /// The row that a decision writes, and the type, severity, run and data of the event that it tells.
    fn parts(decision: &Decision) -> (Schedule, serde_json::Value) {
        let [Change::Update(Row::Schedule(row))] = decision.changes.as_slice() else {
            panic!("{:?}", decision.changes);
        };
        let [event] = decision.events.as_slice() else {
            panic!("{:?}", decision.events);
        };
        let told = json!([
            event.event_type,
            event.severity,
            event.run_id,
            event.message,
            event.data
        ]);
        ((**row).clone(), told)
    }

    #[test]
    fn only_what_nobody_holds_is_due_from_its_time_on() {
        assert!(!schedule().is_due(at(99)));
        assert!(schedule().is_due(at(100)));
        assert!(!schedule().paused(at(50)).is_due(at(100)));
        let spent = Schedule {
            next_at: None,
            ..schedule()
        };
        assert!(!spent.is_due(at(100)));
    }

    #[test]
    fn an_occurrence_that_fired_moves_the_row_on_and_names_the_run() {
        let (ids, run) = (Always(Uuid::nil()), RunId::from_uuid(Uuid::from_u128(9)));
        let moment = Moment {
            now: at(170),
            ids: &ids,
        };
        let (row, told) = parts(&schedule().fired(due(), run, moment));
        let expected = Schedule {
            next_at: Some(at(220)),
            last_at: Some(at(160)),
            last_run: Some(run),
            last_error: None,
            updated_at: at(170),
            ..schedule()
        };
        assert_eq!(row, expected);
        let data = json!({
            "schedule_id": row.id, "name": "nightly", "occurrence": at(160), "run_id": run,
        });
        let message = format!("schedule nightly started run {run}");
        let expected = json!([EventType::ScheduleFired, Severity::Info, run, message, data]);
        assert_eq!(told, expected);
    }

    #[test]
    fn an_occurrence_that_is_left_out_says_why_and_keeps_the_last_run() {
        let (ids, run) = (Always(Uuid::nil()), RunId::from_uuid(Uuid::from_u128(9)));
        let moment = Moment {
            now: at(170),
            ids: &ids,
        };
        let before = Schedule {
            last_run: Some(run),
            ..schedule()
        };
        let why = ("busy".to_owned(), Some(run));
        let (row, told) = parts(&before.clone().skipped(due(), why, moment));
        let expected = Schedule {
            next_at: Some(at(220)),
            last_at: Some(at(160)),
            last_error: Some("busy".to_owned()),
            updated_at: at(170),
            ..before
        };
        assert_eq!(row, expected);
        let data = json!({
            "schedule_id": row.id, "name": "nightly", "occurrence": at(160), "run_id": run,
        });
        let expected = json!([
            EventType::ScheduleSkipped,
            Severity::Warning,
            serde_json::Value::Null,
            "schedule nightly started nothing: busy",
            data
        ]);
        assert_eq!(told, expected);
    }

    #[test]
    fn what_a_person_lets_go_on_begins_with_the_next_occurrence() {
        let held = schedule().paused(at(50));
        assert_eq!(held.awaited(), None);
        let let_go = held.resumed(Some(at(400)), at(300));
        let expected = Schedule {
            next_at: Some(at(400)),
            updated_at: at(300),
            ..schedule()
        };
        assert_eq!(let_go, expected);
        assert_eq!(schedule().resumed(Some(at(400)), at(300)), schedule());
    }
}
