//! Progress as lines.

use fusion_api_types::{AgentName, MessageView, RunDetail, WaitView};

use crate::support::{
    Fake, RUN_ID, agent, at, completed, completed_run, failed, fusion_kit, queued, run, running,
    three_steps,
};

/// What a command says on stderr while the run goes through these snapshots and then completes.
async fn said(line: &str, snapshots: Vec<RunDetail>) -> Vec<String> {
    let backend = Fake {
        snapshots,
        ..Fake::of(completed_run())
    };
    let said = fusion_kit(line, &backend).await;
    said.err.lines().map(str::to_owned).collect()
}

fn opening() -> String {
    format!("run {RUN_ID} of feature: 3 steps, 3 agents")
}

#[tokio::test]
async fn each_change_is_told_once_with_the_time_it_happened() {
    let [plan, build, review] = three_steps();
    let snapshots = vec![
        run(three_steps()),
        run([running(plan.clone(), 0), build.clone(), review.clone()]),
        run([running(plan.clone(), 0), build.clone(), review.clone()]),
        run([
            completed(plan.clone(), 0),
            running(build.clone(), 1),
            review.clone(),
        ]),
        run([
            completed(plan.clone(), 0),
            failed(build.clone(), 1, "the model never\nfinished"),
            review.clone(),
        ]),
        run([
            completed(plan, 0),
            failed(build, 1, "the model never\nfinished"),
            review,
        ]),
    ];
    assert_eq!(
        said("run a.yaml", snapshots).await,
        [
            opening().as_str(),
            "13:00:00 plan    running    planner (openrouter)",
            "13:00:00 plan    completed  0.4s  1,204 tokens  $0.0042",
            "13:00:01 build   running    coder (openrouter)",
            "13:00:01 build   failed     0.4s  1,204 tokens  $0.0042  the model never finished",
        ]
    );
}

#[tokio::test]
async fn a_snapshot_that_jumps_tells_the_ends_in_the_order_of_their_times() {
    let [plan, build, review] = three_steps();
    let snapshots = vec![
        run(three_steps()),
        run([completed(plan, 3), completed(build, 1), running(review, 2)]),
    ];
    assert_eq!(
        said("run a.yaml", snapshots).await,
        [
            opening().as_str(),
            "13:00:01 build   completed  0.4s  1,204 tokens  $0.0042",
            "13:00:02 review  running    critic (scripted)",
            "13:00:03 plan    completed  0.4s  1,204 tokens  $0.0042",
        ]
    );
}

#[tokio::test]
async fn a_second_attempt_is_told_as_such() {
    let step = queued("plan", "planner", &[]);
    let mut waits = step.clone();
    waits.attempts = 1;
    let mut assigned = waits.clone();
    assigned.state = "assigned".to_owned();
    let mut again = running(step.clone(), 0);
    again.attempts = 2;
    let mut third = again.clone();
    third.attempts = 3;
    let snapshots = [running(step, 0), waits, assigned, again, third].map(|step| run([step]));
    assert_eq!(
        said("run a.yaml", snapshots.to_vec()).await[1..],
        [
            "13:00:00 plan  running    planner (openrouter)",
            "13:00:05 plan  queued     again",
            "13:00:05 plan  running    planner (openrouter), attempt 2",
            "13:00:05 plan  running    planner (openrouter), attempt 3",
        ]
    );
}

#[tokio::test]
async fn a_resumed_run_does_not_tell_its_history_as_news() {
    let [plan, build, review] = three_steps();
    let snapshots = vec![
        run([completed(plan.clone(), 0), build.clone(), review.clone()]),
        run([completed(plan, 0), completed(build, 1), review]),
    ];
    assert_eq!(
        said("resume", snapshots).await,
        [
            opening().as_str(),
            "ended before: plan",
            "13:00:01 build   completed  0.4s  1,204 tokens  $0.0042",
        ]
    );
}

#[tokio::test]
async fn scripted_answers_are_announced() {
    let mut all = run(three_steps());
    all.scripted = true;
    all.agents = vec![agent("planner", "scripted", "a.script.yaml")];
    let told = said("run a.yaml", vec![all]).await;
    assert_eq!(
        told[1],
        "answers are scripted: a.script.yaml (no model is called)"
    );
    let mut some = run(three_steps());
    some.scripted = true;
    let told = said("run a.yaml", vec![some]).await;
    assert_eq!(
        told[1],
        "answers of critic are scripted: feature.script.yaml"
    );
}

#[tokio::test]
async fn the_options_take_progress_and_notices_away() {
    let backend = Fake {
        snapshots: vec![run(three_steps())],
        notice: Some("the clock went back"),
        ..Fake::of(completed_run())
    };
    let notice = "the clock went back\n".to_owned();
    for (line, expected) in [
        ("run a.yaml", format!("{}\n{notice}", opening())),
        ("run a.yaml --no-progress", notice.clone()),
        ("run a.yaml --json", notice),
        ("run a.yaml --quiet", String::new()),
        ("run a.yaml --quiet --json", String::new()),
    ] {
        assert_eq!(fusion_kit(line, &backend).await.err, expected, "{line}");
    }
}

#[tokio::test]
async fn a_step_that_waits_for_a_limit_says_until_when_and_why() {
    let step = queued("plan", "planner", &[]);
    let mut waits = step.clone();
    waits.waiting = Some(WaitView {
        until: at(90, 0),
        reason: "openrouter limits\nthe requests".to_owned(),
    });
    let snapshots = vec![
        run([running(step.clone(), 0)]),
        run([waits.clone()]),
        run([waits]),
        run([running(step, 0)]),
    ];
    let said = said("run a.yaml", snapshots).await;
    assert_eq!(
        said[1..],
        [
            "13:00:00 plan  running    planner (openrouter)",
            "13:00:05 plan  waiting    until 2026-11-23 13:01:30: openrouter limits the requests",
            "13:00:00 plan  running    planner (openrouter)",
        ]
    );
}

pub(crate) fn message(recipients: &[&str], topic: &str, text: &str) -> MessageView {
    let names = recipients.iter().map(|name| AgentName {
        id: format!("id-of-{name}"),
        name: (*name).to_owned(),
    });
    let names: Vec<AgentName> = names.collect();
    MessageView {
        id: "m".to_owned(),
        seq: 1,
        sent_at: at(4, 0),
        run: None,
        sender: names.first().cloned(),
        recipients: Some(names),
        topic: topic.to_owned(),
        message_type: "note".to_owned(),
        payload: text.into(),
        status: "pending".to_owned(),
        delivered_at: None,
        expires_at: None,
        reply_to: None,
        resends: None,
        hops: 0,
    }
}

#[tokio::test]
async fn messages_are_told_in_short_among_the_steps() {
    let long = "Look at the \u{1b}[31mfirst chapter\nbefore you go on with the second.";
    let backend = Fake {
        snapshots: vec![run(three_steps())],
        messages: vec![
            message(&["coder"], "agent.id-of-coder.inbox", "Done?"),
            message(&["a", "b", "c", "d"], "review.draft", long),
        ],
        ..Fake::of(completed_run())
    };
    let told = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| line.contains(" -> "));
        lines.map(|line| line.trim_end().to_owned()).collect()
    };
    let wanted = [
        "13:00:04 coder -> coder  inbox  Done?",
        "13:00:04 a -> a, b, c, 1 other  review.draft  Look at the ␛[31mfirst chapter before y…",
    ];
    let plain = fusion_kit("run a.yaml", &backend).await;
    assert_eq!(told(&plain.err), wanted);
    for silent in [
        "run a.yaml --quiet",
        "run a.yaml --no-progress",
        "run a.yaml --json",
    ] {
        let said = fusion_kit(silent, &backend).await;
        assert_eq!(told(&said.err), Vec::<String>::new(), "{silent}");
    }
}
