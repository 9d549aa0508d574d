//! Going on from a run that has ended, as a new run that takes over what was finished.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    Agent, AgentId, Assignee, Change, Decision, EventType, Moment, Row, Run, RunId, Task, TaskId,
    TaskState, WorkflowDefinition,
};

/// What a new run takes over from one that has ended.
#[derive(Debug, Clone)]
pub struct Continuation<'a> {
    run: &'a Run,
    /// The finished tasks that are taken over, by their names.
    finished: BTreeMap<&'a str, &'a Task>,
    /// The runs of other workflows that its unfinished tasks were, by the names of the tasks.
    begun: BTreeMap<&'a str, RunId>,
    /// The agents of the run, by their ids.
    agents: BTreeMap<AgentId, &'a str>,
}

/// Why a newer version can't take over what was finished.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the finished step '{step}' {how}")]
pub struct Unlike {
    /// The step.
    pub step: String,
    /// What is not as it was.
    pub how: Difference,
}

/// What a newer version changed of a finished step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Difference {
    /// The newer version does not have it.
    #[error("is not in the newer version")]
    Gone,
    /// The newer version has another one.
    #[error("is another one in the newer version")]
    Changed,
    /// The agent that did it is another one.
    #[error("was done by the agent '{agent}', which is another one in the newer version")]
    Agent {
        /// Its name in the workflow file.
        agent: String,
    },
}

impl<'a> Continuation<'a> {
    /// Takes over every task that ended well, but for `from` and what needs it, and for what needs a task
    /// that is not taken over.
    #[must_use]
    pub fn new(run: &'a Run, tasks: &'a [Task], agents: &'a [Agent], from: Option<&str>) -> Self {
        let mut after: BTreeMap<TaskId, Vec<TaskId>> = BTreeMap::new();
        // The items of a list belong to its step: they are taken over with it or not at all.
        let of_steps = || tasks.iter().filter(|task| task.course.item.is_none());
        for task in of_steps() {
            for need in &task.dependencies {
                after.entry(*need).or_default().push(task.id);
            }
        }
        let is_lost = |task: &&Task| {
            task.state != TaskState::Completed || from.is_some_and(|from| task.name == from)
        };
        let mut pending: Vec<TaskId> = of_steps().filter(is_lost).map(|task| task.id).collect();
        let mut lost: BTreeSet<TaskId> = pending.iter().copied().collect();
        while let Some(task) = pending.pop() {
            for next in after.get(&task).into_iter().flatten() {
                if lost.insert(*next) {
                    pending.push(*next);
                }
            }
        }
        let kept = of_steps().filter(|task| !lost.contains(&task.id));
        // Of what a person wants done again from a step on, nothing is taken over.
        let begun = of_steps().filter(|task| from.is_none() && lost.contains(&task.id));
        let begun = begun.filter_map(|task| {
            let course = &task.course;
            Some((task.name.as_str(), course.child.or(course.child_before)?))
        });
        Self {
            run,
            begun: begun.collect(),
            finished: kept.map(|task| (task.name.as_str(), task)).collect(),
            agents: agents
                .iter()
                .map(|agent| (agent.id, agent.name.as_str()))
                .collect(),
        }
    }

    /// The names of the tasks that are taken over.
    pub fn finished(&self) -> impl Iterator<Item = &'a str> + '_ {
        self.finished.keys().copied()
    }

    /// The agents whose work is taken over, by their names: what they made lies in their workspaces.
    #[must_use]
    pub fn workers(&self) -> BTreeMap<&'a str, AgentId> {
        let by = self.finished.values().filter_map(|task| task.agent_id);
        by.filter_map(|id| Some((*self.agents.get(&id)?, id)))
            .collect()
    }

    /// Whether another version of the workflow says the same of everything that is taken over.
    ///
    /// # Errors
    /// The first step of which it does not.
    pub fn fits(&self, old: &WorkflowDefinition, new: &WorkflowDefinition) -> Result<(), Unlike> {
        for (name, task) in &self.finished {
            let unlike = |how| Unlike {
                step: (*name).to_owned(),
                how,
            };
            let (Some(before), Some(now)) = (old.step(name), new.step(name)) else {
                return Err(unlike(Difference::Gone));
            };
            if before != now {
                return Err(unlike(Difference::Changed));
            }
            let agent = match &now.assignee {
                Assignee::Agent(agent) => Some(agent.as_str()),
                Assignee::Capabilities(_) => {
                    let by = task.agent_id.and_then(|id| self.agents.get(&id));
                    by.and_then(|by| old.agent_of(by)).map(|(name, _)| name)
                }
                // A runner has nothing of its own.
                Assignee::Runner => None,
            };
            if let Some(agent) = agent
                && old.agents.get(agent) != new.agents.get(agent)
            {
                let agent = agent.to_owned();
                return Err(unlike(Difference::Agent { agent }));
            }
        }
        Ok(())
    }

    /// Lets a run that is about to be stored take over what was finished: its tasks have ended well,
    /// under agents of the same names, and used nothing.
    #[must_use]
    pub fn take_over(&self, mut decision: Decision, moment: Moment<'_>) -> Decision {
        let names: BTreeMap<String, AgentId> = decision
            .changes
            .iter()
            .filter_map(|change| {
                if let Change::Create(Row::Agent(agent)) = change {
                    Some((agent.name.clone(), agent.id))
                } else {
                    None
                }
            })
            .collect();
        let mut taken = BTreeMap::new();
        for task in new_tasks(&mut decision) {
            if let Some(old) = self.finished.get(task.name.as_str()) {
                let by = old.agent_id.and_then(|id| self.agents.get(&id));
                task.agent_id = by.and_then(|name| names.get(*name).copied());
                task.state = TaskState::Completed;
                task.started_at = old.started_at;
                task.completed_at = old.completed_at;
                task.input_artifacts = old.input_artifacts.clone();
                task.output_artifacts = old.output_artifacts.clone();
                task.attempts = old.attempts;
                task.waiting = None;
                taken.insert(task.id, task.clone());
            } else {
                task.course.child_before = self.begun.get(task.name.as_str()).copied();
            }
        }
        for task in new_tasks(&mut decision) {
            let unmet = task
                .dependencies
                .iter()
                .filter(|id| !taken.contains_key(id));
            task.unmet_dependencies = u32::try_from(unmet.count()).unwrap_or(u32::MAX);
        }
        for change in &mut decision.changes {
            if let Change::Create(Row::Run(run)) = change {
                let finished = u32::try_from(taken.len()).unwrap_or(u32::MAX);
                run.open_tasks = run.total_tasks.saturating_sub(finished);
                run.continues = Some(self.run.id);
            }
        }
        self.tell(&mut decision, &taken, moment);
        decision
    }

    /// What is taken over never entered the queue.
    fn tell(&self, decision: &mut Decision, taken: &BTreeMap<TaskId, Task>, moment: Moment<'_>) {
        for event in &mut decision.events {
            if event.event_type != EventType::TaskQueued {
                continue;
            }
            let id = event.data.get("task_id").and_then(|id| id.as_str());
            let Some(task) = id
                .and_then(|id| id.parse().ok())
                .and_then(|id: TaskId| taken.get(&id))
            else {
                continue;
            };
            let told = format!("{} was taken over from run {}", task.name, self.run.id);
            *event = task.event(moment, EventType::TaskCompleted, told);
        }
    }
}

fn new_tasks(decision: &mut Decision) -> impl Iterator<Item = &mut Task> {
    decision.changes.iter_mut().filter_map(|change| {
        if let Change::Create(Row::Task(task)) = change {
            Some(&mut **task)
        } else {
            None
        }
    })
}

#[cfg(test)]
mod tests;
