//! The work of `events replay`: the log again, to a receiver.

use std::time::Duration;

use fusion_api_client::{Parcel, Receiver, Refusal};
use fusion_api_types::api::Event;
use fusion_api_types::{Problem, ProblemKind, Replayed};
use fusion_cli::{EventQuery, Events, Moment, Replay};
use fusion_core::Clock;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::backend::LocalBackend;
use crate::signals::Signalled;
use crate::system::SystemClock;

/// Events that are read at once.
const AT_ONCE: u32 = 500;

/// How often one request is made before it is given up.
const ATTEMPTS: u32 = 5;

/// The wait after the first attempt, where the receiver names none; it doubles with each.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The longest that a receiver is waited for: who asks for more is asked again by a person.
const LONGEST_WAIT: Duration = Duration::from_secs(120);

/// A replay under way.
struct Sending<'a> {
    receiver: Receiver,
    replay: &'a Replay,
    stop: &'a CancellationToken,
    done: Replayed,
}

/// Whether it goes on.
enum Flow {
    On,
    Over,
}

impl LocalBackend {
    pub(crate) async fn replay(
        &self,
        query: &EventQuery,
        replay: &Replay,
    ) -> Result<Replayed, Problem> {
        let token = match &replay.token_env {
            None => None,
            Some(name) => Some(self.config().variable(name).ok_or_else(|| {
                let text = format!("the variable {name} of --token-env is not set");
                Problem::new(ProblemKind::InvalidInput, text)
            })?),
        };
        let receiver = Receiver::new(&replay.to, token, replay.allows_plain_http)?;
        let signalled = Signalled::catch();
        let mut sending = Sending {
            receiver,
            replay,
            stop: &signalled.stop,
            done: Replayed {
                to: replay.to.clone(),
                dry_run: replay.dry_run,
                events: 0,
                first_seq: None,
                last_seq: None,
                next_after: query.after.unwrap_or(0),
                interrupted: false,
                stopped: None,
            },
        };
        // What comes meanwhile is not sent.
        let newest = self.list_events(&EventQuery::default(), 1, None).await?;
        let end = newest.events.first().map_or(0, |event| event.seq);
        let mut query = settled(query);
        let mut place = query.after.unwrap_or(0);
        loop {
            query.after = Some(place);
            let mut page = self.list_events(&query, AT_ONCE, None).await?;
            page.events.retain(|event| event.seq <= end);
            let Some(last) = page.events.last() else {
                break;
            };
            place = last.seq;
            if let Flow::Over = sending.send(&page.events).await? {
                break;
            }
            if page.next_cursor.is_none() {
                break;
            }
        }
        Ok(sending.done)
    }
}

/// The same with times that do not move on while it is sent.
fn settled(query: &EventQuery) -> EventQuery {
    let now = SystemClock.now();
    let settled = |moment: Option<Moment>| moment.and_then(|it| it.before(now)).map(Moment::At);
    EventQuery {
        since: settled(query.since),
        until: settled(query.until),
        ..query.clone()
    }
}

impl Sending<'_> {
    /// Sends events in their order; stops at the first that is not taken.
    async fn send(&mut self, events: &[Event]) -> Result<Flow, Problem> {
        let batch = usize::try_from(self.replay.batch).unwrap_or(usize::MAX);
        for events in events.chunks(batch.max(1)) {
            if self.stop.is_cancelled() {
                self.done.interrupted = true;
                return Ok(Flow::Over);
            }
            if !self.replay.dry_run {
                // What is under way when a person ends it may have been taken: it is sent again.
                let delivered = tokio::select! {
                    delivered = self.deliver(events) => Some(delivered?),
                    () = self.stop.cancelled() => None,
                };
                match delivered {
                    Some(Ok(())) => {}
                    Some(Err(problem)) => {
                        self.done.stopped = Some(problem);
                        return Ok(Flow::Over);
                    }
                    None => {
                        self.done.interrupted = true;
                        return Ok(Flow::Over);
                    }
                }
            }
            self.note(events);
        }
        Ok(Flow::On)
    }

    fn note(&mut self, events: &[Event]) {
        let (Some(first), Some(last)) = (events.first(), events.last()) else {
            return;
        };
        self.done.events += u64::try_from(events.len()).unwrap_or(u64::MAX);
        self.done.first_seq = self.done.first_seq.or(Some(first.seq));
        self.done.last_seq = Some(last.seq);
        self.done.next_after = last.seq;
    }

    /// One request, made again while it may pass; why it was given up.
    async fn deliver(&self, events: &[Event]) -> Result<Result<(), Problem>, Problem> {
        let mut lines = String::new();
        for event in events {
            let line = serde_json::to_string(event).map_err(|error| {
                let text = format!("event {} can't be written: {error}", event.seq);
                Problem::new(ProblemKind::Internal, text)
            })?;
            lines.push_str(&line);
            lines.push('\n');
        }
        let parcel = match events {
            [event] if self.replay.batch <= 1 => Parcel::One {
                json: lines.trim_end(),
                key: &event.id,
            },
            _ => Parcel::Lines(&lines),
        };
        let mut wait = FIRST_WAIT;
        for attempt in 1..=ATTEMPTS {
            let Err(refusal) = self.receiver.send(parcel, SystemClock.now()).await else {
                return Ok(Ok(()));
            };
            let rest = refusal.wait.unwrap_or(wait);
            if attempt == ATTEMPTS || !refusal.may_pass || rest > LONGEST_WAIT {
                return Ok(Err(given_up(refusal, attempt)));
            }
            sleep(rest).await;
            wait *= 2;
        }
        Ok(Ok(()))
    }
}

fn given_up(refusal: Refusal, attempts: u32) -> Problem {
    let mut problem = refusal.problem;
    if attempts > 1 {
        problem.message = format!("{}, {attempts} times", problem.message);
    }
    if let Some(wait) = refusal.wait {
        return problem.retry_after(wait);
    }
    problem
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each page is asked for anew: a time that moved on would leave events out.
    #[test]
    fn the_times_of_a_replay_stand_still() {
        let ago = Some(Moment::Ago(Duration::from_secs(60)));
        let at = SystemClock.now();
        let query = settled(&EventQuery {
            since: ago,
            until: Some(Moment::At(at)),
            ..EventQuery::default()
        });
        assert!(matches!(query.since, Some(Moment::At(since)) if since < at));
        assert_eq!(query.until, Some(Moment::At(at)));
    }
}
