//! Runs that steps of other runs wait for: what is said of one reaches the other also when whoever said it
//! died in between.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use fusion_coordination::{Ask, CallFault, Driven, Error, NewDefinition};
use fusion_core::{
    Agent, Decision, IllegalTransition, Moment, PauseAt, Run, RunId, Task, TaskState, WorkflowState,
};
use fusion_persistence::{AgentReader, Batch, Page, Repository, RunFilter, Store};
use fusion_providers::{
    Catalog, DeltaSink, ModelInfo, ModelRequest, Provider, QuotaInfo, Result, Turn, TurnRequest,
};

use crate::gate::Gate;
use crate::standing::{hosted, run_ended, until};
use crate::world::{Ids, World};

const INNER: &str = "
version: 1
name: inner
agents: { a: { provider: gate, model: m } }
steps: [{ id: work, agent: a, prompt: x }]
outputs: { text: '${{ steps.work.outputs.text }}' }
";

const OUTER: &str = "
version: 1
name: outer
steps: [{ id: call, workflow: inner }]
outputs: { text: '${{ steps.call.outputs.text }}' }
";

async fn world(gate: &Gate) -> World {
    let world = World::new().await;
    world.register("gate", gate.clone());
    store(&world, INNER).await;
    world
}

async fn store(world: &World, text: &str) {
    let new = NewDefinition {
        definition: fusion_workflow_file::parse(text).unwrap(),
        source: text.to_owned(),
        base_dir: world.folder().display().to_string(),
        project_id: None,
        after: None,
    };
    let stored = world.engine().store_workflow(new, |_| Ask::default());
    stored.await.unwrap();
}

/// The runs below a run, the newest first.
async fn below(world: &World, run: RunId) -> Vec<Run> {
    let filter = RunFilter {
        parent: Some(Some(run)),
        ..RunFilter::default()
    };
    world.store.list(&filter, Page::first(10)).await.unwrap()
}

async fn only_below(world: &World, run: RunId) -> Run {
    let [only] = below(world, run).await.try_into().unwrap();
    only
}

type Said = std::result::Result<(Run, Decision), IllegalTransition>;

/// Commits what is said of one run and tells nobody: a process that died before it told those below.
async fn say_only(world: &World, run: RunId, say: impl Fn(Run, Moment<'_>) -> Said) {
    let row = world.run(run).await;
    let ids = Ids::from((1 << 40) + (row.version << 20));
    let moment = Moment {
        now: row.created_at,
        ids: &ids,
    };
    let (_, decision) = say(row, moment).unwrap();
    world.store.commit(Batch::free(decision)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_that_was_said_above_only_holds_the_run_below_until_the_one_above_goes_on() {
    let gate = Gate::shut();
    let world = world(&gate).await;
    let run = world.create(OUTER).await;
    let saying = async {
        until(|| async { gate.begun() == 1 }).await;
        say_only(&world, run, |run, moment| {
            run.pause(PauseAt::Now, "ada", moment)
        })
        .await;
    };
    let (driven, ()) = tokio::join!(world.drive(run), saying);
    assert_eq!(driven.unwrap(), Driven::Paused);
    let halt = only_below(&world, run).await.halt.unwrap();
    assert_eq!((halt.by.as_str(), halt.is_from_above), ("ada", true));
    say_only(&world, run, |run, moment| run.release("bob", moment)).await;
    gate.open.add_permits(9);
    let driven = world.drive(run).await.unwrap();
    assert_eq!(driven, Driven::Ended(WorkflowState::Completed));
    assert_eq!(only_below(&world, run).await.halt, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_that_was_said_above_only_ends_the_run_below_too() {
    let gate = Gate::shut();
    let world = world(&gate).await;
    let run = world.create(OUTER).await;
    let saying = async {
        until(|| async { gate.begun() == 1 }).await;
        say_only(&world, run, |run, moment| run.order_cancel("ada", moment)).await;
    };
    let (driven, ()) = tokio::join!(world.drive(run), saying);
    assert_eq!(driven.unwrap(), Driven::Ended(WorkflowState::Cancelled));
    let ended = only_below(&world, run).await;
    assert_eq!(
        (ended.state, ended.error_message.as_deref()),
        (WorkflowState::Cancelled, Some("cancelled by ada"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_whose_step_has_ended_ends_at_the_next_start() {
    let gate = Gate::shut();
    let world = world(&gate).await;
    let run = world.create(OUTER).await;
    let stop = tokio_util::sync::CancellationToken::new();
    let stopping = async {
        until(|| async { gate.begun() == 1 }).await;
        stop.cancel();
    };
    let (driven, ()) = tokio::join!(world.drive_until(run, &stop), stopping);
    assert_eq!(driven.unwrap(), Driven::Interrupted);
    say_only(&world, run, |run, moment| run.order_cancel("ada", moment)).await;
    // The process that ended the run above died before it ended what is below.
    let (row, tasks) = (world.run(run).await, world.tasks(run).await);
    let agents = world.store.agents_of_run(run).await.unwrap();
    let agents: Vec<Agent> = agents.into_iter().map(|(agent, _)| agent).collect();
    let ids = Ids::from(1 << 42);
    let moment = Moment {
        now: row.created_at,
        ids: &ids,
    };
    let end = row.cancel(&tasks, agents, moment).unwrap();
    world.store.commit(Batch::free(end)).await.unwrap();
    assert!(!only_below(&world, run).await.state.is_final());
    assert_eq!(world.engine().end_all_cancelled().await.unwrap(), 1);
    let ended = only_below(&world, run).await;
    assert_eq!(ended.state, WorkflowState::Cancelled);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_drives_all_levels_and_hears_what_is_said_of_the_outermost() {
    let gate = Gate::shut();
    let world = world(&gate).await;
    store(&world, OUTER).await;
    let outermost = "
version: 1
name: outermost
steps: [{ id: call, workflow: outer }]
outputs: { text: '${{ steps.call.outputs.text }}' }
";
    let run = world.create(outermost).await;
    let ended = hosted(
        &world,
        Box::pin(async {
            until(|| async { gate.begun() == 1 }).await;
            let engine = world.engine();
            engine.pause_run(run, PauseAt::Now, "ada").await.unwrap();
            let middle = only_below(&world, run).await;
            let inner = only_below(&world, middle.id).await;
            assert!(middle.is_paused() && inner.is_paused());
            let raised = fusion_coordination::Raised::default();
            engine.release_run(run, raised, false, "ada").await.unwrap();
            gate.open.add_permits(9);
            run_ended(&world, run).await
        }),
    )
    .await;
    assert_eq!(ended.state, WorkflowState::Completed);
    let text = ended.outputs.unwrap()["text"].clone();
    assert_eq!(text, "turn 1");
}

/// As when a workflow was stored again without an output that others take: what was stored before is not
/// looked at again then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_not_made_when_a_workflow_at_any_depth_lacks_an_output_that_is_taken() {
    let world = world(&Gate::open()).await;
    store(&world, OUTER).await;
    let outermost = "
version: 1
name: outermost
steps: [{ id: call, workflow: outer }]
outputs: { text: '${{ steps.call.outputs.text }}', more: '${{ steps.call.outputs.more }}' }
";
    store(&world, outermost).await;
    store(&world, &INNER.replace("{ text:", "{ answer:")).await;
    let refused = world.try_create(outermost).await.unwrap_err();
    let Error::Calls { faults } = refused else {
        panic!("{refused:?}");
    };
    let told: Vec<String> = faults.iter().map(CallFault::to_string).collect();
    assert_eq!(
        told,
        [
            "the workflow 'outer', line 5, column 42: step 'call' has no output 'text': \
             the outputs are: answer",
            "the workflow 'outermost', line 5, column 82: step 'call' has no output 'more': \
             the outputs are: text",
        ]
    );
    let all = RunFilter::default();
    let runs: Vec<Run> = world.store.list(&all, Page::first(10)).await.unwrap();
    assert_eq!(runs, []);
}

/// Answers what fits no schema at its second and third call.
#[derive(Debug, Clone)]
struct Moody {
    calls: Arc<AtomicU64>,
    gate: Gate,
}

#[async_trait]
impl Provider for Moody {
    async fn spawn_agent(&self, request: &ModelRequest<'_>) -> Result<ModelInfo> {
        self.gate.spawn_agent(request).await
    }

    async fn send_message(&self, request: &TurnRequest<'_>, sink: &dyn DeltaSink) -> Result<Turn> {
        let text = match self.calls.fetch_add(1, Ordering::SeqCst) {
            1 | 2 => "no",
            _ => "{ \"ok\": true }",
        };
        let turn = self.gate.send_message(request, sink).await?;
        Ok(Turn {
            text: text.to_owned(),
            ..turn
        })
    }

    async fn get_quota_info(&self) -> Result<QuotaInfo> {
        self.gate.get_quota_info().await
    }

    async fn list_models(&self) -> Result<Option<Catalog>> {
        self.gate.list_models().await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_attempt_of_a_step_goes_on_from_the_run_that_failed() {
    let inner = "
version: 1
name: inner
agents: { a: { provider: moody, model: m } }
steps:
  - { id: one, agent: a, prompt: x }
  - { id: two, agent: a, needs: one, prompt: x, outputs: { ok: { type: boolean } } }
outputs: { ok: '${{ steps.two.outputs.ok }}' }
";
    let outer = "
version: 1
name: outer
steps: [{ id: call, workflow: inner, retry: { max_attempts: 2, delay: 1s } }]
outputs: { ok: '${{ steps.call.outputs.ok }}' }
";
    let moody = Moody {
        calls: Arc::default(),
        gate: Gate::open(),
    };
    let world = World::new().await;
    world.register("moody", moody.clone());
    store(&world, inner).await;
    let run = world.create(outer).await;
    let driven = world.drive(run).await.unwrap();
    assert_eq!(driven, Driven::Ended(WorkflowState::Completed));
    let ends: Vec<_> = below(&world, run)
        .await
        .into_iter()
        .map(|run| (run.state, run.continues))
        .collect();
    let failed = below(&world, run).await[1].id;
    assert_eq!(
        ends,
        [
            (WorkflowState::Completed, Some(failed)),
            (WorkflowState::Failed, None)
        ]
    );
    // One call for the first step, two that did not fit, one that did.
    assert_eq!(moody.calls.load(Ordering::SeqCst), 4);
    let [task]: [Task; 1] = world.tasks(run).await.try_into().unwrap();
    assert_eq!((task.state, task.attempts), (TaskState::Completed, 2));
}
