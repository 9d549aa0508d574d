use std::sync::Arc;
use std::time::Duration;

use fusion_core::{Budget, Cost, Fit, Held, Usage, WorstCase};
use futures::future::join_all;
use proptest::prelude::*;

use super::{Allowance, Hold};

const fn usage(cost: i64, tokens: u64) -> Usage {
    Usage {
        turns: 1,
        input_tokens: tokens,
        output_tokens: 0,
        cost: Cost::from_picos(cost),
    }
}

const fn call(cost: i64, tokens: u64) -> WorstCase {
    WorstCase {
        cost: Some(Cost::from_picos(cost)),
        tokens: Some(tokens),
    }
}

fn allowance(cost: i64, tokens: u64) -> Arc<Allowance> {
    let budget = Budget {
        usd: Some(Cost::from_picos(cost)),
        tokens: Some(tokens),
    };
    Allowance::new("run", budget, Usage::default())
}

#[tokio::test(start_paused = true)]
async fn who_finds_no_room_waits_until_a_call_turns_out_smaller_or_is_dropped() {
    let allowance = allowance(100, 1_000);
    let (settled, dropped) = (
        allowance.hold(&call(50, 1)).await.unwrap(),
        allowance.hold(&call(50, 1)).await.unwrap(),
    );
    let start = tokio::time::Instant::now();
    let (first, second, ()) = tokio::join!(
        async {
            let hold = allowance.hold(&call(40, 1)).await.unwrap();
            (hold, start.elapsed().as_secs())
        },
        async {
            let hold = allowance.hold(&call(40, 1)).await.unwrap();
            (hold, start.elapsed().as_secs())
        },
        async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            settled.settle(usage(10, 1));
            tokio::time::sleep(Duration::from_secs(1)).await;
            drop(dropped);
        }
    );
    assert_eq!((first.1, second.1), (1, 2));
    drop((first, second));
    assert_eq!(allowance.used(), usage(10, 1));
    assert_eq!(allowance.held(), Held::default());
}

#[tokio::test]
async fn what_was_used_before_counts() {
    let budget = Budget {
        usd: None,
        tokens: Some(100),
    };
    let allowance = Allowance::new("run", budget, usage(0, 90));
    assert_eq!(
        allowance.hold(&call(0, 11)).await.unwrap_err(),
        "90 of 100 tokens are used, and the call could use 11"
    );
    assert!(allowance.hold(&call(0, 10)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn futures_dropped_anywhere_leave_nothing_held() {
    let allowance = allowance(100, 1_000);
    let calls = (0..200_u64).map(|n| {
        let allowance = Arc::clone(&allowance);
        async move {
            let work = async {
                let hold = allowance.hold(&call(30, 5)).await?;
                tokio::time::sleep(Duration::from_millis(n % 7)).await;
                hold.settle(usage(0, 1));
                Ok::<(), String>(())
            };
            // Some are cut off in line, some at work, some after it.
            tokio::time::timeout(Duration::from_millis(n % 13), work)
                .await
                .is_ok()
        }
    });
    let done = join_all(calls)
        .await
        .into_iter()
        .filter(|done| *done)
        .count();
    assert!((1..200).contains(&done), "{done}");
    assert_eq!(allowance.held(), Held::default());
    assert_eq!(allowance.used().turns, u64::try_from(done).unwrap());
}

#[derive(Debug, Clone)]
enum Step {
    Reserve {
        cost: i64,
        tokens: u64,
    },
    /// Settles a call with this share of its worst case, in percent.
    Settle {
        which: usize,
        percent: u8,
    },
    Cancel {
        which: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0_i64..400, 0_u64..400).prop_map(|(cost, tokens)| Step::Reserve { cost, tokens }),
        2 => (any::<usize>(), 0_u8..=100).prop_map(|(which, percent)| Step::Settle { which, percent }),
        1 => any::<usize>().prop_map(|which| Step::Cancel { which }),
    ]
}

proptest! {
    #[test]
    fn no_order_of_reserving_settling_and_cancelling_goes_beyond_a_budget_or_leaks(
        cost in 0_i64..1_000,
        tokens in 0_u64..1_000,
        steps in prop::collection::vec(step(), 0..200),
    ) {
        let allowance = allowance(cost, tokens);
        let mut holds: Vec<(Hold, i64, u64)> = Vec::new();
        let mut used = (0, 0);
        for step in steps {
            match step {
                Step::Reserve { cost, tokens } => match allowance.try_hold(&call(cost, tokens)) {
                    Ok(hold) => holds.push((hold, cost, tokens)),
                    Err(Fit::Later) => prop_assert!(!holds.is_empty(), "it waits for nothing"),
                    Err(Fit::Never(_) | Fit::Now) => {}
                },
                Step::Settle { which, percent } if !holds.is_empty() => {
                    let (hold, cost, tokens) = holds.swap_remove(which % holds.len());
                    let (cost, tokens) = (
                        cost * i64::from(percent) / 100,
                        tokens * u64::from(percent) / 100,
                    );
                    hold.settle(usage(cost, tokens));
                    used = (used.0 + cost, used.1 + tokens);
                }
                Step::Cancel { which } if !holds.is_empty() => {
                    drop(holds.swap_remove(which % holds.len()));
                }
                Step::Settle { .. } | Step::Cancel { .. } => {}
            }
            let (state, held) = (allowance.used(), allowance.held());
            let sums = holds.iter().fold((0, 0), |sum, hold| (sum.0 + hold.1, sum.1 + hold.2));
            prop_assert_eq!((state.cost.picos(), state.tokens()), used);
            prop_assert_eq!((held.cost.picos(), held.tokens), sums);
            prop_assert!(used.0 + sums.0 <= cost && used.1 + sums.1 <= tokens);
        }
        holds.clear();
        prop_assert_eq!(allowance.held(), Held::default());
    }
}
