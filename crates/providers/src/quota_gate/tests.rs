use std::sync::Arc;
use std::time::Duration;

use fusion_core::Coded;
use futures::future::join_all;

use super::{QuotaGate, QuotaGateOptions};
use crate::double::{Answer, Double, Heard, bad_request, limited, request};
use crate::{Error, NoDeltas, Notice, Provider, Result, Turn};

const SECOND: Duration = Duration::from_secs(1);

fn gate(double: &Arc<Double>) -> (QuotaGate<Arc<Double>>, Arc<Heard>) {
    let heard = Arc::<Heard>::default();
    let observer = Arc::<Heard>::clone(&heard);
    let options = QuotaGateOptions::default();
    (
        QuotaGate::new(Arc::clone(double), "p", options, observer),
        heard,
    )
}

async fn ask(gate: &impl Provider, agent: &str) -> Result<Turn> {
    gate.send_message(&request("m", agent), &NoDeltas).await
}

/// Refuses everyone until a time, naming the rest of it or windows of a given length.
fn closed_for(seconds: u64, window: Option<u64>) -> Arc<Double> {
    Double::by(move |at, _| {
        let end = Duration::from_secs(seconds);
        if at >= end {
            return Answer::yes();
        }
        let told = window.map(Duration::from_secs).map(|w| w.min(end - at));
        Answer::no(limited(told))
    })
}

#[tokio::test(start_paused = true)]
async fn callers_wait_for_the_told_time_and_follow_in_the_order_they_came() {
    let double = closed_for(30, Some(30));
    let (gate, heard) = gate(&double);
    let names: Vec<String> = (0..50).map(|n| format!("{n:02}")).collect();
    ask(&gate, "first").await.unwrap();
    let answers = join_all(names.iter().map(|name| ask(&gate, name))).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(double.times()[..2], [Duration::ZERO, 30 * SECOND]);
    assert_eq!(double.agents()[2..], names);
    assert_eq!(
        heard.all(),
        [Notice::QuotaClosed {
            provider: "p".into(),
            pause: 30 * SECOND
        }]
    );
}

#[tokio::test(start_paused = true)]
async fn one_caller_probes_at_the_end_of_each_window() {
    let double = closed_for(300, Some(60));
    let (gate, _) = gate(&double);
    let opener = ask(&gate, "opener");
    let answers = join_all((0..200).map(|_| ask(&gate, "a")));
    let (first, answers) = tokio::join!(opener, async {
        // The gate is closed by then.
        tokio::time::sleep(SECOND).await;
        answers.await
    });
    assert!(first.is_ok() && answers.iter().all(Result::is_ok));
    let before: Vec<u64> = double
        .times()
        .iter()
        .map(Duration::as_secs)
        .filter(|at| *at < 300)
        .collect();
    assert_eq!(before, [0, 60, 120, 180, 240]);
    assert_eq!(double.calls().len(), 5 + 201);
}

#[tokio::test(start_paused = true)]
async fn without_a_told_time_the_windows_double_up_to_a_minute() {
    let double = closed_for(250, None);
    let (gate, _) = gate(&double);
    ask(&gate, "a").await.unwrap();
    let times: Vec<u64> = double.times().iter().map(Duration::as_secs).collect();
    assert_eq!(times, [0, 1, 3, 7, 15, 31, 63, 123, 183, 243, 303]);
}

#[tokio::test(start_paused = true)]
async fn a_wait_beyond_the_limit_is_given_back_at_once_with_its_length() {
    let double = closed_for(601, Some(601));
    let (gate, _) = gate(&double);
    for _ in 0..2 {
        let error = ask(&gate, "a").await.unwrap_err();
        assert_eq!(error.to_string(), "p limits the requests: slow down");
        assert_eq!(error.retry_after(), Some(601 * SECOND));
    }
    assert_eq!(double.times(), [Duration::ZERO]);
}

#[tokio::test(start_paused = true)]
async fn those_in_line_are_told_when_the_window_grows_beyond_their_limit() {
    let mut windows = [60, 3_600].into_iter();
    let double =
        Double::by(move |_, _| Answer::no(limited(windows.next().map(Duration::from_secs))));
    let (gate, _) = gate(&double);
    let start = tokio::time::Instant::now();
    let answers = join_all((0..3).map(|_| ask(&gate, "a"))).await;
    assert!(answers.iter().all(|answer| {
        matches!(answer, Err(Error::Limited { retry_after: Some(wait), .. }) if *wait == 3_600 * SECOND)
    }), "{answers:?}");
    assert_eq!(start.elapsed(), Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn who_may_not_wait_is_told_at_once_and_may_be_the_probe() {
    let double = closed_for(30, Some(30));
    let (gate, _) = gate(&double);
    let hasty = crate::TurnRequest {
        may_wait: false,
        ..request("m", "hasty")
    };
    let mut told = Vec::new();
    for _ in 0..2 {
        let error = gate.send_message(&hasty, &NoDeltas).await.unwrap_err();
        told.push(error.retry_after());
        tokio::time::sleep(10 * SECOND).await;
    }
    assert_eq!(told, [Some(30 * SECOND), Some(20 * SECOND)]);
    assert_eq!(double.calls().len(), 1);
    tokio::time::sleep(10 * SECOND).await;
    assert!(gate.send_message(&hasty, &NoDeltas).await.is_ok());
    assert!(ask(&gate, "a").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_dropped_leaves_its_place_to_the_next() {
    let double = Double::new([
        Answer::no(limited(Some(10 * SECOND))),
        Answer::yes().after(3_600 * SECOND),
    ]);
    let (gate, _) = gate(&double);
    let (cut, next) = tokio::join!(
        tokio::time::timeout(20 * SECOND, ask(&gate, "cut")),
        async {
            tokio::time::sleep(SECOND).await;
            ask(&gate, "next").await
        }
    );
    assert!(cut.is_err());
    assert!(next.is_ok());
    assert_eq!(double.times(), [0, 10, 20].map(Duration::from_secs));
}

#[tokio::test(start_paused = true)]
async fn other_failures_are_passed_on_and_open_the_gate() {
    let double = Double::new([
        Answer::no(limited(Some(10 * SECOND))),
        Answer::no(bad_request()),
    ]);
    let (gate, _) = gate(&double);
    assert!(matches!(
        ask(&gate, "a").await,
        Err(Error::BadRequest { .. })
    ));
    assert!(ask(&gate, "a").await.is_ok());
    assert_eq!(double.times(), [0, 10, 10].map(Duration::from_secs));
}
