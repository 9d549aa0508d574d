//! When to try again.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

/// The waits between two attempts to reach the server: each up to twice the one before, of which a
/// random share is waited, so that processes which lost it together do not come back together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The longest wait after the first failure.
    pub first: Duration,
    /// The longest wait after any.
    pub longest: Duration,
}

impl Default for Backoff {
    /// From half a second to half a minute.
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            longest: Duration::from_secs(30),
        }
    }
}

impl Backoff {
    /// The waits, without an end.
    pub(crate) fn waits(self) -> impl Iterator<Item = Duration> + Send {
        let steps = ExponentialBuilder::new()
            .with_factor(2.0)
            .with_min_delay(self.first)
            .with_max_delay(self.longest)
            .without_max_times();
        // backon draws from one to two steps.
        let drawn = steps.with_jitter().build();
        steps
            .build()
            .zip(drawn)
            .map(|(step, drawn)| drawn.saturating_sub(step))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Backoff;

    #[test]
    fn waits_are_random_shares_of_steps_that_double_up_to_the_longest() {
        let steps = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0];
        let mut all = Vec::new();
        for _ in 0..200 {
            let waits: Vec<Duration> = Backoff::default().waits().take(steps.len()).collect();
            for (wait, step) in waits.iter().zip(steps) {
                assert!(wait.as_secs_f64() <= step, "{wait:?} of {step} s");
            }
            all.push(waits);
        }
        // Shares from all of a step: below a tenth of the last one, and above nine tenths.
        let last = |share: f64| {
            move |waits: &Vec<Duration>| waits.last().unwrap().as_secs_f64() / 30.0 < share
        };
        assert!(all.iter().any(last(0.1)) && !all.iter().all(last(0.9)));
    }
}
