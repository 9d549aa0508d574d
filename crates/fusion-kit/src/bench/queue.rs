//! Tasks that agents claim, begin and complete in the store, each in two commits; nobody works on them.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fusion_api_types::{Problem, ProblemKind};
use fusion_coordination::{NewRun, check_models};
use fusion_core::{
    Agent, AgentState, CapabilitySet, Clock as _, EventType, IdSource as _, Moment, NewEvent,
    NodeId, RunId,
};
use fusion_persistence::{
    AgentReader as _, Batch, Claim, Claimed, Fence, Lease, Store as _, WriteRepository as _,
};
use fusion_providers::Registry;
use serde_json::{Map, json};
use tokio::sync::Mutex;

use super::place::Place;
use super::{Done, Plan, WARM_UP, units, workflows};
use crate::problems;
use crate::system::{SystemClock, SystemIds};
use crate::wiring::{Engine, SCRIPTED};

/// Longer than it takes.
const LEASE: Duration = Duration::from_secs(600);

/// Steps of a workflow at most.
const OF_A_RUN: u64 = 10_000;

pub(super) async fn measure(place: &Place, plan: Plan) -> Result<Done, Problem> {
    if plan.number + WARM_UP > OF_A_RUN {
        let text = format!("W9 takes {} tasks at most", OF_A_RUN - WARM_UP);
        return Err(Problem::new(ProblemKind::InvalidInput, text));
    }
    let (engine, registry) = place.open().await?;
    let done = on(&engine, &registry, place, plan).await;
    engine.close().await;
    done
}

async fn on(
    engine: &Engine,
    registry: &Registry,
    place: &Place,
    plan: Plan,
) -> Result<Done, Problem> {
    let hands = Arc::new(Hands::new(engine, registry, place, plan).await?);
    let unit = move |_| {
        let hands = Arc::clone(&hands);
        async move { hands.one().await }
    };
    units::each(WARM_UP, plan.at_once, unit.clone()).await?;
    let counting = place.start(None).await?;
    units::each(plan.number, plan.at_once, unit).await?;
    Ok(Done {
        cost: counting.stop().await?,
        llm_calls: 0,
        steps: plan.number,
        bytes_per_agent: None,
    })
}

/// Agents that do tasks of one run.
struct Hands {
    engine: fusion_persistence::Patient<fusion_persistence_sql::SqlStore>,
    run: RunId,
    agents: Vec<Mutex<Agent>>,
    next: AtomicUsize,
    set: String,
    ids: SystemIds,
    owner: NodeId,
}

impl Hands {
    async fn new(
        engine: &Engine,
        registry: &Registry,
        place: &Place,
        plan: Plan,
    ) -> Result<Self, Problem> {
        let source = text(plan);
        let definition = fusion_workflow_file::parse(&source);
        let definition = definition.map_err(|_| broken("the workflow is wrong"))?;
        let (inputs, base) = (Map::new(), &place.file.base_dir);
        let models = check_models(registry, &definition, &inputs, base).await;
        let new = NewRun {
            definition,
            source,
            base_dir: base.display().to_string(),
            inputs,
            models: models.map_err(|error| problems::of_engine(&error))?,
            limit: fusion_core::Budget::default(),
        };
        let run = engine.coordinator().create_run(new).await;
        let run = run.map_err(|error| problems::of_engine(&error))?;
        let store = engine.store().clone();
        let mut agents = Vec::new();
        for (mut agent, _) in store
            .agents_of_run(run)
            .await
            .map_err(|error| problems::of_store(&error))?
        {
            agent.state = AgentState::Idle;
            store
                .update(agent.clone())
                .await
                .map_err(|error| problems::of_store(&error))?;
            agent.version += 1;
            agents.push(Mutex::new(agent));
        }
        let ids = SystemIds::new();
        let set: CapabilitySet = ["work".to_owned()].into_iter().collect();
        Ok(Self {
            engine: store,
            run,
            agents,
            next: AtomicUsize::new(0),
            set: set.key(),
            owner: NodeId::from_uuid(ids.uuid()),
            ids,
        })
    }

    /// An agent claims a task, begins it and completes it.
    async fn one(&self) -> Result<(), Problem> {
        let place = self.next.fetch_add(1, Ordering::Relaxed) % self.agents.len().max(1);
        let agent = self
            .agents
            .get(place)
            .ok_or_else(|| broken("nobody is there"))?;
        let agent = agent.lock().await;
        let claim = self.claim(&agent);
        let claimed = self
            .engine
            .claim_task(claim)
            .await
            .map_err(|error| problems::of_store(&error))?;
        let Claimed { task, agent: now } = claimed.ok_or_else(|| broken("no task was left"))?;
        let fence = Fence {
            task: task.id,
            number: task.fence,
        };
        let refused = |error: fusion_core::IllegalTransition| broken(&error.to_string());
        let (task, now, mut decision) =
            task.begin(now, json!({}), self.moment()).map_err(refused)?;
        let outcome = json!({ "outputs": { "text": "done" } });
        decision.merge(
            task.complete(now, outcome, self.moment())
                .map_err(refused)?,
        );
        let batch = Batch::fenced(fence, decision);
        self.engine
            .commit(batch)
            .await
            .map(drop)
            .map_err(|error| problems::of_store(&error))
    }

    fn claim(&self, agent: &Agent) -> Claim {
        let told = "assigned".to_owned();
        let event = NewEvent::of_run(self.moment(), EventType::TaskAssigned, self.run, told);
        Claim {
            agent: agent.id,
            run: self.run,
            capability_sets: vec![self.set.clone()],
            lease: Lease {
                owner: self.owner,
                duration: LEASE,
            },
            driver: None,
            event: event.by(Some(agent.id)),
        }
    }

    fn moment(&self) -> Moment<'_> {
        Moment {
            now: SystemClock.now(),
            ids: &self.ids,
        }
    }
}

/// A workflow of as many tasks as are done, and an agent for each that works at once.
fn text(plan: Plan) -> String {
    let mut text = "version: 1\nname: queue\nagents:\n".to_owned();
    let script = workflows::SCRIPT;
    for number in 0..plan.at_once.min(1_000) {
        // Writing to a text does not fail.
        writeln!(
            text,
            "  hand{number}: {{ provider: {SCRIPTED}, model: {script}, capabilities: work }}"
        )
        .ok();
    }
    text.push_str("steps:\n");
    for number in 1..=plan.number + WARM_UP {
        writeln!(
            text,
            "  - {{ id: s{number}, capabilities: work, prompt: Do it. }}"
        )
        .ok();
    }
    text
}

fn broken(why: &str) -> Problem {
    Problem::new(
        ProblemKind::Internal,
        format!("the queue could not be measured: {why}"),
    )
}
