//! Steps that are commands: one effect, and the `verify` commands after it.

use std::sync::Arc;
use std::time::Duration;

use fusion_core::{
    COMMAND_ENTRY, Clock, EffectClass, EntryKind, EntryState, ErrorCode, IdSource, JournalEntry,
    RunId, TaskId,
};
use fusion_web::NoWeb;
use fusion_workspaces::{Launcher, WorkspaceDir};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::context::shorten;
use crate::direct::OutOfRun;
use crate::entry::{CheckOutcome, Intent, LostOutcome, ToolOutcome};
use crate::toolbox::{Correspondence, Place, Stopped, script, verify};
use crate::undo::Undo;
use crate::{Ending, Failure, Journal, JournalRefused, Record};

/// How much of a command's output its failure tells, in bytes.
const TOLD: usize = 2_000;

/// What is told of a command whose outcome was lost.
const CUT_OFF: &str =
    "the outcome of the command is unknown: it was cut off, and was not run again";

/// A step that is a command, ready to be run.
#[derive(Debug, Clone, PartialEq)]
pub struct CommandBrief {
    /// The task.
    pub task_id: TaskId,
    /// Its run.
    pub run_id: RunId,
    /// The rendered line for the shell.
    pub script: String,
    /// Whether it may run again when its outcome was lost.
    pub repeatable: bool,
    /// Shell commands that must pass in the workspace before the task is done.
    pub verify: Vec<String>,
    /// How long one command may take at most.
    pub timeout: Duration,
    /// The last number used in the task's journal before it was begun anew.
    pub journal_from: u32,
}

/// What a command is run with.
#[derive(Debug, Clone)]
pub struct CommandRuntime {
    /// Where it runs.
    pub workspace: Arc<WorkspaceDir>,
    /// Undoes a command whose outcome was lost, where it is alone there and reaches nothing else.
    pub undo: Option<Undo>,
    /// Starts its processes.
    pub launcher: Launcher,
    /// Tells the time of journal entries.
    pub clock: Arc<dyn Clock>,
    /// Makes the ids of journal entries.
    pub ids: Arc<dyn IdSource>,
    /// The runner is held: nothing further is begun.
    pub pause: CancellationToken,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq)]
pub struct CommandEnding {
    /// As any work on a task.
    pub ending: Ending,
    /// `exit_code` and `output` of a command that ended by itself, also where it failed.
    pub outputs: Option<Value>,
}

impl CommandRuntime {
    /// Runs a command and its checks to their end, or until `cancel` is called.
    ///
    /// `past` is the journal since the task was last begun anew. A command that was begun and has no
    /// outcome is not run again unless the brief allows it: the task fails then.
    ///
    /// # Errors
    /// The journal refused a write: nothing further was started.
    pub async fn run(
        &self,
        brief: &CommandBrief,
        past: Vec<JournalEntry>,
        journal: &dyn Journal,
        cancel: &CancellationToken,
    ) -> Result<CommandEnding, JournalRefused> {
        let place = Place {
            workspace: Some(Arc::clone(&self.workspace)),
            launcher: self.launcher.clone(),
            command_timeout: brief.timeout,
            output_file: None,
            cancel: cancel.clone(),
            web: Arc::new(NoWeb),
            mailbox: &OutOfRun,
            peers: &[],
            correspondence: Correspondence::default(),
        };
        let mut work = Work {
            runtime: self,
            brief,
            journal,
            place,
            seq: brief.journal_from,
            unrecorded: Vec::new(),
            outputs: None,
        };
        let ended = work.until_it_ends(past).await;
        let unrecorded = work.unrecorded;
        let ending = match ended {
            Ok(outputs) => Ending::Completed {
                outputs,
                unrecorded,
            },
            Err(Halt::Failed(failure)) => Ending::Failed {
                failure,
                unrecorded,
            },
            Err(Halt::Stopped(cut_off)) => Ending::Interrupted {
                cut_off,
                unrecorded,
            },
            Err(Halt::Refused) => return Err(JournalRefused),
        };
        Ok(CommandEnding {
            ending,
            outputs: work.outputs,
        })
    }
}

/// A command under work.
struct Work<'a> {
    runtime: &'a CommandRuntime,
    brief: &'a CommandBrief,
    journal: &'a dyn Journal,
    place: Place<'a>,
    seq: u32,
    unrecorded: Vec<Record>,
    outputs: Option<Value>,
}

/// Why there are no outputs.
enum Halt {
    Failed(Failure),
    /// The caller asked to stop; this was under way.
    Stopped(Option<Box<JournalEntry>>),
    Refused,
}

impl Work<'_> {
    async fn until_it_ends(&mut self, past: Vec<JournalEntry>) -> Result<Value, Halt> {
        self.seq = past.last().map_or(self.seq, |entry| entry.seq);
        let mut past = past.into_iter();
        let outcome = match past.next() {
            Some(entry) if entry.state == EntryState::Finished => read(&entry)?,
            Some(entry) => self.after_a_crash(entry).await?,
            None => {
                let entry = self.begin(self.intent()).await?;
                self.command(entry).await?
            }
        };
        self.outputs = outcome
            .exit_code
            .map(|exit_code| json!({ "exit_code": exit_code, "output": outcome.content }));
        let outputs = match &self.outputs {
            Some(outputs) if outcome.ok => outputs.clone(),
            Some(_) | None => return Err(Halt::Failed(failed(&outcome))),
        };
        if self.brief.verify.is_empty() {
            return Ok(outputs);
        }
        let check: CheckOutcome = match past.next() {
            Some(entry) if entry.state == EntryState::Finished => read(&entry)?,
            Some(entry) => {
                let entry = self.begin_again(entry).await?;
                self.check(entry).await?
            }
            None => {
                let entry = self.begin(Intent::check(&self.brief.verify)).await?;
                self.check(entry).await?
            }
        };
        if check.passed {
            return Ok(outputs);
        }
        Err(Halt::Failed(Failure {
            code: ErrorCode::Unavailable,
            message: format!(
                "a check of the work failed: {}",
                shorten(&check.report, TOLD)
            ),
            help: None,
        }))
    }

    fn intent(&self) -> Intent {
        let class = if self.brief.repeatable {
            EffectClass::Read
        } else {
            EffectClass::Once
        };
        Intent {
            kind: EntryKind::Tool,
            name: COMMAND_ENTRY.to_owned(),
            effect: class,
            request: json!({ "command": self.brief.script }),
        }
    }

    /// A command that was begun by a process that died, or that was stopped.
    async fn after_a_crash(&mut self, mut entry: JournalEntry) -> Result<ToolOutcome, Halt> {
        let mut undone = LostOutcome::of(&entry);
        if let (EntryState::Started, Some(undo)) = (entry.state, self.undo()) {
            undone = undo.undo(entry.id).await;
        }
        if entry.state == EntryState::Started && entry.effect.may_repeat() {
            let entry = self.begin_again(entry).await?;
            return self.command(entry).await;
        }
        if entry.state == EntryState::Started {
            entry.state = EntryState::Unknown;
            entry.outcome = undone.clone().into_outcome();
            entry.finished_at = Some(self.runtime.clock.now());
            self.unrecorded.push(Record::Update(entry));
        }
        Err(Halt::Failed(Failure {
            // Trying again is what must not be done.
            code: ErrorCode::Internal,
            message: match undone.put_back {
                Some(_) => format!("{CUT_OFF}; the workspace was put back as it was before"),
                None => CUT_OFF.to_owned(),
            },
            help: Some(
                "look at the workspace; where the command may run twice, give the step \
                 `repeatable: true`"
                    .to_owned(),
            ),
        }))
    }

    /// A command that may run twice goes on from what it left.
    fn undo(&self) -> Option<&Undo> {
        let undo = self.runtime.undo.as_ref();
        undo.filter(|_| !self.brief.repeatable)
    }

    async fn begin(&mut self, intent: Intent) -> Result<JournalEntry, Halt> {
        self.seq += 1;
        let ids = (self.brief.task_id, self.brief.run_id);
        let (now, source) = (self.runtime.clock.now(), self.runtime.ids.as_ref());
        let entry = intent.begin(ids, self.seq, source, now);
        self.record(Record::Begin(entry.clone())).await?;
        Ok(entry)
    }

    async fn begin_again(&mut self, mut entry: JournalEntry) -> Result<JournalEntry, Halt> {
        entry.attempts = entry.attempts.saturating_add(1);
        self.record(Record::Update(entry.clone())).await?;
        Ok(entry)
    }

    async fn record(&mut self, record: Record) -> Result<(), Halt> {
        if self.place.cancel.is_cancelled() || self.runtime.pause.is_cancelled() {
            return Err(Halt::Stopped(None));
        }
        let mut records = std::mem::take(&mut self.unrecorded);
        records.push(record);
        let written = self.journal.record(records).await;
        written.map_err(|JournalRefused| Halt::Refused)
    }

    async fn command(&mut self, entry: JournalEntry) -> Result<ToolOutcome, Halt> {
        self.place.output_file = Some(format!("output-{}.txt", entry.id));
        let no_snapshot = match self.undo() {
            Some(undo) => undo.prepare(entry.id).await,
            None => None,
        };
        let outcome = script(&self.brief.script, &self.place).await;
        let outcome = outcome.map(|outcome| ToolOutcome {
            no_snapshot: no_snapshot.map(Into::into),
            ..outcome
        });
        self.settle(entry, outcome)
    }

    async fn check(&mut self, entry: JournalEntry) -> Result<CheckOutcome, Halt> {
        self.place.output_file = None;
        let outcome = verify(&self.brief.verify, &self.place).await;
        self.settle(entry, outcome)
    }

    fn settle<T: serde::Serialize>(
        &mut self,
        mut entry: JournalEntry,
        outcome: Result<T, Stopped>,
    ) -> Result<T, Halt> {
        let Ok(outcome) = outcome else {
            return Err(Halt::Stopped(Some(Box::new(entry))));
        };
        fail::fail_point!("agents::after_effect", |_| std::process::abort());
        entry.outcome = Some(json!(outcome));
        entry.state = EntryState::Finished;
        entry.finished_at = Some(self.runtime.clock.now());
        self.unrecorded.push(Record::Update(entry));
        Ok(outcome)
    }
}

/// The outcome of an entry.
fn read<T: serde::de::DeserializeOwned>(entry: &JournalEntry) -> Result<T, Halt> {
    let outcome = entry.outcome.clone().unwrap_or_default();
    serde_json::from_value(outcome).map_err(|error| {
        Halt::Failed(Failure {
            code: ErrorCode::Internal,
            message: format!("journal entry {} can't be read: {error}", entry.seq),
            help: None,
        })
    })
}

fn failed(outcome: &ToolOutcome) -> Failure {
    let words = shorten(outcome.content.trim(), TOLD);
    let message = match outcome.exit_code {
        Some(code) if words.is_empty() => format!("the command ended with exit code {code}"),
        Some(code) => format!("the command ended with exit code {code}: {words}"),
        None => format!("the command did not end by itself: {words}"),
    };
    Failure {
        code: ErrorCode::Unavailable,
        message,
        help: None,
    }
}
