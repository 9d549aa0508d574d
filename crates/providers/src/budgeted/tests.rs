use std::sync::{Arc, Mutex};
use std::time::Duration;

use fusion_core::{Budget, Cost, Held, Usage, WorstCase};
use futures::future::join_all;

use super::{Bounds, Budgeted};
use crate::double::{Answer, Bills, Double, Heard, cut, request, server};
use crate::{
    Allowance, Error, Message, NoDeltas, NoObserver, Notice, Price, Provider, RetryOptions,
    Retrying, TurnRequest,
};

const PRICE: Price = Price {
    input_token: Cost::from_picos(3_000_000),
    output_token: Cost::from_picos(15_000_000),
    request: Cost::from_picos(1_000_000_000),
};

const KNOWN: Bounds = Bounds {
    price: Some(PRICE),
    max_output_tokens: Some(500),
};

const UNKNOWN: Bounds = Bounds {
    price: None,
    max_output_tokens: None,
};

fn usd(text: &str) -> Cost {
    Cost::from_usd(text.parse().unwrap()).unwrap()
}

fn allowance(usd: Cost) -> Arc<Allowance> {
    let budget = Budget {
        usd: Some(usd),
        tokens: None,
    };
    Allowance::new("run", budget, Usage::default())
}

/// A model that uses between nothing and the most it may, and takes its time.
fn model() -> Arc<Double> {
    let mut seed = 7_u64;
    Double::by(move |_, _| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let mut usage = Usage {
            turns: 1,
            input_tokens: 20,
            output_tokens: (seed >> 33) % 501,
            cost: Cost::ZERO,
        };
        usage.cost = PRICE.of(&usage);
        Answer::using(usage).after(Duration::from_millis((seed >> 40) % 50))
    })
}

/// 50 loops of turns on one budget, each until it is refused; gives the turns that were served.
async fn loops(bounds: Bounds, allowance: &Arc<Allowance>) -> usize {
    let model = model();
    let served = join_all((0..50).map(|_| async {
        let allowances = vec![Arc::clone(allowance)];
        let provider = Budgeted::new(Arc::clone(&model), bounds, allowances, Arc::new(NoObserver));
        let mut served = 0;
        loop {
            match provider.send_message(&request("m", "a"), &NoDeltas).await {
                Ok(_) => served += 1,
                Err(Error::OverBudget { .. }) => return served,
                Err(other) => panic!("{other:?}"),
            }
        }
    }))
    .await
    .into_iter()
    .sum();
    assert_eq!(model.calls().len(), served);
    served
}

#[tokio::test(start_paused = true)]
async fn fifty_loops_on_one_budget_never_go_beyond_it_with_known_prices() {
    let allowance = allowance(usd("2"));
    let served = loops(KNOWN, &allowance).await;
    let used = allowance.used().cost;
    let worst = KNOWN.worst_case(&request("m", "a")).cost.unwrap();
    assert!(used <= usd("2"), "{used}");
    assert!(used + worst > usd("2"), "{used} of 2 is left unused");
    assert!(served > 100, "{served}");
    assert_eq!(allowance.held(), Held::default());
}

#[tokio::test(start_paused = true)]
async fn fifty_loops_on_one_budget_go_beyond_it_by_one_call_each_at_most_with_unknown_prices() {
    let allowance = allowance(usd("2"));
    let served = loops(UNKNOWN, &allowance).await;
    let used = allowance.used().cost;
    let dearest = PRICE.of(&Usage {
        turns: 1,
        input_tokens: 20,
        output_tokens: 500,
        cost: Cost::ZERO,
    });
    let overshoot = used.picos() - usd("2").picos();
    assert!((0..=50 * dearest.picos()).contains(&overshoot), "{used}");
    assert!(served > 100, "{served}");
}

#[tokio::test]
async fn a_call_that_does_not_fit_is_not_made_and_told_once() {
    let double = Double::new([]);
    let heard = Arc::<Heard>::default();
    let observer = Arc::<Heard>::clone(&heard);
    let allowances = vec![allowance(Cost::ZERO)];
    let provider = Budgeted::new(Arc::clone(&double), KNOWN, allowances, observer);
    for _ in 0..2 {
        let error = provider
            .send_message(&request("m", "a"), &NoDeltas)
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "the budget of the run is used up: $0 of $0 are spent, and the call could cost $0.008596"
        );
    }
    assert_eq!(double.calls(), []);
    assert_eq!(
        heard.all(),
        [Notice::OverBudget {
            agent: "a".into(),
            scope: "run".into(),
            problem: "$0 of $0 are spent, and the call could cost $0.008596".into(),
        }]
    );
}

#[tokio::test]
async fn a_failed_call_gives_its_room_back_in_every_budget() {
    let double = Double::new([Answer::no(server(500))]);
    let (agents, runs) = (allowance(usd("1")), allowance(usd("2")));
    let allowances = vec![Arc::clone(&agents), Arc::clone(&runs)];
    let provider = Budgeted::new(double, KNOWN, allowances, Arc::new(NoObserver));
    let failed = provider.send_message(&request("m", "a"), &NoDeltas).await;
    assert!(failed.is_err());
    for allowance in [agents, runs] {
        assert_eq!(allowance.used(), Usage::default());
        assert_eq!(allowance.held(), Held::default());
    }
}

/// A model whose answers are as dear as can be, and every second one is cut: paid for all the same, and
/// only half of these costs are told. `spent` is the truth.
fn cutting(spent: Arc<Mutex<Cost>>) -> Arc<Double> {
    let mut seed = 7_u64;
    let bills = Bills::default();
    Double::billing(Arc::clone(&bills), move |_, request| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let is_cut = (seed >> 50).is_multiple_of(2);
        let mut usage = Usage {
            turns: 1,
            input_tokens: 32,
            output_tokens: 500,
            cost: Cost::ZERO,
        };
        usage.cost = PRICE.of(&usage);
        let worst = KNOWN.worst_case(request).cost.unwrap();
        assert_eq!(usage.cost, worst);
        let mut spent = spent.lock().unwrap();
        *spent = *spent + usage.cost;
        let takes = Duration::from_millis((seed >> 40) % 50);
        if !is_cut {
            return Answer::using(usage).after(takes);
        }
        let id = format!("gen-{seed}");
        if (seed >> 51).is_multiple_of(2) {
            let bill = Usage { turns: 0, ..usage };
            bills.lock().unwrap().insert(id.clone(), (takes, bill));
        }
        Answer::no(cut(Some(&id))).after(takes)
    })
}

#[tokio::test(start_paused = true)]
async fn fifty_loops_over_cut_streams_never_spend_more_than_their_budget() {
    let allowance = allowance(usd("2"));
    let spent = Arc::<Mutex<Cost>>::default();
    let model = cutting(Arc::clone(&spent));
    join_all((0..50).map(|_| async {
        let provider = Budgeted::new(
            Retrying::new(Arc::clone(&model), RetryOptions::default()),
            KNOWN,
            vec![Arc::clone(&allowance)],
            Arc::new(NoObserver),
        );
        loop {
            match provider.send_message(&request("m", "a"), &NoDeltas).await {
                Ok(_) | Err(Error::Truncated { .. }) => {}
                Err(Error::OverBudget { .. }) => return,
                Err(other) => panic!("{other:?}"),
            }
        }
    }))
    .await;
    let spent = *spent.lock().unwrap();
    let (used, lost) = (allowance.used().cost, allowance.lost().cost);
    let worst = KNOWN.worst_case(&request("m", "a")).cost.unwrap();
    assert!(spent <= usd("2"), "{spent}");
    assert!(used + lost <= usd("2"), "{used} and {lost}");
    assert!(used + lost + worst > usd("2"), "{used} and {lost} of 2");
    assert!(used <= spent && lost > Cost::ZERO, "{used} and {lost}");
    assert_eq!(allowance.held(), Held::default());
    assert!(model.calls().len() > 100);
}

#[tokio::test(start_paused = true)]
async fn what_lost_calls_cost_is_used_in_every_budget_also_when_no_turn_comes() {
    let bill = Usage {
        turns: 0,
        input_tokens: 9,
        output_tokens: 1,
        cost: usd("0.001"),
    };
    let bills = Bills::default();
    bills
        .lock()
        .unwrap()
        .insert("gen".into(), (Duration::ZERO, bill));
    let double = Double::billing(bills, |_, _| Answer::no(cut(Some("gen"))));
    let (agents, runs) = (allowance(usd("1")), allowance(usd("2")));
    let provider = Budgeted::new(
        Retrying::new(double, RetryOptions::default()),
        KNOWN,
        vec![Arc::clone(&agents), Arc::clone(&runs)],
        Arc::new(NoObserver),
    );
    let failed = provider.send_message(&request("m", "a"), &NoDeltas).await;
    assert!(matches!(failed, Err(Error::Truncated { .. })), "{failed:?}");
    let thrice = Usage {
        turns: 0,
        input_tokens: 27,
        output_tokens: 3,
        cost: usd("0.003"),
    };
    for allowance in [agents, runs] {
        assert_eq!(allowance.used(), thrice);
        assert_eq!(
            (allowance.held(), allowance.lost()),
            (Held::default(), Held::default())
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_call_whose_cost_nobody_tells_keeps_its_worst_case_and_is_shown_apart() {
    let double = Double::by(|_, _| Answer::no(cut(None)));
    let allowance = allowance(usd("0.02"));
    let provider = Budgeted::new(
        Retrying::new(Arc::clone(&double), RetryOptions::default()),
        KNOWN,
        vec![Arc::clone(&allowance)],
        Arc::new(NoObserver),
    );
    let lost = provider.send_message(&request("m", "a"), &NoDeltas).await;
    assert!(matches!(lost, Err(Error::Truncated { .. })), "{lost:?}");
    // The worst case is $0.008596: twice it fits, three times it does not.
    assert_eq!(double.calls().len(), 2);
    assert_eq!(allowance.used(), Usage::default());
    let worst = Held {
        cost: usd("0.017192"),
        tokens: 1_064,
    };
    assert_eq!(
        (allowance.lost(), allowance.held()),
        (worst, Held::default())
    );
    let refused = provider.send_message(&request("m", "a"), &NoDeltas).await;
    assert_eq!(
        refused.unwrap_err().to_string(),
        "the budget of the run is used up: $0.017192 of $0.02 are spent, and the call could cost \
         $0.008596; that counts $0.017192 and 1064 tokens for lost calls whose cost is not known"
    );
}

#[test]
fn the_worst_case_counts_every_byte_sent_and_the_longest_answer() {
    let messages = [Message::User {
        text: "ü".repeat(100),
    }];
    let asked = TurnRequest {
        messages: &messages,
        ..request("m", "a")
    };
    // 200 bytes of text, and the frames of the message and the system prompt.
    let input = 200 + 2 * 32;
    let worst = |output: u64| WorstCase {
        cost: Some(PRICE.of(&Usage {
            turns: 1,
            input_tokens: input,
            output_tokens: output,
            cost: Cost::ZERO,
        })),
        tokens: Some(input + output),
    };
    assert_eq!(KNOWN.worst_case(&asked), worst(500));
    let short = TurnRequest {
        max_tokens: Some(50),
        ..asked
    };
    assert_eq!(KNOWN.worst_case(&short), worst(50));
    assert_eq!(UNKNOWN.worst_case(&asked), WorstCase::default());
    let free = Bounds {
        price: Some(Price::FREE),
        max_output_tokens: None,
    };
    let costs_nothing = WorstCase {
        cost: Some(Cost::ZERO),
        tokens: None,
    };
    assert_eq!(free.worst_case(&asked), costs_nothing);
}
