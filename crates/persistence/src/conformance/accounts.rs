//! Rules of accounts that many runs use up.

use std::time::Duration;

use fusion_core::{
    Account, AgentId, Budget, CallEnd, Change, Cost, Decision, Held, ProjectId, Reservation, Spent,
    Task, TaskState, Usage, WorstCase,
};
use futures::future::join_all;

use super::sample::{Sample, at, capable_of, step};
use crate::{Batch, Error, Fence, Store};

/// Whose life is limited.
const AGENT: AgentId = AgentId::from_uuid(uuid::Uuid::from_u128(9));

/// A run whose agents hold a task each.
struct Busy<'a> {
    store: &'a dyn Store,
    sample: Sample,
    tasks: Vec<Task>,
    project: ProjectId,
}

impl<'a> Busy<'a> {
    async fn new(store: &'a dyn Store, count: usize) -> Self {
        Self::leased(store, count, Duration::from_secs(60)).await
    }

    async fn leased(store: &'a dyn Store, count: usize, lease: Duration) -> Self {
        let names: Vec<String> = (0..count).map(|number| format!("agent{number}")).collect();
        let staff: Vec<(&str, &[&str])> = names
            .iter()
            .map(|name| (name.as_str(), &["x"][..]))
            .collect();
        let steps = (0..count)
            .map(|number| step(&format!("s{number}"), capable_of(&["x"]), &[], 0))
            .collect();
        let sample = Sample::staffed(store, &staff, steps).await;
        let mut tasks = Vec::new();
        for name in &names {
            let mut claim = sample.claim(name, &[&["x"]], sample.node());
            claim.lease.duration = lease;
            tasks.push(store.claim_task(claim).await.unwrap().unwrap().task);
        }
        let project = ProjectId::from_uuid(uuid::Uuid::from_u128(7));
        Self {
            store,
            sample,
            tasks,
            project,
        }
    }

    fn accounts(&self) -> [Account; 4] {
        let day = Account::day_of(at(0));
        [
            Account::Agent(AGENT),
            Account::Workflow("w".to_owned()),
            Account::Project(self.project),
            Account::Day(self.project, day),
        ]
    }

    fn fence(task: &Task) -> Fence {
        Fence {
            task: task.id,
            number: task.fence,
        }
    }

    /// Asks for room for a call of a task in all four accounts.
    async fn hold(&self, task: &Task, limit: Budget, call: WorstCase) -> crate::Result<()> {
        self.hold_after(task, (limit, call), CallEnd::Known).await
    }

    /// The same after a call that ended so.
    async fn hold_after(
        &self,
        task: &Task,
        (limit, call): (Budget, WorstCase),
        before: CallEnd,
    ) -> crate::Result<()> {
        let wanted = Reservation {
            task_id: task.id,
            fence: task.fence,
            limits: self.accounts().map(|account| (account, limit)).into(),
            call,
            set_aside: Held::default(),
            before,
        };
        let decision = Decision::default().with(Change::HoldRoom(Box::new(wanted)));
        let batch = Batch::fenced(Self::fence(task), decision);
        self.store.commit(batch).await.map(|_| ())
    }

    async fn settle(&self, task: &Task, usage: Usage) {
        self.settle_as(task, usage, CallEnd::Known).await;
    }

    /// The same for a call that ended so.
    async fn settle_as(&self, task: &Task, usage: Usage, ended: CallEnd) {
        let settle = Change::SettleRoom {
            task_id: task.id,
            fence: task.fence,
            accounts: self.accounts().into(),
            usage,
            ended,
        };
        let batch = Batch::fenced(Self::fence(task), Decision::default().with(settle));
        self.store.commit(batch).await.unwrap();
    }

    /// The holder of a task gives it back, and says that its call used nothing.
    async fn give_back(&self, task: &Task) {
        let settle = Change::SettleRoom {
            task_id: task.id,
            fence: task.fence,
            accounts: self.accounts().into(),
            usage: Usage::default(),
            ended: CallEnd::Known,
        };
        let decision = Decision::default().with(settle);
        let batch = Batch::release(Self::fence(task), decision);
        self.store.commit(batch).await.unwrap();
    }

    /// What the four accounts have used, which is the same in all.
    async fn spent(&self) -> Spent {
        let all = self.store.spent(&self.accounts()).await.unwrap();
        assert_eq!(all, [all[0]; 4]);
        all[0]
    }

    /// A task that is in the queue again, in the hands of the same agent.
    async fn claim_again(&self, task: &Task) -> Task {
        let number = self.tasks.iter().position(|one| one.id == task.id).unwrap();
        let claim = self
            .sample
            .claim(&format!("agent{number}"), &[&["x"]], self.sample.node());
        let again = self.store.claim_task(claim).await.unwrap().unwrap().task;
        assert_eq!(again.id, task.id);
        again
    }

    /// A task whose lease ran out goes back into the queue.
    async fn take_back(&self, task: &Task) {
        while self.store.expired_leases(100).await.unwrap().len() < self.tasks.len() {}
        let batch = Batch::rescue(Self::fence(task), Decision::default());
        self.store.commit(batch).await.unwrap();
    }

    /// The room that is held in the four accounts.
    async fn held(&self) -> Vec<Held> {
        self.store.held(&self.accounts()).await.unwrap()
    }
}

/// What the narrowest of the accounts is called.
fn life() -> String {
    Account::Agent(AGENT).key()
}

fn room(tokens: u64) -> Held {
    Held {
        cost: Cost::ZERO,
        tokens,
    }
}

fn tokens(count: u64) -> WorstCase {
    WorstCase {
        cost: Some(Cost::from_picos(0)),
        tokens: Some(count),
    }
}

fn up_to(count: u64) -> Budget {
    Budget {
        usd: None,
        tokens: Some(count),
    }
}

fn used(count: u64) -> Usage {
    Usage {
        turns: 1,
        input_tokens: count,
        cost: Cost::from_picos(3),
        ..Usage::default()
    }
}

/// Forty calls of ten tokens at once, and room for fifteen: fifteen are held. What they really use frees
/// the rest, and in the end all is used up to the last token and no further.
pub async fn room_in_an_account_is_held_up_to_the_limit_however_many_ask(store: &dyn Store) {
    let busy = Busy::new(store, 40).await;
    let (limit, call) = (up_to(159), tokens(10));
    let asked = busy.tasks.iter().map(|task| busy.hold(task, limit, call));
    let answers = join_all(asked).await;
    let holders: Vec<&Task> = answers
        .iter()
        .zip(&busy.tasks)
        .filter_map(|(answer, task)| answer.is_ok().then_some(task))
        .collect();
    assert_eq!(holders.len(), 15);
    for refused in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        assert!(
            matches!(refused, Error::OverBudget { may_fit: true, account, .. } if *account == life()),
            "{refused:?}"
        );
    }
    assert_eq!(busy.held().await, [room(150); 4]);
    for task in &holders {
        busy.settle(task, used(9)).await;
    }
    assert_eq!(busy.held().await, [room(0); 4]);
    let spent = Spent {
        cost: Cost::from_picos(45),
        tokens: 135,
        lost: Held::default(),
    };
    let all = store.spent(&busy.accounts()).await.unwrap();
    assert_eq!(all, [spent; 4]);
    let again = holders.iter().map(|task| busy.hold(task, limit, call));
    let again = join_all(again).await;
    assert_eq!(again.iter().filter(|answer| answer.is_ok()).count(), 2);
}

/// A task that asks twice holds once; one that was given back by its holder, who says what became of its
/// call, holds nothing.
pub async fn room_of_a_task_that_was_given_back_is_free(store: &dyn Store) {
    let busy = Busy::new(store, 2).await;
    let [first, second] = busy.tasks.as_slice() else {
        panic!("two tasks");
    };
    let limit = up_to(10);
    busy.hold(first, limit, tokens(10)).await.unwrap();
    busy.hold(first, limit, tokens(8)).await.unwrap();
    let refused = busy.hold(second, limit, tokens(3)).await.unwrap_err();
    assert!(
        matches!(refused, Error::OverBudget { may_fit: true, .. }),
        "{refused:?}"
    );
    busy.hold(second, limit, tokens(2)).await.unwrap();
    assert_eq!(busy.held().await, [room(10); 4]);
    busy.give_back(first).await;
    assert_eq!(busy.held().await, [room(2); 4]);
    assert_eq!(busy.spent().await, Spent::default());
    busy.hold(second, limit, tokens(10)).await.unwrap();
    let stale = busy.hold(first, limit, tokens(0)).await.unwrap_err();
    assert!(matches!(stale, Error::Fenced { .. }), "{stale:?}");
}

/// What a call could have used at most whose process is gone counts as used, in each account that it
/// held room in, and once however often it is looked at.
pub async fn room_of_a_lease_that_was_lost_counts_as_used_for_good(store: &dyn Store) {
    let busy = Busy::leased(store, 3, Duration::ZERO).await;
    let [lost, ended, other] = busy.tasks.as_slice() else {
        panic!("three tasks");
    };
    let call = WorstCase {
        cost: Some(Cost::from_picos(5)),
        tokens: Some(7),
    };
    busy.settle(other, used(1)).await;
    busy.hold(lost, up_to(20), call).await.unwrap();
    busy.hold(ended, up_to(20), tokens(2)).await.unwrap();
    assert_eq!(busy.spent().await.lost, Held::default());
    busy.take_back(lost).await;
    let spent = Spent {
        cost: Cost::from_picos(3),
        tokens: 1,
        lost: Held {
            cost: Cost::from_picos(5),
            tokens: 7,
        },
    };
    assert_eq!(
        (busy.spent().await, busy.held().await),
        (spent, vec![room(2); 4])
    );
    let refused = busy.hold(other, up_to(20), tokens(13)).await.unwrap_err();
    let Error::OverBudget {
        why,
        may_fit: false,
        ..
    } = refused
    else {
        panic!("{refused:?}");
    };
    assert_eq!(
        why,
        "8 of 20 tokens are used, and the call could use 13; that counts $0.000000000005 and 7 tokens \
         for lost calls whose cost is not known"
    );
    busy.hold(other, up_to(20), tokens(10)).await.unwrap();
    busy.settle(other, used(10)).await;
    busy.give_back(ended).await;
    busy.hold(other, up_to(20), tokens(2)).await.unwrap();
    busy.settle(other, Usage::default()).await;
    let spent = Spent {
        cost: Cost::from_picos(6),
        tokens: 11,
        ..spent
    };
    assert_eq!(
        (busy.spent().await, busy.held().await),
        (spent, vec![room(0); 4])
    );
}

/// The same for a task that somebody else ends, and for one that goes on under another lease, whose end is
/// another one's.
pub async fn room_that_nobody_settled_counts_as_used_however_the_lease_ended(store: &dyn Store) {
    let busy = Busy::new(store, 2).await;
    let [cancelled, back] = busy.tasks.as_slice() else {
        panic!("two tasks");
    };
    let limit = up_to(40);
    busy.hold(cancelled, limit, tokens(7)).await.unwrap();
    let end = Task {
        state: TaskState::Cancelled,
        ..cancelled.clone()
    };
    let end = Decision::default().with(Change::update(end));
    store.commit(Batch::free(end)).await.unwrap();
    assert_eq!(
        (busy.spent().await.lost, busy.held().await),
        (room(7), vec![room(0); 4])
    );
    busy.hold(back, limit, tokens(9)).await.unwrap();
    let given = Batch::release(Busy::fence(back), Decision::default());
    store.commit(given).await.unwrap();
    let again = busy.claim_again(back).await;
    busy.hold(&again, limit, tokens(11)).await.unwrap();
    assert_eq!(
        (busy.spent().await.lost, busy.held().await),
        (room(16), vec![room(11); 4])
    );
    busy.settle(&again, Usage::default()).await;
    assert_eq!(
        (busy.spent().await.lost, busy.held().await),
        (room(16), vec![room(0); 4])
    );
}

/// A worker that knows that nobody can say what its call cost says so with what it writes next: with the
/// outcome, or with the room for another call. What it knows to have cost nothing leaves nothing behind
/// when its process dies after that.
pub async fn room_of_a_call_of_unknown_cost_counts_as_used_and_of_a_known_one_does_not(
    store: &dyn Store,
) {
    let busy = Busy::leased(store, 1, Duration::ZERO).await;
    let [task] = busy.tasks.as_slice() else {
        panic!("one task");
    };
    let limit = up_to(100);
    busy.hold(task, limit, tokens(10)).await.unwrap();
    let next = (limit, tokens(20));
    busy.hold_after(task, next, CallEnd::Unknown).await.unwrap();
    assert_eq!(
        (busy.spent().await.lost, busy.held().await),
        (room(10), vec![room(20); 4])
    );
    // What is refused leaves all as it was.
    let refused = (limit, tokens(100));
    busy.hold_after(task, refused, CallEnd::Unknown)
        .await
        .unwrap_err();
    busy.settle_as(task, used(3), CallEnd::Unknown).await;
    busy.hold(task, limit, tokens(40)).await.unwrap();
    busy.settle(task, Usage::default()).await;
    busy.take_back(task).await;
    let spent = Spent {
        cost: Cost::from_picos(3),
        tokens: 3,
        lost: room(30),
    };
    assert_eq!(
        (busy.spent().await, busy.held().await),
        (spent, vec![room(0); 4])
    );
}

/// It is told why, holds in none of the accounts, and those that commit at the same time are not
/// disturbed.
pub async fn a_call_that_never_fits_is_refused_and_others_are_not_disturbed(store: &dyn Store) {
    let busy = Busy::new(store, 2).await;
    let [first, second] = busy.tasks.as_slice() else {
        panic!("two tasks");
    };
    busy.settle(first, used(8)).await;
    let limit = up_to(10);
    let (refused, held) = tokio::join!(
        busy.hold(first, limit, tokens(3)),
        busy.hold(second, limit, tokens(2)),
    );
    held.unwrap();
    let Err(Error::OverBudget {
        account,
        why,
        may_fit: false,
    }) = refused
    else {
        panic!("{refused:?}");
    };
    assert_eq!(
        (account, why.as_str()),
        (life(), "8 of 10 tokens are used, and the call could use 3")
    );
}
