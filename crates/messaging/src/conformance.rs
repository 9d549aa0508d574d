//! The rules every bus must pass, as tests: `bus_conformance!(make)` in a test module turns each
//! rule into a test of its own. `make` takes [`QueueLimits`] and gives a future of a fresh bus which
//! no other test uses (on a shared server, one with a name space of its own). The calling crate
//! needs tokio with `macros` and `rt` among its dev-dependencies.
//!
//! Waiting for something is bounded; waiting for nothing is not waited for: a rule that a message
//! must *not* come publishes another one behind it and reads that.

mod patterns;

use std::sync::Arc;
use std::time::Duration;

pub use patterns::{PATTERNS, PatternRow};

use crate::{Bus, MAX_PAYLOAD_BYTES, Pattern, QueueLimits, Received, Subject, Subscription};

/// Makes one test of each rule of this module.
#[macro_export]
macro_rules! bus_conformance {
    ($make:expr) => {
        $crate::bus_conformance!(@tests $make, $crate::QueueLimits::default();
            patterns_name_what_redis_says_they_name
            every_reader_gets_the_message_as_it_was_said
            the_order_of_a_publisher_is_kept
            a_reader_hears_only_what_its_pattern_names
            overlapping_patterns_bring_one_copy_each
            nothing_from_before_the_subscription_is_heard
            a_dropped_subscription_disturbs_nobody
            a_waiting_reader_is_woken
            a_wait_that_is_given_up_loses_nothing
            a_payload_over_the_limit_is_lost_alone
            readers_end_when_the_bus_is_gone
        );
        $crate::bus_conformance!(@tests $make, $crate::conformance::FEW;
            a_slow_reader_can_count_what_it_lost
            a_slow_reader_costs_the_others_nothing
        );
    };
    (@tests $make:expr, $limits:expr; $($rule:ident)*) => {$(
        #[tokio::test]
        async fn $rule() {
            let make = $make;
            $crate::conformance::$rule(make($limits).await).await;
        }
    )*};
}

/// Queues that are soon full, for the rules about slow readers.
pub const FEW: QueueLimits = QueueLimits {
    messages: 4,
    bytes: 1_024,
};

/// How long a message may take: far more than any bus needs, so that passing it means a loss.
const LIMIT: Duration = Duration::from_secs(10);

/// Each row of [`PATTERNS`], published and heard through the bus.
///
/// # Panics
/// When the bus breaks the rule.
pub async fn patterns_name_what_redis_says_they_name(bus: impl Bus) {
    let mut everything = listen(&bus, "*").await;
    for row in PATTERNS {
        let mut reader = listen(&bus, row.pattern).await;
        for subject in row.refuses.iter().chain(row.matches) {
            say(&bus, subject, "");
            next(&mut everything).await;
        }
        for subject in row.matches {
            let heard = next(&mut reader).await.subject;
            assert_eq!(heard.as_str(), *subject, "heard by {}", row.pattern);
        }
        assert_eq!(ready(&mut reader).await, None, "heard by {}", row.pattern);
    }
}

/// Fan-out: same subject, same bytes, for each reader.
///
/// # Panics
/// When the bus breaks the rule.
pub async fn every_reader_gets_the_message_as_it_was_said(bus: impl Bus) {
    let mut readers = Vec::new();
    for pattern in ["task.completed.1", "task.*", "task.completed.?", "*"] {
        readers.push(listen(&bus, pattern).await);
    }
    let every_byte: Arc<[u8]> = (0..=u8::MAX).collect();
    let said = Received {
        subject: subject("task.completed.1"),
        payload: Arc::clone(&every_byte),
        lost_before: 0,
    };
    bus.publish(&said.subject, every_byte);
    for reader in &mut readers {
        assert_eq!(next(reader).await, said);
    }
}

/// 500 messages under two subjects come as they were published, with none lost.
///
/// # Panics
/// When the bus breaks the rule.
pub async fn the_order_of_a_publisher_is_kept(bus: impl Bus) {
    let mut reader = listen(&bus, "order.*").await;
    for number in 0..500_u32 {
        let subject = if number % 3 == 0 {
            "order.a"
        } else {
            "order.b"
        };
        say(&bus, subject, &number.to_string());
    }
    for number in 0..500_u32 {
        let message = next(&mut reader).await;
        assert_eq!(
            (text(&message), message.lost_before),
            (number.to_string(), 0)
        );
    }
}

/// No cross-talk: interleaved messages reach exactly the reader that asked for them.
///
/// # Panics
/// When the bus breaks the rule.
pub async fn a_reader_hears_only_what_its_pattern_names(bus: impl Bus) {
    let mut first = listen(&bus, "agent.1.*").await;
    let mut second = listen(&bus, "agent.2.inbox").await;
    for subject in [
        "agent.1.inbox",
        "agent.2.inbox",
        "agent.12.inbox",
        "agent.1.status",
    ] {
        say(&bus, subject, "");
    }
    say(&bus, "agent.2.inbox", "last");
    for subject in ["agent.1.inbox", "agent.1.status"] {
        assert_eq!(next(&mut first).await.subject.as_str(), subject);
    }
    for payload in ["", "last"] {
        let message = next(&mut second).await;
        assert_eq!(
            (message.subject.as_str(), text(&message).as_str()),
            ("agent.2.inbox", payload)
        );
    }
    assert_eq!(ready(&mut first).await, None);
}

/// A message that several patterns name comes once to each subscription, also to two with the same
/// pattern.
///
/// # Panics
/// When the bus breaks the rule.
pub async fn overlapping_patterns_bring_one_copy_each(bus: impl Bus) {
    let mut readers = Vec::new();
    for pattern in ["a.*", "a.*", "*.b", "a.b", "a.b"] {
        readers.push(listen(&bus, pattern).await);
    }
    say(&bus, "a.b", "first");
    say(&bus, "a.b", "second");
    for reader in &mut readers {
        assert_eq!(text(&next(reader).await), "first");
        assert_eq!(text(&next(reader).await), "second");
        assert_eq!(ready(reader).await, None);
    }
}

/// A bus keeps no history, and publishing without a reader is nothing special.
///
/// # Panics
/// When the bus breaks the rule.
pub async fn nothing_from_before_the_subscription_is_heard(bus: impl Bus) {
    say(&bus, "late.a", "before");
    let mut reader = listen(&bus, "late.*").await;
    say(&bus, "late.a", "after");
    assert_eq!(text(&next(&mut reader).await), "after");
}

/// Dropping one of two readers of a pattern leaves the other; subscribing again starts afresh.
///
/// # Panics
/// When the bus breaks the rule.
pub async fn a_dropped_subscription_disturbs_nobody(bus: impl Bus) {
    let mut stays = listen(&bus, "leave.*").await;
    let leaves = listen(&bus, "leave.*").await;
    say(&bus, "leave.a", "1");
    drop(leaves);
    say(&bus, "leave.a", "2");
    assert_eq!(text(&next(&mut stays).await), "1");
    assert_eq!(text(&next(&mut stays).await), "2");

    drop(stays);
    say(&bus, "leave.a", "3");
    let mut returns = listen(&bus, "leave.*").await;
    say(&bus, "leave.a", "4");
    assert_eq!(text(&next(&mut returns).await), "4");
}

/// On a bus with [`FEW`] limits, every message is either received or counted by the one behind it, and the newest is kept.
///
/// # Panics
/// When the bus breaks the rule.
pub async fn a_slow_reader_can_count_what_it_lost(bus: impl Bus) {
    let mut slow = listen(&bus, "slow.*").await;
    for number in 1..=100_u64 {
        say(&bus, "slow.a", &number.to_string());
    }
    let mut accounted = 0;
    while accounted < 100 {
        let message = next(&mut slow).await;
        accounted += message.lost_before + 1;
        assert_eq!(text(&message), accounted.to_string());
    }
}

/// On a bus with [`FEW`] limits, a reader that keeps up loses nothing while another one of the same subject never reads.
///
/// # Panics
/// When the bus breaks the rule.
pub async fn a_slow_reader_costs_the_others_nothing(bus: impl Bus) {
    let _stuck = listen(&bus, "pace.*").await;
    let mut fast = listen(&bus, "pace.*").await;
    for number in 0..200_u32 {
        say(&bus, "pace.a", &number.to_string());
        let message = next(&mut fast).await;
        assert_eq!(
            (text(&message), message.lost_before),
            (number.to_string(), 0)
        );
    }
}

/// A reader that was there first hears the message without asking again.
///
/// # Panics
/// When the bus breaks the rule.
pub async fn a_waiting_reader_is_woken(bus: impl Bus) {
    let mut reader = listen(&bus, "wake.*").await;
    for number in 0..50_u32 {
        // The wait is polled before the message is said.
        let (message, ()) = tokio::join!(next(&mut reader), async {
            say(&bus, "wake.a", &number.to_string());
        });
        assert_eq!(text(&message), number.to_string());
    }
}

/// Readers wait in a `select!` beside a shutdown signal: giving up must not swallow a message.
///
/// # Panics
/// When the bus breaks the rule.
pub async fn a_wait_that_is_given_up_loses_nothing(bus: impl Bus) {
    let mut reader = listen(&bus, "given.up").await;
    for number in 0..50_u32 {
        assert_eq!(ready(&mut reader).await, None);
        say(&bus, "given.up", &number.to_string());
        assert_eq!(text(&next(&mut reader).await), number.to_string());
    }
}

/// A payload of exactly the limit is carried; one byte more is lost, and the readers that it was for
/// are told by their next message.
///
/// # Panics
/// When the bus breaks the rule.
pub async fn a_payload_over_the_limit_is_lost_alone(bus: impl Bus) {
    let mut reader = listen(&bus, "large.*").await;
    let largest: Arc<[u8]> = vec![7; MAX_PAYLOAD_BYTES].into();
    bus.publish(&subject("large.a"), Arc::clone(&largest));
    bus.publish(&subject("large.a"), vec![7; MAX_PAYLOAD_BYTES + 1].into());
    say(&bus, "large.a", "small");
    let message = next(&mut reader).await;
    assert_eq!((message.payload, message.lost_before), (largest, 0));
    let message = next(&mut reader).await;
    assert_eq!((text(&message).as_str(), message.lost_before), ("small", 1));
}

/// A reader of a dropped bus takes what is queued and then hears that it is over.
///
/// # Panics
/// When the bus breaks the rule.
pub async fn readers_end_when_the_bus_is_gone(bus: impl Bus) {
    let mut reader = listen(&bus, "end.*").await;
    say(&bus, "end.a", "last words");
    assert_eq!(text(&next(&mut reader).await), "last words");
    drop(bus);
    let end = tokio::time::timeout(LIMIT, reader.recv()).await;
    assert_eq!(end, Ok(None));
}

async fn listen(bus: &impl Bus, text: &str) -> Subscription {
    bus.subscribe(&pattern(text)).await
}

fn say(bus: &impl Bus, text: &str, payload: &str) {
    bus.publish(&subject(text), Arc::from(payload.as_bytes()));
}

#[expect(clippy::expect_used, reason = "a rule fails its test by panicking")]
async fn next(reader: &mut Subscription) -> Received {
    tokio::time::timeout(LIMIT, reader.recv())
        .await
        .expect("a message within the limit")
        .expect("a bus that is still there")
}

/// What is there without waiting.
async fn ready(reader: &mut Subscription) -> Option<Received> {
    tokio::time::timeout(Duration::ZERO, reader.recv())
        .await
        .ok()
        .flatten()
}

#[expect(clippy::expect_used, reason = "a rule fails its test by panicking")]
fn subject(text: &str) -> Subject {
    text.parse().expect("a subject")
}

#[expect(clippy::expect_used, reason = "a rule fails its test by panicking")]
fn pattern(text: &str) -> Pattern {
    text.parse().expect("a pattern")
}

fn text(message: &Received) -> String {
    String::from_utf8_lossy(&message.payload).into_owned()
}
