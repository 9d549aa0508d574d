//! Carries out what the session says: one effect at a time, between two writes to the journal.

mod halt;

use std::sync::Arc;
use std::time::Duration;

use fusion_core::{Clock, EntryState, IdSource, JournalEntry};
use fusion_providers::{Provider, TurnPlace, TurnRequest};
use fusion_web::Web;
use fusion_workspaces::{Launcher, WorkspaceDir};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::context::{Sent, system_prompt, within_limit};
use crate::entry::{InboxOutcome, Intent, ToolOutcome, TurnOutcome, TurnSize, TurnUnderWay};
use crate::incoming::{INCOMING_LIMIT, ids, within_limits};
use crate::lost_calls::LostCalls;
use crate::session::{Action, Session};
use crate::toolbox::{Correspondence, Place, Toolbox, verify};
use crate::undo::Undo;
use crate::window::bytes_in;
use crate::{Ending, Journal, JournalRefused, Mailbox, Record, Refusal, TaskBrief};
use halt::{Halt, unanswered};

/// Everything one agent works with.
#[derive(Debug, Clone)]
pub struct Runtime {
    /// Answers its turns.
    pub provider: Arc<dyn Provider>,
    /// Its directory.
    pub workspace: Option<Arc<WorkspaceDir>>,
    /// Undoes its commands whose outcome was lost, where it is alone in its directory and they reach
    /// nothing else.
    pub undo: Option<Undo>,
    /// Starts its processes.
    pub launcher: Launcher,
    /// Fetches pages for it.
    pub web: Arc<dyn Web>,
    /// Tells the time of journal entries.
    pub clock: Arc<dyn Clock>,
    /// Makes the ids of journal entries.
    pub ids: Arc<dyn IdSource>,
    /// Everything ends: what a cancelled call cost is asked for a moment only.
    pub ends: CancellationToken,
    /// The agent is held: what is under way is ended, and nothing further is begun.
    pub pause: CancellationToken,
}

/// What a task is written to, and how its agent talks to others.
#[derive(Debug, Clone, Copy)]
pub struct Ports<'a> {
    /// Keeps the task's journal.
    pub journal: &'a dyn Journal,
    /// Carries the agent's messages.
    pub mailbox: &'a dyn Mailbox,
}

/// How long the cost of a cancelled call is asked for, and that of one whose process died.
const ASKING: Duration = Duration::from_secs(10);

/// The same when everything ends. What is not known by then is asked for when the work goes on.
const ASKING_AT_THE_END: Duration = Duration::from_secs(1);

impl Runtime {
    /// Works on a task until it ends, is cancelled, or its journal refuses a write.
    ///
    /// `past` is the journal since the task was last begun anew; finished effects in it are not repeated. An effect
    /// that was begun and has no outcome is repeated when its class allows it, else the
    /// model is told that its outcome is unknown.
    ///
    /// # Errors
    /// The journal refused a write: nothing further was started.
    pub async fn run(
        &self,
        brief: &TaskBrief,
        past: Vec<JournalEntry>,
        ports: Ports<'_>,
        cancel: &CancellationToken,
    ) -> Result<Ending, JournalRefused> {
        let place = Place {
            workspace: self.workspace.clone(),
            launcher: self.launcher.clone(),
            command_timeout: brief.command_timeout,
            output_file: None,
            cancel: cancel.clone(),
            web: Arc::clone(&self.web),
            mailbox: ports.mailbox,
            peers: &brief.peers,
            correspondence: Correspondence::default(),
        };
        let (system, toolbox) = (system_prompt(brief), Toolbox::new(brief));
        Work {
            runtime: self,
            brief,
            overhead: system.len() + toolbox.size(),
            name: brief.place(),
            system,
            toolbox,
            place,
            session: Session::new(brief),
            seq: brief.journal_from,
            lost: None,
            unrecorded: Vec::new(),
            lost_calls: LostCalls::default(),
        }
        .finish(past, ports)
        .await
    }
}

/// A task under work.
struct Work<'a> {
    runtime: &'a Runtime,
    brief: &'a TaskBrief,
    /// What its turns are told apart by.
    name: String,
    system: String,
    toolbox: Toolbox,
    /// Bytes of the system prompt and of what is told about the tools.
    overhead: usize,
    place: Place<'a>,
    session: Session<'a>,
    /// The last number used in the journal.
    seq: u32,
    /// An effect that was begun before a crash and may be repeated.
    lost: Option<JournalEntry>,
    /// Outcomes that go to the journal with the next intent.
    unrecorded: Vec<Record>,
    lost_calls: LostCalls,
}

impl Work<'_> {
    async fn finish(
        mut self,
        past: Vec<JournalEntry>,
        ports: Ports<'_>,
    ) -> Result<Ending, JournalRefused> {
        self.replay(past).await;
        loop {
            let action = self.session.next();
            if action == Action::Turn {
                self.take_in_messages().await;
            }
            let intent = match &action {
                Action::Complete(outputs) => {
                    return Ok(Ending::Completed {
                        outputs: outputs.clone(),
                        unrecorded: self.unrecorded,
                    });
                }
                Action::Fail(failure) => {
                    return Ok(Ending::Failed {
                        failure: failure.clone(),
                        unrecorded: self.unrecorded,
                    });
                }
                Action::Turn => Intent::turn(self.brief, &self.turn_size()),
                Action::Tool(call) => Intent::tool(call, self.toolbox.effect(&call.name)),
                Action::Check => Intent::check(&self.brief.verify),
            };
            if self.place.cancel.is_cancelled() || self.runtime.pause.is_cancelled() {
                return Ok(self.halted(Halt::Stopped, None));
            }
            let entry = self.begin(intent, ports.journal).await?;
            self.lost_calls.begin(TurnUnderWay::of(&entry).generations);
            match self.carry_out(action, entry.clone(), ports.journal).await {
                Ok(done) => {
                    fail::fail_point!("agents::after_effect", |_| std::process::abort());
                    let entry = self.settle(done).await?;
                    let was_anew = self.session.anew().is_some();
                    self.session.apply(&entry);
                    if let Some(why) = self.session.anew().filter(|_| !was_anew) {
                        self.unrecorded.push(Record::Anew(why.to_owned()));
                    }
                }
                Err(Halt::Refused) => return Err(JournalRefused),
                Err(halt) => {
                    self.ask_for_costs().await;
                    let entry = self.left(entry);
                    return Ok(self.halted(halt, Some(entry)));
                }
            }
        }
    }

    /// Asks what the calls cost whose end nobody heard.
    async fn ask_for_costs(&self) {
        let limit = if self.runtime.ends.is_cancelled() {
            ASKING_AT_THE_END
        } else {
            ASKING
        };
        let asked = async {
            for generation in self.lost_calls.open() {
                let asked = self.runtime.provider.get_generation(&generation).await;
                if let Ok(Some(cost)) = asked {
                    self.lost_calls.settle(&generation, cost);
                }
            }
        };
        // What nobody tells in time stays in the journal.
        tokio::time::timeout(limit, asked).await.ok();
    }

    /// The entry of a turn that has no outcome. It keeps the names of the calls whose cost is not
    /// booked, and of no others: those are booked with what is written next.
    fn left(&mut self, mut entry: JournalEntry) -> JournalEntry {
        if self.lost_calls.has_names() {
            let generations = self.lost_calls.open();
            entry.outcome = TurnUnderWay { generations }.into_outcome();
            self.unrecorded.push(Record::Update(entry.clone()));
        }
        entry
    }

    fn halted(self, halt: Halt, entry: Option<JournalEntry>) -> Ending {
        let lost = self.lost_calls.take_cost();
        let unrecorded = self.unrecorded;
        match halt {
            Halt::Stopped | Halt::Refused => Ending::Interrupted {
                cut_off: entry.map(|entry| {
                    Box::new(JournalEntry {
                        usage: lost,
                        ..entry
                    })
                }),
                unrecorded,
            },
            Halt::Unserved(failure, retry_after) => Ending::Unserved {
                failure,
                retry_after,
                lost,
                unrecorded,
            },
        }
    }

    /// Takes in what was done before.
    async fn replay(&mut self, past: Vec<JournalEntry>) {
        for mut entry in past {
            self.seq = entry.seq;
            if entry.state != EntryState::Started {
                self.session.apply(&entry);
            } else if entry.effect.may_repeat() {
                self.lost = Some(entry);
            } else {
                if let Some(undo) = &self.runtime.undo {
                    entry.outcome = undo.undo(entry.id).await.into_outcome();
                }
                entry.state = EntryState::Unknown;
                entry.finished_at = Some(self.runtime.clock.now());
                self.session.apply(&entry);
                self.unrecorded.push(Record::Update(entry));
            }
        }
    }

    /// Puts what arrived before the model. It is written with the intent of the turn that reads it.
    async fn take_in_messages(&mut self) {
        // A lost turn is repeated as it was.
        let stops = self.place.cancel.is_cancelled() || self.runtime.pause.is_cancelled();
        if self.lost.is_some() || stops {
            return;
        }
        // What can't be read now is read at the next turn.
        let unread = tokio::select! {
            biased;
            () = self.place.cancel.cancelled() => return,
            unread = self.place.mailbox.unread(0, INCOMING_LIMIT) => unread,
        };
        // What no turn will take in stays unread.
        if self.place.cancel.is_cancelled() {
            return;
        }
        let messages = within_limits(unread.unwrap_or_default());
        if messages.is_empty() {
            return;
        }
        self.seq += 1;
        let (now, read) = (self.runtime.clock.now(), ids(&messages));
        let intent = Intent::inbox(&messages);
        let mut entry = intent.begin(self.brief.ids(), self.seq, self.runtime.ids.as_ref(), now);
        entry.outcome = Some(serde_json::to_value(InboxOutcome { messages }).unwrap_or_default());
        entry.state = EntryState::Finished;
        entry.finished_at = Some(now);
        self.session.apply(&entry);
        self.unrecorded.push(Record::Begin(entry));
        self.unrecorded.push(Record::Acknowledge(read));
    }

    /// Keeps an outcome for the next write; one that other records belong to is written at once, or
    /// becomes a refusal when they can't be.
    async fn settle(&mut self, done: Done) -> Result<JournalEntry, JournalRefused> {
        let Done { mut entry, with } = done;
        if !with.is_empty() {
            let mut records = self.unrecorded.clone();
            records.push(Record::Update(entry.clone()));
            records.extend(with);
            match self.place.mailbox.post(records).await? {
                Ok(()) => {
                    self.unrecorded.clear();
                    return Ok(entry);
                }
                Err(Refusal(why)) => {
                    let outcome = serde_json::to_value(ToolOutcome::refused(why));
                    entry.outcome = Some(outcome.unwrap_or_default());
                }
            }
        }
        self.unrecorded.push(Record::Update(entry.clone()));
        Ok(entry)
    }

    /// Writes the intent of the next effect, with the outcomes that wait.
    async fn begin(
        &mut self,
        intent: Intent,
        journal: &dyn Journal,
    ) -> Result<JournalEntry, JournalRefused> {
        let now = self.runtime.clock.now();
        let (entry, record) = match self.lost.take() {
            Some(mut entry) => {
                entry.attempts = entry.attempts.saturating_add(1);
                (entry.clone(), Record::Update(entry))
            }
            None => {
                self.seq += 1;
                let entry =
                    intent.begin(self.brief.ids(), self.seq, self.runtime.ids.as_ref(), now);
                (entry.clone(), Record::Begin(entry))
            }
        };
        let mut records = std::mem::take(&mut self.unrecorded);
        records.push(record);
        journal.record(records).await?;
        Ok(entry)
    }

    /// Does it; gives the entry with its outcome.
    async fn carry_out(
        &mut self,
        action: Action,
        mut entry: JournalEntry,
        journal: &dyn Journal,
    ) -> Result<Done, Halt> {
        let mut with = Vec::new();
        let outcome = match action {
            Action::Turn => {
                let outcome = self.turn(&entry, journal).await?;
                entry.usage = self.lost_calls.take_cost();
                if let TurnOutcome::Answer(turn) = &outcome {
                    entry.usage += turn.usage;
                }
                serde_json::to_value(outcome)
            }
            Action::Tool(call) => {
                self.place.correspondence = self.session.correspondence();
                self.place.output_file = Some(format!("output-{}.txt", entry.id));
                let no_snapshot = self.prepare(&call.name, &entry).await;
                let mut outcome = self.toolbox.call(call, &self.place).await?;
                outcome.no_snapshot = no_snapshot.map(Into::into);
                with = std::mem::take(&mut outcome.with);
                serde_json::to_value(outcome)
            }
            Action::Check => serde_json::to_value(verify(&self.brief.verify, &self.place).await?),
            Action::Complete(_) | Action::Fail(_) => Ok(Value::Null),
        };
        entry.outcome = Some(outcome.unwrap_or_default());
        entry.state = EntryState::Finished;
        entry.finished_at = Some(self.runtime.clock.now());
        Ok(Done { entry, with })
    }

    /// Makes sure that a call can be undone; says why it can't.
    async fn prepare(&self, tool: &str, entry: &JournalEntry) -> Option<String> {
        let undo = self.runtime.undo.as_ref();
        let undo = undo.filter(|_| self.toolbox.can_be_cut(tool))?;
        undo.prepare(entry.id).await
    }

    /// What is put before the model: what fits of the conversation.
    fn fitting(&self) -> Result<Sent, String> {
        let limit = bytes_in(self.brief.context_tokens, self.session.measured());
        within_limit(self.session.messages(), limit.saturating_sub(self.overhead))
    }

    fn turn_size(&self) -> TurnSize {
        let Ok(sent) = self.fitting() else {
            return TurnSize::default();
        };
        TurnSize {
            messages: sent.messages.len(),
            context_bytes: sent.bytes,
            sent_bytes: u64::try_from(sent.bytes.saturating_add(self.overhead)).ok(),
            left_out_bytes: sent.left_out,
        }
    }

    async fn turn(&self, entry: &JournalEntry, journal: &dyn Journal) -> Result<TurnOutcome, Halt> {
        let messages = match self.fitting() {
            Ok(sent) => sent.messages,
            Err(message) => {
                let agent = &self.brief.agent;
                let help = Some(format!(
                    "ask for less in one step, give smaller inputs, or give the agent '{agent}' a model that \
                     reads more and `context_tokens` for it"
                ));
                return Ok(TurnOutcome::Error { message, help });
            }
        };
        let (key, agent) = (entry.id.to_string(), self.brief.agent_id.to_string());
        let (task, run) = self.brief.ids();
        let (task, run) = (task.to_string(), run.to_string());
        let request = TurnRequest {
            model: &self.brief.model,
            system: &self.system,
            messages: &messages,
            tools: self.toolbox.specs(),
            output_schema: self
                .brief
                .output_schema
                .as_ref()
                .filter(|_| self.brief.answers_with_outputs()),
            max_tokens: self.brief.max_tokens,
            temperature: self.brief.temperature,
            options: Some(&self.brief.provider_options).filter(|options| !options.is_empty()),
            may_wait: true,
            place: TurnPlace {
                run: &run,
                task: &task,
                step: &self.name,
                turn: self.session.next_turn(),
                agent: &agent,
                key: &key,
            },
        };
        // Calls of a process that died.
        self.ask_for_costs().await;
        let call = self
            .runtime
            .provider
            .send_message(&request, &self.lost_calls);
        tokio::pin!(call);
        loop {
            tokio::select! {
                biased;
                () = self.place.cancel.cancelled() => return Err(Halt::Stopped),
                answer = &mut call => {
                    return answer
                        .map(TurnOutcome::Answer)
                        .or_else(|error| unanswered(&error));
                }
                () = self.lost_calls.another() => self.remember(entry, journal).await?,
            }
        }
    }

    /// Writes which calls are under way, so that what they cost can be asked for after a crash.
    async fn remember(&self, entry: &JournalEntry, journal: &dyn Journal) -> Result<(), Halt> {
        let generations = self.lost_calls.open();
        let entry = JournalEntry {
            outcome: TurnUnderWay { generations }.into_outcome(),
            ..entry.clone()
        };
        journal
            .record(vec![Record::Update(entry)])
            .await
            .map_err(|JournalRefused| Halt::Refused)
    }
}

/// An effect that has its outcome.
struct Done {
    entry: JournalEntry,
    /// What belongs to it and is not written yet.
    with: Vec<Record>,
}
