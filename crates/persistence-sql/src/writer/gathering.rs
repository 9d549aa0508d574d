//! How the writer comes by the jobs of a transaction.

use std::time::Duration;

use super::{GROUP, Job, Jobs};

/// How long a transaction waits for the callers of the last one to come back.
const GATHER_FOR: Duration = Duration::from_micros(100);

/// How long the writer stays awake for a caller who is quick to come back.
const AWAKE_FOR: Duration = Duration::from_micros(50);

/// Takes the jobs that wait, at least one; 0 when every hand on the writer is gone. A caller who came
/// back at once the last time often does so again: finding the writer awake saves the time to wake it.
pub(super) async fn receive(group: &mut Vec<Job>, queue: &mut Jobs, is_awake: &mut bool) -> usize {
    let answered_at = std::time::Instant::now();
    let is_early = || answered_at.elapsed() < AWAKE_FOR;
    while *is_awake && queue.is_empty() && !queue.is_closed() && is_early() {
        std::thread::yield_now();
    }
    let received = queue.recv_many(group, GROUP).await;
    *is_awake = is_early();
    received
}

/// Waits a moment for as many callers as shared the last transaction: they were answered just now,
/// and each that comes back in time saves a transaction of its own. One caller alone never waits.
/// The writer has its thread to itself, and real time counts, in tests with a paused clock too.
pub(super) fn gather(group: &mut Vec<Job>, callers: usize, queue: &mut Jobs) {
    let give_up = std::time::Instant::now() + GATHER_FOR;
    while group.len() < callers && std::time::Instant::now() < give_up {
        match queue.try_recv() {
            Ok(job) => group.push(job),
            Err(_) => std::thread::yield_now(),
        }
    }
}
