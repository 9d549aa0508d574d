//! The engine: starts runs, hands tasks to agents, executes them, and picks up what a crash
//! left.
//!
//! Every decision is a pure rule of `fusion-core`; this crate reads what the rule needs,
//! commits what it decides, and says so on the bus. Nothing it keeps in memory is needed
//! after a crash: [`Coordinator::recover`] takes back what a dead process held, and
//! [`Coordinator::resume_run`] works from the store alone. Starting a run is resuming a new one.

mod above;
mod again;
mod agents;
mod anew;
mod approvals;
mod artifacts;
mod audience;
mod below;
mod brief;
mod budgets;
mod called;
mod calls;
mod candidates;
mod control;
mod coordinator;
pub mod credentials;
mod crew;
mod cron;
mod dead_letters;
mod delegation;
mod deletions;
mod drivers;
mod dry_run;
mod due;
mod error;
mod expression_context;
mod fan_out;
mod finish;
mod folders;
mod follow;
mod grants;
mod handed;
mod hands;
mod host;
mod journal;
mod listeners;
mod look;
mod lost_workspaces;
mod mailbox;
mod metrics;
mod models;
mod nodes;
mod notices;
mod outcome;
mod places;
mod plan;
mod projects;
mod pulse;
mod races;
mod records;
mod recovery;
mod resend;
mod retention;
mod run_file;
mod run_step;
mod scheduler;
mod schedules;
mod seats;
mod shared;
mod shared_budgets;
mod spawn;
mod stuck;
mod tasks;
mod uids;
mod undo;
mod unserved;
mod usage;
mod versions;
mod webhooks;
mod worker;
mod worktrees;

pub use again::{Again, AgainFault};
pub use agents::{
    AgentUpdate, Committed, Discarded, Discarding, Fault, Left, Letter, MAX_AGENTS, NewAgent, STEP,
    Sent,
};
pub use approvals::{Answer, AnswerFault, MAX_WORDS};
pub use artifacts::{ArtifactFile, files_of};
pub use budgets::Raised;
pub use called::{CallFault, WrongCall};
pub use candidates::CheckedModel;
pub use coordinator::{Coordinator, Options, Parts};
pub use cron::{Recurrence, RecurrenceFault};
pub use deletions::{CollectedRuns, DeletedRun, KeptRun, OldRuns};
pub use dry_run::WouldChange;
pub use error::{Error, Result};
pub use grants::granted_to;
pub use look::Look;
pub use models::{Models, check_models};
pub use nodes::NodeOptions;
pub use notices::Notices;
pub use projects::{Unfinished, UnfinishedKind};
pub use records::{Ask, NewDefinition, Record, Version};
pub use resend::resend;
pub use run_file::{
    FORMAT, Import, Listed, Manifest, Origin, RunFile, RunFileFault, expect_own, looked_through,
};
pub use scheduler::Driven;
pub use schedules::{MAX_SCHEDULES, NewSchedule, held};
pub use spawn::NewRun;
pub use tasks::{
    MAX_DEPENDENCIES, MAX_DESCRIPTION, MAX_QUEUE, MAX_WAIT, NewTask, RetryTask, Wait, why,
};
pub use webhooks::{
    Keys, MAX_WEBHOOKS, NewWebhook, NoKey, Postman, Tried, WebhookFault, reseal_webhooks,
};
pub use worktrees::{WorktreeRecord, worktree_of};
