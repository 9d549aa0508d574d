//! A journal in memory that keeps the contract of a real one and can fail where a test wants; the
//! agent's mailbox goes with it (`mailbox.rs`).

use std::sync::Mutex;

use async_trait::async_trait;
use fusion_agents::{Incoming, Journal, JournalRefused, Record};
use fusion_core::{EntryKind, EntryState, JournalEntry, MessageId};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// What happens at the n-th write, counted from 1.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// Nothing of it is written.
    Refused(usize),
    /// It is written, and then the program dies: nothing after it happens.
    Died(usize),
    /// It is written, and the task is cancelled at that moment.
    Cancelled(usize, CancellationToken),
}

#[derive(Debug, Default)]
pub(crate) struct Memory {
    fault: Option<Fault>,
    pub(crate) state: Mutex<State>,
    /// Rings when something arrives.
    pub(crate) bell: Notify,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    entries: Vec<JournalEntry>,
    writes: Vec<Vec<Record>>,
    /// Everything that ever arrived.
    pub(crate) arrived: Vec<Incoming>,
    /// What arrives as soon as the agent has sent something.
    pub(crate) answers: Vec<Incoming>,
    /// What was read, once for each time.
    pub(crate) read: Vec<MessageId>,
    /// The messages that were sent.
    pub(crate) sent: Vec<MessageId>,
    pub(crate) subscriptions: Vec<String>,
    /// Why nothing can be delivered.
    pub(crate) full: Option<String>,
    /// Stops the task when its inbox is looked at.
    pub(crate) stops: Option<CancellationToken>,
}

impl Memory {
    pub(crate) fn failing(fault: Fault) -> Self {
        Self {
            fault: Some(fault),
            ..Self::default()
        }
    }

    /// The same, but the program dies after the n-th write.
    pub(crate) fn dying_at(mut self, write: usize) -> Self {
        self.fault = Some(Fault::Died(write));
        self
    }

    pub(crate) fn with_fault(mut self, fault: Fault) -> Self {
        self.fault = Some(fault);
        self
    }

    pub(crate) fn with(entries: Vec<JournalEntry>) -> Self {
        let memory = Self::default();
        memory.state.lock().unwrap().entries = entries;
        memory
    }

    /// What is left after a death: all that was written.
    pub(crate) fn revived(&self) -> Self {
        Self {
            state: Mutex::new(State {
                writes: Vec::new(),
                ..self.state.lock().unwrap().clone()
            }),
            ..Self::default()
        }
    }

    pub(crate) fn entries(&self) -> Vec<JournalEntry> {
        self.state.lock().unwrap().entries.clone()
    }

    pub(crate) fn writes(&self) -> Vec<Vec<Record>> {
        self.state.lock().unwrap().writes.clone()
    }

    /// The entries with the last outcomes, which a caller commits by itself.
    pub(crate) fn closed(&self, unrecorded: &[Record]) -> Vec<JournalEntry> {
        let mut entries = self.entries();
        for record in unrecorded {
            take_entry(&mut entries, record);
        }
        entries
    }
}

#[async_trait]
impl Journal for Memory {
    async fn record(&self, records: Vec<Record>) -> Result<(), JournalRefused> {
        let mut state = self.state.lock().unwrap();
        let write = state.writes.len() + 1;
        if matches!(self.fault, Some(Fault::Refused(at)) if at == write) {
            return Err(JournalRefused);
        }
        for record in &records {
            state.take(record);
        }
        state.writes.push(records);
        match &self.fault {
            Some(Fault::Died(at)) if *at == write => Err(JournalRefused),
            Some(Fault::Cancelled(at, cancel)) if *at == write => {
                cancel.cancel();
                Ok(())
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl State {
    fn take(&mut self, record: &Record) {
        match record {
            Record::Begin(_) | Record::Update(_) => take_entry(&mut self.entries, record),
            Record::Send(sending) => {
                let data = &sending.events[0].data;
                let id = data["message_id"].as_str().unwrap();
                self.sent.push(id.parse().unwrap());
                self.arrived.append(&mut self.answers);
            }
            Record::Acknowledge(read) => self.read.extend(read),
            Record::Subscriptions(patterns) => self.subscriptions.clone_from(patterns),
            Record::Anew(_) => {}
        }
    }
}

fn take_entry(entries: &mut Vec<JournalEntry>, record: &Record) {
    match record {
        Record::Begin(entry) => {
            assert_eq!(usize::try_from(entry.seq).unwrap(), entries.len() + 1);
            let begun = entry.state == EntryState::Started && entry.outcome.is_none();
            let heard = entry.state == EntryState::Finished && entry.kind == EntryKind::Inbox;
            assert!(begun || heard, "{entry:?}");
            let open = |entry: &JournalEntry| entry.state == EntryState::Started;
            assert!(!entries.iter().any(open), "two effects at once");
            entries.push(entry.clone());
        }
        Record::Update(entry) => {
            let last = entries.last_mut().expect("an update of nothing");
            assert_eq!((last.id, last.seq), (entry.id, entry.seq));
            assert_eq!(last.state, EntryState::Started, "an outcome was replaced");
            *last = entry.clone();
        }
        Record::Send(_) | Record::Acknowledge(_) | Record::Subscriptions(_) | Record::Anew(_) => {}
    }
}
