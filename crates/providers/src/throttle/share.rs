//! Who may go next.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until};

use super::ThrottleOptions;
use super::window::Window;

/// Why somebody who waited is sent away: what the provider said to another.
#[derive(Debug, Clone)]
pub(super) struct Bounced {
    pub(super) provider: String,
    pub(super) message: String,
    pub(super) retry_after: Option<Duration>,
}

/// The room at one provider.
#[derive(Debug)]
pub(super) struct Share {
    max: usize,
    state: Mutex<State>,
    /// Rings when those who wait must look at the time.
    time_matters: Notify,
}

#[derive(Debug)]
struct State {
    /// How many may be under way now.
    most: usize,
    under_way: usize,
    /// Of the last call that was let through; they rise by one.
    number: u64,
    /// Calls that went well since `most` last changed.
    well: usize,
    /// Calls up to this number do not lower `most` again.
    lowered_at: u64,
    requests: Option<Window>,
    tokens: Option<Window>,
    /// Agents who wait, in turn, each with its own line.
    agents: VecDeque<(String, VecDeque<Waiting>)>,
}

#[derive(Debug)]
struct Waiting {
    tokens: u64,
    answer: oneshot::Sender<Result<Permit, Bounced>>,
}

impl Share {
    pub(super) fn new(options: ThrottleOptions) -> Self {
        let max = options.max_concurrent.max(1);
        Self {
            max,
            state: Mutex::new(State {
                most: max,
                under_way: 0,
                number: 0,
                well: 0,
                lowered_at: 0,
                requests: options
                    .rate
                    .requests_per_minute
                    .map(|limit| Window::new(limit.max(1).into())),
                tokens: options.rate.tokens_per_minute.map(Window::new),
                agents: VecDeque::new(),
            }),
            time_matters: Notify::new(),
        }
    }

    // Every change under this lock is whole: a poisoned one still counts right.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for room. Dropping the future gives the place up.
    pub(super) async fn enter(
        self: &Arc<Self>,
        agent: &str,
        tokens: u64,
    ) -> Result<Permit, Bounced> {
        let (answer, mut answered) = oneshot::channel();
        self.state().line_up(agent, Waiting { tokens, answer });
        loop {
            let mut bell = pin!(self.time_matters.notified());
            bell.as_mut().enable();
            let room_at = self.let_in();
            let told = tokio::select! {
                biased;
                told = &mut answered => told,
                () = sleep_until(room_at.unwrap_or_else(Instant::now)), if room_at.is_some() => continue,
                () = bell => continue,
            };
            // The other end is never dropped without an answer while this one waits.
            return told.unwrap_or_else(|_| {
                Err(Bounced {
                    provider: agent.to_owned(),
                    message: "the line was lost".to_owned(),
                    retry_after: None,
                })
            });
        }
    }

    /// Lets in whoever has room; says when there will be room for the next by time alone.
    fn let_in(self: &Arc<Self>) -> Option<Instant> {
        let now = Instant::now();
        let mut state = self.state();
        loop {
            let tokens = state.next_in_turn()?;
            if state.under_way >= state.most {
                return None;
            }
            let room_at = state.room_at(tokens, now);
            if room_at > now {
                return Some(room_at);
            }
            let waiting = state.take_next()?;
            let number = state.begin(tokens, now);
            let permit = Permit {
                share: Arc::clone(self),
                number,
                is_counted: true,
            };
            if let Err(Ok(mut unwanted)) = waiting.answer.send(Ok(permit)) {
                // Dropped here it would lock the state again.
                unwanted.is_counted = false;
                state.under_way -= 1;
                state.correct_tokens(number, 0);
            }
        }
    }
}

impl State {
    fn line_up(&mut self, agent: &str, waiting: Waiting) {
        match self.agents.iter_mut().find(|(name, _)| name == agent) {
            Some((_, line)) => line.push_back(waiting),
            None => self
                .agents
                .push_back((agent.to_owned(), VecDeque::from([waiting]))),
        }
    }

    /// The tokens of the next call, after those who gave up are out of the way.
    fn next_in_turn(&mut self) -> Option<u64> {
        loop {
            let (_, line) = self.agents.front_mut()?;
            while line.front().is_some_and(|next| next.answer.is_closed()) {
                line.pop_front();
            }
            if let Some(next) = line.front() {
                return Some(next.tokens);
            }
            self.agents.pop_front();
        }
    }

    /// Takes the next call out; its agent goes to the end of the ring.
    fn take_next(&mut self) -> Option<Waiting> {
        let (agent, mut line) = self.agents.pop_front()?;
        let next = line.pop_front();
        if !line.is_empty() {
            self.agents.push_back((agent, line));
        }
        next
    }

    fn room_at(&mut self, tokens: u64, now: Instant) -> Instant {
        let requests = self
            .requests
            .as_mut()
            .map_or(now, |window| window.room_at(1, now));
        let tokens = self
            .tokens
            .as_mut()
            .map_or(now, |window| window.room_at(tokens, now));
        requests.max(tokens)
    }

    fn begin(&mut self, tokens: u64, now: Instant) -> u64 {
        self.number += 1;
        self.under_way += 1;
        if let Some(window) = &mut self.requests {
            window.take(self.number, 1, now);
        }
        if let Some(window) = &mut self.tokens {
            window.take(self.number, tokens, now);
        }
        self.number
    }

    fn correct_tokens(&mut self, number: u64, tokens: u64) {
        if let Some(window) = &mut self.tokens {
            window.correct(number, tokens);
        }
    }
}

/// The right to make one call. Dropped without a word it stands for a call that failed or was cut
/// off: what was booked for it stays booked.
#[derive(Debug)]
pub(super) struct Permit {
    share: Arc<Share>,
    number: u64,
    is_counted: bool,
}

impl Permit {
    /// The call went well and used this many tokens.
    pub(super) fn served(self, tokens: u64) {
        let mut state = self.share.state();
        state.correct_tokens(self.number, tokens);
        state.well += 1;
        if state.well >= state.most && state.most < self.share.max {
            state.most += 1;
            state.well = 0;
        }
    }

    /// The provider refused it for a limit: fewer at a time from now on, and nobody goes after it.
    pub(super) fn refused(self, why: &Bounced) {
        let mut state = self.share.state();
        state.correct_tokens(self.number, 0);
        if self.number > state.lowered_at {
            state.most = (state.most / 2).max(1);
            state.lowered_at = state.number;
            state.well = 0;
        }
        for (_, line) in std::mem::take(&mut state.agents) {
            for waiting in line {
                // Whoever gave up meanwhile does not hear it.
                let _gone = waiting.answer.send(Err(why.clone()));
            }
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.is_counted {
            self.share.state().under_way -= 1;
            if self.share.let_in().is_some() {
                self.share.time_matters.notify_waiters();
            }
        }
    }
}
