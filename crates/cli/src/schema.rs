//! What each command prints with `--json`, as JSON Schema.

use fusion_api_types::api::{
    AgentMetrics, Approval, Capability, CostReport, Event, EventPage, Health, Project,
    ProjectDetail, Schedule, ServerNode, ServerNodeList, Task, TaskDetail, TaskTree, Token,
    TokenMade, TopReport, Webhook, WebhookDelivery, WebhookMade, WebhookTest,
};
use fusion_api_types::schema::{any_of, list_of, of};
use fusion_api_types::{
    AgentDetail, AgentList, AgentLog, AgentLogEntry, AgentSent, AgentSummary, AgentsEnded,
    ArtifactSaved, BackupReport, BenchReport, BudgetLine, DatabaseStatus, DetectReport, DryRun,
    InboxView, InfoView, McpToolList, MessageDetail, MessageList, MessageView, MigrationReport,
    ModelList, ProviderAdded, ProviderList, ProviderRemoved, ProviderTest, ProviderView,
    QuotaReport, RekeyReport, Replayed, RestoreReport, RunDetail, RunExported, RunImported,
    RunList, RunSummary, RunsDeleted, ServerReady, SettingChange, SettingList, SettingView,
    SignInLink, StoredWorkflow, ToolAnswer, ToolList, VacuumReport, VerifyReport, VersionView,
    WorkflowCreated, WorkflowDiff, WorkflowGraph, WorkflowList, WorkflowSummary, WorkspaceCommit,
    WorkspaceDiff, WorkspaceExport, WorkspaceFile, WorkspaceLine, WorkspaceMerge, WorkspacePath,
    WorkspaceRemoved, WorkspaceTree, WorkspacesCollected,
};
use serde_json::{Value, json};

/// What a command prints with `--json`.
#[derive(Debug, Clone, PartialEq)]
pub enum Printed {
    /// One value of this schema; with `--follow` and the like, one on each line.
    Json(Box<Value>),
    /// No JSON, for this reason.
    Other(&'static str),
}

/// What the command that these words lead to prints; `None` where there is no such command.
#[must_use]
pub fn printed(words: &str) -> Option<Printed> {
    let reason = match words {
        "completions" => "a script of a shell",
        "man" => "nothing: the pages are in their folder",
        "mcp serve" => "messages of the Model Context Protocol",
        "export events" | "events export" => "each event as JSON lines or CSV, as --format says",
        "sandbox run" => "what the command prints",
        "schema" => "a JSON Schema",
        "top" => "a screen",
        "workspace open" | "config edit" => "nothing: the editor has the terminal",
        _ => return schema(words).map(|schema| Printed::Json(Box::new(schema))),
    };
    Some(Printed::Other(reason))
}

/// What a command prints; some print something else with `--dry-run`.
fn schema(words: &str) -> Option<Value> {
    let done = schema_of(words)?;
    match words {
        "agent pause" | "agent terminate" | "task cancel" | "run pause" | "run cancel"
        | "workflow delete" | "workflow cancel" | "schedule delete" | "webhook remove"
        | "project archive" | "project delete" | "budget clear" | "capability delete"
        | "token revoke" | "provider remove" => Some(any_of([done, of::<DryRun>()])),
        _ => Some(done),
    }
}

fn schema_of(words: &str) -> Option<Value> {
    let (noun, verb) = words.split_once(' ').unwrap_or((words, ""));
    match noun {
        "agent" => of_agent(verb),
        "workspace" => of_workspace(verb),
        "task" => of_task(verb),
        "workflow" => of_workflow(verb),
        "run" => of_run(verb),
        "message" => of_message(verb),
        "provider" => of_provider(verb),
        "project" if verb == "get" => Some(of::<ProjectDetail>()),
        "project" if matches!(verb, "update" | "archive" | "unarchive") => Some(of::<Project>()),
        "project" if verb == "use" => Some(of::<SettingView>()),
        "project" => of_record::<Project>(verb, "projects"),
        "capability" => of_record::<Capability>(verb, "capabilities"),
        "schedule" if matches!(verb, "pause" | "resume") => Some(of::<Schedule>()),
        "schedule" => of_record::<Schedule>(verb, "schedules"),
        "webhook" => of_webhook(verb),
        "token" => of_token(verb),
        "db" => of_database(verb),
        "node" => of_node(verb),
        "tool" => of_tool(verb),
        _ => of_one(words),
    }
}

fn of_one(words: &str) -> Option<Value> {
    Some(match words {
        "resume" => of::<RunDetail>(),
        "artifact get" => of::<ArtifactSaved>(),
        "inbox" => of::<InboxView>(),
        "approve" | "reject" => of::<Approval>(),
        "mcp tools" => of::<McpToolList>(),
        "metrics agent" => of::<AgentMetrics>(),
        "metrics cost" => of::<CostReport>(),
        "metrics top" => of::<TopReport>(),
        "events tail" | "events get" => of::<Event>(),
        "events list" => of::<EventPage>(),
        "events replay" => of::<Replayed>(),
        "health" => of::<Health>(),
        "version" => of::<VersionView>(),
        "info" => of::<InfoView>(),
        "budget list" => list_of::<BudgetLine>("budgets"),
        "budget set" | "budget clear" => of::<Project>(),
        "config show" => of::<SettingList>(),
        "config get" => of::<SettingView>(),
        "config set" | "config unset" => of::<SettingChange>(),
        "serve" | "down" => of::<ServerReady>(),
        "dashboard" => of::<SignInLink>(),
        "verify" => of::<VerifyReport>(),
        "bench" => of::<BenchReport>(),
        "init" => json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "required": ["files", "next"],
            "properties": {
                "files": { "type": "array", "items": { "type": "string" } },
                "next": { "type": "string" },
            },
        }),
        _ => return None,
    })
}

fn of_agent(verb: &str) -> Option<Value> {
    Some(match verb {
        "spawn" | "list" | "restart" => of::<AgentList>(),
        "get" => of::<AgentDetail>(),
        "pause" | "resume" | "update" => of::<AgentSummary>(),
        "terminate" => of::<AgentsEnded>(),
        "logs" => of::<AgentLog>(),
        "attach" => of::<AgentLogEntry>(),
        "send" => of::<AgentSent>(),
        _ => return None,
    })
}

fn of_workspace(verb: &str) -> Option<Value> {
    Some(match verb {
        "list" => list_of::<WorkspaceLine>("workspaces"),
        "path" => of::<WorkspacePath>(),
        "files" => of::<WorkspaceTree>(),
        "read" => of::<WorkspaceFile>(),
        "diff" => of::<WorkspaceDiff>(),
        "export" => of::<WorkspaceExport>(),
        "merge" => of::<WorkspaceMerge>(),
        "commit" => of::<WorkspaceCommit>(),
        "discard" => of::<WorkspaceRemoved>(),
        "gc" => of::<WorkspacesCollected>(),
        _ => return None,
    })
}

fn of_task(verb: &str) -> Option<Value> {
    Some(match verb {
        // With `--wait` it answers as `task wait` does.
        "create" => any_of([of::<TaskDetail>(), list_of::<Task>("tasks")]),
        "get" => of::<TaskDetail>(),
        "list" | "wait" => list_of::<Task>("tasks"),
        "cancel" | "retry" | "update" => of::<Task>(),
        "logs" => of::<AgentLog>(),
        "deps" => of::<TaskTree>(),
        _ => return None,
    })
}

fn of_workflow(verb: &str) -> Option<Value> {
    Some(match verb {
        "validate" => of::<WorkflowSummary>(),
        "create" => of::<WorkflowCreated>(),
        "list" | "versions" => of::<WorkflowList>(),
        "get" | "export" | "delete" => of::<StoredWorkflow>(),
        "diff" => of::<WorkflowDiff>(),
        "graph" => of::<WorkflowGraph>(),
        "start" => of::<RunDetail>(),
        "cancel" => of::<RunList>(),
        _ => return None,
    })
}

fn of_run(verb: &str) -> Option<Value> {
    Some(match verb {
        "" | "show" | "watch" | "resume" | "retry" | "fork" => of::<RunDetail>(),
        "list" => of::<RunList>(),
        "pause" | "cancel" => of::<RunSummary>(),
        "delete" => of::<RunsDeleted>(),
        "export" => of::<RunExported>(),
        "import" => of::<RunImported>(),
        _ => return None,
    })
}

fn of_message(verb: &str) -> Option<Value> {
    Some(match verb {
        "send" | "show" | "resend" => of::<MessageDetail>(),
        "list" => of::<MessageList>(),
        "tail" => of::<MessageView>(),
        _ => return None,
    })
}

fn of_provider(verb: &str) -> Option<Value> {
    Some(match verb {
        "add" => of::<ProviderAdded>(),
        "list" => of::<ProviderList>(),
        "show" | "enable" | "disable" => of::<ProviderView>(),
        "test" => of::<ProviderTest>(),
        "models" => of::<ModelList>(),
        "quota" => of::<QuotaReport>(),
        "remove" => of::<ProviderRemoved>(),
        "detect" => of::<DetectReport>(),
        _ => return None,
    })
}

fn of_record<T: fusion_api_types::schema::Described>(verb: &str, list: &str) -> Option<Value> {
    Some(match verb {
        "create" | "get" | "delete" => of::<T>(),
        "list" => list_of::<T>(list),
        _ => return None,
    })
}

fn of_token(verb: &str) -> Option<Value> {
    Some(match verb {
        "create" => of::<TokenMade>(),
        "list" => list_of::<Token>("tokens"),
        "revoke" => of::<Token>(),
        _ => return None,
    })
}

fn of_webhook(verb: &str) -> Option<Value> {
    Some(match verb {
        "add" | "rotate" => of::<WebhookMade>(),
        "list" => list_of::<Webhook>("webhooks"),
        "get" | "enable" | "disable" | "remove" => of::<Webhook>(),
        "test" | "resend" => of::<WebhookTest>(),
        "deliveries" => list_of::<WebhookDelivery>("deliveries"),
        _ => return None,
    })
}

fn of_database(verb: &str) -> Option<Value> {
    Some(match verb {
        "migrate" => of::<MigrationReport>(),
        "status" => of::<DatabaseStatus>(),
        "vacuum" => of::<VacuumReport>(),
        "backup" => of::<BackupReport>(),
        "restore" => of::<RestoreReport>(),
        "rekey" => of::<RekeyReport>(),
        _ => return None,
    })
}

fn of_node(verb: &str) -> Option<Value> {
    Some(match verb {
        "list" => of::<ServerNodeList>(),
        "get" | "drain" => of::<ServerNode>(),
        _ => return None,
    })
}

fn of_tool(verb: &str) -> Option<Value> {
    Some(match verb {
        "list" => of::<ToolList>(),
        "call" => of::<ToolAnswer>(),
        _ => return None,
    })
}
