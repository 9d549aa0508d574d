//! What agents at work use of the machine and of models: sampled again and again, kept and told.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fusion_core::{
    AgentId, Change, Decision, EventType, MetricsId, NewEvent, ResourceMetrics, RunId, Usage,
    error_chain, to_three_places,
};
use fusion_persistence::Batch;
use fusion_workspaces::{Consumed, Custody};
use serde_json::json;
use tokio::time::Instant;

use crate::coordinator::off_runtime;
use crate::{Coordinator, Error, Result};

/// Samples that are written in one commit.
const AT_ONCE: usize = 100;

/// Less time says nothing of a machine's use.
const SHORTEST: Duration = Duration::from_secs(1);

const MIB: f64 = 1024.0 * 1024.0;

/// What the agents of this process used since they were sampled last. An agent that has nothing to do
/// is not in here.
#[derive(Debug, Default)]
pub(crate) struct Meters(Mutex<BTreeMap<AgentId, Meter>>);

#[derive(Debug)]
struct Meter {
    run: RunId,
    custody: Custody,
    is_at_work: bool,
    since: Instant,
    /// What was counted of its commands when it was sampled last.
    before: Consumed,
    asked: Usage,
    provider: Option<String>,
}

/// What an agent used in a stretch of time.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    pub(crate) agent: AgentId,
    pub(crate) run: RunId,
    pub(crate) time: Duration,
    /// Since the last sample; the memory is what is held now.
    pub(crate) used: Consumed,
    pub(crate) asked: Usage,
    pub(crate) provider: Option<String>,
}

impl Meters {
    /// An agent begins to work; its commands are to be counted by what this gives.
    pub(crate) fn begin(&self, agent: AgentId, run: RunId) -> Custody {
        let mut meters = self.locked();
        let meter = meters.entry(agent).or_insert_with(|| Meter {
            run,
            custody: Custody::default(),
            is_at_work: true,
            since: Instant::now(),
            before: Consumed::default(),
            asked: Usage::default(),
            provider: None,
        });
        meter.run = run;
        meter.is_at_work = true;
        meter.custody.clone()
    }

    /// An agent is done; what it used is in the next sample.
    pub(crate) fn end(&self, agent: AgentId) {
        if let Some(meter) = self.locked().get_mut(&agent) {
            meter.is_at_work = false;
        }
    }

    /// A provider was asked for an agent.
    pub(crate) fn asked(&self, agent: AgentId, provider: &str, usage: Usage) {
        if let Some(meter) = self.locked().get_mut(&agent) {
            meter.asked += usage;
            meter.provider = Some(provider.to_owned());
        }
    }

    /// Samples every agent that works or worked since it was sampled last, and for `shortest` at least.
    /// Blocks for as long as a look at the machine's processes takes, when commands run.
    pub(crate) fn sample(&self, shortest: Duration) -> fusion_workspaces::Result<Vec<Sample>> {
        let of: Vec<(AgentId, Custody)> = {
            let meters = self.locked();
            let is_due = |meter: &Meter| meter.since.elapsed() >= shortest;
            let due = meters.iter().filter(|(_, meter)| is_due(meter));
            due.map(|(agent, meter)| (*agent, meter.custody.clone()))
                .collect()
        };
        let custodies: Vec<Custody> = of.iter().map(|(_, custody)| custody.clone()).collect();
        let looked = Custody::look(&custodies)?;
        let mut meters = self.locked();
        let mut samples = Vec::new();
        for ((agent, _), now) in of.into_iter().zip(looked) {
            let Some(meter) = meters.get_mut(&agent) else {
                continue;
            };
            samples.extend(meter.take(agent, now));
            if !meter.is_at_work {
                meters.remove(&agent);
            }
        }
        Ok(samples)
    }

    /// Every change under the lock is one step, so a poisoned one holds a whole map.
    fn locked(&self) -> MutexGuard<'_, BTreeMap<AgentId, Meter>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Meter {
    /// What was used since the last time; nothing when that was nothing and the agent is done.
    fn take(&mut self, agent: AgentId, now: Consumed) -> Option<Sample> {
        let used = Consumed {
            cpu: now.cpu.saturating_sub(self.before.cpu),
            read: now.read.saturating_sub(self.before.read),
            written: now.written.saturating_sub(self.before.written),
            memory: now.memory,
        };
        let sample = Sample {
            agent,
            run: self.run,
            time: self.since.elapsed(),
            used,
            asked: std::mem::take(&mut self.asked),
            provider: self.provider.take(),
        };
        self.before = now;
        self.since = Instant::now();
        let is_empty = used == Consumed::default() && sample.asked == Usage::default();
        (self.is_at_work || !is_empty).then_some(sample)
    }
}

impl Coordinator {
    /// Samples the agents of this process. What can't be looked at or written is passed over: no work
    /// waits for it or fails by it.
    pub(crate) async fn take_samples(&self) {
        self.sample_those_of(Duration::ZERO).await;
    }

    /// The same at the end of all work, for what is worth it.
    pub(crate) async fn take_last_samples(&self) {
        if self.options.metrics.is_some() {
            self.sample_those_of(SHORTEST).await;
        }
    }

    async fn sample_those_of(&self, shortest: Duration) {
        if let Err(error) = self.sample(shortest).await {
            let error = error_chain(&error);
            tracing::warn!(error, "what agents used is not kept");
        }
    }

    async fn sample(&self, shortest: Duration) -> Result<()> {
        let meters = self.crew.meters();
        let taken = off_runtime(move || meters.sample(shortest)).await?;
        let taken = taken.map_err(|error| Error::Broken(error_chain(&error)))?;
        for samples in taken.chunks(AT_ONCE) {
            self.keep(samples).await?;
        }
        Ok(())
    }

    async fn keep(&self, samples: &[Sample]) -> Result<()> {
        let mut decision = Decision::default();
        let moment = self.moment();
        for sample in samples {
            let row = row(sample, &moment);
            let told = format!(
                "{:.0} % of a core, {:.0} MiB, {} calls",
                row.cpu_percent, row.memory_mb, row.api_calls_count
            );
            let event = NewEvent::of_run(moment, EventType::MetricsUpdated, sample.run, told);
            let figures = json!({
                "cpu_percent": row.cpu_percent, "memory_mb": row.memory_mb,
                "disk_io_read_mb": row.disk_io_read_mb, "disk_io_write_mb": row.disk_io_write_mb,
                "api_calls_count": row.api_calls_count, "api_tokens_used": row.api_tokens_used,
                "api_cost_usd": row.api_cost_usd, "seconds": sample.time.as_secs_f64(),
            });
            decision
                .events
                .push(event.by(Some(sample.agent)).data(figures));
            decision.changes.push(Change::create(row));
        }
        self.commit(Batch::free(decision)).await
    }
}

fn row(sample: &Sample, moment: &fusion_core::Moment<'_>) -> ResourceMetrics {
    let Sample {
        agent,
        run: _,
        time,
        used,
        asked,
        provider,
    } = sample;
    let share = used.cpu.as_secs_f64() / time.as_secs_f64().max(f64::MIN_POSITIVE);
    ResourceMetrics {
        id: MetricsId::from_uuid(moment.ids.uuid()),
        agent_id: *agent,
        timestamp: moment.now,
        cpu_percent: to_three_places(share * 100.0),
        memory_mb: in_mib(used.memory),
        disk_io_read_mb: in_mib(used.read),
        disk_io_write_mb: in_mib(used.written),
        api_calls_count: asked.turns,
        api_provider: provider.clone(),
        api_tokens_used: asked.tokens(),
        api_cost_usd: asked.cost,
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "three places of a figure in MiB are right up to eight EiB"
)]
fn in_mib(bytes: u64) -> f64 {
    to_three_places(bytes as f64 / MIB)
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;
    use uuid::Uuid;

    use super::*;

    fn names() -> (AgentId, RunId) {
        let id = Uuid::from_u128(1);
        (AgentId::from_uuid(id), RunId::from_uuid(id))
    }

    fn asked(turns: u64) -> Usage {
        Usage {
            turns,
            ..Usage::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_sample_is_what_was_used_since_the_last_one() {
        let meters = Meters::default();
        let (agent, run) = names();
        meters.asked(agent, "nobody", asked(9));
        assert_eq!(meters.sample(Duration::ZERO).unwrap(), []);
        meters.begin(agent, run);
        meters.asked(agent, "one", asked(2));
        meters.asked(agent, "two", asked(1));
        advance(Duration::from_secs(30)).await;
        let mut expected = Sample {
            agent,
            run,
            time: Duration::from_secs(30),
            used: Consumed::default(),
            asked: asked(3),
            provider: Some("two".to_owned()),
        };
        assert_eq!(meters.sample(Duration::ZERO).unwrap(), [expected.clone()]);
        // At work and idle: that it used nothing is a sample.
        advance(Duration::from_secs(10)).await;
        expected.time = Duration::from_secs(10);
        (expected.asked, expected.provider) = (Usage::default(), None);
        assert_eq!(meters.sample(Duration::ZERO).unwrap(), [expected]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_done_is_sampled_once_more_when_there_is_something_to_tell() {
        let meters = Meters::default();
        let (agent, run) = names();
        meters.begin(agent, run);
        meters.end(agent);
        assert_eq!(meters.sample(Duration::ZERO).unwrap(), []);
        meters.begin(agent, run);
        meters.asked(agent, "one", asked(1));
        meters.end(agent);
        // Too short to be told at the end of all work; not lost by that.
        assert_eq!(meters.sample(SHORTEST).unwrap(), []);
        meters.begin(agent, run);
        meters.asked(agent, "one", asked(1));
        meters.end(agent);
        let told = meters.sample(Duration::ZERO).unwrap();
        let calls: Vec<u64> = told.iter().map(|sample| sample.asked.turns).collect();
        assert_eq!(calls, [2]);
        assert_eq!(meters.sample(Duration::ZERO).unwrap(), []);
    }
}
