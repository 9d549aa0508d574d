//! A server whose every answer takes five seconds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fusion_messaging::Bus;
use fusion_testkit::SlowWay;

use crate::support::{bus, bus_at, heard, listen, say, server, settings, subject, until_back};

const DELAY: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_takes_five_seconds_to_answer_costs_time_only() {
    let server = server();
    let way = SlowWay::to(server.port()).await.unwrap();
    way.delay(DELAY);
    let url = format!("redis://:{}@127.0.0.1:{}", server.password(), way.port());
    let (slow, quick) = (bus_at(&url, settings(), 1), bus(&server, 2));
    let mut far = listen(&quick, "*").await;
    let mut near = listen(&slow, "*").await;
    let tick = subject("load.tick");
    let mut longest = Duration::ZERO;
    for number in 0..100 {
        let payload: Arc<[u8]> = number.to_string().into_bytes().into();
        let begun = Instant::now();
        slow.publish(&tick, payload);
        longest = longest.max(begun.elapsed());
        assert_eq!(heard(&mut near).await, (number.to_string(), 0));
    }
    assert!(longest < Duration::from_secs(1), "a call took {longest:?}");

    until_back(&slow).await;
    for number in 0..100 {
        assert_eq!(heard(&mut far).await, (number.to_string(), 0));
    }
    // It hears late, and everything, with a mark: it was not there for a while.
    say(&quick, "task.done", "late");
    assert_eq!(heard(&mut near).await, ("late".to_owned(), 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_message_waits_for_the_answer_to_the_one_before() {
    let server = server();
    let way = SlowWay::to(server.port()).await.unwrap();
    let url = format!("redis://:{}@127.0.0.1:{}", server.password(), way.port());
    let (slow, quick) = (bus_at(&url, settings(), 1), bus(&server, 2));
    let mut far = listen(&quick, "*").await;
    until_back(&slow).await;
    way.delay(DELAY);
    let begun = Instant::now();
    for number in 0..5 {
        say(&slow, "task.done", &number.to_string());
        assert_eq!(heard(&mut far).await, (number.to_string(), 0));
    }
    let took = begun.elapsed();
    assert!(took < DELAY, "five messages took {took:?}");
}
