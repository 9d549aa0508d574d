//! Rules of every entity: what is written is read back, and an update changes what may change only.

use fusion_core::{
    ApiToken, Approval, Capability, Change, Cost, Decision, EffectClass, EntryKind, EntryState,
    JournalEntry, ResourceMetrics, Run, TokenScope, Usage, Workflow, WorkflowState, Workspace,
};
use serde_json::{Map, Value, json};

use super::sample::{agent_named, at, step};
use super::world::{
    MOST, Numbered, ODD, World, bare_project, early, late, odd_json, provider, usage,
};
use crate::{Batch, Error, Find, Page, Repository, Store, WriteRepository};
use fusion_core::{ApprovalState, IdSource};

/// Stores `first`, reads it back, writes `second` over it and reads that back. `keep` copies from
/// the first what an update leaves as it is.
pub(super) async fn lives<S, T>(store: &S, first: T, second: T, keep: impl Fn(&T, &mut T))
where
    S: Store + Find<T> + ?Sized,
    T: Numbered,
{
    store.create(first.clone()).await.unwrap();
    assert_eq!(store.get(first.id()).await.unwrap(), first, "as created");
    let written = second.under(first.id(), first.version());
    let mut kept = written.clone().under(first.id(), first.version() + 1);
    keep(&first, &mut kept);
    store.update(written.clone()).await.unwrap();
    assert_eq!(store.get(first.id()).await.unwrap(), kept, "as updated");
    let refused = store.update(written).await.unwrap_err();
    let Error::Conflict { entity, id } = &refused else {
        panic!("{refused:?}");
    };
    assert_eq!((*entity, id), (T::NAME, &first.id().to_string()));
    assert_eq!(store.get(first.id()).await.unwrap(), kept, "not written");
}

/// Agents: all but since when they are there, and of which run.
pub async fn agents_are_kept_as_written(store: &dyn Store) {
    let world = World::store(store).await;
    let keep = |first: &fusion_core::Agent, kept: &mut fusion_core::Agent| {
        kept.created_at = first.created_at;
        kept.run_id = first.run_id;
    };
    lives(store, world.agent(), world.bare_agent(), keep).await;
    lives(store, world.bare_agent(), world.agent(), keep).await;
}

/// Tokens: all but the hash, since when and by whose link.
pub async fn api_tokens_are_kept_as_written(store: &dyn Store) {
    let world = World::store(store).await;
    let keep = |first: &ApiToken, kept: &mut ApiToken| {
        kept.hash.clone_from(&first.hash);
        kept.created_at = first.created_at;
        kept.issuer = first.issuer;
    };
    let bare = || ApiToken {
        scope: TokenScope::Read,
        created_at: at(1),
        expires_at: None,
        last_used_at: None,
        revoked_at: None,
        issuer: None,
        ..world.token()
    };
    lives(store, world.token(), bare(), keep).await;
    lives(store, bare(), world.token(), keep).await;
}

/// Approvals: the answer only, never the question.
pub async fn approvals_are_kept_as_written(store: &dyn Store) {
    let world = World::store(store).await;
    let keep = |first: &Approval, kept: &mut Approval| {
        *kept = Approval {
            state: kept.state,
            expires_at: kept.expires_at,
            resolved_at: kept.resolved_at,
            resolved_by: kept.resolved_by.clone(),
            comment: kept.comment.clone(),
            version: kept.version,
            ..first.clone()
        };
    };
    let bare = |state| Approval {
        task_id: world.sample.tasks["two"].id,
        run_id: None,
        question: String::new(),
        requested_by: None,
        state,
        requested_at: at(1),
        expires_at: None,
        resolved_at: None,
        resolved_by: None,
        comment: None,
        ..world.approval()
    };
    lives(store, world.approval(), bare(ApprovalState::Approved), keep).await;
    lives(store, bare(ApprovalState::Pending), world.approval(), keep).await;
}

/// Capabilities: all but since when.
pub async fn capabilities_are_kept_as_written(store: &dyn Store) {
    let world = World::store(store).await;
    let keep = |first: &Capability, kept: &mut Capability| kept.created_at = first.created_at;
    let bare = || Capability {
        name: format!("c{}", world.sample.ids.uuid()),
        description: String::new(),
        category: String::new(),
        metadata: Value::Null,
        created_at: at(1),
        ..world.capability()
    };
    lives(store, world.capability(), bare(), keep).await;
    lives(store, bare(), world.capability(), keep).await;
}

/// Journal entries: the outcome only, never the intent.
pub async fn journal_entries_are_kept_as_written(store: &dyn Store) {
    let world = World::store(store).await;
    let first = JournalEntry {
        id: world.fresh(),
        task_id: world.sample.tasks["one"].id,
        run_id: world.sample.run.id,
        seq: 1,
        kind: EntryKind::Check,
        name: ODD.to_owned(),
        effect: EffectClass::Once,
        state: EntryState::Started,
        request: odd_json(),
        outcome: None,
        usage: Usage::default(),
        attempts: 1,
        started_at: early(),
        finished_at: None,
    };
    let write = |change| store.commit(Batch::free(Decision::default().with(change)));
    write(Change::BeginEntry(first.clone())).await.unwrap();
    assert_eq!(store.get(first.id).await.unwrap(), first);
    let ended = JournalEntry {
        state: EntryState::Unknown,
        outcome: Some(odd_json()),
        usage: usage(MOST),
        attempts: i32::MAX.unsigned_abs(),
        finished_at: Some(late()),
        ..first.clone()
    };
    let tampered = JournalEntry {
        task_id: world.sample.tasks["two"].id,
        run_id: world.fresh(),
        seq: 2,
        kind: EntryKind::Turn,
        name: String::new(),
        effect: EffectClass::Read,
        request: json!({}),
        started_at: at(8),
        ..ended.clone()
    };
    write(Change::UpdateEntry(tampered)).await.unwrap();
    assert_eq!(store.get(first.id).await.unwrap(), ended);
}

/// Projects: all but since when.
pub async fn projects_are_kept_as_written(store: &dyn Store) {
    let world = World::store(store).await;
    let keep = |first: &fusion_core::Project, kept: &mut fusion_core::Project| {
        kept.created_at = first.created_at;
    };
    let bare = || bare_project(world.sample.ids.uuid());
    lives(store, world.odd_project(), bare(), keep).await;
    lives(store, bare(), world.odd_project(), keep).await;
}

/// Providers: all but since when; the sealed credentials byte for byte.
pub async fn providers_are_kept_as_written(store: &dyn Store) {
    let world = World::store(store).await;
    let keep = |first: &fusion_core::ProviderConfig, kept: &mut fusion_core::ProviderConfig| {
        kept.created_at = first.created_at;
    };
    let bare = || provider(world.sample.ids.uuid());
    lives(store, world.odd_provider(), bare(), keep).await;
    lives(store, bare(), world.odd_provider(), keep).await;
}

/// Samples of metrics: as they were taken, and never changed.
pub async fn metrics_are_kept_as_taken(store: &dyn Store) {
    let world = World::store(store).await;
    let sample = world.metrics();
    let bare = ResourceMetrics {
        cpu_percent: 0.0,
        memory_mb: -0.5,
        api_calls_count: 0,
        api_provider: None,
        api_tokens_used: 0,
        api_cost_usd: Cost::ZERO,
        ..world.metrics()
    };
    for sample in [&sample, &bare] {
        store.create(sample.clone()).await.unwrap();
        assert_eq!(&store.get(sample.id).await.unwrap(), sample);
    }
    let refused = store.update(bare.clone()).await.unwrap_err();
    assert!(matches!(refused, Error::Invalid { .. }), "{refused:?}");
    assert_eq!(store.get(bare.id).await.unwrap(), bare);
}

/// Runs: how far they have come; never what is run, nor what other changes count.
pub async fn runs_are_kept_as_written(store: &dyn Store) {
    let world = World::store(store).await;
    let other = world.workflow(WorkflowState::Ready);
    store.create(other.clone()).await.unwrap();
    let own = store.get(world.sample.run.workflow_id).await.unwrap();
    let keep = |first: &Run, kept: &mut Run| {
        *kept = Run {
            state: kept.state,
            outputs: kept.outputs.clone(),
            error_message: kept.error_message.clone(),
            halt: kept.halt.clone(),
            raised: kept.raised,
            started_at: kept.started_at,
            completed_at: kept.completed_at,
            version: kept.version,
            ..first.clone()
        };
    };
    let bare = |state| Run {
        workflow_name: String::new(),
        state,
        inputs: Map::new(),
        outputs: None,
        error_message: None,
        total_tasks: 0,
        is_standalone: false,
        open_tasks: 0,
        usage: Usage::default(),
        halt: None,
        continues: None,
        parent: None,
        called: [].into(),
        raised: fusion_core::Raise::default(),
        imported: Some(fusion_core::Imported {
            at: at(2),
            exported_at: at(1),
            machine: "elsewhere".to_owned(),
            program: "1.2.3".to_owned(),
            content: "c".repeat(64),
            file: "f".repeat(64),
        }),
        created_at: at(1),
        started_at: None,
        completed_at: None,
        ..world.run(&own)
    };
    lives(store, world.run(&other), bare(WorkflowState::Failed), keep).await;
    lives(store, bare(WorkflowState::Running), world.run(&other), keep).await;
}

/// Tasks: how far they have come; never what is asked, nor what other changes count.
pub async fn tasks_are_kept_as_written(store: &dyn Store) {
    let world = World::store(store).await;
    let keep = |first: &fusion_core::Task, kept: &mut fusion_core::Task| {
        *kept = fusion_core::Task {
            agent_id: kept.agent_id,
            priority: kept.priority,
            state: kept.state,
            started_at: kept.started_at,
            completed_at: kept.completed_at,
            input_artifacts: kept.input_artifacts.clone(),
            output_artifacts: kept.output_artifacts.clone(),
            error_message: kept.error_message.clone(),
            cancel_reason: kept.cancel_reason,
            attempts: kept.attempts,
            course: kept.course.clone(),
            version: kept.version,
            ..first.clone()
        };
    };
    lives(store, world.task(), world.bare_task(), keep).await;
    lives(store, world.bare_task(), world.task(), keep).await;
}

/// Workflows: all but the name and number of the version and since when.
pub async fn workflows_are_kept_as_written(store: &dyn Store) {
    let world = World::store(store).await;
    let keep = |first: &Workflow, kept: &mut Workflow| {
        kept.name.clone_from(&first.name);
        kept.created_at = first.created_at;
        kept.definition_version = first.definition_version;
    };
    let bare = || {
        let mut bare = world.workflow(WorkflowState::Draft);
        bare.description = String::new();
        bare.definition.steps = vec![step("s", agent_named("a"), &[], 0)];
        bare.source = String::new();
        bare.base_dir = String::new();
        bare.created_at = at(1);
        bare.project_id = None;
        bare.definition_version = i32::MAX.unsigned_abs();
        bare
    };
    let full = || world.workflow(WorkflowState::Draft);
    lives(store, full(), bare(), keep).await;
    lives(store, bare(), full(), keep).await;
}

/// Workspaces: all but whose they are, and since when.
pub async fn workspaces_are_kept_as_written(store: &dyn Store) {
    let world = World::store(store).await;
    let keep = |first: &Workspace, kept: &mut Workspace| {
        kept.agent_id = first.agent_id;
        kept.created_at = first.created_at;
    };
    let (one, two) = (world.agent(), world.bare_agent());
    for agent in [&one, &two] {
        store.create(agent.clone()).await.unwrap();
    }
    let bare = |agent| Workspace {
        projects_path: String::new(),
        logs_path: String::new(),
        initialized: false,
        initialization_error: None,
        agent_config: Value::Null,
        environment_variables: [].into(),
        process_uid: None,
        created_at: at(1),
        size_bytes: 0,
        file_count: 0,
        ..world.workspace(agent)
    };
    lives(store, world.workspace(&one), bare(&two), keep).await;
    lives(store, bare(&two), world.workspace(&one), keep).await;
}

/// No text of PostgreSQL or SQLite holds a zero character: it is shown as the replacement
/// character, and found under either. In JSON it is kept.
pub async fn a_zero_character_is_replaced_in_texts_and_kept_in_json(store: &dyn Store) {
    let world = World::store(store).await;
    let mut project = world.odd_project();
    "a\u{0}b".clone_into(&mut project.name);
    "\u{0}".clone_into(&mut project.description);
    store.create(project.clone()).await.unwrap();
    "a\u{fffd}b".clone_into(&mut project.name);
    "\u{fffd}".clone_into(&mut project.description);
    assert_eq!(store.get(project.id).await.unwrap(), project);
    for name in ["a\u{0}b", "a\u{fffd}b"] {
        let filter = crate::ProjectFilter {
            name: Some(name.to_owned()),
            archived: None,
        };
        let found = store.list(&filter, Page::first(10)).await.unwrap();
        assert_eq!(found, [project.clone()]);
    }
    let mut task = world.bare_task();
    "t\u{0}".clone_into(&mut task.name);
    task.error_message = Some("e\u{0}".to_owned());
    store.create(task.clone()).await.unwrap();
    let named = store
        .tasks_named(task.run_id, &["t\u{0}".to_owned()])
        .await
        .unwrap();
    "t\u{fffd}".clone_into(&mut task.name);
    task.error_message = Some("e\u{fffd}".to_owned());
    assert_eq!(named, [task.clone()]);
    assert_eq!(store.latest_workflow("\u{0}").await.unwrap(), None);
    task.error_message = Some("f\u{0}".to_owned());
    store.update(task.clone()).await.unwrap();
    let read = store.get(task.id).await.unwrap();
    assert_eq!(read.error_message.as_deref(), Some("f\u{fffd}"));
}
