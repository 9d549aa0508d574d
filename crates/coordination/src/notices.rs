//! Writes what the layers around providers tell into the event log.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use fusion_core::{AgentId, Decision, EventId, EventType, Moment, NewEvent, RunId, Severity};
use fusion_persistence::{Batch, Repository};
use fusion_providers::{Notice, Observer};
use serde_json::{Value, json};

use crate::{Coordinator, Result};

/// Notices that may wait for the store. More are dropped and counted: they tell of trouble, and
/// must not add to it.
const WAITING: usize = 1_024;

/// Hears the layers around providers and keeps what they tell until the engine writes it into the
/// event log: with each heartbeat, and when it is done with a run. Hearing never waits.
#[derive(Debug, Default)]
pub struct Notices(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    notices: VecDeque<Notice>,
    dropped: u64,
}

impl Observer for Notices {
    fn notice(&self, notice: Notice) {
        // A poisoned lock still holds whole notices.
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.notices.len() < WAITING {
            waiting.notices.push_back(notice);
        } else {
            waiting.dropped = waiting.dropped.saturating_add(1);
        }
    }
}

impl Notices {
    fn take(&self) -> Waiting {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Coordinator {
    /// Writes what was heard into the event log. That it can't be written fails nothing.
    pub(crate) async fn write_notices(&self) {
        let waiting = self.parts.notices.take();
        let (count, dropped) = (waiting.notices.len(), waiting.dropped);
        let written = self.write(waiting.notices).await;
        if written.is_err() || dropped > 0 {
            tracing::warn!(count, dropped, ?written, "notices of providers were lost");
        }
    }

    async fn write(&self, notices: VecDeque<Notice>) -> Result<()> {
        if notices.is_empty() {
            return Ok(());
        }
        let mut runs = BTreeMap::new();
        let mut decision = Decision::default();
        for notice in notices {
            let agent = agent_of(&notice).and_then(|id| id.parse::<AgentId>().ok());
            let run = match agent {
                Some(agent) => self.run_of(agent, &mut runs).await?,
                None => None,
            };
            decision
                .events
                .push(event(&notice, self.moment(), agent, run));
        }
        self.commit(Batch::free(decision)).await
    }

    async fn run_of(
        &self,
        agent: AgentId,
        known: &mut BTreeMap<AgentId, Option<RunId>>,
    ) -> Result<Option<RunId>> {
        if let Some(run) = known.get(&agent) {
            return Ok(*run);
        }
        let run = self.parts.store.get(agent).await?.run_id;
        known.insert(agent, run);
        Ok(run)
    }
}

fn agent_of(notice: &Notice) -> Option<&str> {
    match notice {
        Notice::Retry { agent, .. } => agent.as_deref(),
        Notice::OverBudget { agent, .. } => Some(agent),
        Notice::CircuitOpened { .. }
        | Notice::CircuitClosed { .. }
        | Notice::QuotaWarning { .. }
        | Notice::QuotaClosed { .. } => None,
    }
}

fn event(
    notice: &Notice,
    moment: Moment<'_>,
    agent: Option<AgentId>,
    run_id: Option<RunId>,
) -> NewEvent {
    let (event_type, severity) = kind(notice);
    NewEvent {
        id: EventId::from_uuid(moment.ids.uuid()),
        timestamp: moment.now,
        event_type,
        severity,
        source_agent_id: agent,
        source_component: "providers".to_owned(),
        run_id,
        data: data(notice),
        message: message(notice),
        message_queue_topic: run_id.map(|run| format!("workflow.{run}.events")),
    }
}

const fn kind(notice: &Notice) -> (EventType, Severity) {
    match notice {
        Notice::Retry { .. } => (EventType::ProviderRetry, Severity::Warning),
        Notice::CircuitOpened { .. } => (EventType::ProviderCircuitOpened, Severity::Error),
        Notice::CircuitClosed { .. } => (EventType::ProviderCircuitClosed, Severity::Info),
        Notice::QuotaWarning { .. } | Notice::QuotaClosed { .. } => {
            (EventType::ProviderQuotaWarning, Severity::Warning)
        }
        Notice::OverBudget { .. } => (EventType::BudgetExceeded, Severity::Error),
    }
}

fn message(notice: &Notice) -> String {
    match notice {
        Notice::Retry {
            provider, failure, ..
        } => format!("a call of {provider} failed ({failure}) and is tried again"),
        Notice::CircuitOpened {
            provider,
            model,
            failures,
            ..
        } => format!("{model} of {provider} failed {failures} times in a row and is left alone"),
        Notice::CircuitClosed { provider, model } => {
            format!("{model} of {provider} answers again")
        }
        Notice::QuotaWarning {
            provider,
            limit,
            remaining,
            ..
        } => format!("a quota of {provider} is nearly used: {remaining} of {limit} are left"),
        Notice::QuotaClosed { provider, pause } => format!(
            "{provider} limits the requests; its callers wait {} s",
            pause.as_secs_f64().ceil()
        ),
        Notice::OverBudget { scope, problem, .. } => {
            format!("the budget of the {scope} is used up: {problem}")
        }
    }
}

fn data(notice: &Notice) -> Value {
    match notice {
        Notice::Retry {
            provider,
            model,
            agent: _,
            attempt,
            wait,
            failure,
            status,
        } => json!({
            "provider": provider, "model": model, "attempt": attempt,
            "wait_ms": u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
            "failure": failure, "status": status,
        }),
        Notice::CircuitOpened {
            provider,
            model,
            failures,
            pause,
            failure,
        } => json!({
            "provider": provider, "model": model, "failures": failures,
            "pause_s": pause.as_secs(), "failure": failure,
        }),
        Notice::CircuitClosed { provider, model } => {
            json!({ "provider": provider, "model": model })
        }
        Notice::QuotaWarning {
            provider,
            unit,
            window,
            limit,
            remaining,
        } => json!({
            "provider": provider, "unit": unit, "window": window,
            "limit": limit, "remaining": remaining,
        }),
        Notice::QuotaClosed { provider, pause } => {
            json!({ "provider": provider, "pause_s": pause.as_secs() })
        }
        Notice::OverBudget {
            agent: _,
            scope,
            problem,
        } => json!({ "scope": scope, "problem": problem }),
    }
}
