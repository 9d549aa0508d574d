//! Units of work, so many at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fusion_api_types::{Problem, ProblemKind};
use tokio_util::task::TaskTracker;

/// Does `number` units, `at_once` at a time, on all threads of the program. The first fault ends it.
pub(super) async fn each<F, U>(number: u64, at_once: u32, unit: F) -> Result<(), Problem>
where
    F: Fn(u64) -> U + Clone + Send + 'static,
    U: Future<Output = Result<(), Problem>> + Send + 'static,
{
    let next = Arc::new(AtomicU64::new(0));
    let lanes = TaskTracker::new();
    let mut running = Vec::new();
    for _ in 0..at_once {
        let (next, unit) = (Arc::clone(&next), unit.clone());
        running.push(lanes.spawn(lane(number, next, unit)));
    }
    let mut outcome = Ok(());
    for lane in running {
        let ended = lane.await.unwrap_or_else(|error| {
            let text = format!("a unit broke off: {error}");
            Err(Problem::new(ProblemKind::Internal, text))
        });
        outcome = outcome.and(ended);
    }
    outcome
}

/// Does one unit after the other until all are taken.
async fn lane<F, U>(number: u64, next: Arc<AtomicU64>, unit: F) -> Result<(), Problem>
where
    F: Fn(u64) -> U,
    U: Future<Output = Result<(), Problem>>,
{
    loop {
        let place = next.fetch_add(1, Ordering::Relaxed);
        if place >= number {
            return Ok(());
        }
        if let Err(problem) = unit(place).await {
            next.store(number, Ordering::Relaxed);
            return Err(problem);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::{Arc, Mutex};

    use fusion_api_types::{Problem, ProblemKind};

    use super::each;

    #[tokio::test]
    async fn each_unit_is_done_once() {
        let done = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&done);
        let unit = move |place| {
            noted.lock().unwrap().push(place);
            async { Ok(()) }
        };
        each(100, 7, unit).await.unwrap();
        let done = done.lock().unwrap().clone();
        assert_eq!(done.len(), 100);
        assert_eq!(
            done.into_iter().collect::<BTreeSet<_>>(),
            (0..100).collect()
        );
    }

    #[tokio::test]
    async fn a_fault_ends_it() {
        let fault = Problem::new(ProblemKind::Internal, "no");
        let told = fault.clone();
        let unit = move |place| {
            let outcome = if place == 3 {
                Err(told.clone())
            } else {
                Ok(())
            };
            async { outcome }
        };
        assert_eq!(each(u64::MAX, 2, unit).await, Err(fault));
    }
}
