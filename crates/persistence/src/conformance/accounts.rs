//! Rules of accounts that many runs use up.

use fusion_core::{
    Account, Budget, Change, Cost, Decision, Held, ProjectId, Reservation, Spent, Task, Usage,
    WorstCase,
};
use futures::future::join_all;

use super::sample::{Sample, at, capable_of, step};
use crate::{Batch, Error, Fence, Store};

/// A run whose agents hold a task each.
struct Busy<'a> {
    store: &'a dyn Store,
    tasks: Vec<Task>,
    project: ProjectId,
}

impl<'a> Busy<'a> {
    async fn new(store: &'a dyn Store, count: usize) -> Self {
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
            let claim = sample.claim(name, &[&["x"]], sample.node());
            tasks.push(store.claim_task(claim).await.unwrap().unwrap().task);
        }
        let project = ProjectId::from_uuid(uuid::Uuid::from_u128(7));
        Self {
            store,
            tasks,
            project,
        }
    }

    fn accounts(&self) -> [Account; 3] {
        let day = Account::day_of(at(0));
        [
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

    /// Asks for room for a call of a task in all three accounts.
    async fn hold(&self, task: &Task, limit: Budget, call: WorstCase) -> crate::Result<()> {
        let wanted = Reservation {
            task_id: task.id,
            fence: task.fence,
            limits: self.accounts().map(|account| (account, limit)).into(),
            call,
            set_aside: Held::default(),
        };
        let decision = Decision::default().with(Change::HoldRoom(Box::new(wanted)));
        let batch = Batch::fenced(Self::fence(task), decision);
        self.store.commit(batch).await.map(|_| ())
    }

    async fn settle(&self, task: &Task, usage: Usage) {
        let settle = Change::SettleRoom {
            task_id: task.id,
            accounts: self.accounts().into(),
            usage,
        };
        let batch = Batch::fenced(Self::fence(task), Decision::default().with(settle));
        self.store.commit(batch).await.unwrap();
    }

    /// The room that is held in the three accounts.
    async fn held(&self) -> Vec<Held> {
        self.store.held(&self.accounts()).await.unwrap()
    }
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
            matches!(refused, Error::OverBudget { may_fit: true, account, .. } if account == "workflow:w"),
            "{refused:?}"
        );
    }
    assert_eq!(busy.held().await, [room(150); 3]);
    for task in &holders {
        busy.settle(task, used(9)).await;
    }
    assert_eq!(busy.held().await, [room(0); 3]);
    let spent = Spent {
        cost: Cost::from_picos(45),
        tokens: 135,
    };
    let all = store.spent(&busy.accounts()).await.unwrap();
    assert_eq!(all, [spent; 3]);
    let again = holders.iter().map(|task| busy.hold(task, limit, call));
    let again = join_all(again).await;
    assert_eq!(again.iter().filter(|answer| answer.is_ok()).count(), 2);
}

/// A task that asks twice holds once; one that was taken back, or has ended, holds nothing.
pub async fn room_of_a_lease_that_ended_is_free(store: &dyn Store) {
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
    let back = Batch::release(Busy::fence(first), Decision::default());
    assert_eq!(busy.held().await, [room(10); 3]);
    store.commit(back).await.unwrap();
    assert_eq!(busy.held().await, [room(2); 3]);
    busy.hold(second, limit, tokens(10)).await.unwrap();
    let stale = busy.hold(first, limit, tokens(0)).await.unwrap_err();
    assert!(matches!(stale, Error::Fenced { .. }), "{stale:?}");
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
        (account.as_str(), why.as_str()),
        (
            "workflow:w",
            "8 of 10 tokens are used, and the call could use 3"
        )
    );
}
