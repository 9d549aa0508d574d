//! What is left of a budget, shared by all who use it up.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fusion_core::{Budget, Cost, Fit, Held, Usage, WorstCase};
use tokio::sync::{Mutex as Line, Notify};

/// A budget while it is used. Room for the worst case of a call is held before the call and
/// replaced by what it really used after it, so calls that run at the same time can't overrun
/// together.
#[derive(Debug)]
pub struct Allowance {
    scope: String,
    budget: Budget,
    state: Mutex<State>,
    /// Who waits for room, in order: this lock is fair.
    line: Line<()>,
    freed: Notify,
}

#[derive(Debug)]
struct State {
    used: Usage,
    held: Held,
    is_told: bool,
}

impl Allowance {
    /// A budget of which this much is used already. `scope` says whose it is: `run`.
    #[must_use]
    pub fn new(scope: impl Into<String>, budget: Budget, used: Usage) -> Arc<Self> {
        Arc::new(Self {
            scope: scope.into(),
            budget,
            state: Mutex::new(State {
                used,
                held: Held::default(),
                is_told: false,
            }),
            line: Line::new(()),
            freed: Notify::new(),
        })
    }

    /// Whose budget it is.
    #[must_use]
    pub fn scope(&self) -> &str {
        &self.scope
    }

    /// What was used so far, calls under way left out.
    #[must_use]
    pub fn used(&self) -> Usage {
        self.state().used
    }

    /// What calls under way could use at most.
    #[must_use]
    pub fn held(&self) -> Held {
        self.state().held
    }

    /// Holds room for a call. Waits while calls under way hold it, in the order of coming.
    ///
    /// # Errors
    /// It can't fit, whatever becomes of the calls under way; the text says why.
    pub async fn hold(self: &Arc<Self>, call: &WorstCase) -> Result<Hold, String> {
        let _place = self.line.lock().await;
        loop {
            let mut freed = pin!(self.freed.notified());
            freed.as_mut().enable();
            match self.try_hold(call) {
                Ok(hold) => return Ok(hold),
                Err(Fit::Never(why)) => return Err(why),
                Err(Fit::Later | Fit::Now) => freed.await,
            }
        }
    }

    fn try_hold(self: &Arc<Self>, call: &WorstCase) -> Result<Hold, Fit> {
        let mut state = self.state();
        match self.budget.fit(&state.used, &state.held, call) {
            Fit::Now => {
                let room = Held {
                    cost: call.cost.unwrap_or_default(),
                    tokens: call.tokens.unwrap_or_default(),
                };
                state.held.cost = state.held.cost + room.cost;
                state.held.tokens = state.held.tokens.saturating_add(room.tokens);
                Ok(Hold {
                    allowance: Arc::clone(self),
                    room,
                })
            }
            other @ (Fit::Later | Fit::Never(_)) => Err(other),
        }
    }

    /// Whether it is the first time that somebody tells of a refusal.
    pub(crate) fn is_news(&self) -> bool {
        !std::mem::replace(&mut self.state().is_told, true)
    }

    // Sums change in one step under this lock: a poisoned one still holds whole sums.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Room for one call. Dropped without a word it stands for a call that gave no turn: the room is
/// free again.
#[derive(Debug)]
pub struct Hold {
    allowance: Arc<Allowance>,
    room: Held,
}

impl Hold {
    /// The call gave a turn and used this.
    pub fn settle(self, usage: Usage) {
        // The room comes free only after the usage is counted: nobody slips in between.
        self.allowance.state().used += usage;
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut state = self.allowance.state();
        let cost = state
            .held
            .cost
            .picos()
            .saturating_sub(self.room.cost.picos());
        state.held.cost = Cost::from_picos(cost);
        state.held.tokens = state.held.tokens.saturating_sub(self.room.tokens);
        drop(state);
        self.allowance.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
