use std::cmp::Ordering;
use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{AGEING, PoolHead};
use crate::task::tests::task;
use crate::{Task, TaskState, Timestamp};

/// A minute of the clock of these tests, in seconds.
const MINUTE: i64 = 60;

fn queued(number: usize, priority: i32, minute: u32) -> Task {
    Task {
        priority,
        queued_at: Timestamp::from_timestamp(i64::from(minute) * MINUTE, 0).unwrap(),
        ..task(number, TaskState::Queued, &[])
    }
}

#[test]
fn a_rank_follows_priority_and_then_age() {
    let (urgent, old) = (queued(1, 1, 10), queued(2, 0, 6));
    assert!(urgent.rank() > old.rank());
    assert!(old.rank() > queued(3, 0, 7).rank());
}

#[test]
fn a_step_of_priority_is_worth_five_minutes_of_waiting() {
    let five = u32::try_from(AGEING.as_secs() / 60).unwrap();
    let urgent = queued(1, 3, 100);
    assert_eq!(urgent.rank(), queued(2, 2, 100 - five).rank());
    assert!(urgent.rank() < queued(2, 2, 99 - five).rank());
    assert!(urgent.rank() > queued(2, 2, 101 - five).rank());
}

#[test]
fn ranks_of_the_most_distant_priorities_do_not_run_over() {
    assert!(queued(1, i32::MAX, 0).rank() > queued(2, i32::MIN, 0).rank());
}

/// Agents that take from the pool, minute by minute.
#[derive(Default)]
struct Office {
    /// What waits, by project.
    waiting: BTreeMap<usize, Vec<Task>>,
    /// Project and end of what is at work.
    at_work: Vec<(usize, u32)>,
}

impl Office {
    fn busy(&self, project: usize) -> u32 {
        let of_it = self.at_work.iter().filter(|(other, _)| *other == project);
        u32::try_from(of_it.count()).unwrap()
    }

    /// The first task of each project, as the store looks for it.
    fn heads(&self) -> Vec<(usize, PoolHead)> {
        let first = |(project, tasks): (&usize, &Vec<Task>)| {
            let best = tasks.iter().max_by_key(|task| task.rank())?;
            let head = PoolHead {
                at_work: self.busy(*project),
                rank: best.rank(),
                id: best.id,
            };
            Some((*project, head))
        };
        self.waiting.iter().filter_map(first).collect()
    }

    /// What an agent that is free takes.
    fn take(&mut self) -> Option<(usize, Task)> {
        let heads = self.heads();
        let (project, head) = heads.iter().min_by(|a, b| a.1.turn_order(&b.1)).copied()?;
        let least = heads.iter().map(|(_, head)| head.at_work).min();
        assert_eq!(
            Some(head.at_work),
            least,
            "a project with less at work waits"
        );
        let tasks = self.waiting.get_mut(&project)?;
        let place = tasks.iter().position(|task| task.id == head.id)?;
        Some((project, tasks.remove(place)))
    }
}

proptest! {
    /// More comes in than can be done, all of it more urgent, and in each project.
    #[test]
    fn nothing_starves_while_more_urgent_work_comes_without_end(
        seed in proptest::collection::vec((0..4_i32, 1..5_u32), 60),
        agents in 1..4_usize,
        asked_at in 0..20_u32,
    ) {
        let mut office = Office::default();
        let mut number = 0;
        let mut begun_at = None;
        for minute in 0..1_500_u32 {
            office.at_work.retain(|(_, end)| *end > minute);
            for project in 0..3_usize {
                let (priority, _) = seed[number % seed.len()];
                number += 1;
                office.waiting.entry(project).or_default().push(queued(number, priority, minute));
            }
            if minute == asked_at {
                office.waiting.entry(1).or_default().push(queued(usize::MAX - 1, -1, minute));
            }
            while office.at_work.len() < agents {
                let Some((project, task)) = office.take() else { break };
                if task.priority == -1 {
                    begun_at = Some(minute);
                }
                let (_, takes) = seed[task.id.uuid().as_u128() as usize % seed.len()];
                office.at_work.push((project, minute + takes));
            }
            if begun_at.is_some() {
                break;
            }
        }
        prop_assert!(begun_at.is_some(), "a task of low priority was never begun");
    }

    #[test]
    fn whose_turn_it_is_does_not_depend_on_who_asks(
        heads in proptest::collection::vec((0..3_u32, 0..3_i64, 0..9_usize), 2..6)
    ) {
        let heads: Vec<PoolHead> = heads.into_iter().map(|(at_work, rank, number)| {
            PoolHead { at_work, rank, id: task(number, TaskState::Queued, &[]).id }
        }).collect();
        for a in &heads {
            for b in &heads {
                prop_assert_eq!(a.turn_order(b), b.turn_order(a).reverse());
                prop_assert_eq!(a.turn_order(b) == Ordering::Equal, a == b);
            }
        }
    }
}
