//! The description is the one that is checked in, and holds what clients of the first version rely on.

use std::collections::BTreeSet;

use serde_json::Value;

const CHECKED_IN: &str = include_str!("../../../../openapi/v1.json");

/// Method, path, and the status that says that it was done.
const CONTRACT: &[(&str, &str, &str)] = &[
    ("get", "/api/v1/health", "200"),
    ("get", "/api/v1/agents", "200"),
    ("post", "/api/v1/agents", "201"),
    ("get", "/api/v1/agents/{id}", "200"),
    ("patch", "/api/v1/agents/{id}", "200"),
    ("delete", "/api/v1/agents/{id}", "204"),
    ("get", "/api/v1/agents/{id}/metrics", "200"),
    ("get", "/api/v1/agents/{id}/logs", "200"),
    ("get", "/api/v1/tasks", "200"),
    ("get", "/api/v1/tasks/{id}", "200"),
    ("get", "/api/v1/workflows", "200"),
    ("post", "/api/v1/workflows", "201"),
    ("get", "/api/v1/workflows/{id}", "200"),
    ("post", "/api/v1/workflows/{id}/start", "200"),
    ("post", "/api/v1/workflows/{id}/validate", "200"),
    ("get", "/api/v1/workflows/{id}/runs", "200"),
    ("get", "/api/v1/runs/{id}", "200"),
    ("get", "/api/v1/events", "200"),
    ("get", "/api/v1/ws/events", "101"),
    ("get", "/api/v1/providers", "200"),
    ("post", "/api/v1/providers", "201"),
    ("get", "/api/v1/providers/{id}", "200"),
    ("patch", "/api/v1/providers/{id}", "200"),
    ("delete", "/api/v1/providers/{id}", "204"),
    ("post", "/api/v1/providers/{id}/test", "200"),
    ("get", "/api/v1/projects", "200"),
    ("post", "/api/v1/projects", "201"),
    ("get", "/api/v1/projects/{id}", "200"),
    ("patch", "/api/v1/projects/{id}", "200"),
    ("delete", "/api/v1/projects/{id}", "204"),
    ("get", "/api/v1/capabilities", "200"),
    ("post", "/api/v1/capabilities", "201"),
    ("get", "/api/v1/capabilities/{id}", "200"),
    ("patch", "/api/v1/capabilities/{id}", "200"),
    ("delete", "/api/v1/capabilities/{id}", "204"),
    ("get", "/api/v1/messages", "200"),
    ("post", "/api/v1/messages", "201"),
];

/// Query parameters of lists.
const PARAMETERS: &[(&str, &[&str])] = &[
    (
        "/api/v1/agents",
        &["state", "project_id", "limit", "cursor"],
    ),
    ("/api/v1/agents/{id}/metrics", &["since", "limit"]),
    (
        "/api/v1/tasks",
        &["state", "agent_id", "workflow_id", "limit", "cursor"],
    ),
    (
        "/api/v1/workflows",
        &["state", "project_id", "limit", "cursor"],
    ),
    (
        "/api/v1/events",
        &[
            "event_type",
            "agent_id",
            "severity",
            "since",
            "until",
            "q",
            "limit",
            "cursor",
        ],
    ),
];

/// Fields of what is answered.
const FIELDS: &[(&str, &[&str])] = &[
    (
        "Agent",
        &[
            "id",
            "name",
            "state",
            "created_at",
            "updated_at",
            "last_heartbeat",
            "workspace_path",
            "provider_id",
            "model_name",
            "capabilities",
            "metadata",
            "message_subscriptions",
            "project_id",
        ],
    ),
    ("AgentPage", &["agents", "total", "next_cursor"]),
    ("AgentMetrics", &["metrics"]),
    (
        "Task",
        &[
            "id",
            "name",
            "description",
            "agent_id",
            "priority",
            "required_capabilities",
            "state",
            "queued_at",
            "started_at",
            "completed_at",
            "dependencies",
            "input_artifacts",
            "output_artifacts",
            "error_message",
            "communication_channels",
            "workflow_id",
        ],
    ),
    ("TaskPage", &["tasks", "total", "next_cursor"]),
    (
        "Workflow",
        &[
            "id",
            "name",
            "description",
            "dag_definition",
            "execution_parameters",
            "state",
            "created_at",
            "started_at",
            "completed_at",
            "message_flow_definitions",
            "project_id",
            "version",
        ],
    ),
    ("Dag", &["nodes", "edges"]),
    ("Validation", &["valid", "errors", "warnings"]),
    (
        "Event",
        &[
            "id",
            "timestamp",
            "event_type",
            "severity",
            "source_agent_id",
            "source_component",
            "data",
            "message",
            "message_queue_topic",
        ],
    ),
    ("EventPage", &["events", "next_cursor"]),
    (
        "Message",
        &[
            "id",
            "timestamp",
            "sender_agent_id",
            "recipient_agent_ids",
            "topic",
            "payload",
            "message_type",
            "delivery_status",
            "delivered_at",
            "expiry_at",
        ],
    ),
    (
        "Capability",
        &[
            "id",
            "name",
            "description",
            "category",
            "metadata",
            "created_at",
        ],
    ),
    (
        "Project",
        &[
            "id",
            "name",
            "description",
            "message_queue_config",
            "default_provider_id",
            "created_at",
            "updated_at",
            "metadata",
        ],
    ),
    (
        "MetricsSample",
        &[
            "id",
            "agent_id",
            "timestamp",
            "cpu_percent",
            "memory_mb",
            "disk_io_read_mb",
            "disk_io_write_mb",
            "api_calls_count",
            "api_provider",
            "api_tokens_used",
            "api_cost_usd",
        ],
    ),
    (
        "Provider",
        &[
            "id",
            "name",
            "api_endpoint",
            "auth_type",
            "model_catalog",
            "rate_limits",
            "provider_type",
            "created_at",
            "enabled",
            "metadata",
        ],
    ),
    ("Health", &["status", "database", "bus", "version"]),
    (
        "ProblemBody",
        &[
            "status",
            "error",
            "details",
            "resource_type",
            "resource_id",
            "trace_id",
        ],
    ),
];

fn described() -> Value {
    serde_json::to_value(fusion_api::openapi()).unwrap()
}

#[test]
fn the_checked_in_description_is_what_the_routes_say() {
    let checked_in: Value = serde_json::from_str(CHECKED_IN).unwrap();
    assert!(
        described() == checked_in,
        "openapi/v1.json is old: cargo run -p fusion-api --example openapi > openapi/v1.json"
    );
}

#[test]
fn every_route_of_the_contract_is_there_with_its_status() {
    let described = described();
    for (method, path, status) in CONTRACT {
        let operation = &described["paths"][path][method];
        assert!(
            operation["responses"][status].is_object(),
            "{method} {path} {status}"
        );
    }
    for (path, names) in PARAMETERS {
        let listed = described["paths"][path]["get"]["parameters"]
            .as_array()
            .unwrap();
        let known: BTreeSet<&str> = listed
            .iter()
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect();
        for name in *names {
            assert!(known.contains(name), "{path} {name}");
        }
    }
}

/// The fields of a schema, and of those that it is made of.
fn fields_of(described: &Value, schema: &Value) -> BTreeSet<String> {
    if let Some(place) = schema["$ref"].as_str() {
        let place = described.pointer(place.trim_start_matches('#'));
        return fields_of(described, place.unwrap());
    }
    let own = schema["properties"].as_object().into_iter().flatten();
    let parts = schema["allOf"].as_array().into_iter().flatten();
    let mut fields: BTreeSet<String> = own.map(|(name, _)| name.clone()).collect();
    fields.extend(parts.flat_map(|part| fields_of(described, part)));
    fields
}

#[test]
fn every_field_of_the_contract_is_there() {
    let described = described();
    for (schema, fields) in FIELDS {
        let known = fields_of(&described, &described["components"]["schemas"][schema]);
        for field in *fields {
            assert!(known.contains(*field), "{schema} {field}");
        }
    }
    let credentials =
        described["components"]["schemas"]["Provider"]["properties"].get("credentials");
    assert_eq!(credentials, None, "credentials come out nowhere");
}

#[test]
fn every_reference_of_the_description_leads_somewhere() {
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(to)) = fields.get("$ref") {
                    found.insert(to.clone());
                }
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| references(value, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let described = described();
    let mut found = BTreeSet::new();
    references(&described, &mut found);
    assert!(!found.is_empty());
    for to in found {
        let pointer = to.strip_prefix('#').unwrap();
        assert!(described.pointer(pointer).is_some(), "{to}");
    }
}

#[test]
fn every_operation_has_a_name_of_its_own_and_every_link_leads_to_one() {
    let described = described();
    let paths = described["paths"].as_object().unwrap();
    let operations: Vec<&Value> = paths
        .values()
        .flat_map(|item| item.as_object().unwrap().values())
        .collect();
    let named: Vec<&str> = operations
        .iter()
        .map(|operation| operation["operationId"].as_str().unwrap())
        .collect();
    let names: BTreeSet<&str> = named.iter().copied().collect();
    assert_eq!(names.len(), named.len(), "{named:?}");
    let answers = operations
        .iter()
        .flat_map(|operation| operation["responses"].as_object().unwrap().values());
    let links: Vec<&Value> = answers
        .filter_map(|answer| answer["links"].as_object())
        .flat_map(|links| links.values())
        .collect();
    assert!(links.len() > 50, "{}", links.len());
    for link in links {
        assert!(
            names.contains(link["operationId"].as_str().unwrap()),
            "{link}"
        );
    }
    let made = &described["paths"]["/api/v1/projects"]["post"]["responses"]["201"]["links"];
    assert_eq!(
        made["projects_get"],
        serde_json::json!({ "operationId": "projects_get", "parameters": { "id": "$response.body#/id" } })
    );
}
