//! Accounts: what many runs use up together, and the room that their calls hold in it.

use chrono::NaiveDate;

use crate::{AgentId, Budget, Cost, Held, ProjectId, RunId, TaskId, Timestamp, WorstCase};

/// What many runs use up together. They are ordered as they are nested, the narrowest first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Account {
    /// A run with all runs below it.
    Run(RunId),
    /// All that a standing agent does as long as it lives.
    Agent(AgentId),
    /// All runs of the workflow of this name, whatever their version.
    Workflow(String),
    /// All that is done for a project.
    Project(ProjectId),
    /// What is done for a project on one day, in UTC.
    Day(ProjectId, NaiveDate),
}

impl Account {
    /// The day that an account of this moment counts for.
    #[must_use]
    pub fn day_of(now: Timestamp) -> NaiveDate {
        now.date_naive()
    }

    /// Names it in the store.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::Run(id) => format!("run:{id}"),
            Self::Agent(id) => format!("agent:{id}"),
            Self::Workflow(name) => format!("workflow:{name}"),
            Self::Project(id) => format!("project:{id}"),
            Self::Day(id, day) => format!("day:{id}:{day}"),
        }
    }
}

/// What an account has used so far; calls under way are not in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// Money.
    pub cost: Cost,
    /// Tokens read and written.
    pub tokens: u64,
    /// What calls whose outcome nobody knows may have used at most, beside that. It counts as used.
    pub lost: Held,
}

/// What is known of a call when the room that was held for it is given up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CallEnd {
    /// What it used is booked, or it used nothing: the room is free.
    #[default]
    Known,
    /// It may have used as much as was held for it: that counts as used, for good.
    Unknown,
}

/// Room for one model call of a task. It is held until what the task used is settled or the task asks for
/// room again. Where the lease ends before, however that comes, nobody knows what became of the call: its
/// room counts as used from then on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// The task whose agent asks.
    pub task_id: TaskId,
    /// The number of the lease that the task is done under.
    pub fence: u64,
    /// Where room is needed, and what may be used there in all; the narrowest first.
    pub limits: Vec<(Account, Budget)>,
    /// What the call could use at most.
    pub call: WorstCase,
    /// What is taken as used beside what the accounts say: what lost calls of the task are known to
    /// have cost, until it is booked.
    pub set_aside: Held,
    /// How the call before ended, whose room the task still holds.
    pub before: CallEnd,
}

#[cfg(test)]
mod tests {
    use super::Account;
    use crate::{AgentId, ProjectId, RunId};

    #[test]
    fn accounts_are_ordered_from_the_narrowest_and_named_apart() {
        let project = ProjectId::from_uuid(uuid::Uuid::nil());
        let evening = "2026-11-26T23:59:59.999999Z".parse().unwrap();
        let day = Account::day_of(evening);
        let run = RunId::from_uuid(uuid::Uuid::nil());
        let agent = AgentId::from_uuid(uuid::Uuid::nil());
        let all = [
            Account::Run(run),
            Account::Agent(agent),
            Account::Workflow("release".to_owned()),
            Account::Project(project),
            Account::Day(project, day),
        ];
        assert!(all.is_sorted());
        assert_eq!(
            all.map(|account| account.key()),
            [
                format!("run:{run}"),
                format!("agent:{agent}"),
                "workflow:release".to_owned(),
                format!("project:{project}"),
                format!("day:{project}:2026-11-26"),
            ]
        );
    }
}
