//! Workflows: versioned definitions that can run many times.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::transition::{StateMachine, text_enum};
use crate::{
    Change, Decision, EventId, EventType, Moment, NewEvent, ProjectId, Severity, Timestamp,
    WorkflowDefinition, WorkflowId,
};

text_enum! {
    /// The life of a workflow and of each of its runs.
    WorkflowState {
        /// Being written.
        Draft = "draft",
        /// Being checked.
        Validating = "validating",
        /// Checked; may run.
        Ready = "ready",
        /// Its tasks run.
        Running = "running",
        /// Every task that had to run ended well.
        Completed = "completed",
        /// A task failed.
        Failed = "failed",
        /// Stopped by a person.
        Cancelled = "cancelled",
    }
}

impl WorkflowState {
    /// Whether nothing comes after this state.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

impl StateMachine for WorkflowState {
    const ENTITY: &'static str = "workflow";
    const STATES: &'static [Self] = Self::ALL;

    fn name(self) -> &'static str {
        self.as_str()
    }

    fn allows(self, to: Self) -> bool {
        use WorkflowState::{Cancelled, Completed, Draft, Failed, Ready, Running, Validating};
        match self {
            Draft => to == Validating,
            Validating => matches!(to, Ready | Draft),
            Ready => to == Running,
            Running => matches!(to, Completed | Failed | Cancelled),
            Completed | Failed | Cancelled => false,
        }
    }
}

/// One version of a workflow definition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Workflow {
    /// Names this version.
    pub id: WorkflowId,
    /// The name all versions share.
    pub name: String,
    /// What it does.
    pub description: String,
    /// The checked definition.
    pub definition: WorkflowDefinition,
    /// The file as its author wrote it.
    pub source: String,
    /// Where the file was: paths in it are relative to this folder.
    pub base_dir: String,
    /// Its life as a definition.
    pub state: WorkflowState,
    /// When this version was stored.
    pub created_at: Timestamp,
    /// The project it belongs to.
    pub project_id: Option<ProjectId>,
    /// 1 for the first version of a name, then 2, 3.
    pub definition_version: u32,
    /// Row version; a commit that read an older one is refused.
    pub version: u64,
}

impl Workflow {
    /// Stores a new version of a definition.
    #[must_use]
    pub fn create(&self, moment: Moment<'_>) -> Decision {
        let event = NewEvent {
            id: EventId::from_uuid(moment.ids.uuid()),
            timestamp: moment.now,
            event_type: EventType::WorkflowCreated,
            severity: Severity::Info,
            source_agent_id: None,
            source_component: "coordination".to_owned(),
            run_id: None,
            data: json!({ "workflow_id": self.id, "version": self.definition_version }),
            message: format!("{} version {} stored", self.name, self.definition_version),
            message_queue_topic: Some(format!("workflow.{}.events", self.id)),
        };
        Decision::default()
            .with(Change::create(self.clone()))
            .telling(event)
    }
}

#[cfg(test)]
mod tests {
    use super::WorkflowState::{
        self, Cancelled, Completed, Draft, Failed, Ready, Running, Validating,
    };
    use crate::transition::StateMachine;

    #[test]
    fn a_workflow_has_exactly_the_moves_of_the_specification() {
        let allowed: Vec<(WorkflowState, WorkflowState)> = WorkflowState::ALL
            .iter()
            .flat_map(|from| WorkflowState::ALL.iter().map(move |to| (*from, *to)))
            .filter(|(from, to)| from.allows(*to))
            .collect();
        assert_eq!(
            allowed,
            [
                (Draft, Validating),
                (Validating, Draft),
                (Validating, Ready),
                (Ready, Running),
                (Running, Completed),
                (Running, Failed),
                (Running, Cancelled),
            ]
        );
    }
}
