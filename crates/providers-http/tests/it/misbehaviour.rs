//! A server that misbehaves in every way that is known, on each wire format: what it leaves whole is
//! a turn, equal to the last sign, and nothing else ever is one.

mod cases;
mod samples;

use std::sync::Mutex;
use std::time::Duration;

use fusion_providers::{Delta, DeltaSink, Error, Provider, Turn, TurnPlace, TurnRequest};
use fusion_providers_http::{HttpProvider, Limits, Options};
use fusion_testkit::{HttpRequest, MisbehavingHttp};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::support::{client_with, greeting, request};
use cases::{Case, Expected};
use samples::Sample;

/// Each chooses where an answer is cut and in what pieces it comes.
const SEEDS: u64 = 20;

/// More than any call here may take.
const LIMIT: Duration = Duration::from_secs(180);

/// Far more than the limits of a few answers at once.
const MEMORY: u64 = 320 * 1024 * 1024;

/// What was shown of a turn.
#[derive(Default)]
struct Shown(Mutex<(String, bool)>);

impl DeltaSink for Shown {
    fn take(&self, delta: Delta<'_>) {
        let mut shown = self.0.lock().unwrap();
        match delta {
            Delta::Text(text) => shown.0.push_str(text),
            Delta::Reasoning(_) | Delta::ToolCall { .. } => {}
            Delta::Discarded => *shown = (String::new(), true),
        }
    }
}

/// Random numbers from a seed (splitmix64).
pub(crate) struct Random(u64);

impl Random {
    /// From 0 to below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % u64::try_from(end.max(1)).unwrap()).unwrap()
    }
}

/// The result of the turn with this seed, and what was shown of it.
async fn ask(provider: &HttpProvider, seed: u64) -> (Result<Turn, Error>, String, bool) {
    let (messages, key) = (greeting(), seed.to_string());
    let request = TurnRequest {
        place: TurnPlace {
            run: "run",
            task: "task",
            key: &key,
            ..request(&messages).place
        },
        ..request(&messages)
    };
    let shown = Shown::default();
    let result = timeout(LIMIT, provider.send_message(&request, &shown))
        .await
        .expect("a call never ended");
    let (text, is_discarded) = shown.0.into_inner().unwrap();
    (result, text, is_discarded)
}

/// The name of an error's variant.
fn class(error: &Error) -> String {
    let text = format!("{error:?}");
    text.split([' ', '{', '(']).next().unwrap().to_owned()
}

async fn check(case: &'static Case, sample: &'static Sample) {
    let seed_of = |request: &HttpRequest| request.header("idempotency-key").unwrap().parse();
    let server = MisbehavingHttp::start(move |request| {
        (case.script)(sample, &mut Random(seed_of(request).unwrap()))
    })
    .await
    .unwrap();
    let provider = client_with(Options {
        limits: (case.limits)(Limits {
            // A busy machine takes long for an endless answer.
            total: Duration::from_secs(120),
            ..Limits::default()
        }),
        ..sample.options(&server.url())
    });
    for seed in 0..SEEDS {
        let (result, shown, is_discarded) = ask(&provider, seed).await;
        let at = format!("{}, seed {seed}, {}", case.name, sample.name);
        match (&result, case.expected) {
            (Ok(turn), Expected::Whole | Expected::WholeOr(_)) => {
                assert!(
                    sample.is_whole(turn),
                    "{at}: a turn that is not whole: {turn:?}"
                );
                assert!(!is_discarded, "{at}");
                assert!(shown.is_empty() || shown == turn.text, "{at}: {shown}");
            }
            (Err(error), Expected::Class(known) | Expected::WholeOr(known)) => {
                assert!(
                    known.contains(&class(error).as_str()),
                    "{at}: {error:?} is none of {known:?}"
                );
                assert_eq!(shown, "", "{at}: was shown and not taken back");
            }
            (Ok(_), Expected::Class(_)) | (Err(_), Expected::Whole) => {
                panic!("{at}: {result:?}");
            }
        }
    }
}

async fn check_all(sample: &'static Sample) {
    assert!(cases::all().count() >= 60);
    let mut checks = JoinSet::new();
    for case in cases::all() {
        checks.spawn(check(case, sample));
    }
    while let Some(done) = checks.join_next().await {
        done.unwrap();
    }
    let peak = peak_memory();
    assert!(peak < MEMORY, "{peak} bytes");
}

/// The most memory that this process ever held, in bytes.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kibibytes * 1024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chat_completions_are_whole_or_an_error() {
    check_all(samples::chat()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_anthropic_are_whole_or_an_error() {
    check_all(samples::messages()).await;
}
