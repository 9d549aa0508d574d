//! Commits that meet other writers: decided again, a bounded number of times.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use crate::{Error, Result};

/// How often one commit is decided again.
const TRIES: usize = 50;

/// The waits that are left of one commit. They are drawn at random, so that two writers which act in
/// step part: else one that reads twice would always lose to one that reads once.
#[derive(Debug)]
pub(crate) struct Races(ExponentialBackoff);

impl Races {
    pub(crate) fn new() -> Self {
        let waits = ExponentialBuilder::new()
            .with_min_delay(Duration::from_micros(100))
            .with_max_delay(Duration::from_millis(20))
            .with_max_times(TRIES)
            .with_jitter();
        Self(waits.build())
    }

    /// Waits a moment after a race that was lost, before the next try.
    ///
    /// # Errors
    /// The one that was given, when there were enough tries.
    pub(crate) async fn after(&mut self, lost: Error) -> Result<()> {
        let wait = self.0.next().ok_or(lost)?;
        tokio::time::sleep(wait).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Races, TRIES};
    use crate::Error;

    #[tokio::test(start_paused = true)]
    async fn a_commit_is_decided_again_so_often_and_then_its_error_is_given() {
        let mut races = Races::new();
        for _ in 0..TRIES {
            races.after(Error::Broken("lost".to_owned())).await.unwrap();
        }
        let given = races.after(Error::Broken("the last".to_owned())).await;
        assert!(matches!(given, Err(Error::Broken(last)) if last == "the last"));
    }
}
