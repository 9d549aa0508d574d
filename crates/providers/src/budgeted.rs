//! The outermost layer: a call that a budget can't hold is not made.

use std::sync::Arc;

use async_trait::async_trait;
use fusion_core::{Cost, Usage, WorstCase};

use crate::layer::Layer;
use crate::{
    Allowance, Delta, DeltaSink, Error, Hold, ModelInfo, Notice, Observer, Price, Provider, Result,
    SharedBudget, Turn, TurnRequest, most_input,
};

/// What is known of a model before a call: what bounds its cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bounds {
    /// What its tokens cost.
    pub price: Option<Price>,
    /// Tokens of one answer at most.
    pub max_output_tokens: Option<u64>,
}

impl Bounds {
    /// The bounds of a model that was looked up.
    #[must_use]
    pub fn of(info: &ModelInfo) -> Self {
        Self {
            price: info.price,
            // An answer can't be longer than the window that holds it.
            max_output_tokens: info.max_output_tokens.or(info.context_length),
        }
    }

    /// What a call could use at most.
    #[must_use]
    pub fn worst_case(&self, request: &TurnRequest<'_>) -> WorstCase {
        let input = most_input(request);
        let output = match (request.max_tokens, self.max_output_tokens) {
            (Some(asked), Some(most)) => Some(u64::from(asked).min(most)),
            (asked, most) => asked.map(u64::from).or(most),
        };
        let cost = self.price.and_then(|price| {
            let output = if price.output_token == Cost::ZERO {
                Some(0)
            } else {
                output
            };
            output.map(|output| {
                price.of(&Usage {
                    turns: 1,
                    input_tokens: input,
                    output_tokens: output,
                    cost: Cost::ZERO,
                })
            })
        });
        WorstCase {
            cost,
            tokens: output.map(|output| input.saturating_add(output)),
        }
    }
}

/// Holds room in each budget for the worst case of a call (all that is sent, and the longest
/// answer, at the catalogue's price), and books what it really used. A call that does not fit is
/// not made: [`Error::OverBudget`]. Where price or length are unknown, a call is made while
/// anything is left, so each caller can overrun by one call.
///
/// A call that fails or is dropped gives its room back. One that was lost on its way and may be billed
/// all the same ([`Error::may_be_billed`]) is counted: at what the provider says that it cost, else at
/// its worst case where that is known. It is repeated only while the room is there once more.
#[derive(Debug)]
pub struct Budgeted<P> {
    inner: P,
    bounds: Bounds,
    /// From the narrowest to the widest: who waits for the wide one holds the narrow one only.
    allowances: Vec<Arc<Allowance>>,
    /// What lies around them.
    shared: Option<Arc<dyn SharedBudget>>,
    observer: Arc<dyn Observer>,
}

impl<P: Provider> Budgeted<P> {
    /// Puts the layer around a provider for one model. `allowances` go from the narrowest (an
    /// agent's) to the widest (the run's), the same way for all who share them.
    pub fn new(
        inner: P,
        bounds: Bounds,
        allowances: Vec<Arc<Allowance>>,
        observer: Arc<dyn Observer>,
    ) -> Self {
        Self {
            inner,
            bounds,
            allowances,
            shared: None,
            observer,
        }
    }

    /// The same within budgets that other processes use up too.
    #[must_use]
    pub fn within(self, shared: Option<Arc<dyn SharedBudget>>) -> Self {
        Self { shared, ..self }
    }

    fn refusal(&self, allowance: &Allowance, problem: String, agent: &str) -> Error {
        let scope = allowance.scope().to_owned();
        if allowance.is_news() {
            self.observer.notice(Notice::OverBudget {
                agent: agent.to_owned(),
                scope: scope.clone(),
                problem: problem.clone(),
            });
        }
        Error::OverBudget {
            scope,
            problem,
            retry_after: None,
        }
    }
}

#[async_trait]
impl<P: Provider> Layer for Budgeted<P> {
    type Inner = P;

    fn inner(&self) -> &P {
        &self.inner
    }

    async fn turn(&self, request: &TurnRequest<'_>, deltas: &dyn DeltaSink) -> Result<Turn> {
        let worst = self.bounds.worst_case(request);
        let mut holds = Vec::with_capacity(self.allowances.len());
        for allowance in &self.allowances {
            let held = allowance.hold(&worst).await;
            holds.push(
                held.map_err(|problem| self.refusal(allowance, problem, request.place.agent))?,
            );
        }
        if let Some(shared) = &self.shared {
            shared.hold(&worst).await?;
        }
        let booked = Booked {
            deltas,
            holds,
            shared: self.shared.as_deref(),
        };
        let turn = self.inner.send_message(request, &booked).await?;
        for hold in booked.holds {
            hold.settle(turn.usage);
        }
        Ok(turn)
    }
}

/// Passes deltas on and counts what lost calls cost.
struct Booked<'a> {
    deltas: &'a dyn DeltaSink,
    holds: Vec<Hold>,
    shared: Option<&'a dyn SharedBudget>,
}

impl DeltaSink for Booked<'_> {
    fn take(&self, delta: Delta<'_>) {
        self.deltas.take(delta);
    }

    fn began(&self, generation: &str) {
        self.deltas.began(generation);
    }

    fn lost(&self, cost: Option<Usage>) -> bool {
        let mut has_room = self.deltas.lost(cost);
        for hold in &self.holds {
            has_room &= hold.lose(cost);
        }
        if let Some(shared) = self.shared {
            has_room &= shared.lose(cost);
        }
        has_room
    }
}

#[cfg(test)]
mod tests;
