//! Samples in steps of time.

use std::time::Duration;

use super::{ResourceMetrics, to_three_places};
use crate::Timestamp;

/// What an agent used in one step of time.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricsStep {
    /// Under the id of its newest sample, at the beginning of the step: processors on the average of the samples,
    /// memory at its most, the provider that was called last, and of the rest the sum.
    pub used: ResourceMetrics,
    /// How many samples it stands for.
    pub samples: u32,
}

/// Puts samples into steps of time. A step begins at a whole multiple of its length since 1970, so it is the
/// same whenever it is looked at.
#[derive(Debug)]
pub struct MetricsSteps {
    seconds: i64,
    most: usize,
    steps: Vec<MetricsStep>,
}

impl MetricsSteps {
    /// Of this length, one second at least, and at most so many.
    #[must_use]
    pub fn new(length: Duration, most: usize) -> Self {
        let seconds = i64::try_from(length.as_secs()).unwrap_or(i64::MAX).max(1);
        Self {
            seconds,
            most,
            steps: Vec::new(),
        }
    }

    /// Adds the next older sample; `false` when there are enough steps, and it was not added.
    pub fn add(&mut self, sample: ResourceMetrics) -> bool {
        let begin = self.begin(sample.timestamp);
        if let Some(last) = self.steps.last_mut()
            && last.used.timestamp == begin
        {
            last.add(sample);
            return true;
        }
        if self.steps.len() >= self.most {
            return false;
        }
        self.steps.push(MetricsStep {
            used: ResourceMetrics {
                timestamp: begin,
                ..sample
            },
            samples: 1,
        });
        true
    }

    /// The steps, the newest first. Of samples that were cut off by a limit the oldest step is left out, for
    /// more of it may be there; but where it is the only one: how many samples it stands for tells the rest.
    #[must_use]
    pub fn done(mut self, is_cut: bool) -> Vec<MetricsStep> {
        if is_cut && self.steps.len() > 1 {
            self.steps.pop();
        }
        for step in &mut self.steps {
            step.round();
        }
        self.steps
    }

    /// When the step of this moment begins.
    #[must_use]
    pub fn begin(&self, at: Timestamp) -> Timestamp {
        let seconds = at.timestamp();
        let begin = seconds - seconds.rem_euclid(self.seconds);
        Timestamp::from_timestamp(begin, 0).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

impl MetricsStep {
    fn add(&mut self, older: ResourceMetrics) {
        let used = &mut self.used;
        // The average of all so far, so that nothing else has to be kept.
        let before = f64::from(self.samples);
        used.cpu_percent = (used.cpu_percent * before + older.cpu_percent) / (before + 1.0);
        used.memory_mb = used.memory_mb.max(older.memory_mb);
        used.disk_io_read_mb += older.disk_io_read_mb;
        used.disk_io_write_mb += older.disk_io_write_mb;
        used.api_calls_count = used.api_calls_count.saturating_add(older.api_calls_count);
        used.api_tokens_used = used.api_tokens_used.saturating_add(older.api_tokens_used);
        used.api_cost_usd = used.api_cost_usd + older.api_cost_usd;
        used.api_provider = used.api_provider.take().or(older.api_provider);
        self.samples = self.samples.saturating_add(1);
    }

    fn round(&mut self) {
        let used = &mut self.used;
        for figure in [
            &mut used.cpu_percent,
            &mut used.memory_mb,
            &mut used.disk_io_read_mb,
            &mut used.disk_io_write_mb,
        ] {
            *figure = to_three_places(*figure);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use uuid::Uuid;

    use super::{MetricsStep, MetricsSteps};
    use crate::{AgentId, Cost, MetricsId, ResourceMetrics, Timestamp};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_timestamp(seconds, 0).unwrap()
    }

    /// A sample of this second, whose figures tell it.
    fn sample(second: u32, provider: Option<&str>) -> ResourceMetrics {
        let figure = f64::from(second);
        ResourceMetrics {
            id: MetricsId::from_uuid(Uuid::from_u128(second.into())),
            agent_id: AgentId::from_uuid(Uuid::nil()),
            timestamp: at(second.into()),
            cpu_percent: figure,
            memory_mb: 1_000.0 - figure,
            disk_io_read_mb: 0.1,
            disk_io_write_mb: figure,
            api_calls_count: 1,
            api_provider: provider.map(str::to_owned),
            api_tokens_used: second.into(),
            api_cost_usd: Cost::from_picos(i64::from(second)),
        }
    }

    fn steps(length: u64, most: usize, is_cut: bool) -> Vec<MetricsStep> {
        let mut steps = MetricsSteps::new(Duration::from_secs(length), most);
        let samples = [
            sample(185, None),
            sample(150, None),
            sample(121, Some("b")),
            sample(120, Some("a")),
            sample(59, None),
        ];
        for sample in samples {
            if !steps.add(sample) {
                break;
            }
        }
        steps.done(is_cut)
    }

    #[test]
    fn samples_of_a_step_are_put_together_by_what_each_figure_means() {
        let made = steps(60, 10, false);
        let begins: Vec<_> = made.iter().map(|it| it.used.timestamp).collect();
        assert_eq!(begins, [at(180), at(120), at(0)]);
        let expected = MetricsStep {
            used: ResourceMetrics {
                id: MetricsId::from_uuid(Uuid::from_u128(150)),
                timestamp: at(120),
                cpu_percent: 130.333,
                memory_mb: 880.0,
                disk_io_read_mb: 0.3,
                disk_io_write_mb: 391.0,
                api_calls_count: 3,
                api_provider: Some("b".to_owned()),
                api_tokens_used: 391,
                api_cost_usd: Cost::from_picos(391),
                ..sample(150, None)
            },
            samples: 3,
        };
        assert_eq!(made[1], expected);
    }

    #[test]
    fn there_are_no_more_steps_than_asked_for_and_none_is_half() {
        let begins = |made: Vec<MetricsStep>| {
            let begins = made.into_iter().map(|it| it.used.timestamp);
            begins.collect::<Vec<_>>()
        };
        assert_eq!(begins(steps(60, 2, false)), [at(180), at(120)]);
        assert_eq!(begins(steps(60, 10, true)), [at(180), at(120)]);
        assert_eq!(begins(steps(1_000, 10, false)), [at(0)]);
        let only = steps(1_000, 10, true);
        assert_eq!(only.iter().map(|it| it.samples).collect::<Vec<_>>(), [5]);
        assert_eq!(steps(0, 10, false).len(), 5);
    }
}
