use std::sync::{Arc, Mutex};
use std::time::Duration;

use fusion_core::{Cost, Usage};
use futures::FutureExt;

use super::{RetryOptions, Retrying};
use crate::double::{Answer, Bills, Double, bad_request, cut, limited, request, server};
use crate::{Delta, DeltaSink, Error, Provider};

const COST: Usage = Usage {
    turns: 0,
    input_tokens: 7,
    output_tokens: 3,
    cost: Cost::from_picos(40),
};

/// Keeps what lost calls cost, and has room for another one or not.
#[derive(Debug)]
struct Told {
    lost: Mutex<Vec<Option<Usage>>>,
    has_room: bool,
}

impl Told {
    fn with_room(has_room: bool) -> Self {
        Self {
            lost: Mutex::default(),
            has_room,
        }
    }

    fn lost(&self) -> Vec<Option<Usage>> {
        self.lost.lock().unwrap().clone()
    }
}

impl DeltaSink for Told {
    fn take(&self, _: Delta<'_>) {}

    fn lost(&self, cost: Option<Usage>) -> bool {
        self.lost.lock().unwrap().push(cost);
        self.has_room
    }
}

/// Breaks off this often, each time after an answer with the id `gen`, whose cost is told after a while.
fn cutting(times: usize, told_after: Option<Duration>) -> Arc<Double> {
    let bills = Bills::default();
    if let Some(after) = told_after {
        let bill = ("gen".to_owned(), (after, COST));
        bills.lock().unwrap().extend([bill]);
    }
    let mut left = times;
    Double::billing(bills, move |_, _| {
        if left == 0 {
            return Answer::yes();
        }
        left -= 1;
        Answer::no(cut(Some("gen")))
    })
}

fn retrying(double: &Arc<Double>) -> Retrying<Arc<Double>> {
    Retrying::new(Arc::clone(double), RetryOptions::default())
}

#[tokio::test(start_paused = true)]
async fn rows_57_and_59_the_cost_of_each_lost_call_is_told_whether_the_turn_comes_or_not() {
    for (cuts, is_served) in [(1, true), (2, true), (3, false)] {
        let double = cutting(cuts, Some(Duration::from_secs(2)));
        let told = Told::with_room(true);
        let turn = retrying(&double)
            .send_message(&request("m", "a"), &told)
            .await;
        assert_eq!(turn.is_ok(), is_served);
        assert_eq!(told.lost(), vec![Some(COST); cuts]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cost_that_is_not_told_in_ten_seconds_is_unknown_and_keeps_no_repeat_longer() {
    for told_after in [Some(Duration::from_secs(3_600)), None] {
        let double = cutting(1, told_after);
        let told = Told::with_room(true);
        let turn = retrying(&double)
            .send_message(&request("m", "a"), &told)
            .await;
        assert_eq!(turn.unwrap().text, "yes");
        assert_eq!(told.lost(), [None]);
        let again = double.times()[1];
        assert!(again <= Duration::from_millis(10_501), "{again:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn row_28_only_a_call_that_may_be_billed_counts_as_lost() {
    let provider = || "p".to_owned();
    let unreachable = Error::Unreachable {
        provider: provider(),
        endpoint: "http://p".into(),
        source: "reset".into(),
    };
    let timeout = Error::Timeout {
        provider: provider(),
        limit: Duration::from_secs(1),
        generation_id: None,
    };
    let garbled = Error::Malformed {
        provider: provider(),
        problem: "not JSON".into(),
        sample: "<".into(),
        generation_id: None,
    };
    let endless = Error::TooLarge {
        provider: provider(),
        limit: 1,
        generation_id: None,
    };
    let cases = [
        (server(504), 1),
        (server(524), 1),
        (cut(None), 1),
        (timeout, 1),
        (garbled, 1),
        (endless, 1),
        (server(500), 0),
        (server(502), 0),
        (server(529), 0),
        (limited(None), 0),
        (bad_request(), 0),
        (unreachable, 0),
    ];
    for (error, count) in cases {
        let name = error.to_string();
        let double = Double::new([Answer::no(error)]);
        let told = Told::with_room(true);
        let turn = retrying(&double)
            .send_message(&request("m", "a"), &told)
            .await;
        drop(turn);
        assert_eq!(told.lost(), vec![None; count], "{name}");
        assert_eq!(double.asked(), <[String; 0]>::default(), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_call_is_not_repeated_where_the_caller_has_no_room_for_another() {
    let double = cutting(1, Some(Duration::ZERO));
    let told = Told::with_room(false);
    let turn = retrying(&double)
        .send_message(&request("m", "a"), &told)
        .await;
    assert!(matches!(turn, Err(Error::Truncated { .. })), "{turn:?}");
    assert_eq!((double.calls().len(), told.lost()), (1, vec![Some(COST)]));
}

#[tokio::test(start_paused = true)]
async fn row_63_a_call_that_is_cancelled_asks_nothing() {
    let double = Double::new([Answer::no(cut(Some("gen"))).after(Duration::from_secs(60))]);
    let told = Told::with_room(true);
    let layer = retrying(&double);
    let asked = request("m", "a");
    let mut call = layer.send_message(&asked, &told);
    assert!((&mut call).now_or_never().is_none());
    drop(call);
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(double.calls().len(), 1);
    assert_eq!(double.asked(), <[String; 0]>::default());
    assert_eq!(told.lost(), []);
}
