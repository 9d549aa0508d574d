//! The server decides what a pattern means.

use std::cell::{Cell, RefCell};

use fusion_messaging::{Pattern, Subject};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, PushInfo};
use tokio::runtime::Runtime;

use crate::support::{server, subject};

async fn connect(url: &str) -> MultiplexedConnection {
    let client = Client::open(format!("{url}/?protocol=resp3")).unwrap();
    let ignore = |_: PushInfo| Ok::<(), redis::aio::SendError>(());
    let config = AsyncConnectionConfig::new()
        .set_response_timeout(Some(crate::support::LIMIT))
        .set_push_sender(ignore);
    let connecting = client.get_multiplexed_async_connection_with_config(&config);
    connecting.await.unwrap()
}

/// Which of the subjects a real subscription with this pattern gets.
async fn judged(
    connection: &mut MultiplexedConnection,
    pattern: &Pattern,
    subjects: &[Subject],
) -> Vec<bool> {
    connection.psubscribe(pattern.as_str()).await.unwrap();
    let mut pipeline = redis::pipe();
    for subject in subjects {
        pipeline.cmd("PUBLISH").arg(subject.as_str()).arg("");
    }
    // The answer is how many subscriptions got it.
    let receivers: Vec<u32> = pipeline.query_async(connection).await.unwrap();
    connection.punsubscribe(pattern.as_str()).await.unwrap();
    receivers.into_iter().map(|count| count == 1).collect()
}

#[test]
fn the_server_agrees_with_the_matcher_on_random_patterns_and_subjects() {
    let server = server();
    let runtime = Runtime::new().unwrap();
    let connection = RefCell::new(runtime.block_on(connect(&server.url())));
    let (matches, refusals) = (Cell::new(0), Cell::new(0));
    let mut runner = TestRunner::new(ProptestConfig::with_cases(3_000));
    let given = (
        r"([*]|[*]|[?]|[ab.]|\[[\^]?[ab\-]{0,3}\]?|\\[ab*\]\-]|é|\]|\^|\\){1,6}",
        proptest::collection::vec(r"[ab^é\-]{1,3}([.][ab]{1,2}){0,2}", 1..12),
    );
    let result = runner.run(&given, |(pattern, subjects)| {
        let Ok(pattern) = pattern.parse::<Pattern>() else {
            // A range that ends outside ASCII: refused, since servers differ on it.
            return Ok(());
        };
        let subjects: Vec<Subject> = subjects.iter().map(|text| subject(text)).collect();
        let ours: Vec<bool> = subjects.iter().map(|it| pattern.matches(it)).collect();
        let connection = &mut *connection.borrow_mut();
        let theirs = runtime.block_on(judged(connection, &pattern, &subjects));
        let agreed = theirs.iter().filter(|is_match| **is_match).count();
        matches.set(matches.get() + agreed);
        refusals.set(refusals.get() + theirs.len() - agreed);
        prop_assert_eq!(ours, theirs, "{} on {:?}", pattern, subjects);
        Ok(())
    });
    result.unwrap();
    let (matches, refusals) = (matches.get(), refusals.get());
    println!("{matches} matches, {refusals} refusals");
    assert!(matches > 500 && refusals > 500, "the judge says both");
}
