use std::sync::Arc;
use std::time::Duration;

use fusion_core::{Cost, Usage};
use futures::future::join_all;

use super::{LayerOptions, Layered};
use crate::double::{Answer, Bills, Double, Heard, limited, request, server};
use crate::{
    Bounds, Budgeted, Candidate, Error, Fallbacks, Figures, NoDeltas, Notice, Observer, Provider,
    Registry, ThrottleOptions,
};

const SECOND: Duration = Duration::from_secs(1);

fn layered(double: &Arc<Double>) -> (Layered<Arc<Double>>, Arc<Heard>) {
    let heard = Arc::<Heard>::default();
    let observer: Arc<dyn Observer> = Arc::<Heard>::clone(&heard);
    let options = LayerOptions {
        throttle: ThrottleOptions {
            max_concurrent: 32,
            ..ThrottleOptions::default()
        },
        ..LayerOptions::default()
    };
    (
        Layered::new(Arc::clone(double), "mine", options, &observer),
        heard,
    )
}

/// The promise of the issue: nobody fails, and at most one call goes out in each window.
#[tokio::test(start_paused = true)]
async fn two_hundred_calls_outlast_a_quota_that_is_gone_for_300_seconds() {
    for window in [Some(30), Some(300), None] {
        let double = Double::by(move |at, _| {
            let end = Duration::from_secs(300);
            if at < end {
                let told = window
                    .map(Duration::from_secs)
                    .map(|window| window.min(end - at));
                Answer::no(limited(told)).after(Duration::from_millis(50))
            } else {
                Answer::yes().after(SECOND)
            }
        });
        let (layered, _) = layered(&double);
        let agents: Vec<String> = (0..200).map(|n| format!("agent {}", n % 10)).collect();
        let answers = join_all(
            agents
                .iter()
                .map(async |agent| layered.send_message(&request("m", agent), &NoDeltas).await),
        )
        .await;
        let failed = answers.iter().filter(|answer| answer.is_err()).count();
        assert_eq!(failed, 0, "{window:?}");
        let refused: Vec<Duration> = double
            .times()
            .into_iter()
            .filter(|at| *at < 300 * SECOND)
            .collect();
        // Those who were under way before the first refusal came back.
        let (burst, probes) = refused.split_at(refused.iter().filter(|at| at.is_zero()).count());
        assert!(burst.len() <= 32, "{window:?}: {}", burst.len());
        for pair in probes.windows(2) {
            let apart = window.map_or(SECOND, Duration::from_secs);
            assert!(pair[1] - pair[0] >= apart, "{window:?}: {pair:?}");
        }
        assert_eq!(double.calls().len(), refused.len() + 200);
    }
}

#[tokio::test(start_paused = true)]
async fn a_passing_failure_is_repeated_told_and_counted() {
    let double = Double::new([Answer::no(server(502))]);
    let (layered, heard) = layered(&double);
    let turn = layered
        .send_message(&request("m", "a"), &NoDeltas)
        .await
        .unwrap();
    assert_eq!(turn.served_by.as_deref(), Some("mine"));
    let figures = layered.figures();
    assert_eq!(
        Figures {
            time: Duration::ZERO,
            longest: Duration::ZERO,
            ..figures
        },
        Figures {
            calls: 1,
            attempts: 2,
            failures: 1,
            usage: Usage::default(),
            ..Figures::default()
        }
    );
    let told = heard.all();
    assert!(
        matches!(
            told.as_slice(),
            [Notice::Retry { provider, attempt: 1, failure: "server", status: Some(502), .. }]
                if provider == "mine"
        ),
        "{told:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_dead_server_is_left_alone_after_five_calls_of_three_attempts() {
    let double = Double::by(|_, _| Answer::no(server(500)));
    let (layered, heard) = layered(&double);
    let mut paused = 0;
    for _ in 0..20 {
        let answer = layered.send_message(&request("m", "a"), &NoDeltas).await;
        paused += usize::from(matches!(answer, Err(Error::Paused { .. })));
    }
    assert_eq!((double.calls().len(), paused), (15, 15));
    let opened = heard
        .all()
        .into_iter()
        .filter(|notice| matches!(notice, Notice::CircuitOpened { .. }))
        .count();
    assert_eq!(opened, 1);
}

#[tokio::test]
async fn what_an_answer_cost_can_be_asked_for_through_all_layers() {
    let bill = Usage {
        turns: 0,
        input_tokens: 7,
        output_tokens: 3,
        cost: Cost::from_picos(37),
    };
    let bills = Bills::default();
    bills
        .lock()
        .unwrap()
        .insert("gen".into(), (Duration::ZERO, bill));
    let double = Double::billing(bills, |_, _| Answer::yes());
    let (layered, heard) = layered(&double);
    let tally = layered.tally();
    let registry = Registry::default();
    registry.register("mine", Arc::new(layered));
    let candidate = |provider| Candidate {
        provider,
        model: "m".into(),
    };
    let first = candidate(Double::new([]));
    let fallbacks = Fallbacks::new(first, vec![candidate(registry.get("mine").unwrap())]);
    let outermost = Budgeted::new(fallbacks, Bounds::default(), vec![], heard);
    assert_eq!(outermost.get_generation("gen").await.unwrap(), Some(bill));
    assert_eq!(outermost.get_generation("other").await.unwrap(), None);
    assert_eq!(tally.figures().usage, bill);
    registry.disable("mine").unwrap();
    let disabled = outermost.get_generation("gen").await;
    assert!(matches!(disabled, Err(Error::Disabled { .. })));
}
