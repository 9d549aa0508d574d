//! What is heard of a run while a server works on it.

use std::time::Duration;

use fusion_api_client::Live;
use fusion_api_types::api::{Delta, Frame};
use fusion_api_types::{Problem, RunDetail};
use futures::FutureExt;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::Remote;
use crate::answers::Answers;

/// How often a run is shown anew, so that clocks move.
const SHOW: Duration = Duration::from_millis(250);

/// How often it is asked for when nothing is heard of it.
const ASK: Duration = Duration::from_secs(1);

/// Events come in groups: they are waited for this long.
const GATHER: Duration = Duration::from_millis(20);

/// The events and the words of one run or agent, as far as the server tells them. A server that tells
/// none is asked more often instead.
pub(crate) struct Listening {
    live: Option<Live>,
    answers: Answers,
    /// When the run is asked for again.
    ask_at: Instant,
}

/// What there is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Ask how the run is.
    Change,
    /// Show it again.
    Words,
}

impl Remote {
    /// Listens to what has this value in the filter, such as `run_id`; to nothing without one.
    pub(crate) async fn listen(&self, filter: Option<(&'static str, String)>) -> Listening {
        let live = match filter {
            Some(filter) => {
                let query = [filter, ("deltas", true.to_string())];
                let opened = self.client.live(&query).await;
                // What is done does not depend on it.
                opened
                    .inspect_err(|problem| tracing::debug!(%problem, "nothing is heard live"))
                    .ok()
            }
            None => None,
        };
        Listening {
            live,
            answers: Answers::default(),
            ask_at: Instant::now() + SHOW,
        }
    }
}

impl Listening {
    /// Waits for something to do; at the latest until the run is to be shown again, or `stop`.
    pub(crate) async fn next(&mut self, stop: &CancellationToken) -> Heard {
        let show_at = Instant::now() + SHOW;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Heard::Change,
                () = sleep_until(show_at.min(self.ask_at)) => {
                    if self.live.is_some() && Instant::now() < self.ask_at {
                        return Heard::Words;
                    }
                    return self.change();
                }
                frame = frame_of(&mut self.live) => match frame {
                    Ok(Some(Frame::Event { .. })) => {
                        self.gather().await;
                        return self.change();
                    }
                    Ok(Some(Frame::Delta { delta })) => self.answers.heard(&delta),
                    Ok(Some(Frame::Hello { .. } | Frame::Bookmark { .. })) => {}
                    Ok(Some(Frame::Lagged { .. } | Frame::Shutdown { .. }) | None) | Err(_) => {
                        self.live = None;
                        return self.change();
                    }
                }
            }
        }
    }

    /// Waits this long for words.
    pub(crate) async fn words(&mut self, time: Duration) -> Option<Delta> {
        let until = Instant::now() + time;
        loop {
            tokio::select! {
                biased;
                () = sleep_until(until) => return None,
                frame = frame_of(&mut self.live) => match frame {
                    Ok(Some(Frame::Delta { delta })) => return Some(*delta),
                    Ok(Some(Frame::Hello { .. } | Frame::Bookmark { .. } | Frame::Event { .. })) => {}
                    Ok(Some(Frame::Lagged { .. } | Frame::Shutdown { .. }) | None) | Err(_) => {
                        self.live = None;
                    }
                },
            }
        }
    }

    /// Adds what is being said to the steps that say it.
    pub(crate) fn add_to(&self, run: &RunDetail) -> RunDetail {
        let mut run = run.clone();
        self.answers.add_to(&mut run);
        run
    }

    fn change(&mut self) -> Heard {
        let pause = if self.live.is_some() { ASK } else { SHOW };
        self.ask_at = Instant::now() + pause;
        Heard::Change
    }

    /// Takes what comes together with an event: one look is enough for all of them.
    async fn gather(&mut self) {
        sleep(GATHER).await;
        while let Some(Ok(Some(frame))) = frame_of(&mut self.live).now_or_never() {
            if let Frame::Delta { delta } = frame {
                self.answers.heard(&delta);
            }
        }
    }
}

/// The next frame; never where nothing is heard.
async fn frame_of(live: &mut Option<Live>) -> Result<Option<Frame>, Problem> {
    match live {
        Some(live) => live.next().await,
        None => std::future::pending().await,
    }
}
