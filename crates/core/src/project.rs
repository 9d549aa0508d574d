//! Projects group agents and workflows.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    Budget, Change, Decision, EventId, EventType, Moment, NewEvent, ProjectId, ProviderId,
    Severity, Timestamp,
};

/// The topic of what becomes of projects.
const TOPIC: &str = "system.projects";

/// A group of agents and workflows with common defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Project {
    /// Names the project.
    pub id: ProjectId,
    /// Unique.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// How its agents talk.
    pub message_queue_config: Value,
    /// Used by its agents that name none.
    pub default_provider_id: Option<ProviderId>,
    /// What model calls for it may use in all.
    #[serde(default, skip_serializing_if = "Budget::is_empty")]
    pub budget: Budget,
    /// What they may use on one day, in UTC.
    #[serde(default, skip_serializing_if = "Budget::is_empty")]
    pub budget_per_day: Budget,
    /// Since when it takes nothing new; `None` while it does. The store refuses it while something of
    /// the project is open, and whatever would open something while it is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived_at: Option<Timestamp>,
    /// When the row was made.
    pub created_at: Timestamp,
    /// When the row last changed.
    pub updated_at: Timestamp,
    /// Free JSON object.
    pub metadata: Value,
    /// Row version; a commit that read an older one is refused.
    pub version: u64,
}

impl Project {
    /// The project takes nothing new from now on, or takes it again: the row as it will be stored, and the
    /// commit. `None` where it is so already.
    #[must_use]
    pub fn archive(&self, is_archived: bool, moment: Moment<'_>) -> Option<(Self, Decision)> {
        if self.archived_at.is_some() == is_archived {
            return None;
        }
        let (event_type, done) = if is_archived {
            (EventType::ProjectArchived, "archived")
        } else {
            (EventType::ProjectUnarchived, "unarchived")
        };
        let changed = Self {
            archived_at: is_archived.then_some(moment.now),
            updated_at: moment.now,
            ..self.clone()
        };
        let event = NewEvent {
            id: EventId::from_uuid(moment.ids.uuid()),
            timestamp: moment.now,
            event_type,
            severity: Severity::Info,
            source_agent_id: None,
            source_component: "coordination".to_owned(),
            run_id: None,
            data: json!({ "project_id": self.id, "name": self.name }),
            message: format!("project {} {done}", self.name),
            message_queue_topic: Some(TOPIC.to_owned()),
        };
        let decision = Decision::default()
            .with(Change::update(changed.clone()))
            .telling(event);
        let stored = Self {
            version: self.version + 1,
            ..changed
        };
        Some((stored, decision))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::Project;
    use crate::{
        Budget, Change, Decision, EventId, EventType, IdSource, Moment, NewEvent, Row, Severity,
    };

    #[derive(Debug)]
    struct Always(Uuid);

    impl IdSource for Always {
        fn uuid(&self) -> Uuid {
            self.0
        }
    }

    #[test]
    fn a_project_is_archived_and_taken_back_once_with_an_event_for_each() {
        let ids = Always(Uuid::from_u128(9));
        let moment = Moment {
            now: "2026-11-27T16:21:19Z".parse().unwrap(),
            ids: &ids,
        };
        let open = Project {
            id: Uuid::from_u128(7).into(),
            name: "shop".to_owned(),
            description: "web".to_owned(),
            message_queue_config: json!({}),
            default_provider_id: None,
            budget: Budget::default(),
            budget_per_day: Budget::default(),
            archived_at: None,
            created_at: "2026-11-01T00:00:00Z".parse().unwrap(),
            updated_at: "2026-11-01T00:00:00Z".parse().unwrap(),
            metadata: json!({}),
            version: 3,
        };
        let told = |event_type, done: &str, row: Project| Decision {
            changes: vec![Change::Update(Row::Project(Box::new(row)))],
            events: vec![NewEvent {
                id: EventId::from_uuid(ids.0),
                timestamp: moment.now,
                event_type,
                severity: Severity::Info,
                source_agent_id: None,
                source_component: "coordination".to_owned(),
                run_id: None,
                data: json!({ "project_id": Uuid::from_u128(7), "name": "shop" }),
                message: format!("project shop {done}"),
                message_queue_topic: Some("system.projects".to_owned()),
            }],
            outbox: vec![],
        };
        let at = |archived_at, version| Project {
            archived_at,
            updated_at: moment.now,
            version,
            ..open.clone()
        };
        let (archived, decision) = open.archive(true, moment).unwrap();
        let done = told(
            EventType::ProjectArchived,
            "archived",
            at(Some(moment.now), 3),
        );
        assert_eq!((&archived, decision), (&at(Some(moment.now), 4), done));
        assert_eq!(archived.archive(true, moment), None);
        assert_eq!(open.archive(false, moment), None);
        let (back, decision) = archived.archive(false, moment).unwrap();
        let done = told(EventType::ProjectUnarchived, "unarchived", at(None, 4));
        assert_eq!((back, decision), (at(None, 5), done));
    }
}
