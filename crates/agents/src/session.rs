//! The state of a task as a fold over its journal, and what comes next.
//!
//! No effect happens here: the same entries always give the same conversation and the same
//! next action, in the process that wrote them and in the one that takes over.

use std::collections::VecDeque;

use fusion_core::{EffectClass, EntryKind, EntryState, ErrorCode, JournalEntry};
use fusion_providers::{FinishReason, Message, ToolCall, Turn};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::context::shorten;
use crate::entry::{CheckOutcome, InboxOutcome, ToolOutcome, TurnOutcome, TurnSize};
use crate::incoming::told;
use crate::schema::{Schema, json_in};
use crate::stall::{Repeats, Stall};
use crate::toolbox::{Correspondence, FINISH};
use crate::window::Measured;
use crate::{Failure, Incoming, TaskBrief};

/// How much of a refusal is told, in bytes.
const REFUSAL_LIMIT: usize = 500;

/// What the runtime has to do next.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    /// Ask the model.
    Turn,
    /// Run a tool.
    Tool(ToolCall),
    /// Run the `verify` commands.
    Check,
    /// Hand these outputs in.
    Complete(Value),
    /// Give up.
    Fail(Failure),
}

/// Outputs that fit their schema and wait for the `verify` commands.
#[derive(Debug)]
struct Proposal {
    outputs: Value,
    /// The `finish` call they came in; `None` when they came as text.
    call: Option<ToolCall>,
}

/// A task in the middle of its work.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    brief: &'a TaskBrief,
    schema: Option<Schema>,
    messages: Vec<Message>,
    turns: u32,
    /// The turn whose answer did not fit, and why: the agent has its repair turn after it.
    misfit: Option<(u32, String)>,
    /// The text of the turns that were paused, to which the next one belongs.
    begun: String,
    pending: VecDeque<ToolCall>,
    proposal: Option<Proposal>,
    /// The command that failed in the last check.
    failed_check: Option<String>,
    correspondence: Correspondence,
    repeats: Repeats,
    /// Why the conversation was begun anew, once.
    anew: Option<String>,
    /// What the last answered turn was measured to be.
    measured: Option<Measured>,
    /// What arrived before the turn that comes next.
    arrived: Vec<Incoming>,
    ending: Option<Result<Value, Failure>>,
}

impl<'a> Session<'a> {
    /// A task before its first turn.
    pub(crate) fn new(brief: &'a TaskBrief) -> Self {
        let mut session = Self {
            brief,
            schema: None,
            messages: vec![Message::User {
                text: brief.prompt.clone(),
            }],
            turns: 0,
            misfit: None,
            begun: String::new(),
            pending: VecDeque::new(),
            proposal: None,
            failed_check: None,
            correspondence: Correspondence::default(),
            repeats: Repeats::default(),
            anew: None,
            measured: None,
            arrived: Vec::new(),
            ending: None,
        };
        match brief
            .output_schema
            .as_ref()
            .map(Schema::of_outputs)
            .transpose()
        {
            Ok(schema) => session.schema = schema,
            Err(message) => session.fail(ErrorCode::InvalidInput, message),
        }
        session
    }

    /// The conversation so far.
    pub(crate) fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// The number of the next turn, from 1.
    pub(crate) const fn next_turn(&self) -> u32 {
        self.turns + 1
    }

    /// What the last answered turn was measured to be.
    pub(crate) const fn measured(&self) -> Option<Measured> {
        self.measured
    }

    /// Why the conversation was begun anew, when it was.
    pub(crate) fn anew(&self) -> Option<&str> {
        self.anew.as_deref()
    }

    /// What the agent read and sent.
    pub(crate) fn correspondence(&self) -> Correspondence {
        self.correspondence.clone()
    }

    /// What comes next.
    pub(crate) fn next(&self) -> Action {
        match (&self.ending, &self.proposal, self.pending.front()) {
            (Some(Ok(outputs)), _, _) => Action::Complete(outputs.clone()),
            (Some(Err(failure)), _, _) => Action::Fail(failure.clone()),
            (None, Some(_), _) => Action::Check,
            (None, None, Some(call)) => Action::Tool(call.clone()),
            (None, None, None) if self.turns < self.brief.max_turns => Action::Turn,
            (None, None, None) => Action::Fail(self.out_of_turns()),
        }
    }

    fn out_of_turns(&self) -> Failure {
        let Self { brief, turns, .. } = self;
        let unit = if *turns == 1 { "turn" } else { "turns" };
        let check = self
            .failed_check
            .as_ref()
            .map(|check| format!("; its last check failed: {check}"));
        let misfit = self
            .misfit
            .as_ref()
            .map(|(_, fault)| format!("; what it handed in did not fit: {fault}"));
        Failure {
            code: ErrorCode::Limited,
            message: format!(
                "the agent '{}' did not finish within {turns} {unit}{}",
                brief.agent,
                check.or(misfit).unwrap_or_default()
            ),
            help: Some(format!(
                "raise `max_turns` of the agent '{}', or ask for less in one step",
                brief.agent
            )),
        }
    }

    /// Takes in an entry that has its outcome. After the end nothing counts any more.
    pub(crate) fn apply(&mut self, entry: &JournalEntry) {
        let taken = match (self.next(), entry.kind) {
            (Action::Complete(_) | Action::Fail(_), _) => return,
            (Action::Turn, EntryKind::Turn) => {
                self.measure(entry);
                outcome(entry).map(|turn| self.apply_turn(turn))
            }
            // Whoever has the word next can read what arrived.
            (Action::Turn, EntryKind::Inbox) => outcome(entry).map(|inbox| self.hear(inbox)),
            (Action::Tool(call), EntryKind::Tool) if call.name == entry.name => {
                result(entry).map(|outcome| self.answer_call(outcome, entry.effect))
            }
            (Action::Check, EntryKind::Check) => {
                outcome(entry).map(|check| self.apply_check(&check))
            }
            (Action::Turn | Action::Tool(_) | Action::Check, _) => {
                Err("is out of place".to_owned())
            }
        };
        if let Err(fault) = taken {
            self.fail(
                ErrorCode::Internal,
                format!("journal entry {} {fault}", entry.seq),
            );
        }
        self.settle();
    }

    fn apply_turn(&mut self, outcome: TurnOutcome) {
        self.turns += 1;
        self.correspondence.heard = std::mem::take(&mut self.arrived);
        match outcome {
            TurnOutcome::Error { message, help } => {
                // The provider can't take the request as it is: the same one would fail again.
                self.ending = Some(Err(Failure {
                    code: ErrorCode::InvalidInput,
                    message,
                    help,
                }));
            }
            TurnOutcome::Answer(turn) => self.apply_answer(turn),
        }
    }

    fn apply_answer(&mut self, mut turn: Turn) {
        if turn.finish_reason == FinishReason::ContentFilter {
            let words = shorten(turn.text.trim(), REFUSAL_LIMIT);
            return self.fail(
                ErrorCode::InvalidInput,
                format!("the model or its provider refused to answer: \"{words}\""),
            );
        }
        // The other calls of the turn are the work that `finish` hands in: it waits for them.
        turn.tool_calls.sort_by_key(|call| call.name == FINISH);
        self.messages.push(Message::Assistant {
            text: turn.text.clone(),
            tool_calls: turn.tool_calls.clone(),
            reasoning: turn.reasoning.take(),
        });
        self.pending = turn.tool_calls.into();
        // A paused answer is no answer yet: the next turn goes on with it.
        self.begun.push_str(&turn.text);
        if !self.pending.is_empty() {
            self.begun.clear();
            return;
        }
        if turn.finish_reason == FinishReason::Paused {
            return;
        }
        let text = std::mem::take(&mut self.begun);
        let cut = match turn.finish_reason {
            FinishReason::Length => ": the answer was cut at its limit of tokens",
            FinishReason::Stop
            | FinishReason::ToolCalls
            | FinishReason::ContentFilter
            | FinishReason::Paused => "",
        };
        if self.schema.is_some() {
            match json_in(&text) {
                Some(value) => self.hand_in(value, None),
                None => self.misfit(&format!("the outputs are missing{cut}"), None),
            }
        } else if text.trim().is_empty() {
            self.misfit(&format!("there is no answer{cut}"), None);
        } else {
            self.hand_in(json!({ "text": text }), None);
        }
    }

    /// Outputs as the agent gave them: they count when they fit their schema.
    fn hand_in(&mut self, outputs: Value, call: Option<ToolCall>) {
        if let Err(fault) = self
            .schema
            .as_ref()
            .map_or(Ok(()), |schema| schema.check(&outputs))
        {
            self.misfit(&fault, call);
        } else if self.brief.verify.is_empty() {
            self.ending = Some(Ok(outputs));
        } else {
            self.proposal = Some(Proposal { outputs, call });
        }
    }

    /// An answer that does not fit: told to the agent once, then the end.
    fn misfit(&mut self, fault: &str, call: Option<ToolCall>) {
        if self
            .misfit
            .as_ref()
            .is_some_and(|(turn, _)| *turn < self.turns)
        {
            return self.fail(
                ErrorCode::Unavailable,
                format!("{fault} (after one repair turn)"),
            );
        }
        self.misfit = Some((self.turns, fault.to_owned()));
        let ask = if self.brief.answers_with_outputs() {
            format!(
                "{fault}. Answer with one JSON object with every output, each as its schema says."
            )
        } else if self.schema.is_some() {
            format!("{fault}. Call `{FINISH}` with every output, each as its schema says.")
        } else {
            format!("{fault}. Answer the task in plain text.")
        };
        self.tell(ask, call);
    }

    fn apply_check(&mut self, outcome: &CheckOutcome) {
        let Some(proposal) = self.proposal.take() else {
            return;
        };
        if outcome.passed {
            self.ending = Some(Ok(proposal.outputs));
        } else {
            self.failed_check = outcome.report.lines().next().map(str::to_owned);
            let text = format!(
                "Not done yet: a check of the work failed.\n{}\nMend it, then hand in again.",
                outcome.report
            );
            self.tell(text, proposal.call);
        }
    }

    /// Says something to the agent: as the result of its call, or as a message.
    fn tell(&mut self, text: String, call: Option<ToolCall>) {
        self.messages.push(match call {
            Some(call) => Message::Tool {
                call_id: call.id,
                name: call.name,
                content: text,
            },
            None => Message::User { text },
        });
    }

    /// Keeps how many tokens the model counted in what it was sent.
    fn measure(&mut self, entry: &JournalEntry) {
        let size: Option<TurnSize> = serde_json::from_value(entry.request.clone()).ok();
        let turn: Result<TurnOutcome, _> = outcome(entry);
        if let (Some(bytes), Ok(TurnOutcome::Answer(turn))) =
            (size.and_then(|size| size.sent_bytes), turn)
            && !turn.tokens_are_estimated
        {
            let tokens = turn.usage.input_tokens;
            self.measured = Some(Measured { bytes, tokens });
        }
    }

    fn answer_call(&mut self, mut outcome: ToolOutcome, effect: EffectClass) {
        self.correspondence.read = outcome.read.last().copied().or(self.correspondence.read);
        self.correspondence.sent = outcome.sent.or(self.correspondence.sent);
        self.correspondence
            .heard
            .retain(|message| !outcome.read.contains(&message.id));
        let call = self.pending.pop_front();
        // Whoever waits for others may wait for a long time.
        if let Some(call) = call.as_ref().filter(|_| effect != EffectClass::Committed) {
            match self.repeats.count(call, &outcome.content, self.brief) {
                Some(Stall::Told(words)) => outcome.content.push_str(&words),
                Some(Stall::Failed(failure)) if self.anew.is_none() => {
                    return self.begin_anew(failure.message);
                }
                Some(Stall::Failed(failure)) => self.ending = Some(Err(failure)),
                None => {}
            }
        }
        self.tell(outcome.content, call);
    }

    /// Forgets the conversation, which led into a circle, and tells the agent so. What it did stays.
    fn begin_anew(&mut self, why: String) {
        let text = format!(
            "{}\n\n[This was begun once before and ended in a circle: {why}. The workspace is as it was \
             left: look there first, and go about it in another way.]",
            self.brief.prompt
        );
        self.messages = vec![Message::User { text }];
        self.pending.clear();
        self.repeats = Repeats::default();
        (self.misfit, self.failed_check) = (None, None);
        self.anew = Some(why);
    }

    /// Messages of others arrived between two turns.
    fn hear(&mut self, inbox: InboxOutcome) {
        let last = inbox.messages.last().map(|message| message.id);
        self.correspondence.read = last.or(self.correspondence.read);
        self.tell(told(&inbox.messages), None);
        self.arrived.extend(inbox.messages);
    }

    /// Handles `finish` calls that are next in line: they have no effect of their own.
    fn settle(&mut self) {
        while self.ending.is_none() && self.proposal.is_none() && self.finish_is_next() {
            if let Some(call) = self.pending.pop_front() {
                self.hand_in(call.arguments.clone(), Some(call));
            }
        }
    }

    fn finish_is_next(&self) -> bool {
        self.schema.is_some() && self.pending.front().is_some_and(|call| call.name == FINISH)
    }

    fn fail(&mut self, code: ErrorCode, message: String) {
        self.ending = Some(Err(Failure {
            code,
            message,
            help: None,
        }));
    }
}

fn outcome<T: DeserializeOwned>(entry: &JournalEntry) -> Result<T, String> {
    serde_json::from_value(entry.outcome.clone().unwrap_or_default())
        .map_err(|error| format!("can't be read: {error}"))
}

/// What came of a call.
fn result(entry: &JournalEntry) -> Result<ToolOutcome, String> {
    match entry.state {
        EntryState::Unknown => Ok(ToolOutcome::refused(unknown_outcome(&entry.name))),
        EntryState::Started | EntryState::Finished => outcome(entry),
    }
}

/// What the model reads about an effect whose outcome a crash took.
fn unknown_outcome(tool: &str) -> String {
    format!(
        "The outcome of this call of {tool} is unknown: the program was stopped while it ran. It was not \
         repeated. Look at the workspace before you decide whether to run it again."
    )
}

#[cfg(test)]
mod tests;
