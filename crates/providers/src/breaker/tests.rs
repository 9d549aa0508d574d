use std::sync::Arc;
use std::time::Duration;

use fusion_core::Coded;
use tokio::time::advance;

use super::{Breaker, BreakerOptions};
use crate::double::{Answer, Double, Heard, bad_request, limited, request, server};
use crate::{Error, NoDeltas, Notice, Provider, Result, Turn};

const SECOND: Duration = Duration::from_secs(1);

struct Place {
    breaker: Arc<Breaker<Arc<Double>>>,
    double: Arc<Double>,
    heard: Arc<Heard>,
}

impl Place {
    fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        let double = Double::new(answers);
        let heard = Arc::<Heard>::default();
        let observer = Arc::<Heard>::clone(&heard);
        let options = BreakerOptions::default();
        Self {
            breaker: Arc::new(Breaker::new(Arc::clone(&double), "p", options, observer)),
            double,
            heard,
        }
    }

    async fn ask(&self, model: &str) -> Result<Turn> {
        self.breaker
            .send_message(&request(model, "a"), &NoDeltas)
            .await
    }

    async fn ask_times(&self, times: usize) {
        for _ in 0..times {
            let _answer = self.ask("m").await;
        }
    }

    fn asked(&self) -> usize {
        self.double.calls().len()
    }
}

fn down(times: usize) -> impl Iterator<Item = Answer> {
    std::iter::repeat_with(|| Answer::no(server(503))).take(times)
}

#[tokio::test(start_paused = true)]
async fn five_failures_in_a_row_open_the_circuit_and_nobody_asks_for_a_minute() {
    let place = Place::new(down(5));
    place.ask_times(5).await;
    advance(59 * SECOND).await;
    let refused = place.ask("m").await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "p failed 5 times in a row and is left alone for a while: p failed (503): down"
    );
    assert_eq!(refused.retry_after(), Some(SECOND));
    assert_eq!(place.asked(), 5);
    assert_eq!(
        place.heard.all(),
        [Notice::CircuitOpened {
            provider: "p".into(),
            model: "m".into(),
            failures: 5,
            pause: 60 * SECOND,
            failure: "server",
        }]
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_between_failures_begins_the_count_anew() {
    for alive in [Answer::yes(), Answer::no(bad_request())] {
        let place = Place::new(down(4).chain([alive]).chain(down(4)));
        place.ask_times(9).await;
        assert_eq!(place.ask("m").await.unwrap().text, "yes");
    }
}

#[tokio::test(start_paused = true)]
async fn limits_never_count_and_never_clear_the_count() {
    let place = Place::new((0..20).map(|_| Answer::no(limited(None))));
    place.ask_times(20).await;
    assert_eq!(place.ask("m").await.unwrap().text, "yes");

    let place = Place::new(down(4).chain([Answer::no(limited(None))]).chain(down(1)));
    place.ask_times(6).await;
    assert!(matches!(place.ask("m").await, Err(Error::Paused { .. })));
}

#[tokio::test(start_paused = true)]
async fn one_call_is_the_probe_and_the_others_fail_at_once() {
    let slow = Answer::yes().after(10 * SECOND);
    let place = Place::new(down(5).chain([slow]));
    place.ask_times(5).await;
    advance(60 * SECOND).await;
    let (probe, second) = tokio::join!(place.ask("m"), async {
        advance(5 * SECOND).await;
        place.ask("m").await
    });
    assert_eq!(probe.unwrap().text, "yes");
    assert_eq!(second.unwrap_err().retry_after(), Some(SECOND));
    assert_eq!(place.asked(), 6);
    assert_eq!(place.ask("m").await.unwrap().text, "yes");
    assert_eq!(
        place.heard.all()[1..],
        [Notice::CircuitClosed {
            provider: "p".into(),
            model: "m".into(),
        }]
    );
}

#[tokio::test(start_paused = true)]
async fn each_failed_probe_doubles_the_pause_up_to_five_minutes() {
    let place = Place::new(down(100));
    place.ask_times(5).await;
    for pause in [60, 120, 240, 300, 300] {
        advance(pause * SECOND - Duration::from_millis(1)).await;
        assert!(matches!(place.ask("m").await, Err(Error::Paused { .. })));
        advance(Duration::from_millis(1)).await;
        assert!(matches!(place.ask("m").await, Err(Error::Server { .. })));
    }
    assert_eq!(place.asked(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_dropped_leaves_the_probe_to_the_next() {
    let place = Place::new(down(5).chain([Answer::yes().after(10 * SECOND)]));
    place.ask_times(5).await;
    advance(60 * SECOND).await;
    let cut = tokio::time::timeout(SECOND, place.ask("m")).await;
    assert!(cut.is_err());
    assert_eq!(place.ask("m").await.unwrap().text, "yes");
}

#[tokio::test(start_paused = true)]
async fn each_model_has_its_own_circuit() {
    let place = Place::new(down(5));
    place.ask_times(5).await;
    assert_eq!(place.ask("other").await.unwrap().text, "yes");
    assert!(matches!(place.ask("m").await, Err(Error::Paused { .. })));
}
