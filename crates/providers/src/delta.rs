//! What comes of a turn while it is under way.

use fusion_core::Usage;

/// A piece of an answer that is still coming. Deltas show that something happens; the [`Turn`] at the
/// end is what counts, and it holds everything that they held.
///
/// [`Turn`]: crate::Turn
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delta<'a> {
    /// More of the text.
    Text(&'a str),
    /// More of what the model thinks, where the provider shows it.
    Reasoning(&'a str),
    /// More of a tool call.
    ToolCall {
        /// Which call of the turn, from 0.
        index: usize,
        /// The tool's name with the first delta of a call, else empty.
        name: &'a str,
        /// More of the arguments, as text.
        arguments: &'a str,
    },
    /// The attempt failed: what came so far is no part of the answer.
    Discarded,
}

/// Takes the deltas of one turn. Called on the path of the answer: it must not block and must not wait.
pub trait DeltaSink: Send + Sync {
    /// Takes a delta.
    fn take(&self, delta: Delta<'_>);

    /// A call for the turn is under way, and this is the provider's name for its answer: what it costs
    /// can be asked for by that name, should nobody hear its end. Passed on like [`lost`](Self::lost).
    fn began(&self, _generation: &str) {}

    /// A call for the turn was lost on its way and may be billed all the same. It cost this, without a
    /// turn; `None` where nobody can say. Not for eyes only: a sink that passes deltas on passes this
    /// on too. Tells whether another call may be made for the turn.
    fn lost(&self, _cost: Option<Usage>) -> bool {
        true
    }
}

/// For callers who want the turn only.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoDeltas;

impl DeltaSink for NoDeltas {
    fn take(&self, _: Delta<'_>) {}
}
