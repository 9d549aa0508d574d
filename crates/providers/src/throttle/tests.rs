use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fusion_core::{Cost, RateLimits, Usage};
use futures::future::join_all;
use proptest::prelude::*;
use tokio::time::{Instant, advance};

use super::window::Window;
use super::{Throttle, ThrottleOptions};
use crate::double::{Answer, Double, limited, request};
use crate::{Error, NoDeltas, Provider, Result, Turn};

const SECOND: Duration = Duration::from_secs(1);

fn throttle(
    double: &Arc<Double>,
    max_concurrent: usize,
    rate: RateLimits,
) -> Throttle<Arc<Double>> {
    let options = ThrottleOptions {
        max_concurrent,
        rate,
    };
    Throttle::new(Arc::clone(double), options)
}

async fn ask(throttle: &impl Provider, agent: &str) -> Result<Turn> {
    throttle.send_message(&request("m", agent), &NoDeltas).await
}

/// Every call takes a second.
fn slow() -> Arc<Double> {
    Double::by(|_, _| Answer::yes().after(SECOND))
}

fn at_each_second(double: &Double) -> BTreeMap<u64, usize> {
    let mut counts = BTreeMap::new();
    for at in double.times() {
        *counts.entry(at.as_secs()).or_default() += 1;
    }
    counts
}

#[tokio::test(start_paused = true)]
async fn no_more_calls_are_under_way_than_allowed() {
    let double = slow();
    let throttle = throttle(&double, 3, RateLimits::default());
    join_all((0..8).map(|_| ask(&throttle, "a"))).await;
    assert_eq!(at_each_second(&double), [(0, 3), (1, 3), (2, 2)].into());
}

#[tokio::test(start_paused = true)]
async fn agents_go_in_turn_however_many_calls_one_has() {
    let double = slow();
    let throttle = throttle(&double, 1, RateLimits::default());
    let agents = ["a", "a", "a", "a", "b", "c", "b"];
    join_all(agents.map(|agent| ask(&throttle, agent))).await;
    assert_eq!(double.agents(), ["a", "a", "b", "c", "a", "b", "a"]);
}

#[tokio::test(start_paused = true)]
async fn a_place_that_is_given_up_goes_to_the_next() {
    let double = slow();
    let throttle = throttle(&double, 1, RateLimits::default());
    let short = Duration::from_millis(500);
    let cut = async |agent| {
        tokio::time::timeout(short, ask(&throttle, agent))
            .await
            .is_err()
    };
    // The first is cut off while it is served, the second while it waits.
    let (first, second, third) = tokio::join!(cut("x"), cut("y"), ask(&throttle, "z"));
    assert!(first && second && third.is_ok());
    assert_eq!(double.agents(), ["x", "z"]);
    assert_eq!(double.times(), [Duration::ZERO, short]);
}

#[tokio::test(start_paused = true)]
async fn requests_in_any_minute_stay_within_the_limit() {
    let double = Double::new([]);
    let rate = RateLimits {
        requests_per_minute: Some(20),
        tokens_per_minute: None,
    };
    let throttle = throttle(&double, 32, rate);
    join_all((0..50).map(|_| ask(&throttle, "a"))).await;
    assert_eq!(
        at_each_second(&double),
        [(0, 20), (60, 20), (120, 10)].into()
    );
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_requests_that_ends_while_a_call_is_under_way_wakes_those_who_wait() {
    let double = Double::by(|_, _| Answer::yes().after(30 * SECOND));
    let rate = RateLimits {
        requests_per_minute: Some(1),
        tokens_per_minute: None,
    };
    let throttle = throttle(&double, 1, rate);
    join_all((0..3).map(|_| ask(&throttle, "a"))).await;
    assert_eq!(double.times(), [0, 60, 120].map(Duration::from_secs));
}

#[tokio::test(start_paused = true)]
async fn tokens_are_booked_as_estimated_and_put_right_afterwards() {
    let used = Usage {
        turns: 1,
        input_tokens: 100,
        output_tokens: 200,
        cost: Cost::ZERO,
    };
    let double = Double::by(move |_, _| Answer::using(used).after(SECOND));
    let rate = RateLimits {
        requests_per_minute: None,
        tokens_per_minute: Some(1_000),
    };
    let throttle = throttle(&double, 32, rate);
    let asked = crate::TurnRequest {
        max_tokens: Some(600),
        ..request("m", "a")
    };
    join_all((0..4).map(|_| throttle.send_message(&asked, &NoDeltas))).await;
    // 600 are booked for each and 300 stay: the third leaves 400, too few until the first is old.
    assert_eq!(double.times(), [0, 1, 60, 61].map(Duration::from_secs));
}

#[tokio::test(start_paused = true)]
async fn a_refused_call_sends_those_who_wait_away_and_halves_what_may_be_under_way() {
    let double = Double::by(|at, _| {
        if at < SECOND {
            Answer::no(limited(Some(9 * SECOND))).after(Duration::from_millis(100))
        } else {
            Answer::yes().after(SECOND)
        }
    });
    let throttle = throttle(&double, 8, RateLimits::default());
    let answers = join_all((0..20).map(|_| ask(&throttle, "a"))).await;
    assert!(answers.iter().all(|answer| {
        matches!(answer, Err(Error::Limited { retry_after: Some(wait), .. }) if *wait == 9 * SECOND)
    }));
    assert_eq!(double.calls().len(), 8);
    let before = double.calls().len();
    advance(9 * SECOND).await;
    join_all((0..20).map(|_| ask(&throttle, "a"))).await;
    let counts: Vec<usize> = double.times()[before..]
        .chunk_by(|a, b| a == b)
        .map(<[Duration]>::len)
        .collect();
    assert_eq!(counts, [4, 5, 6, 5]);
}

proptest! {
    #[test]
    fn no_minute_ever_holds_more_than_its_limit(
        limit in 1_u64..50,
        steps in prop::collection::vec((0_u64..40, 1_u64..60), 1..60),
    ) {
        let mut window = Window::new(limit);
        let mut now = Instant::now();
        let mut taken: Vec<(Instant, u64)> = Vec::new();
        for (number, (pause, amount)) in steps.into_iter().enumerate() {
            now += Duration::from_secs(pause);
            now = window.room_at(amount, now).max(now);
            prop_assert_eq!(window.room_at(amount, now), now);
            window.take(u64::try_from(number).unwrap(), amount, now);
            taken.push((now, amount));
            let recent = taken.iter().filter(|(at, _)| *at + Duration::from_secs(60) > now);
            let (count, sum) = recent.fold((0, 0), |(count, sum), (_, amount)| (count + 1, sum + amount));
            prop_assert!(sum <= limit || count == 1, "{} of {}", sum, limit);
        }
    }
}
