//! What is open of a project.

use fusion_core::{AgentState, ProjectId, TaskState};

use crate::{AgentFilter, RunFilter, ScheduleFilter, TaskFilter};

/// What of a project is still worked on, or will be: all that must have ended before it can be archived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenWork {
    /// Agents that have not ended.
    pub agents: AgentFilter,
    /// Runs that have not ended.
    pub runs: RunFilter,
    /// Tasks of the pool that have not ended.
    pub tasks: TaskFilter,
    /// Schedules that nobody holds.
    pub schedules: ScheduleFilter,
}

impl OpenWork {
    /// That of a project.
    #[must_use]
    pub fn of(project: ProjectId) -> Self {
        let lives = |state: &AgentState| *state != AgentState::Terminated;
        let goes_on = |state: &TaskState| !state.is_final();
        Self {
            agents: AgentFilter {
                states: AgentState::ALL.iter().copied().filter(lives).collect(),
                project: Some(project),
                ..AgentFilter::default()
            },
            runs: RunFilter {
                project: Some(project),
                ..RunFilter::unfinished()
            },
            tasks: TaskFilter {
                states: TaskState::ALL.iter().copied().filter(goes_on).collect(),
                pool: Some(Some(project)),
                ..TaskFilter::default()
            },
            schedules: ScheduleFilter {
                paused: Some(false),
                project: Some(project),
                ..ScheduleFilter::default()
            },
        }
    }
}
