//! The connection: made, kept, and made again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use futures::stream::{FuturesOrdered, StreamExt};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ConnectionInfo, PushInfo, RedisError, RedisResult};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::envelope::Envelope;
use crate::incoming::Incoming;
use crate::outbox::{Outbox, Outgoing};
use crate::{Address, Backoff, Error, Namespace, Result};

/// How long the server may take for an answer. One that is slower than this counts as gone.
pub(crate) const ANSWER: Duration = Duration::from_secs(10);

/// Batches that are sent before the first of them is answered: nothing waits for the way there and
/// back, and little is lost with a connection.
const BATCHES_UNDER_WAY: usize = 8;

/// How often a silent server is asked whether it is still there.
const PING: Duration = Duration::from_secs(5);

/// How it is with the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// The first attempt is under way.
    Connecting,
    /// Messages go and come.
    Listening,
    /// It is away, and why.
    Away(Error),
}

/// The task of a bus that talks to the server.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) address: Address,
    pub(crate) namespace: Namespace,
    pub(crate) backoff: Backoff,
    pub(crate) incoming: Arc<Incoming>,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) state: watch::Sender<State>,
    pub(crate) closing: CancellationToken,
}

/// A connection that listens, and what says that it is gone.
struct Line {
    connection: MultiplexedConnection,
    place: String,
    lost: CancellationToken,
}

impl Link {
    /// Keeps a connection until the bus is closed.
    pub(crate) async fn keep(self) {
        let closing = self.closing.clone();
        closing.run_until_cancelled(self.keep_on()).await;
    }

    async fn keep_on(&self) {
        let mut waits = self.backoff.waits();
        let mut since = None;
        for (node, place) in self.address.nodes().cycle() {
            let fault = match self.connect(node, &place).await {
                Ok(line) => {
                    waits = self.backoff.waits();
                    self.is_back(&line, since.take());
                    self.serve(line).await
                }
                Err(fault) => fault,
            };
            self.is_away(fault, &mut since);
            sleep(waits.next().unwrap_or(self.backoff.longest)).await;
        }
    }

    fn is_back(&self, line: &Line, since: Option<Instant>) {
        if let Some(since) = since {
            let (seconds, lost) = (since.elapsed().as_secs(), self.outbox.take_lost());
            tracing::warn!(place = line.place, seconds, lost, "Redis is back");
        }
        self.state.send_replace(State::Listening);
    }

    /// Says it once, however often it is tried.
    fn is_away(&self, fault: Error, since: &mut Option<Instant>) {
        if since.is_none() {
            *since = Some(Instant::now());
            tracing::warn!(%fault, "messages reach only this process until Redis is back");
        }
        self.state.send_replace(State::Away(fault));
    }

    async fn connect(&self, node: &ConnectionInfo, place: &str) -> Result<Line> {
        let lost = CancellationToken::new();
        let hear = {
            let (incoming, lost) = (Arc::clone(&self.incoming), lost.clone());
            move |push: PushInfo| {
                incoming.take(&push, &lost);
                Ok::<(), redis::aio::SendError>(())
            }
        };
        let connection = connect(node, place, hear, &self.namespace.everything()).await?;
        Ok(Line {
            connection,
            place: place.to_owned(),
            lost,
        })
    }

    /// Sends what comes until the connection is of no use any more, and tells why. What is under way
    /// then may have got through, and is not sent again.
    async fn serve(&self, mut line: Line) -> Error {
        let mut under_way = UnderWay::default();
        let fault = self.send_on(&mut line, &mut under_way).await;
        for lost in under_way.messages {
            self.outbox.sent(lost);
        }
        fault
    }

    async fn send_on(&self, line: &mut Line, under_way: &mut UnderWay) -> Error {
        let mut pings = interval_at(Instant::now() + PING, PING);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // A server that refuses goes on to be asked: said once, until it takes something.
        let mut is_refused = false;
        loop {
            let is_idle = under_way.messages.is_empty();
            let has_room = under_way.messages.len() < BATCHES_UNDER_WAY;
            let done = tokio::select! {
                biased;
                () = line.lost.cancelled() => Err(line.fault("the connection ended")),
                Some((lost, answer)) = under_way.next() => {
                    self.settle(lost, answer, &mut is_refused)
                }
                batch = self.outbox.take(), if has_room => {
                    let answer = line.publish(&batch, &self.namespace, self.incoming.own);
                    under_way.add(&batch, answer);
                    Ok(())
                }
                _ = pings.tick(), if is_idle => line.ping().await,
            };
            if let Err(fault) = done {
                return fault;
            }
        }
    }

    /// Takes the answer to a batch of so many messages.
    fn settle(&self, messages: u64, answer: Result<()>, is_refused: &mut bool) -> Result<()> {
        match answer {
            Ok(()) => {
                *is_refused = false;
                self.outbox.sent(0);
                Ok(())
            }
            Err(fault @ (Error::Refuses { .. } | Error::LetsNotIn { .. })) => {
                self.outbox.sent(messages);
                if !std::mem::replace(is_refused, true) {
                    tracing::warn!(%fault, "Redis takes no messages; they reach only this process");
                }
                Ok(())
            }
            Err(fault) => {
                self.outbox.sent(messages);
                Err(fault)
            }
        }
    }
}

/// Batches that are sent and not answered. Each goes out when it is polled first, which is before the
/// next one is added.
#[derive(Default)]
struct UnderWay {
    answers: FuturesOrdered<BoxFuture<'static, Result<()>>>,
    /// How many messages each of them has.
    messages: VecDeque<u64>,
}

impl UnderWay {
    fn add(&mut self, batch: &[Outgoing], answer: BoxFuture<'static, Result<()>>) {
        self.answers.push_back(answer);
        self.messages
            .push_back(u64::try_from(batch.len()).unwrap_or(u64::MAX));
    }

    /// The next answer, and to how many messages; `None` when nothing is under way.
    async fn next(&mut self) -> Option<(u64, Result<()>)> {
        let answer = self.answers.next().await?;
        Some((self.messages.pop_front().unwrap_or_default(), answer))
    }
}

impl Line {
    /// Sends a batch once it is polled; ends with the server's answer.
    fn publish(
        &self,
        batch: &[Outgoing],
        namespace: &Namespace,
        origin: uuid::Uuid,
    ) -> BoxFuture<'static, Result<()>> {
        let mut pipeline = redis::Pipeline::with_capacity(batch.len());
        for message in batch {
            let envelope = Envelope {
                origin,
                number: message.number,
                payload: &message.payload,
            };
            pipeline
                .cmd("PUBLISH")
                .arg(namespace.channel(message.subject.as_str()))
                .arg(envelope.to_bytes())
                .ignore();
        }
        let (mut connection, place) = (self.connection.clone(), self.place.clone());
        async move { answered(&place, pipeline.exec_async(&mut connection)).await }.boxed()
    }

    async fn ping(&mut self) -> Result<()> {
        let ping = redis::cmd("PING");
        let answer = ping.exec_async(&mut self.connection);
        answered(&self.place, answer).await
    }

    fn fault(&self, fault: &str) -> Error {
        Error::Unreachable {
            place: self.place.clone(),
            fault: fault.to_owned(),
        }
    }
}

/// Connects, and has the server tell `hear` all of a pattern.
pub(crate) async fn connect(
    node: &ConnectionInfo,
    place: &str,
    hear: impl redis::aio::AsyncPushSender,
    pattern: &str,
) -> Result<MultiplexedConnection> {
    let client = Client::open(node.clone()).map_err(|error| Error::of(place, &error))?;
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None)
        .set_push_sender(hear);
    let connecting = client.get_multiplexed_async_connection_with_config(&config);
    let mut connection = answered(place, connecting).await?;
    answered(place, connection.psubscribe(pattern)).await?;
    Ok(connection)
}

/// What the server answers within the time it has.
async fn answered<T>(place: &str, answer: impl Future<Output = RedisResult<T>>) -> Result<T> {
    match timeout(ANSWER, answer).await {
        Ok(answer) => answer.map_err(|error: RedisError| Error::of(place, &error)),
        Err(_) => Err(Error::TooSlow {
            place: place.to_owned(),
            seconds: ANSWER.as_secs(),
        }),
    }
}
