//! Who asked for a change, and the event that tells it.

use serde_json::json;
use uuid::Uuid;

use crate::{
    Agent, ApiTokenId, Budget, Cost, EventId, EventType, Moment, NewEvent, Severity, Task, TaskId,
};

/// The topic of what people change.
const TOPIC: &str = "system.audit";

/// Who asked, as the API knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The token that was shown.
    pub token: ApiTokenId,
    /// Its name.
    pub name: String,
}

impl Actor {
    /// Tells what was done (`created`, say) to what kind of thing (`project`).
    #[must_use]
    pub fn changed(&self, done: &str, kind: &str, id: Uuid, moment: Moment<'_>) -> NewEvent {
        NewEvent {
            id: EventId::from_uuid(moment.ids.uuid()),
            timestamp: moment.now,
            event_type: EventType::RecordChanged,
            severity: Severity::Info,
            source_agent_id: None,
            source_component: "api".to_owned(),
            run_id: None,
            data: json!({
                "actor": { "token_id": self.token, "name": self.name },
                "action": done,
                "resource_type": kind,
                "resource_id": id,
            }),
            message: format!("{} {done} {kind} {id}", self.name),
            message_queue_topic: Some(TOPIC.to_owned()),
        }
    }
}

/// Tells who gave a task another limit for what its model calls may cost.
#[must_use]
pub fn limited(by: &str, task: &Task, limit: Cost, moment: Moment<'_>) -> NewEvent {
    let told = format!("{by} lets {} cost ${limit} at most", task.name);
    let event = NewEvent {
        source_component: "tasks".to_owned(),
        message_queue_topic: Some(TOPIC.to_owned()),
        ..NewEvent::of_run(moment, EventType::RecordChanged, task.run_id, told)
    };
    event.data(json!({
        "actor": { "name": by },
        "action": "updated",
        "resource_type": "task",
        "resource_id": task.id,
        "changed": ["max_cost_usd"],
        "max_cost_usd": limit,
    }))
}

/// Tells who lets an agent spend how much over its life from now on, and what it might before.
#[must_use]
pub(crate) fn life_limited(
    by: &str,
    agent: &Agent,
    (before, now): (Budget, Budget),
    moment: Moment<'_>,
) -> NewEvent {
    let limit = now.usd.map(|limit| format!("${limit}"));
    let limit = limit.as_deref().unwrap_or("without a limit");
    let told = format!("{by} lets {} spend {limit} over its life", agent.name);
    let event = NewEvent {
        message_queue_topic: Some(TOPIC.to_owned()),
        ..agent.event(moment, EventType::RecordChanged, None, told)
    };
    event.data(json!({
        "actor": { "name": by },
        "action": "updated",
        "resource_type": "agent",
        "resource_id": agent.id,
        "changed": ["max_cost_usd"],
        "max_cost_usd": now.usd,
        "max_cost_usd_before": before.usd,
    }))
}

/// Tells who asked again for what the task `first` was to do, as which task, and whether it is to do
/// something else now.
#[must_use]
pub fn asked_again(
    (by, token): (&str, Option<ApiTokenId>),
    (first, again): (TaskId, TaskId),
    is_changed: bool,
    moment: Moment<'_>,
) -> NewEvent {
    let changed: &[&str] = if is_changed { &["description"] } else { &[] };
    let with = if is_changed {
        ", with another description"
    } else {
        ""
    };
    // Who is at the machine itself shows none.
    let actor = match token {
        Some(token) => json!({ "token_id": token, "name": by }),
        None => json!({ "name": by }),
    };
    NewEvent {
        id: EventId::from_uuid(moment.ids.uuid()),
        timestamp: moment.now,
        event_type: EventType::RecordChanged,
        severity: Severity::Info,
        source_agent_id: None,
        source_component: "tasks".to_owned(),
        run_id: None,
        data: json!({
            "actor": actor,
            "action": "retried",
            "resource_type": "task",
            "resource_id": again,
            "retries": first,
            "changed": changed,
        }),
        message: format!("{by} asked again for task {first} as {again}{with}"),
        message_queue_topic: Some(TOPIC.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::Actor;
    use crate::{ApiTokenId, EventType, IdSource, Moment};

    #[derive(Debug)]
    struct Always(Uuid);

    impl IdSource for Always {
        fn uuid(&self) -> Uuid {
            self.0
        }
    }

    #[test]
    fn a_change_is_told_with_who_made_it_and_never_with_a_token() {
        let id = Uuid::from_u128(7);
        let actor = Actor {
            token: ApiTokenId::from_uuid(Uuid::from_u128(1)),
            name: "ci".to_owned(),
        };
        let moment = Moment {
            now: "2026-11-23T16:21:19Z".parse().unwrap(),
            ids: &Always(id),
        };
        let told = actor.changed("created", "project", id, moment);
        assert_eq!(
            (told.event_type, told.message.as_str(), told.data),
            (
                EventType::RecordChanged,
                "ci created project 00000000-0000-0000-0000-000000000007",
                json!({
                    "actor": { "token_id": "00000000-0000-0000-0000-000000000001", "name": "ci" },
                    "action": "created", "resource_type": "project",
                    "resource_id": "00000000-0000-0000-0000-000000000007",
                })
            )
        );
    }
}
