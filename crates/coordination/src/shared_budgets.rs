//! The budgets around those of a run: of the life of a standing agent, of all runs of its workflow, of its project, of the project's day.
//! They are kept in the store, for several processes use them up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{Days, NaiveDate, NaiveTime};
use fusion_core::{
    Account, Agent, AgentId, Budget, CallEnd, Change, Decision, Held, Project, ProjectId,
    Reservation, Run, RunId, Timestamp, Usage, WorstCase,
};
use fusion_persistence::{Batch, Error as StoreError, Fence, Repository as _};
use fusion_providers::{Error as ModelError, Notice, Observer, SharedBudget};

use crate::above::Above;
use crate::agents::life_budget;
use crate::worker::Job;
use crate::{Coordinator, Error, Result};

/// The first wait for room that calls under way hold. It doubles with each further one.
const FIRST_LOOK: Duration = Duration::from_millis(50);

/// The longest of these waits.
const LONGEST_LOOK: Duration = Duration::from_secs(1);

/// What lies around the budget of a run, as long as this process drives it.
#[derive(Debug, Default)]
pub(crate) struct Around {
    workflow: String,
    /// Empty where the file has none.
    total: Budget,
    above: Above,
    /// The accounts whose refusal was told.
    told: Mutex<BTreeSet<Account>>,
}

impl Around {
    pub(crate) fn new(workflow: &str, total: Budget) -> Self {
        Self {
            workflow: workflow.to_owned(),
            total,
            ..Self::default()
        }
    }

    /// The same within the runs above.
    pub(crate) fn within(&self, above: Above) -> Self {
        let mut around = Self::new(&self.workflow, self.total);
        around.above = above;
        around
    }

    /// What a run is called whose budget is used up.
    fn called(&self, run: RunId) -> String {
        let mut levels = self.above.levels.iter();
        if levels.any(|level| level.is_own && level.run == run) {
            return "run".to_owned();
        }
        format!("run '{run}'")
    }

    fn is_empty(&self) -> bool {
        self.total.is_empty() && self.above.levels.is_empty()
    }

    /// The accounts of the runs above, and of all runs of their workflows: what is used counts for them.
    fn accounts(&self) -> BTreeSet<Account> {
        let mut accounts = BTreeSet::new();
        if !self.total.is_empty() {
            accounts.insert(Account::Workflow(self.workflow.clone()));
        }
        for level in &self.above.levels {
            // Also without a limit: a person may set one later.
            accounts.insert(Account::Run(level.run));
            if !level.total.is_empty() {
                accounts.insert(Account::Workflow(level.workflow.clone()));
            }
        }
        accounts
    }
}

/// The shared budgets in the hands of one task.
#[derive(Debug)]
pub(crate) struct Purse {
    coordinator: Coordinator,
    around: Arc<Around>,
    project: Option<ProjectId>,
    fence: Fence,
    agent: AgentId,
    agent_name: String,
    /// Whether the agent stands: it may have a limit for its life, now or later.
    is_standing: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The day that the last call counts for.
    day: NaiveDate,
    /// What lost calls cost that is not booked yet.
    unbooked: Held,
    /// How the call ended for which room is held.
    room: Option<CallEnd>,
    /// Whether it was one of these budgets that the last call did not fit.
    is_refused: bool,
}

impl Purse {
    /// Those of a job; `None` where it has none.
    pub(crate) fn of(coordinator: &Coordinator, job: &Job<'_>) -> Option<Arc<Self>> {
        let around = &job.plan.budgets.shared;
        let project = job.plan.workflow.project_id.or(job.agent.project_id);
        let project = project.or(around.above.project);
        let is_standing = job.agent.is_standing();
        if around.is_empty() && project.is_none() && !is_standing {
            return None;
        }
        let day = Account::day_of(coordinator.moment().now);
        Some(Arc::new(Self {
            coordinator: coordinator.clone(),
            around: Arc::clone(around),
            project,
            fence: job.fence,
            agent: job.agent.id,
            agent_name: job.agent.name.clone(),
            is_standing,
            state: Mutex::new(State {
                day,
                ..State::default()
            }),
        }))
    }

    /// What is to be written with the usage of a call that was booked. A call that used nothing is told
    /// too where room is held for it: else that would count as used when the lease ends.
    pub(crate) fn settling(&self, usage: Usage) -> Option<Change> {
        let mut state = locked(&self.state);
        let room = state.room.take();
        if usage == Usage::default() && room.is_none() {
            return None;
        }
        state.unbooked = Held::default();
        let mut accounts = self.around.accounts();
        if self.is_standing {
            // Also without a limit: all that it ever spent counts under a later one.
            accounts.insert(Account::Agent(self.agent));
        }
        if let Some(project) = self.project {
            accounts.insert(Account::Project(project));
            accounts.insert(Account::Day(project, state.day));
        }
        if accounts.is_empty() && room.is_none() {
            return None;
        }
        Some(Change::SettleRoom {
            task_id: self.fence.task,
            fence: self.fence.number,
            accounts: accounts.into_iter().collect(),
            usage,
            ended: room.unwrap_or_default(),
        })
    }

    /// Whether it was one of these budgets that the last call did not fit, and not one of the run itself.
    pub(crate) fn has_refused(&self) -> bool {
        locked(&self.state).is_refused
    }

    /// The limits that hold now, in the order of the accounts, in which all take them. Those of the runs
    /// above, of the agent and of a project are read each time: whoever sets or raises them is heard at once.
    async fn limits(&self, day: NaiveDate) -> Result<(Vec<(Account, Budget)>, String)> {
        let mut limits = self.limits_above().await?;
        let mut name = String::new();
        if self.is_standing {
            let agent: Agent = self.coordinator.parts.store.get(self.agent).await?;
            limits.insert(Account::Agent(agent.id), life_budget(&agent)?);
        }
        if let Some(id) = self.project {
            let project: Option<Project> = self.coordinator.parts.store.find(id).await?;
            if let Some(project) = project {
                limits.insert(Account::Project(id), project.budget);
                limits.insert(Account::Day(id, day), project.budget_per_day);
                name = project.name;
            }
        }
        limits.retain(|_, budget| !budget.is_empty());
        Ok((limits.into_iter().collect(), name))
    }

    /// Those of the run's workflow, of the runs above and of their workflows.
    async fn limits_above(&self) -> Result<BTreeMap<Account, Budget>> {
        let around = &self.around;
        let own = Account::Workflow(around.workflow.clone());
        let mut limits = BTreeMap::from([(own, around.total)]);
        for level in &around.above.levels {
            let run: Run = self.coordinator.parts.store.get(level.run).await?;
            let budget = run.raised.run.over(level.budget);
            limits.insert(Account::Run(level.run), budget);
            let total = if level.is_own {
                around.total
            } else {
                level.total
            };
            let of_workflow = Account::Workflow(level.workflow.clone());
            limits.insert(of_workflow, run.raised.total.over(total));
        }
        Ok(limits)
    }

    async fn try_hold(&self, call: &WorstCase) -> Result<Tried> {
        let now = self.coordinator.moment().now;
        let day = Account::day_of(now);
        let (limits, project) = self.limits(day).await?;
        let (set_aside, before) = {
            let mut state = locked(&self.state);
            state.day = day;
            (state.unbooked, state.room.unwrap_or_default())
        };
        if limits.is_empty() {
            return Ok(Tried::Held);
        }
        let accounts: Vec<Account> = limits.iter().map(|(account, _)| account.clone()).collect();
        let wanted = Reservation {
            task_id: self.fence.task,
            fence: self.fence.number,
            limits,
            call: *call,
            set_aside,
            before,
        };
        let decision = Decision::default().with(Change::HoldRoom(Box::new(wanted)));
        let batch = Batch::fenced(self.fence, decision);
        // Also for who is dropped here: the commit may be done all the same.
        locked(&self.state).room = Some(before);
        match self.coordinator.commit_work(batch).await {
            Ok(()) => {
                locked(&self.state).room = Some(CallEnd::Known);
                Ok(Tried::Held)
            }
            Err(Error::Store(StoreError::OverBudget { may_fit: true, .. })) => Ok(Tried::Later),
            Err(Error::Store(StoreError::OverBudget { account, why, .. })) => {
                let refused = accounts.into_iter().find(|it| it.key() == account);
                let refused =
                    refused.ok_or_else(|| Error::Broken(format!("no account {account}")))?;
                Ok(Tried::Never(self.refusal(refused, why, (&project, now))))
            }
            Err(error) => Err(error),
        }
    }

    /// What is said of a call that does not fit; told in the event log once.
    fn refusal(
        &self,
        account: Account,
        problem: String,
        (project, now): (&str, Timestamp),
    ) -> ModelError {
        let (scope, retry_after) = match &account {
            Account::Run(id) => (self.around.called(*id), None),
            Account::Agent(_) => (format!("life of the agent '{}'", self.agent_name), None),
            Account::Workflow(name) => (format!("workflow '{name}'"), None),
            Account::Project(_) => (format!("project '{project}'"), None),
            Account::Day(_, day) => {
                let scope = format!("day {day} of the project '{project}'");
                (scope, until_next(*day, now))
            }
        };
        if locked(&self.around.told).insert(account) {
            self.coordinator.parts.notices.notice(Notice::OverBudget {
                agent: self.agent.to_string(),
                scope: scope.clone(),
                problem: problem.clone(),
            });
        }
        ModelError::OverBudget {
            scope,
            problem,
            retry_after,
        }
    }
}

enum Tried {
    Held,
    Later,
    Never(ModelError),
}

#[async_trait]
impl SharedBudget for Purse {
    async fn hold(&self, call: &WorstCase) -> fusion_providers::Result<()> {
        let mut wait = FIRST_LOOK;
        loop {
            let tried = self.try_hold(call).await;
            locked(&self.state).is_refused = matches!(tried, Ok(Tried::Never(_)));
            match tried {
                Ok(Tried::Held) => return Ok(()),
                Ok(Tried::Never(refused)) => return Err(refused),
                Ok(Tried::Later) => {}
                Err(error) => {
                    return Err(ModelError::Unreachable {
                        provider: "the account of its budget".to_owned(),
                        endpoint: "the store".to_owned(),
                        source: Box::new(error),
                    });
                }
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_LOOK);
        }
    }

    fn lose(&self, cost: Option<Usage>) -> bool {
        let mut state = locked(&self.state);
        match cost {
            Some(cost) => {
                state.unbooked.cost = state.unbooked.cost + cost.cost;
                state.unbooked.tokens = state.unbooked.tokens.saturating_add(cost.tokens());
            }
            // Written with what the task writes next; until then its room is held.
            None => state.room = state.room.map(|_| CallEnd::Unknown),
        }
        // The task is handed out again, and holds room anew.
        false
    }
}

/// From now until the day after this one begins, in UTC.
fn until_next(day: NaiveDate, now: Timestamp) -> Option<Duration> {
    let next = day.checked_add_days(Days::new(1))?;
    let begins = next.and_time(NaiveTime::MIN).and_utc();
    Some((begins - now).to_std().unwrap_or_default())
}

/// Every change under these locks is one step, so a poisoned one holds whole values.
fn locked<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::until_next;
    use std::time::Duration;

    #[test]
    fn a_day_ends_with_its_last_moment_in_utc() {
        let at = |text: &str| text.parse().unwrap();
        let day = "2028-02-28".parse().unwrap();
        let wait = |now| until_next(day, at(now)).unwrap();
        assert_eq!(wait("2028-02-28T00:00:00Z"), Duration::from_secs(86_400));
        assert_eq!(wait("2028-02-28T23:59:59Z"), Duration::from_secs(1));
        assert_eq!(wait("2028-02-29T08:00:00Z"), Duration::ZERO);
    }
}
