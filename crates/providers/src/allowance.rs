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

#[derive(Debug, Clone, Copy)]
struct State {
    used: Usage,
    held: Held,
    /// What calls may have cost that were lost on their way, at worst, where nobody can say.
    lost: Held,
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
                lost: Held::default(),
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

    /// What lost calls could have cost at most, where nobody can say. It is taken as used as long as the
    /// allowance lives, and no part of [`used`](Self::used).
    #[must_use]
    pub fn lost(&self) -> Held {
        self.state().lost
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
        match self.fit(&state, call) {
            Fit::Now => {
                state.held = plus(state.held, room_of(call));
                Ok(Hold {
                    allowance: Arc::clone(self),
                    call: *call,
                })
            }
            other @ (Fit::Later | Fit::Never(_)) => Err(other),
        }
    }

    fn fit(&self, state: &State, call: &WorstCase) -> Fit {
        self.budget
            .fit_beside(&state.lost, &state.used, &state.held, call)
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

/// What a call could use at most, as far as that is known.
fn room_of(call: &WorstCase) -> Held {
    Held {
        cost: call.cost.unwrap_or_default(),
        tokens: call.tokens.unwrap_or_default(),
    }
}

fn plus(held: Held, room: Held) -> Held {
    Held {
        cost: held.cost + room.cost,
        tokens: held.tokens.saturating_add(room.tokens),
    }
}

fn minus(held: Held, room: Held) -> Held {
    let cost = held.cost.picos().saturating_sub(room.cost.picos());
    Held {
        cost: Cost::from_picos(cost),
        tokens: held.tokens.saturating_sub(room.tokens),
    }
}

/// Room for one call. Dropped without a word it stands for a call that gave no turn: the room is
/// free again.
#[derive(Debug)]
pub struct Hold {
    allowance: Arc<Allowance>,
    call: WorstCase,
}

impl Hold {
    /// The call gave a turn and used this.
    pub fn settle(self, usage: Usage) {
        // The room comes free only after the usage is counted: nobody slips in between.
        self.allowance.state().used += usage;
    }
}

impl Hold {
    /// A call was lost on its way and cost this; where nobody can say, its worst case stays taken.
    /// Tells whether the room is still there for another call.
    #[must_use]
    pub fn lose(&self, cost: Option<Usage>) -> bool {
        let mut state = self.allowance.state();
        let room = room_of(&self.call);
        match cost {
            Some(cost) => state.used += cost,
            None => state.lost = plus(state.lost, room),
        }
        let others = State {
            held: minus(state.held, room),
            ..*state
        };
        self.allowance.fit(&others, &self.call) == Fit::Now
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut state = self.allowance.state();
        state.held = minus(state.held, room_of(&self.call));
        drop(state);
        self.allowance.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
