use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use fusion_core::Usage;
use tokio::time::Instant;

use super::{RetryOptions, Retrying};
use crate::{
    Ability, Catalog, CostSource, DeltaSink, Error, FinishReason, ModelInfo, ModelRequest,
    NoDeltas, Provider, QuotaInfo, Result, Turn, TurnPlace, TurnRequest,
};

/// Fails as planned, then answers; remembers when it was asked.
#[derive(Debug)]
struct Flaky {
    failures: Mutex<Vec<Error>>,
    asked: Mutex<Vec<Duration>>,
    start: Instant,
}

impl Flaky {
    fn failing(failures: Vec<Error>) -> Self {
        Self {
            failures: Mutex::new(failures.into_iter().rev().collect()),
            asked: Mutex::default(),
            start: Instant::now(),
        }
    }

    fn next(&self) -> Result<()> {
        self.asked.lock().unwrap().push(self.start.elapsed());
        self.failures.lock().unwrap().pop().map_or(Ok(()), Err)
    }
}

#[async_trait]
impl Provider for Flaky {
    async fn spawn_agent(&self, request: &ModelRequest<'_>) -> Result<ModelInfo> {
        self.next().map(|()| ModelInfo {
            model: request.model.to_owned(),
            scripted: false,
            context_length: None,
            max_output_tokens: None,
            price: None,
            tools: Ability::Unknown,
            json_schema: Ability::Unknown,
        })
    }

    async fn send_message(&self, request: &TurnRequest<'_>, _: &dyn DeltaSink) -> Result<Turn> {
        self.next().map(|()| Turn {
            text: "yes".into(),
            tool_calls: vec![],
            finish_reason: FinishReason::Stop,
            usage: Usage::default(),
            reasoning: None,
            tokens_are_estimated: false,
            cost_source: CostSource::Unknown,
            served_by: None,
            model: request.model.to_owned(),
            generation_id: None,
        })
    }

    async fn get_quota_info(&self) -> Result<QuotaInfo> {
        self.next().map(|()| QuotaInfo::default())
    }

    async fn list_models(&self) -> Result<Option<Catalog>> {
        self.next().map(|()| None)
    }
}

fn down() -> Error {
    Error::Server {
        provider: "p".into(),
        status: 503,
        message: "down".into(),
        retry_after: None,
        generation_id: None,
    }
}

fn limited(seconds: u64) -> Error {
    Error::Limited {
        provider: "p".into(),
        message: "slow down".into(),
        retry_after: Some(Duration::from_secs(seconds)),
    }
}

/// The result of one turn, and when the provider inside was asked.
async fn ask(failures: Vec<Error>, options: RetryOptions) -> (Result<Turn>, Vec<Duration>) {
    let provider = Retrying::new(Flaky::failing(failures), options);
    let request = TurnRequest {
        model: "m",
        system: "",
        messages: &[],
        tools: &[],
        output_schema: None,
        max_tokens: None,
        temperature: None,
        options: None,
        may_wait: true,
        place: TurnPlace {
            run: "run",
            task: "task",
            step: "s",
            turn: 1,
            agent: "a",
            key: "k",
        },
    };
    let result = provider.send_message(&request, &NoDeltas).await;
    let asked = provider.inner.asked.into_inner().unwrap();
    (result, asked)
}

#[tokio::test(start_paused = true)]
async fn two_passing_failures_are_not_seen_by_the_caller() {
    let (result, asked) = ask(vec![down(), down()], RetryOptions::default()).await;
    assert_eq!(result.unwrap().text, "yes");
    assert_eq!(asked.len(), 3);
    assert!(asked[1] <= Duration::from_millis(501), "{asked:?}");
    assert!(
        asked[2] - asked[1] <= Duration::from_millis(1_001),
        "{asked:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_third_failure_is_given_back() {
    let failures = vec![down(), down(), limited(1), down()];
    let (result, asked) = ask(failures, RetryOptions::default()).await;
    assert_eq!(
        result.unwrap_err().to_string(),
        "p limits the requests: slow down"
    );
    assert_eq!(asked.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_lasting_failure_is_given_back_at_once() {
    let failure = Error::BadRequest {
        provider: "p".into(),
        status: 400,
        message: "no".into(),
    };
    let (result, asked) = ask(vec![failure], RetryOptions::default()).await;
    assert!(
        matches!(result, Err(Error::BadRequest { .. })),
        "{result:?}"
    );
    assert_eq!(asked, [Duration::ZERO]);
}

#[tokio::test(start_paused = true)]
async fn a_demanded_wait_is_the_shortest_wait() {
    let (result, asked) = ask(vec![limited(45)], RetryOptions::default()).await;
    assert_eq!(result.unwrap().text, "yes");
    assert!(asked[1] >= Duration::from_secs(45), "{asked:?}");
    assert!(asked[1] <= Duration::from_millis(45_001), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_demanded_wait_of_more_than_a_minute_is_left_to_the_caller() {
    let (result, asked) = ask(vec![limited(61)], RetryOptions::default()).await;
    assert!(matches!(result, Err(Error::Limited { .. })), "{result:?}");
    assert_eq!(asked, [Duration::ZERO]);
}

#[tokio::test(start_paused = true)]
async fn looking_up_a_model_is_repeated_too() {
    let provider = Retrying::new(Flaky::failing(vec![down()]), RetryOptions::default());
    let request = ModelRequest {
        model: "m",
        needs_tools: false,
        needs_json_schema: false,
        base_dir: Path::new("."),
        steps: &[],
    };
    assert_eq!(provider.spawn_agent(&request).await.unwrap().model, "m");
    assert_eq!(provider.inner.asked.lock().unwrap().len(), 2);
}

#[test]
fn the_waits_are_random_shares_of_doubling_steps_under_the_cap() {
    let options = RetryOptions {
        max_attempts: 10,
        ..RetryOptions::default()
    };
    let steps = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0];
    let mut shares = vec![];
    for _ in 0..50 {
        let waits: Vec<f64> = options.waits().map(|wait| wait.as_secs_f64()).collect();
        assert_eq!(waits.len(), steps.len());
        shares.extend(waits.iter().zip(steps).map(|(wait, step)| wait / step));
    }
    // 450 draws between 0 and 1: one tenth at each end is missed with a chance of 10^-20.
    assert!(shares.iter().all(|share| (0.0..=1.0).contains(share)));
    assert!(shares.iter().any(|share| *share < 0.1));
    assert!(shares.iter().any(|share| *share > 0.9));
}

#[test]
fn one_attempt_means_no_repeat() {
    for max_attempts in [0, 1] {
        let options = RetryOptions {
            max_attempts,
            ..RetryOptions::default()
        };
        assert_eq!(options.waits().count(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_can_not_be_read_is_asked_for_once_more_only() {
    let garbled = || Error::Malformed {
        provider: "p".into(),
        problem: "not JSON".into(),
        sample: "<html>".into(),
        generation_id: None,
    };
    let (result, asked) = ask(
        vec![garbled(), garbled(), garbled()],
        RetryOptions::default(),
    )
    .await;
    assert!(matches!(result, Err(Error::Malformed { .. })), "{result:?}");
    assert_eq!(asked.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_overloaded_server_gets_two_seconds_at_least() {
    let overloaded = Error::Server {
        provider: "p".into(),
        status: 529,
        message: "overloaded".into(),
        retry_after: None,
        generation_id: None,
    };
    let (result, asked) = ask(vec![overloaded], RetryOptions::default()).await;
    assert!(result.is_ok());
    assert!(asked[1] >= Duration::from_secs(2), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_loads_its_model_is_asked_every_second_for_two_minutes() {
    let loading = || Error::Server {
        provider: "p".into(),
        status: 503,
        message: "Loading model".into(),
        retry_after: None,
        generation_id: None,
    };
    let (result, asked) = ask(
        (0..50).map(|_| loading()).collect(),
        RetryOptions::default(),
    )
    .await;
    assert!(result.is_ok(), "{result:?}");
    assert_eq!(asked.len(), 51);
    assert_eq!(asked[50].as_secs(), 50);

    let (result, asked) = ask(
        (0..500).map(|_| loading()).collect(),
        RetryOptions::default(),
    )
    .await;
    assert!(matches!(result, Err(Error::Server { .. })), "{result:?}");
    assert_eq!(asked.last().unwrap().as_secs(), 120);
}

#[tokio::test(start_paused = true)]
async fn inside_a_quota_gate_a_limited_turn_is_not_repeated() {
    let options = RetryOptions {
        repeats_limited_turns: false,
        ..RetryOptions::default()
    };
    let (result, asked) = ask(vec![limited(1)], options).await;
    assert!(matches!(result, Err(Error::Limited { .. })), "{result:?}");
    assert_eq!(asked.len(), 1);
}
