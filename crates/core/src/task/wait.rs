//! Tasks that nobody may claim before a time.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{Agent, Change, Decision, IllegalTransition, Moment, Task, Timestamp};

/// What a queued task waits for besides the steps it needs and an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskWait {
    /// When it may be claimed again, by the clock of the database, to the millisecond.
    pub until: Timestamp,
    /// What is waited for, for people.
    pub reason: String,
}

impl Task {
    /// A leased task returns to the queue and is claimed no sooner than after `wait`, counted by the
    /// clock of the database from the commit.
    ///
    /// The rows of the task itself are changed by the store, under the fence; this decides the rest.
    ///
    /// # Errors
    /// The task is not leased.
    pub fn postpone(
        &self,
        agent: Option<Agent>,
        wait: Duration,
        reason: &str,
        moment: Moment<'_>,
    ) -> Result<Decision, IllegalTransition> {
        let mut decision = self.take_back(agent, reason, moment)?;
        let seconds = wait.as_millis().div_ceil(1_000);
        let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
        for event in &mut decision.events {
            if let Some(data) = event.data.as_object_mut()
                && event.event_type == crate::EventType::TaskRetried
            {
                data.insert("wait_s".to_owned(), json!(seconds));
                event.message = format!("{} waits {seconds} s: {reason}", self.name);
            }
        }
        Ok(decision.with(Change::Postpone {
            task_id: self.id,
            wait,
            reason: reason.to_owned(),
        }))
    }
}
