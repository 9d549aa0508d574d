//! Tasks that are done once for each entry of a list.

use serde_json::{Value, json};

use super::count;
use crate::transition::StateMachine as _;
use crate::{
    CancelReason, Change, Course, Decision, EventType, IllegalTransition, Item, Moment, OnFailure,
    Task, TaskId, TaskState, Usage,
};

/// Failed items that a message names.
const NAMED: usize = 10;

impl Task {
    /// The id of the step in its workflow: an item is named after it.
    #[must_use]
    pub fn step_id(&self) -> &str {
        self.name.split('[').next().unwrap_or_default()
    }

    /// An assigned task becomes as many as the list has entries, and waits until all of these have
    /// ended. `max_parallel` of them can begin at once; each end lets another one begin.
    ///
    /// The store gives the task back under the fence first; this decides the rest.
    ///
    /// # Errors
    /// The task is not assigned.
    pub fn fan_out(
        &self,
        values: Vec<Value>,
        max_parallel: Option<u32>,
        moment: Moment<'_>,
    ) -> Result<Decision, IllegalTransition> {
        let mut waiting = self.clone();
        waiting.state = self.state.step(TaskState::Queued)?;
        waiting.version += 1;
        let size = u32::try_from(values.len()).unwrap_or(u32::MAX);
        waiting.course.items = Some(size);
        if self.is_for_anybody() {
            waiting.agent_id = None;
        }
        let told = format!("{} is done for {size} items", self.name);
        let event = self.event(moment, EventType::TaskRetried, told);
        let event = event.data(json!({ "task_id": self.id, "step": self.name, "items": size }));
        let agent_id = waiting.agent_id;
        let mut decision = Decision::default()
            .with(Change::update(waiting))
            .telling(event);
        let at_once = max_parallel.unwrap_or(u32::MAX);
        for (index, value) in (0..size).zip(values) {
            let item = Self {
                id: TaskId::from_uuid(moment.ids.uuid()),
                name: format!("{}[{index}]", self.name),
                agent_id,
                state: TaskState::Queued,
                queued_at: moment.now,
                started_at: None,
                dependencies: Vec::new(),
                unmet_dependencies: u32::from(index >= at_once),
                fence: 0,
                attempts: 0,
                usage: Usage::default(),
                version: 1,
                course: Course {
                    on_failure: self.course.on_failure,
                    item: Some(Item {
                        fan_out: self.id,
                        index,
                        value,
                        gated: size > at_once,
                    }),
                    ..Course::default()
                },
                ..self.clone()
            };
            let told = format!("{} queued", item.name);
            decision
                .events
                .push(item.event(moment, EventType::TaskQueued, told));
            decision.changes.push(Change::create(item));
        }
        decision.changes.push(Change::FanOut {
            run_id: self.run_id,
            task_id: self.id,
            count: size,
        });
        Ok(decision)
    }

    /// Whether the failure of one item lets the others go on.
    #[must_use]
    pub const fn bears_failed_items(&self) -> bool {
        matches!(self.course.on_failure, OnFailure::Continue)
    }

    /// What the items of a fan-out made, in their order: a list of outputs, with null for one that
    /// did not end well and may.
    ///
    /// # Errors
    /// In words, which items failed and why the first one did.
    pub fn join(&self, items: &[Self]) -> Result<Value, String> {
        let failed: Vec<&Self> = items
            .iter()
            .filter(|item| item.state != TaskState::Completed && !item.is_left_out())
            .collect();
        if let (Some(first), false) = (failed.first(), self.bears_failed_items()) {
            let place = |item: &&Self| item.course.item.as_ref().map(|item| item.index.to_string());
            let mut places: Vec<String> = failed.iter().take(NAMED).filter_map(place).collect();
            if failed.len() > NAMED {
                places.push("…".to_owned());
            }
            let noun = if failed.len() == 1 { "item" } else { "items" };
            let why = first.error_message.as_deref().unwrap_or("no reason given");
            return Err(format!("{noun} {} failed: {why}", places.join(", ")));
        }
        let outputs = |item: &Self| {
            let made = item.output_artifacts.as_ref();
            let outputs = made.and_then(|made| made.get("outputs"));
            outputs.cloned().unwrap_or_default()
        };
        Ok(items.iter().map(outputs).collect())
    }

    /// Whether it was not done because another item had failed.
    fn is_left_out(&self) -> bool {
        self.cancel_reason == Some(CancelReason::ItemFailed)
    }

    /// An assigned item is not begun any more, because another one of its list failed.
    ///
    /// # Errors
    /// The task is not assigned.
    pub fn leave_out(mut self, moment: Moment<'_>) -> Result<Decision, IllegalTransition> {
        let why = "another item of its list failed";
        let event = self.cancel(CancelReason::ItemFailed, why, moment)?;
        let mut decision = Decision::default().telling(event);
        decision.changes.extend(self.let_others_go_on());
        decision.changes.push(Change::CloseTasks {
            run_id: self.run_id,
            count: 1,
        });
        decision.changes.push(Change::update(self));
        Ok(decision)
    }

    /// The end of a task, however it ended, for those that only wait for an end: its successors, the
    /// fan-out that it is an item of, and the next item.
    pub(super) fn let_others_go_on(&self) -> Vec<Change> {
        let next = self.course.item.as_ref().filter(|item| item.gated);
        let next = next.map(|item| Change::ReleaseItem(item.fan_out));
        std::iter::once(Change::ReleaseSuccessors(self.id))
            .chain(next)
            .collect()
    }

    /// What a task that did not end well does to those that need it; says which were cancelled.
    pub(super) fn end_for_others(
        &self,
        dependents: &[Self],
        moment: Moment<'_>,
        decision: &mut Decision,
    ) -> Vec<TaskId> {
        let reason = match self.course.on_failure {
            OnFailure::Continue => None,
            OnFailure::Fail => Some(CancelReason::DependencyFailed),
            OnFailure::Skip => Some(CancelReason::DependencySkipped),
        };
        if let (Some(reason), None) = (reason, &self.course.item) {
            return self.spread(dependents, reason, moment, decision);
        }
        decision.changes.extend(self.let_others_go_on());
        Vec::new()
    }

    /// What a failure reached, with the task itself.
    pub(super) fn closed(&self, reached: &[TaskId]) -> Change {
        Change::CloseTasks {
            run_id: self.run_id,
            count: count(reached).saturating_add(1),
        }
    }
}
