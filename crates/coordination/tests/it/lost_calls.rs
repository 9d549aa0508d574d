//! What lost calls cost is in the totals of the run, whatever becomes of the turn.

use std::time::Duration;

use fusion_coordination::Driven;
use fusion_core::{Cost, EntryKind, TaskState, Usage};
use tokio_util::sync::CancellationToken;

use crate::models::{Model, cut};
use crate::world::World;

const BILL: Usage = Usage {
    turns: 0,
    input_tokens: 7,
    output_tokens: 3,
    cost: Cost::from_picos(37),
};

/// The one turn that is answered, at the model's price.
const TURN: Usage = Usage {
    turns: 1,
    input_tokens: 10,
    output_tokens: 5,
    cost: Cost::from_picos(60),
};

/// One step; `more` is added to the file.
fn one_step(more: &str) -> String {
    format!(
        "version: 1\nname: one\nagents:\n  a: {{ provider: p, model: m }}\n\
         steps:\n  - {{ id: s, agent: a, prompt: Do it. }}\n{more}"
    )
}

/// A turn after so many lost calls.
fn after(lost: u64) -> Usage {
    Usage {
        turns: 1,
        input_tokens: 10 + 7 * lost,
        output_tokens: 5 + 3 * lost,
        cost: Cost::from_picos(60 + 37 * i64::try_from(lost).unwrap()),
    }
}

#[tokio::test]
async fn a_turn_that_came_after_lost_calls_is_booked_with_what_they_cost() {
    let world = World::new().await;
    let model = Model::failing(|call| (call <= 2).then(|| cut(Some("gen")))).billing(BILL);
    world.register("p", model);
    let run = world.create(&one_step("")).await;
    world.drive(run).await.unwrap();
    let task = world.tasks(run).await.remove(0);
    assert_eq!((task.state, task.usage), (TaskState::Completed, after(2)));
    assert_eq!(world.run(run).await.usage, after(2));
    let journal = world.journal(&task).await;
    let turns: Vec<Usage> = (journal.iter())
        .filter(|entry| entry.kind == EntryKind::Turn)
        .map(|entry| entry.usage)
        .collect();
    assert_eq!(turns, [after(2)]);
}

#[tokio::test]
async fn what_lost_calls_cost_is_booked_also_when_the_step_has_to_wait_and_counts_at_a_resume() {
    let world = World::new().await;
    // Three tries of the step with three calls each are lost; then the model works.
    let model = Model::failing(|call| (call <= 9).then(|| cut(Some("gen")))).billing(BILL);
    world.register("p", model);
    let run = world.create(&one_step("")).await;
    let stopped = world.drive(run).await.unwrap_err();
    assert_eq!(
        stopped.to_string(),
        "step 's' has to wait: the answer of p is not complete: it stops in the middle"
    );
    let lost = Usage {
        turns: 0,
        input_tokens: 9 * BILL.input_tokens,
        output_tokens: 9 * BILL.output_tokens,
        cost: Cost::from_picos(9 * 37),
    };
    assert_eq!(world.run(run).await.usage, lost);
    assert_eq!(world.tasks(run).await[0].usage, lost);
    world.drive(run).await.unwrap();
    assert_eq!(world.run(run).await.usage, after(9));
}

#[tokio::test]
async fn row_60_what_lost_calls_cost_is_booked_for_a_step_whose_time_is_up() {
    let world = World::new().await;
    let model = Model::failing(|_| Some(cut(Some("gen"))));
    world.register(
        "p",
        model.billing(BILL).hanging_at(3, CancellationToken::new()),
    );
    let file = one_step("").replace("prompt: Do it.", "prompt: Do it., timeout: 1s");
    let run = world.create(&file).await;
    world.drive(run).await.unwrap();
    let task = world.tasks(run).await.remove(0);
    let twice = Usage {
        turns: 0,
        input_tokens: 14,
        output_tokens: 6,
        cost: Cost::from_picos(74),
    };
    assert_eq!((task.state, task.usage), (TaskState::Failed, twice));
    assert_eq!(world.run(run).await.usage, twice);
}

#[tokio::test]
async fn what_lost_calls_cost_is_booked_once_for_a_turn_that_is_interrupted_and_resumed() {
    let world = World::new().await;
    let cancel = CancellationToken::new();
    let model = Model::failing(|call| (call == 1).then(|| cut(Some("gen"))));
    world.register("p", model.billing(BILL).hanging_at(2, cancel.clone()));
    let run = world.create(&one_step("")).await;
    let driven = world.drive_until(run, &cancel).await.unwrap();
    assert_eq!(driven, Driven::Interrupted);
    assert_eq!(world.run(run).await.usage, BILL);
    assert_eq!(world.tasks(run).await[0].usage, BILL);
    world.drive(run).await.unwrap();
    assert_eq!(world.run(run).await.usage, after(1));
}

#[tokio::test]
async fn a_lost_call_whose_cost_nobody_tells_is_no_part_of_what_a_run_used() {
    let world = World::new().await;
    world.register("p", Model::failing(|call| (call == 1).then(|| cut(None))));
    let budget = "budget: { usd: 1 }\n";
    let run = world.create(&one_step(budget)).await;
    world.drive(run).await.unwrap();
    assert_eq!(world.run(run).await.usage, TURN);
}

#[tokio::test]
async fn cut_streams_of_unknown_cost_stop_a_run_at_its_budget() {
    let world = World::new().await;
    world.register("p", Model::failing(|_| Some(cut(None))));
    // Room for one worst case of 100 tokens at 10 picos and the prompt, not for two.
    let budget = "budget: { usd: 0.000000002 }\n";
    let run = world.create(&one_step(budget)).await;
    let stopped = world.drive(run).await.unwrap_err().to_string();
    assert!(
        stopped.contains("the budget of the run is used up"),
        "{stopped}"
    );
    assert!(
        stopped.contains("lost calls whose cost is not known"),
        "{stopped}"
    );
    assert_eq!(world.run(run).await.usage, Usage::default());
}

#[tokio::test]
async fn row_63_a_cancelled_call_is_asked_for_and_counts_once() {
    let world = World::new().await;
    let cancel = CancellationToken::new();
    let model = Model::good().naming().billing(BILL);
    world.register("p", model.hanging_at(1, cancel.clone()));
    let run = world.create(&one_step("")).await;
    let driven = world.drive_until(run, &cancel).await.unwrap();
    assert_eq!(driven, Driven::Interrupted);
    assert_eq!(world.run(run).await.usage, BILL);
    let task = world.tasks(run).await.remove(0);
    assert_eq!(world.journal(&task).await[0].outcome, None);
    world.drive(run).await.unwrap();
    assert_eq!(world.run(run).await.usage, after(1));
}

#[tokio::test]
async fn row_63_a_call_that_is_cut_off_by_the_timeout_of_its_step_is_asked_for() {
    let world = World::new().await;
    let model = Model::good().naming().billing(BILL);
    world.register("p", model.hanging_at(1, CancellationToken::new()));
    let file = one_step("").replace("prompt: Do it.", "prompt: Do it., timeout: 1s");
    let run = world.create(&file).await;
    world.drive(run).await.unwrap();
    let task = world.tasks(run).await.remove(0);
    assert_eq!((task.state, task.usage), (TaskState::Failed, BILL));
    assert_eq!(world.run(run).await.usage, BILL);
}

#[tokio::test]
async fn row_64_a_call_under_way_is_named_in_the_journal_and_counts_once_when_its_cost_is_known() {
    let world = World::new().await;
    // Nobody tells what it cost yet.
    let model = Model::good().naming();
    world.register("p", model.hanging_at(1, CancellationToken::new()));
    let run = world.create(&one_step("")).await;
    let stop = CancellationToken::new();
    let named = Some(serde_json::json!({ "generations": ["gen-1"] }));
    let is_named = async {
        let task = world.tasks(run).await.remove(0);
        loop {
            let journal = world.journal(&task).await;
            if journal.first().is_some_and(|turn| turn.outcome == named) {
                return stop.cancel();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let is_named = tokio::time::timeout(Duration::from_secs(60), is_named);
    let (driven, seen) = tokio::join!(world.drive_until(run, &stop), is_named);
    seen.unwrap();
    assert_eq!(driven.unwrap(), Driven::Interrupted);
    assert_eq!(world.run(run).await.usage, Usage::default());
    let task = world.tasks(run).await.remove(0);
    assert_eq!(world.journal(&task).await[0].outcome, named);
    // As in the process after it.
    world.register("p", Model::good().billing(BILL));
    world.drive(run).await.unwrap();
    let all = Usage {
        // Nobody looked the second one's prices up.
        cost: BILL.cost,
        ..after(1)
    };
    assert_eq!(world.run(run).await.usage, all);
}
