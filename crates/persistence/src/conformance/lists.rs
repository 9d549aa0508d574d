//! Rules of lists: what a filter selects, and pages that are walked while others write.

use std::collections::BTreeSet;
use std::convert::Infallible;

use fusion_core::{
    Agent, AgentState, ApprovalState, Capability, Change, Decision, EffectClass, EntryKind,
    EntryState, IdSource, JournalEntry, TaskState, Usage, WorkflowState,
};
use futures::future::join_all;
use serde_json::json;

use super::sample::at;
use super::world::{Numbered, World, bare_project, provider};
use crate::{
    AgentFilter, ApprovalFilter, Batch, CapabilityFilter, Entity, Find, JournalFilter,
    MetricsFilter, Page, ProjectFilter, ProviderFilter, Repository, RunFilter, Selects, Store,
    TaskFilter, TokenFilter, WorkflowFilter, WorkspaceFilter, WriteRepository,
};

/// A filter selects these rows, given from the oldest to the newest: in a list and in a count.
pub(super) async fn selects<S, F>(store: &S, filter: F, wanted: &[&F::Entity])
where
    S: Store + Find<F::Entity> + ?Sized,
    F: Selects,
    F::Entity: PartialEq,
{
    let found = store.list(&filter, Page::first(1_000)).await.unwrap();
    let wanted: Vec<_> = wanted.iter().rev().copied().collect();
    assert_eq!(found.iter().collect::<Vec<_>>(), wanted, "{filter:?}");
    for _ in 0..2 {
        let seen = store.page_seen(&filter, Page::first(1_000)).await.unwrap();
        let seen: Vec<&F::Entity> = seen.iter().map(|row| &***row).collect();
        assert_eq!(seen, wanted, "{filter:?}");
    }
    let count = store.count(&filter).await.unwrap();
    assert_eq!(count, wanted.len() as u64, "{filter:?}");
}

pub(super) async fn create_all<T: Numbered>(store: &dyn Store, rows: &[&T]) {
    for row in rows {
        store.create((*row).clone()).await.unwrap();
    }
}

/// Agents: by state, project, run and provider.
pub async fn agents_are_selected_by_their_filter(store: &dyn Store) {
    let world = World::store(store).await;
    let (run, project) = (world.sample.run.id, world.project.id);
    let one = world.agent();
    let mut two = world.agent();
    two.state = AgentState::Paused;
    let mut three = world.bare_agent();
    three.project_id = Some(project);
    create_all(store, &[&one, &two, &three]).await;
    let all = AgentFilter::default;
    let of_project = only!(AgentFilter, project: Some(project));
    let (a, b) = (&world.sample.agents["a"], &world.sample.agents["b"]);
    selects(store, all(), &[a, b, &one, &two, &three]).await;
    selects(
        store,
        only!(AgentFilter, run: Some(run)),
        &[a, b, &one, &two],
    )
    .await;
    let provider = Some(world.provider.id);
    selects(store, only!(AgentFilter, provider), &[&one, &two]).await;
    selects(store, of_project.clone(), &[&one, &two, &three]).await;
    let paused = vec![AgentState::Paused, AgentState::Error];
    let paused = only!(AgentFilter, states: paused);
    selects(store, paused.clone(), &[&two]).await;
    let states = vec![AgentState::Idle];
    selects(
        store,
        AgentFilter {
            states,
            ..of_project.clone()
        },
        &[&one, &three],
    )
    .await;
    selects(
        store,
        AgentFilter {
            run: Some(run),
            ..of_project
        },
        &[&one, &two],
    )
    .await;
    selects(
        store,
        AgentFilter {
            run: Some(world.fresh()),
            ..paused
        },
        &[],
    )
    .await;
}

/// Tasks: by state, agent, workflow and run.
pub async fn tasks_are_selected_by_their_filter(store: &dyn Store) {
    let world = World::store(store).await;
    let sample = &world.sample;
    let (one, two) = (&sample.tasks["one"], &sample.tasks["two"]);
    let (three, four) = (world.task(), world.bare_task());
    create_all(store, &[&three, &four]).await;
    let all = TaskFilter::default;
    selects(store, all(), &[one, two, &three, &four]).await;
    let agent = Some(sample.agents["a"].id);
    selects(store, only!(TaskFilter, agent), &[one, &three]).await;
    let workflow = Some(sample.run.workflow_id);
    selects(store, only!(TaskFilter, workflow), &[one, two, &three]).await;
    let run = Some(sample.run.id);
    selects(store, only!(TaskFilter, run), &[one, two, &three, &four]).await;
    let run = Some(world.fresh());
    selects(store, only!(TaskFilter, run), &[]).await;
    let states = vec![TaskState::Cancelled, TaskState::Failed];
    let ended = only!(TaskFilter, states);
    selects(store, ended.clone(), &[&three, &four]).await;
    selects(
        store,
        TaskFilter {
            workflow,
            ..ended.clone()
        },
        &[&three],
    )
    .await;
    selects(store, only!(TaskFilter, agent, workflow), &[one, &three]).await;
}

/// Workflows by state, project and name, and runs by state and workflow.
pub async fn workflows_and_runs_are_selected_by_their_filters(store: &dyn Store) {
    let world = World::store(store).await;
    let own = store.get(world.sample.run.workflow_id).await.unwrap();
    let one = world.workflow(WorkflowState::Draft);
    let mut two = world.workflow(WorkflowState::Ready);
    two.name.clone_from(&one.name);
    two.definition_version = 2;
    create_all(store, &[&one, &two]).await;
    let all = WorkflowFilter::default;
    selects(store, all(), &[&own, &one, &two]).await;
    let ready = only!(WorkflowFilter, states: vec![WorkflowState::Ready]);
    selects(store, ready.clone(), &[&own, &two]).await;
    let project = Some(world.project.id);
    selects(store, only!(WorkflowFilter, project), &[&one, &two]).await;
    let name = Some(one.name.clone());
    selects(
        store,
        only!(WorkflowFilter, name: name.clone()),
        &[&one, &two],
    )
    .await;
    selects(store, WorkflowFilter { name, ..ready }, &[&two]).await;
    let name = Some(one.name.to_uppercase());
    selects(store, only!(WorkflowFilter, name, project), &[]).await;

    let (first, mut second) = (&world.sample.run, world.run(&one));
    second.state = WorkflowState::Cancelled;
    "named".clone_into(&mut second.workflow_name);
    let third = world.run(&one);
    create_all(store, &[&second, &third]).await;
    let all = RunFilter::default;
    selects(store, all(), &[first, &second, &third]).await;
    selects(store, RunFilter::unfinished(), &[first]).await;
    let workflow = Some(one.id);
    selects(store, only!(RunFilter, workflow), &[&second, &third]).await;
    let states = vec![WorkflowState::Cancelled, WorkflowState::Running];
    selects(
        store,
        RunFilter {
            states: states.clone(),
            ..RunFilter::default()
        },
        &[first, &second],
    )
    .await;
    let workflow_name = Some("named".to_owned());
    selects(store, only!(RunFilter, workflow_name), &[&second]).await;
    let parent = Some(Some(first.id));
    selects(store, only!(RunFilter, parent), &[&second, &third]).await;
    let parent = Some(Some(second.id));
    selects(store, only!(RunFilter, parent), &[]).await;
    let parent = Some(None);
    selects(store, only!(RunFilter, parent), &[first]).await;
    let both = RunFilter {
        states,
        workflow,
        ..RunFilter::default()
    };
    selects(store, both, &[&second]).await;
}

/// Approvals: by state, task and run.
pub async fn approvals_are_selected_by_their_filter(store: &dyn Store) {
    let world = World::store(store).await;
    let (one, mut two) = (world.approval(), world.approval());
    two.state = ApprovalState::Pending;
    two.task_id = world.sample.tasks["two"].id;
    let mut three = world.approval();
    three.run_id = None;
    create_all(store, &[&one, &two, &three]).await;
    let all = ApprovalFilter::default;
    selects(store, all(), &[&one, &two, &three]).await;
    let states = vec![ApprovalState::Approved];
    selects(
        store,
        only!(ApprovalFilter, states: states.clone()),
        &[&one, &three],
    )
    .await;
    let (run, task) = (Some(world.sample.run.id), Some(one.task_id));
    selects(store, only!(ApprovalFilter, run), &[&one, &two]).await;
    selects(store, only!(ApprovalFilter, task), &[&one, &three]).await;
    selects(
        store,
        ApprovalFilter {
            states,
            run,
            task: None,
        },
        &[&one],
    )
    .await;
}

/// Journal entries: by task, run, kind and state.
pub async fn journal_entries_are_selected_by_their_filter(store: &dyn Store) {
    let world = World::store(store).await;
    let entry = |task: &str, kind, state, seq| JournalEntry {
        id: world.fresh(),
        task_id: world.sample.tasks[task].id,
        run_id: world.sample.run.id,
        seq,
        kind,
        name: "n".to_owned(),
        effect: EffectClass::Read,
        state,
        request: json!({}),
        outcome: None,
        usage: Usage::default(),
        attempts: 1,
        started_at: at(1),
        finished_at: None,
    };
    let one = entry("one", EntryKind::Turn, EntryState::Started, 1);
    let two = entry("one", EntryKind::Tool, EntryState::Finished, 2);
    let three = entry("two", EntryKind::Tool, EntryState::Started, 1);
    for entry in [&one, &two, &three] {
        let decision = Decision::default().with(Change::BeginEntry(entry.clone()));
        store.commit(Batch::free(decision)).await.unwrap();
    }
    let all = JournalFilter::default;
    selects(store, all(), &[&one, &two, &three]).await;
    let (run, task) = (Some(one.run_id), Some(one.task_id));
    selects(store, only!(JournalFilter, run), &[&one, &two, &three]).await;
    selects(store, only!(JournalFilter, task), &[&one, &two]).await;
    let (kinds, states) = (vec![EntryKind::Tool], vec![EntryState::Started]);
    selects(
        store,
        only!(JournalFilter, kinds: kinds.clone()),
        &[&two, &three],
    )
    .await;
    selects(
        store,
        only!(JournalFilter, states: states.clone()),
        &[&one, &three],
    )
    .await;
    selects(store, only!(JournalFilter, kinds, states), &[&three]).await;
}

/// Projects, providers, capabilities and tokens: by name and by what groups them.
pub async fn named_rows_are_selected_by_their_filters(store: &dyn Store) {
    let world = World::store(store).await;
    let fresh = || world.sample.ids.uuid();
    let (own, mut other) = (&world.project, bare_project(fresh()));
    other.archived_at = Some(at(3));
    create_all(store, &[&other]).await;
    selects(store, ProjectFilter::default(), &[own, &other]).await;
    let name = Some(other.name.clone());
    selects(store, only!(ProjectFilter, name), &[&other]).await;
    for (archived, one) in [(false, own), (true, &other)] {
        let archived = Some(archived);
        selects(store, only!(ProjectFilter, archived), &[one]).await;
    }

    let (own, odd, mut off) = (&world.provider, world.odd_provider(), provider(fresh()));
    off.enabled = false;
    create_all(store, &[&odd, &off]).await;
    let all = ProviderFilter::default;
    selects(store, all(), &[own, &odd, &off]).await;
    let enabled = Some(false);
    selects(store, only!(ProviderFilter, enabled), &[&odd, &off]).await;
    let provider_type = Some("scripted".to_owned());
    let scripted = only!(ProviderFilter, provider_type);
    selects(store, scripted.clone(), &[own, &off]).await;
    selects(
        store,
        ProviderFilter {
            enabled,
            ..scripted
        },
        &[&off],
    )
    .await;
    let name = Some(odd.name.clone());
    selects(store, only!(ProviderFilter, name), &[&odd]).await;

    let (one, mut two) = (world.capability(), world.capability());
    "c".clone_into(&mut two.category);
    create_all(store, &[&one, &two]).await;
    let all = CapabilityFilter::default;
    selects(store, all(), &[&one, &two]).await;
    let category = Some("c".to_owned());
    selects(
        store,
        only!(CapabilityFilter, category: category.clone()),
        &[&two],
    )
    .await;
    let name = Some(one.name.clone());
    selects(store, only!(CapabilityFilter, name: name.clone()), &[&one]).await;
    selects(store, CapabilityFilter { name, category }, &[]).await;

    let (one, two) = (world.token(), world.token());
    create_all(store, &[&one, &two]).await;
    let all = TokenFilter::default;
    let (hash, name) = (Some(one.hash.clone()), Some(two.name.clone()));
    selects(store, all(), &[&one, &two]).await;
    selects(store, only!(TokenFilter, hash: hash.clone()), &[&one]).await;
    selects(store, only!(TokenFilter, name: name.clone()), &[&two]).await;
    selects(store, TokenFilter { hash, name }, &[]).await;
}

/// Metrics by agent and time, the end of which is not in it, and workspaces by agent.
pub async fn metrics_and_workspaces_are_selected_by_their_filters(store: &dyn Store) {
    let world = World::store(store).await;
    let (mut one, mut two, mut three) = (world.metrics(), world.metrics(), world.metrics());
    one.timestamp = at(10);
    two.timestamp = at(20);
    three.timestamp = at(30);
    three.agent_id = world.sample.agents["b"].id;
    for sample in [&one, &two, &three] {
        store.create(sample.clone()).await.unwrap();
    }
    let all = MetricsFilter::default;
    selects(store, all(), &[&one, &two, &three]).await;
    let agent = Some(one.agent_id);
    selects(store, only!(MetricsFilter, agent), &[&one, &two]).await;
    let (since, until) = (Some(at(20)), Some(at(30)));
    selects(store, only!(MetricsFilter, since), &[&two, &three]).await;
    selects(store, only!(MetricsFilter, until), &[&one, &two]).await;
    selects(
        store,
        MetricsFilter {
            agent,
            since,
            until,
        },
        &[&two],
    )
    .await;

    let owner = world.agent();
    store.create(owner.clone()).await.unwrap();
    let workspace = world.workspace(&owner);
    create_all(store, &[&workspace]).await;
    let agent = Some(owner.id);
    selects(store, WorkspaceFilter { agent }, &[&workspace]).await;
    assert_eq!(store.count(&WorkspaceFilter::default()).await.unwrap(), 3);
}

/// Rows that come and go while a list is walked move nothing: each row that was there at the start,
/// and still is, is seen exactly once.
pub async fn a_list_is_walked_without_gaps_while_others_write(store: &dyn Store) {
    let world = World::store(store).await;
    let mut ids: Vec<u128> = (0..60).map(|number| 1_000 + number * 10).collect();
    let capability = |id: u128| Capability {
        id: uuid::Uuid::from_u128(id).into(),
        ..world.capability()
    };
    // Stored in another order than that of their ids.
    ids.sort_by_key(|id| id % 70);
    for some in ids.chunks(20) {
        let created = some.iter().map(|id| store.create(capability(*id)));
        join_all(created)
            .await
            .into_iter()
            .for_each(|answer| answer.unwrap());
    }
    let mut page = Page::first(7);
    let mut seen = vec![];
    let mut strangers = 0;
    loop {
        let rows = store
            .list(&CapabilityFilter::default(), page)
            .await
            .unwrap();
        let Some(last) = rows.last() else { break };
        page.after = Some(last.id);
        let last = last.id.uuid().as_u128();
        seen.extend(rows.iter().map(|row| row.id.uuid().as_u128()));
        strangers += 1;
        // One newer than all, one before and one after the place of the reader.
        store
            .create(capability(10_000 + strangers * 10 + 1))
            .await
            .unwrap();
        if last.is_multiple_of(10) {
            store.create(capability(last + 1)).await.unwrap();
            store.create(capability(last - 1)).await.unwrap();
        }
    }
    let mut falling = seen.clone();
    falling.sort_unstable_by(|a, b| b.cmp(a));
    assert_eq!(seen, falling, "newest first");
    let seen: BTreeSet<u128> = seen
        .iter()
        .copied()
        .filter(|id| id.is_multiple_of(10))
        .collect();
    assert_eq!(seen, ids.into_iter().collect());
}

/// A page has at most as many rows as were asked for, and none when none were.
pub async fn a_page_has_its_size_at_most(store: &dyn Store) {
    let world = World::store(store).await;
    let rows = [world.capability(), world.capability(), world.capability()];
    create_all(store, &[&rows[0], &rows[1], &rows[2]]).await;
    let all = CapabilityFilter::default();
    let list = |limit, after| store.list(&all, Page { after, limit });
    assert_eq!(list(0, None).await.unwrap(), []);
    assert_eq!(list(1, None).await.unwrap(), [rows[2].clone()]);
    assert_eq!(
        list(2, Some(rows[2].id)).await.unwrap(),
        [rows[1].clone(), rows[0].clone()]
    );
    assert_eq!(
        list(u32::MAX, Some(rows[1].id)).await.unwrap(),
        [rows[0].clone()]
    );
    assert_eq!(list(2, Some(rows[0].id)).await.unwrap(), []);
    assert_eq!(<Capability as Entity>::NAME, "capability");
}

/// What is shown of a row is what is stored, also when it changed without its version.
pub async fn what_lists_show_is_what_is_stored_now(store: &dyn Store) {
    let world = World::store(store).await;
    let id = world.sample.agents["a"].id;
    let shown = async || {
        let rows = Find::<Agent>::page_seen(store, &AgentFilter::default(), Page::first(9)).await;
        let rows = rows.unwrap();
        let row = rows.iter().find(|row| row.id == id).unwrap();
        let text = row.shown(|row| Ok::<_, Infallible>(format!("{row:?}").into()));
        let stored: Agent = store.get(id).await.unwrap();
        assert_eq!(text.unwrap(), format!("{stored:?}"));
        stored
    };
    let before = shown().await;
    let noted = Change::Progress {
        agents: vec![id],
        at: at(500),
    };
    let noted = Batch::free(Decision::default().with(noted));
    store.commit(noted).await.unwrap();
    let mut after = shown().await;
    assert_eq!(
        (after.version, after.last_heartbeat),
        (before.version, Some(at(500)))
    );
    after.transition(AgentState::Paused, at(501)).unwrap();
    store.update(after).await.unwrap();
    assert_eq!(shown().await.state, AgentState::Paused);
}
