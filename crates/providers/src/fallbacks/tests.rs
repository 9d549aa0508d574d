use std::sync::Arc;
use std::time::Duration;

use super::{Candidate, Fallbacks};
use crate::double::{Answer, Double, bad_request, limited, request, server};
use crate::{Error, LayerOptions, Layered, NoDeltas, NoObserver, Observer, Provider, Result, Turn};

const SECOND: Duration = Duration::from_secs(1);

fn candidate(provider: &Arc<Double>, model: &str) -> Candidate {
    Candidate {
        provider: Arc::<Double>::clone(provider),
        model: model.to_owned(),
    }
}

async fn ask(first: Answer, second: Answer) -> (Result<Turn>, Vec<String>) {
    let double = Double::new([first, second]);
    let fallbacks = Fallbacks::new(
        candidate(&double, "wanted"),
        vec![candidate(&double, "spare")],
    );
    let turn = fallbacks
        .send_message(&request("wanted", "a"), &NoDeltas)
        .await;
    let asked = double.calls().into_iter().map(|call| call.model).collect();
    (turn, asked)
}

#[tokio::test(start_paused = true)]
async fn the_next_model_is_asked_when_one_is_gone_overloaded_over_quota_paused_or_disabled() {
    let reasons = [
        Error::UnknownModel {
            provider: "p".into(),
            model: "wanted".into(),
            nearest: None,
        },
        Error::Disabled {
            provider: "p".into(),
        },
        Error::Paused {
            provider: "p".into(),
            failures: 5,
            last: "down".into(),
            retry_after: SECOND,
        },
        Error::PaymentRequired {
            provider: "p".into(),
            message: "no credits".into(),
        },
        server(529),
        limited(Some(SECOND)),
    ];
    for reason in reasons {
        let told = format!("{reason:?}");
        let (turn, asked) = ask(Answer::no(reason), Answer::yes()).await;
        assert_eq!(turn.unwrap().model, "spare", "{told}");
        assert_eq!(asked, ["wanted", "spare"], "{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_of_the_request_itself_asks_nobody_else() {
    let faults = [
        bad_request(),
        Error::ContextTooLong {
            provider: "p".into(),
            message: "too long".into(),
            tokens: None,
            limit: None,
        },
        Error::OverBudget {
            scope: "run".into(),
            problem: "spent".into(),
            retry_after: None,
        },
    ];
    for fault in faults {
        let told = fault.to_string();
        let (turn, asked) = ask(Answer::no(fault), Answer::yes()).await;
        assert_eq!(turn.unwrap_err().to_string(), told);
        assert_eq!(asked, ["wanted"]);
    }
}

#[tokio::test(start_paused = true)]
async fn each_model_is_asked_under_a_key_of_its_own_that_is_the_same_at_a_repeat() {
    let double = Double::by(|_, _| Answer::no(server(500)));
    let fallbacks = Fallbacks::new(
        candidate(&double, "wanted"),
        vec![candidate(&double, "spare")],
    );
    for _ in 0..2 {
        let turn = fallbacks
            .send_message(&request("wanted", "a"), &NoDeltas)
            .await;
        assert!(turn.is_err());
    }
    let keys: Vec<String> = double.calls().into_iter().map(|call| call.key).collect();
    assert_eq!(keys, ["k", "k-1", "k", "k-1"]);
}

#[tokio::test(start_paused = true)]
async fn when_all_fail_the_first_failure_is_told() {
    let (turn, _) = ask(Answer::no(server(500)), Answer::no(server(503))).await;
    assert_eq!(turn.unwrap_err().to_string(), "p failed (500): down");
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_while_a_model_is_left_and_the_soonest_is_waited_for_when_none_is() {
    let observer: Arc<dyn Observer> = Arc::new(NoObserver);
    let gone_for = |seconds: u64| {
        Double::by(move |at, _| {
            let end = Duration::from_secs(seconds);
            if at < end {
                Answer::no(limited(Some(end - at)))
            } else {
                Answer::yes()
            }
        })
    };
    let (slow, quick) = (gone_for(300), gone_for(40));
    let layered = |double: &Arc<Double>, name: &str| Candidate {
        provider: Arc::new(Layered::new(
            Arc::clone(double),
            name,
            LayerOptions::default(),
            &observer,
        )),
        model: "m".to_owned(),
    };
    let fallbacks = Fallbacks::new(layered(&slow, "slow"), vec![layered(&quick, "quick")]);
    let turn = fallbacks
        .send_message(&request("m", "a"), &NoDeltas)
        .await
        .unwrap();
    assert_eq!(turn.served_by.as_deref(), Some("quick"));
    assert_eq!(slow.times(), [Duration::ZERO]);
    assert_eq!(quick.times(), [Duration::ZERO, 40 * SECOND]);
}
