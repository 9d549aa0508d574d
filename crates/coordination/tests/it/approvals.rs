//! Questions to people: asked in time, answered once, and held by nobody meanwhile.

use std::time::Duration;

use fusion_coordination::{Answer, AnswerFault, Ask, Driven, Error};
use fusion_core::{
    Approval, ApprovalState, CancelReason, Change, Decision, EventType, RunId, TaskState,
    WorkflowState,
};
use fusion_persistence::{ApprovalFilter, Batch, Page, Repository, Store};
use serde_json::json;

use crate::gate::Gate;
use crate::standing::until;
use crate::world::World;

const FLOW: &str = "
version: 1
name: flow
agents:
  a: { provider: gate, model: m }
steps:
  - { id: first, agent: a, prompt: x }
  - { id: release, agent: a, prompt: \"Do ${{ steps.first.outputs.text }}\", needs: [first],
      approval: \"Release ${{ steps.first.outputs.text }}?\" }
  - { id: beside, agent: a, prompt: y, needs: [first] }
  - { id: last, agent: a, prompt: z, needs: [release] }
";

/// Overdue at once: the clock of these tests lags behind that of the database by years.
const SHORT: &str = "
version: 1
name: short
agents:
  a: { provider: gate, model: m }
steps:
  - { id: ask, agent: a, prompt: x, approval: { message: Go?, expires: 1s, on_expiry: HOW } }
  - { id: last, agent: a, prompt: z, needs: [ask] }
";

async fn world() -> World {
    let world = World::new().await;
    world.register("gate", Gate::open());
    world
}

async fn asked(world: &World, run: RunId) -> Vec<Approval> {
    let filter = ApprovalFilter {
        run: Some(run),
        ..ApprovalFilter::default()
    };
    world.store.list(&filter, Page::first(100)).await.unwrap()
}

/// The only question of a run, once it is asked.
async fn question(world: &World, run: RunId) -> Approval {
    until(|| async { asked(world, run).await.len() == 1 }).await;
    asked(world, run).await.remove(0)
}

fn yes() -> Answer {
    Answer {
        approves: true,
        comment: None,
        seen: None,
    }
}

fn no(reason: &str) -> Answer {
    Answer {
        approves: false,
        comment: Some(reason.to_owned()),
        seen: None,
    }
}

async fn answer(world: &World, approval: &Approval, answer: &Answer) -> Result<Approval, Error> {
    let engine = world.engine();
    engine
        .answer_approval(approval.id, answer, "ada", Ask::default())
        .await
}

/// How each step ended, in the order of the file.
async fn ends(world: &World, run: RunId) -> Vec<(TaskState, Option<CancelReason>)> {
    let tasks = world.tasks(run).await.into_iter();
    tasks.map(|task| (task.state, task.cancel_reason)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_asks_when_its_turn_has_come_and_holds_nobody_until_it_is_answered() {
    let world = world().await;
    let run = world.create(FLOW).await;
    assert_eq!(asked(&world, run).await, []);
    let answering = async {
        let approval = question(&world, run).await;
        // The only agent goes on with what else there is.
        until(|| async { world.tasks(run).await[2].state == TaskState::Completed }).await;
        let release = world.tasks(run).await.remove(1);
        assert_eq!((release.state, release.fence), (TaskState::Queued, 0));
        let wait = release.waiting.unwrap();
        let told = format!("approval {}: Release turn 1?", approval.id);
        assert_eq!(wait.reason, told);
        // Waking what waits for a limit does not wake it.
        world.wake(run).await;
        assert_eq!(world.tasks(run).await[1].waiting.as_ref(), Some(&wait));
        answer(&world, &approval, &yes()).await.unwrap();
        approval
    };
    let (driven, approval) = tokio::join!(world.drive(run), answering);
    assert_eq!(driven.unwrap(), Driven::Ended(WorkflowState::Completed));
    assert_eq!(
        (approval.question.as_str(), &approval.subject),
        (
            "Release turn 1?",
            &json!({ "step": "release", "prompt": "Do turn 1" })
        )
    );
    let stored = asked(&world, run).await.remove(0);
    assert_eq!(
        (stored.state, stored.resolved_by.as_deref()),
        (ApprovalState::Approved, Some("ada"))
    );
    let told = [EventType::ApprovalRequested, EventType::ApprovalResolved];
    for kind in told {
        assert_eq!(world.told(kind).await.len(), 1, "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_no_fails_the_step_with_its_reason_and_what_needs_it_with_it() {
    let world = world().await;
    let run = world.create(FLOW).await;
    let answering = async {
        let approval = question(&world, run).await;
        let without = answer(&world, &approval, &no(" ")).await;
        assert!(matches!(without, Err(Error::Answer(AnswerFault::NoReason))));
        answer(&world, &approval, &no("not today")).await.unwrap();
    };
    let (driven, ()) = tokio::join!(world.drive(run), answering);
    assert_eq!(driven.unwrap(), Driven::Ended(WorkflowState::Failed));
    let failed = CancelReason::DependencyFailed;
    assert_eq!(
        ends(&world, run).await,
        [
            (TaskState::Completed, None),
            (TaskState::Failed, None),
            (TaskState::Completed, None),
            (TaskState::Cancelled, Some(failed)),
        ]
    );
    let why = world.tasks(run).await.remove(1).error_message;
    assert_eq!(why.as_deref(), Some("rejected by ada: not today"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_answers_at_once_one_stands_and_the_others_are_told_so() {
    let world = world().await;
    for _ in 0..10 {
        let run = world.create(FLOW).await;
        let answering = async {
            let approval = question(&world, run).await;
            let (yes, no) = (yes(), no("no"));
            let answers = tokio::join!(
                answer(&world, &approval, &yes),
                answer(&world, &approval, &no),
                answer(&world, &approval, &yes),
            );
            let answers = [answers.0, answers.1, answers.2];
            let won: Vec<&Approval> = answers.iter().flatten().collect();
            assert_eq!(won.len(), 1, "{answers:?}");
            for lost in answers.iter().filter_map(|answer| answer.as_ref().err()) {
                let is_told = matches!(lost, Error::Answer(AnswerFault::Answered { by: Some(by), .. }) if by == "ada");
                assert!(is_told, "{lost}");
            }
            won[0].state
        };
        let (driven, state) = tokio::join!(world.drive(run), answering);
        let wanted = if state == ApprovalState::Approved {
            WorkflowState::Completed
        } else {
            WorkflowState::Failed
        };
        assert_eq!(driven.unwrap(), Driven::Ended(wanted));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_to_something_else_than_was_seen_is_refused() {
    let world = world().await;
    let run = world.create(FLOW).await;
    let answering = async {
        let approval = question(&world, run).await;
        let seen = |hash: &str| Answer {
            seen: Some(hash.to_owned()),
            ..yes()
        };
        let other = answer(&world, &approval, &seen("0123")).await;
        assert!(matches!(
            other,
            Err(Error::Answer(AnswerFault::OtherSubject { .. }))
        ));
        let hash = approval.subject_hash.clone();
        answer(&world, &approval, &seen(&hash)).await.unwrap();
    };
    let (driven, ()) = tokio::join!(world.drive(run), answering);
    assert_eq!(driven.unwrap(), Driven::Ended(WorkflowState::Completed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_gets_to_a_worker_without_a_yes_goes_back_and_asks_no_second_time() {
    let world = world().await;
    let run = world.create(FLOW).await;
    let waking = async {
        let approval = question(&world, run).await;
        let before = world.tasks(run).await.remove(1);
        let wake = Decision::default().with(Change::WakeTask(before.id));
        world.store.commit(Batch::free(wake)).await.unwrap();
        until(|| async {
            let task = world.tasks(run).await.remove(1);
            task.fence > before.fence
                && task.waiting
                    == before.waiting.clone().map(|wait| fusion_core::TaskWait {
                        until: task.waiting.as_ref().map_or(wait.until, |it| it.until),
                        ..wait
                    })
        })
        .await;
        assert_eq!(asked(&world, run).await, std::slice::from_ref(&approval));
        answer(&world, &approval, &yes()).await.unwrap();
    };
    let (driven, ()) = tokio::join!(world.drive(run), waking);
    assert_eq!(driven.unwrap(), Driven::Ended(WorkflowState::Completed));
    assert_eq!(world.tasks(run).await[1].attempts, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_answers_in_time_fails_or_is_skipped_as_the_step_says() {
    for (how, end, first, last) in [
        (
            "reject",
            WorkflowState::Failed,
            (TaskState::Failed, None),
            CancelReason::DependencyFailed,
        ),
        (
            "skip",
            WorkflowState::Completed,
            (TaskState::Cancelled, Some(CancelReason::NotApproved)),
            CancelReason::DependencySkipped,
        ),
    ] {
        let world = world().await;
        let run = world.create(&SHORT.replace("HOW", how)).await;
        let driven = tokio::time::timeout(Duration::from_mins(2), world.drive(run)).await;
        assert_eq!(driven.unwrap().unwrap(), Driven::Ended(end), "{how}");
        let ends = ends(&world, run).await;
        assert_eq!(ends, [first, (TaskState::Cancelled, Some(last))], "{how}");
        let approval = asked(&world, run).await.remove(0);
        assert_eq!(approval.state, ApprovalState::Expired);
        let late = answer(&world, &approval, &yes()).await;
        assert!(matches!(
            late,
            Err(Error::Answer(AnswerFault::Answered { .. }))
        ));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_question_of_a_run_that_is_cancelled_ends_with_it() {
    let world = world().await;
    let run = world.create(FLOW).await;
    let cancelling = async {
        let approval = question(&world, run).await;
        world.engine().cancel_run(run, "ada").await.unwrap();
        approval
    };
    let (driven, approval) = tokio::join!(world.drive(run), cancelling);
    assert_eq!(driven.unwrap(), Driven::Ended(WorkflowState::Cancelled));
    let stored = asked(&world, run).await.remove(0);
    assert_eq!(stored.state, ApprovalState::Expired);
    let late = answer(&world, &approval, &yes()).await;
    assert!(late.is_err());
}
