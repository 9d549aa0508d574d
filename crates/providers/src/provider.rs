//! The port: what the agent runtime asks of a model provider.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use fusion_core::Usage;

use crate::{Ability, Catalog, DeltaSink, Message, Price, QuotaInfo, Result, ToolCall, ToolSpec};

/// A source of model turns. Implementations hold no conversation: every request carries all of it.
///
/// # What is promised
/// - A [`Turn`] is complete. An answer that was cut on the way, or that says neither how it ended
///   nor anything else, is an error and never a short turn.
/// - An attempt that fails after it gave deltas ends with [`crate::Delta::Discarded`].
/// - Dropping the future cancels the call: its connection is closed. The provider may bill
///   the turn all the same.
/// - An error carries no credential and no text of the conversation, except where the server's
///   own message quotes it.
///
/// # What may fail
/// Everything in [`crate::Error`]. An error that [`fusion_core::Coded::is_transient`] may pass when
/// the same call is made again; an implementation does not repeat calls itself, that is the work
/// of [`crate::Retrying`].
///
/// # What is idempotent
/// [`spawn_agent`](Self::spawn_agent) has no effect and may be called at any time.
/// [`send_message`](Self::send_message) changes nothing outside but may be paid for each time;
/// [`TurnPlace::key`] is the same at every repeat of the same turn, also after a crash.
#[async_trait]
pub trait Provider: Send + Sync + fmt::Debug {
    /// Checks that the model exists, can be asked, and can do what is needed.
    ///
    /// # Errors
    /// [`crate::Error::UnknownModel`], [`crate::Error::NoTools`], [`crate::Error::NoJsonSchema`],
    /// [`crate::Error::MissingKey`], [`crate::Error::Script`], and what a call over a network can
    /// meet.
    async fn spawn_agent(&self, request: &ModelRequest<'_>) -> Result<ModelInfo>;

    /// Asks for one complete turn. What comes meanwhile is shown to `deltas`; a provider that does
    /// not stream shows nothing.
    ///
    /// # Errors
    /// Any of [`crate::Error`].
    async fn send_message(&self, request: &TurnRequest<'_>, deltas: &dyn DeltaSink)
    -> Result<Turn>;

    /// What is left of the provider's limits, asked anew where it has an account to ask for, else as
    /// the last answers told.
    ///
    /// # Errors
    /// What a call over a network can meet.
    async fn get_quota_info(&self) -> Result<QuotaInfo>;

    /// The models on offer, asked anew; `None` where the provider has no such list.
    ///
    /// # Errors
    /// What a call over a network can meet.
    async fn list_models(&self) -> Result<Option<Catalog>>;

    /// What an answer cost that was lost on its way, by the provider's name for it
    /// ([`crate::Error::generation_id`]); its usage has no turn. `None` where the provider does not
    /// know the answer or can't be asked. May take a few seconds: a provider may know an answer only a
    /// while after the call.
    ///
    /// # Errors
    /// What a call over a network can meet.
    async fn get_generation(&self, _id: &str) -> Result<Option<Usage>> {
        Ok(None)
    }

    /// The limits that the last answers told by the way; no request is made. `None` where answers
    /// tell nothing.
    fn told_quota(&self) -> Option<QuotaInfo> {
        None
    }
}

/// A model that an agent is about to use.
#[derive(Debug, Clone, Copy)]
pub struct ModelRequest<'a> {
    /// As the workflow file spells it.
    pub model: &'a str,
    /// Whether the agent will be given tools.
    pub needs_tools: bool,
    /// Whether its answers must be bound to a JSON Schema by the provider.
    pub needs_json_schema: bool,
    /// The folder of the workflow file: where a relative path in `model` begins.
    pub base_dir: &'a Path,
    /// Ids of the steps that this model will be asked for.
    pub steps: &'a [&'a str],
}

/// A model that can be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelInfo {
    /// The resolved name: what to store and to send from now on.
    pub model: String,
    /// Whether the answers come from a script and not from a model.
    pub scripted: bool,
    /// Tokens of question and answer together at most, where the provider tells.
    pub context_length: Option<u64>,
    /// Tokens of one answer at most, where the provider tells.
    pub max_output_tokens: Option<u64>,
    /// What its tokens cost; `None` where nobody knows before the call.
    pub price: Option<Price>,
    /// Whether it can call tools.
    pub tools: Ability,
    /// Whether its answer can be bound to a JSON Schema.
    pub json_schema: Ability,
}

/// One question to a model, with everything it needs to know.
#[derive(Debug, Clone, Copy)]
pub struct TurnRequest<'a> {
    /// [`ModelInfo::model`].
    pub model: &'a str,
    /// The system prompt; empty for none.
    pub system: &'a str,
    /// The conversation so far, oldest first.
    pub messages: &'a [Message],
    /// The tools that the model may call; empty for none.
    pub tools: &'a [Arc<ToolSpec>],
    /// JSON Schema, of type object, that the text of the answer must fit; where the server can't bind
    /// it, the model is asked for it in words. The caller checks the answer all the same.
    pub output_schema: Option<&'a Value>,
    /// Upper bound of the answer in tokens; `None` leaves it to the provider.
    pub max_tokens: Option<u32>,
    /// Sampling temperature, 0 to 2; `None` leaves it to the provider.
    pub temperature: Option<f64>,
    /// Further fields of the request, as the provider spells them: routing, reasoning, sampling.
    pub options: Option<&'a Map<String, Value>>,
    /// Whether the caller waits for a limit that passes. Not when it has another model to ask: it is
    /// told at once then.
    pub may_wait: bool,
    /// Where the turn belongs.
    pub place: TurnPlace<'a>,
}

/// Where a turn belongs in its run.
#[derive(Debug, Clone, Copy)]
pub struct TurnPlace<'a> {
    /// Id of the run.
    pub run: &'a str,
    /// Id of the task.
    pub task: &'a str,
    /// Id of the step.
    pub step: &'a str,
    /// Number of the turn in the step, from 1.
    pub turn: u32,
    /// Id of the agent: whose turn it is among those who ask the same provider.
    pub agent: &'a str,
    /// Idempotency key: the same at every repeat of this turn, and of no other.
    pub key: &'a str,
}

/// One complete answer of a model. Stored in the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    /// What it said; may be empty.
    pub text: String,
    /// What it wants to have run.
    pub tool_calls: Vec<ToolCall>,
    /// What the provider wants to read again, unchanged, with the results of the tool calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<Value>,
    /// Why it stopped.
    pub finish_reason: FinishReason,
    /// One turn, and its tokens and cost. Tokens that the provider does not tell are estimated
    /// ([`crate::estimate_usage`]).
    pub usage: Usage,
    /// Whether tokens in `usage` are estimated.
    #[serde(default)]
    pub tokens_are_estimated: bool,
    /// Where `usage.cost` comes from.
    #[serde(default)]
    pub cost_source: CostSource,
    /// Which provider answered, by its registered name, where a layer knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served_by: Option<String>,
    /// The model that answered: may differ from the one that was asked.
    pub model: String,
    /// The provider's name for this answer, to ask about it later.
    pub generation_id: Option<String>,
}

/// Where the cost of a turn comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CostSource {
    /// The provider's own figure.
    Provider,
    /// Computed from the tokens and the catalogue's price: an estimate.
    Computed,
    /// Nobody knows: the cost is zero.
    #[default]
    Unknown,
}

/// Why a model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// It had said everything.
    Stop,
    /// It waits for the results of its tool calls.
    ToolCalls,
    /// It reached the limit of tokens: the answer is cut.
    Length,
    /// The provider held the answer back, or the model refused; the text may say why.
    ContentFilter,
    /// The provider made a break in a long answer: it goes on when the conversation, with this turn in
    /// it, is sent again.
    Paused,
}
