//! The workers of this process, by the agent that they work for: how they are told to stop, and how
//! somebody waits until they have.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fusion_core::{AgentId, PauseAt, RunId};
use fusion_workspaces::Custody;
use tokio::sync::Notify;
use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

use crate::metrics::Meters;

/// Everybody at work in this process. An agent works on one task at a time, so it has one worker.
#[derive(Debug, Default)]
pub(crate) struct Crew {
    posts: Mutex<BTreeMap<AgentId, Post>>,
    /// Those that were silent, got on and were done before the next look.
    back: Mutex<Vec<(AgentId, RunId)>>,
    /// Whose worker is done, while somebody wants to know.
    freed: Mutex<Option<BTreeSet<AgentId>>>,
    bell: Notify,
    /// Nobody begins anything further.
    is_closing: AtomicBool,
    /// What they use.
    meters: Arc<Meters>,
}

/// The signals of one worker.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hand {
    /// Cuts off what is under way.
    pub(crate) now: CancellationToken,
    /// Begins nothing further.
    pub(crate) next_step: CancellationToken,
    /// The worker is done: nothing of it runs any more.
    gone: CancellationToken,
    /// Tells this worker from the next one of the same agent.
    mark: Arc<()>,
}

impl Hand {
    /// Whether it was told to stop, in one way or the other.
    pub(crate) fn is_told(&self) -> bool {
        self.now.is_cancelled() || self.next_step.is_cancelled()
    }

    fn stop(&self, at: PauseAt) {
        match at {
            PauseAt::Now => self.now.cancel(),
            PauseAt::NextStep => self.next_step.cancel(),
        }
    }
}

/// A worker's place.
#[derive(Debug)]
struct Post {
    hand: Hand,
    /// The run that it works for.
    run: RunId,
    /// When something of its work was last written.
    progress: Instant,
    /// That was since the last look.
    is_fresh: bool,
    /// It was told that nothing came of it for too long.
    is_silent: bool,
}

/// What a look at the crew found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Signs {
    /// Those that got on since the last look.
    pub(crate) fresh: Vec<AgentId>,
    /// Those that have been silent for too long, since this look.
    pub(crate) silent: Vec<(AgentId, RunId)>,
    /// Those that were silent and got on.
    pub(crate) back: Vec<(AgentId, RunId)>,
}

/// The place of a worker in the crew. Dropping it says that the worker is done.
#[derive(Debug)]
pub(crate) struct AtWork {
    crew: Arc<Crew>,
    agent: AgentId,
    pub(crate) hand: Hand,
    /// Counts what the agent's commands use.
    pub(crate) custody: Custody,
}

impl Crew {
    /// A worker begins.
    pub(crate) fn enter(self: &Arc<Self>, agent: AgentId, run: RunId) -> AtWork {
        let hand = Hand::default();
        let post = Post {
            hand: hand.clone(),
            run,
            progress: Instant::now(),
            is_fresh: false,
            is_silent: false,
        };
        self.locked().insert(agent, post);
        if self.is_closing.load(Ordering::Acquire) {
            hand.stop(PauseAt::NextStep);
        }
        AtWork {
            crew: Arc::clone(self),
            agent,
            hand,
            custody: self.meters.begin(agent, run),
        }
    }

    /// What the workers use.
    pub(crate) fn meters(&self) -> Arc<Meters> {
        Arc::clone(&self.meters)
    }

    /// Tells the worker of an agent to stop, when there is one.
    pub(crate) fn stop(&self, agent: AgentId, at: PauseAt) {
        if let Some(post) = self.locked().get(&agent) {
            post.hand.stop(at);
        }
    }

    /// Tells the workers of a run to stop.
    pub(crate) fn stop_run(&self, run: RunId, at: PauseAt) {
        let posts = self.locked();
        let of_run = posts.values().filter(|post| post.run == run);
        of_run.for_each(|post| post.hand.stop(at));
    }

    /// Tells all workers to stop.
    pub(crate) fn stop_all(&self, at: PauseAt) {
        self.locked().values().for_each(|post| post.hand.stop(at));
    }

    /// Lets all workers end with the step that they are at, also those that begin from now on.
    pub(crate) fn close(&self) {
        self.is_closing.store(true, Ordering::Release);
        self.stop_all(PauseAt::NextStep);
    }

    /// Those that begin from now on go on.
    pub(crate) fn open(&self) {
        self.is_closing.store(false, Ordering::Release);
    }

    /// Whether nobody begins anything further.
    pub(crate) fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Acquire)
    }

    /// Something of an agent's work was written.
    pub(crate) fn got_on(&self, agent: AgentId) {
        if let Some(post) = self.locked().get_mut(&agent) {
            post.progress = Instant::now();
            post.is_fresh = true;
        }
    }

    /// Who got on since the last look, and who has been silent for `patience`: told once.
    pub(crate) fn look(&self, patience: Duration) -> Signs {
        let mut signs = Signs {
            back: std::mem::take(&mut *self.back.lock().unwrap_or_else(PoisonError::into_inner)),
            ..Signs::default()
        };
        for (agent, post) in self.locked().iter_mut() {
            if std::mem::take(&mut post.is_fresh) {
                signs.fresh.push(*agent);
                if std::mem::take(&mut post.is_silent) {
                    signs.back.push((*agent, post.run));
                }
            } else if !post.is_silent && post.progress.elapsed() >= patience {
                post.is_silent = true;
                signs.silent.push((*agent, post.run));
            }
        }
        signs
    }

    /// Waits until the worker of an agent is done, when there is one.
    pub(crate) async fn gone(&self, agent: AgentId) {
        let gone = self.locked().get(&agent).map(|post| post.hand.gone.clone());
        if let Some(gone) = gone {
            gone.cancelled().await;
        }
    }

    /// Keeps from now on whose worker is done.
    pub(crate) fn keep_freed(&self) {
        locked(&self.freed).get_or_insert_default();
    }

    /// The worker of an agent is done and has left.
    pub(crate) fn free(&self, agent: AgentId) {
        if let Some(freed) = locked(&self.freed).as_mut() {
            freed.insert(agent);
            self.bell.notify_one();
        }
    }

    /// Waits until the worker of an agent is done; gives all whose is since the last call.
    pub(crate) async fn freed(&self) -> BTreeSet<AgentId> {
        loop {
            let rung = self.bell.notified();
            if let Some(freed) = locked(&self.freed).as_mut().map(std::mem::take)
                && !freed.is_empty()
            {
                return freed;
            }
            rung.await;
        }
    }

    /// How many agents have a worker.
    pub(crate) fn size(&self) -> usize {
        self.locked().len()
    }

    /// Whether an agent has a worker.
    pub(crate) fn has(&self, agent: AgentId) -> bool {
        self.locked().contains_key(&agent)
    }

    /// The agents that have a worker.
    pub(crate) fn agents(&self) -> Vec<AgentId> {
        self.locked().keys().copied().collect()
    }

    /// Every change under the lock is one step, so a poisoned one holds a whole map.
    fn locked(&self) -> MutexGuard<'_, BTreeMap<AgentId, Post>> {
        self.posts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Every change under these locks is one step.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Crew {
    /// The post of a worker that is done, unless the next one of its agent has it.
    fn leave(&self, agent: AgentId, hand: &Hand) -> Option<Post> {
        let mut posts = self.locked();
        let post = posts.get(&agent)?;
        let is_own = Arc::ptr_eq(&post.hand.mark, &hand.mark);
        is_own.then(|| posts.remove(&agent)).flatten()
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        let post = self.crew.leave(self.agent, &self.hand);
        if post.is_some() {
            self.crew.meters.end(self.agent);
        }
        if let Some(post) = post.filter(|post| post.is_silent && post.is_fresh) {
            let mut back = self
                .crew
                .back
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            back.push((self.agent, post.run));
        }
        self.hand.gone.cancel();
    }
}

/// Agents that an operation of this process is about to make or to end.
#[derive(Debug, Default)]
pub(crate) struct InHand(Mutex<BTreeSet<AgentId>>);

/// Agents in hand, until this is dropped.
#[derive(Debug)]
pub(crate) struct Taken {
    in_hand: Arc<InHand>,
    agents: Vec<AgentId>,
}

impl InHand {
    /// Takes agents in hand, all or none: none when another operation has one of them.
    pub(crate) fn take(self: &Arc<Self>, agents: Vec<AgentId>) -> Option<Taken> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if agents.iter().any(|agent| taken.contains(agent)) {
            return None;
        }
        taken.extend(agents.iter().copied());
        Some(Taken {
            in_hand: Arc::clone(self),
            agents,
        })
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut taken = self
            .in_hand
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for agent in &self.agents {
            taken.remove(agent);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use fusion_core::{AgentId, PauseAt, RunId};
    use tokio::time::{Duration, advance};
    use uuid::Uuid;

    use super::{Crew, Signs};

    fn names() -> (AgentId, RunId) {
        let id = Uuid::from_u128(1);
        (AgentId::from_uuid(id), RunId::from_uuid(id))
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_told_once_and_its_end_once() {
        let crew = Arc::<Crew>::default();
        let (agent, run) = names();
        let patience = Duration::from_secs(60);
        let _at_work = crew.enter(agent, run);
        assert_eq!(crew.look(patience), Signs::default());
        advance(patience).await;
        let silent = Signs {
            silent: vec![(agent, run)],
            ..Signs::default()
        };
        assert_eq!(crew.look(patience), silent);
        assert_eq!(crew.look(patience), Signs::default());
        crew.got_on(agent);
        let back = Signs {
            fresh: vec![agent],
            back: vec![(agent, run)],
            ..Signs::default()
        };
        assert_eq!(crew.look(patience), back);
        assert_eq!(crew.look(patience), Signs::default());
    }

    #[tokio::test]
    async fn who_is_done_is_told_and_does_not_take_the_place_of_the_next() {
        let crew = Arc::<Crew>::default();
        crew.keep_freed();
        let (agent, run) = names();
        let (first, second) = (crew.enter(agent, run), crew.enter(agent, run));
        drop(first);
        crew.free(agent);
        assert!(crew.has(agent));
        assert_eq!(crew.freed().await, [agent].into());
        drop(second);
        assert!(!crew.has(agent));
    }

    #[tokio::test]
    async fn who_waits_for_a_worker_waits_until_it_is_gone() {
        let crew = Arc::<Crew>::default();
        let (agent, run) = names();
        let at_work = crew.enter(agent, run);
        crew.stop(agent, PauseAt::NextStep);
        assert!(at_work.hand.next_step.is_cancelled() && !at_work.hand.now.is_cancelled());
        let mut waiting = Box::pin(crew.gone(agent));
        assert!(futures::poll!(&mut waiting).is_pending());
        drop(at_work);
        waiting.await;
        assert_eq!(crew.agents(), []);
    }
}
