//! What the jobs of a transaction count together: with one statement for all of them. Each statement
//! is a round trip on PostgreSQL, and all agents of a run write its one row.

use std::collections::BTreeMap;

use fusion_core::{Account, Change, RunId, TaskId, Usage};

use crate::failure::Result;
use crate::session::Session;
use crate::usage::{self, Booked};
use crate::{accounts, runs, tasks};

/// Tasks in one statement: far below SQLite's 32,766 bound values.
const TASKS_PER_UPDATE: usize = 500;

/// Sums by run, in an order that is the same in every process: so they can't deadlock.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Tasks that are not open any more.
    closed: BTreeMap<RunId, u32>,
    used: BTreeMap<RunId, Usage>,
    settled: BTreeMap<Account, Usage>,
    /// Tasks whose successors wait for one task less.
    ended: Vec<TaskId>,
    /// How many further items of a fan-out may begin.
    let_go: BTreeMap<TaskId, u32>,
    /// New tasks that wait for others.
    waiting: Vec<TaskId>,
}

impl Counts {
    /// Adds what the changes of one job count.
    pub(crate) fn add(&mut self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::CloseTasks { run_id, count } => {
                    let closed = self.closed.entry(*run_id).or_default();
                    *closed = closed.saturating_add(*count);
                }
                Change::BookUsage { run_id, usage, .. } => {
                    *self.used.entry(*run_id).or_default() += *usage;
                }
                Change::SettleRoom {
                    accounts, usage, ..
                } => {
                    for account in accounts {
                        *self.settled.entry(account.clone()).or_default() += *usage;
                    }
                }
                Change::ReleaseSuccessors(task) => self.ended.push(*task),
                Change::ReleaseItem(fan_out) => {
                    let let_go = self.let_go.entry(*fan_out).or_default();
                    *let_go = let_go.saturating_add(1);
                }
                Change::CountDependencies(task) => self.waiting.push(*task),
                Change::Create(_)
                | Change::Update(_)
                | Change::Delete { .. }
                | Change::FanOut { .. }
                | Change::HoldRoom(_)
                | Change::BeginEntry(_)
                | Change::UpdateEntry(_)
                | Change::Postpone { .. }
                | Change::WakePool
                | Change::Wake { .. }
                | Change::WakeTask(_)
                | Change::DeleteRun(_)
                | Change::ForgetFiles(_)
                | Change::Watch { .. }
                | Change::Reserve { .. }
                | Change::Progress { .. }
                | Change::NameSnapshot { .. }
                | Change::SendMessage(_)
                | Change::SettleDeliveries(_) => {}
            }
        }
    }

    /// Writes the sums.
    pub(crate) async fn write(&self, session: &mut impl Session) -> Result<()> {
        for ended in self.ended.chunks(TASKS_PER_UPDATE) {
            tasks::release_successors(session, ended).await?;
        }
        for (fan_out, count) in &self.let_go {
            tasks::items::release_items(session, *fan_out, *count).await?;
        }
        // After the others: one of this transaction may have ended what a new task waits for.
        for task in &self.waiting {
            tasks::pool::count_dependencies(session, *task).await?;
        }
        for (run, count) in &self.closed {
            runs::close_tasks(session, *run, *count).await?;
        }
        for (run, used) in &self.used {
            usage::book(session, Booked::Run, run.uuid(), *used).await?;
        }
        accounts::settle(session, &self.settled).await?;
        Ok(())
    }
}
