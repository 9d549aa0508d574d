//! What models are saying right now, for who listens: told once, kept nowhere.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fusion_api_types::api::{Delta, DeltaKind, Frame};
use fusion_core::{AgentId, RunId, Usage};
use fusion_providers::{Delta as Piece, DeltaSink, TurnPlace};
use tokio::sync::{Notify, broadcast};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::hub::Line;

/// Pieces that come within this time are told as one.
const GATHER: Duration = Duration::from_millis(50);

/// Frames that a listener may be behind. Older ones are dropped for it.
const BEHIND: usize = 256;

/// Bytes of one turn that are gathered. What comes above it meanwhile is dropped.
const MOST: usize = 16 * 1024;

/// The answers that are coming in this process, on their way to the live streams that ask for them.
///
/// Nobody waits for a listener: who is slow misses pieces, and sees by [`Delta::at`] that it did.
#[derive(Debug)]
pub struct Deltas {
    /// By the id of the task.
    gathered: Mutex<BTreeMap<String, Vec<Delta>>>,
    more: Notify,
    told: broadcast::Sender<Arc<Said>>,
}

/// A piece as it is sent, and by what it is selected.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) run: Option<RunId>,
    pub(crate) agent: Option<AgentId>,
    pub(crate) line: Line,
}

impl Default for Deltas {
    fn default() -> Self {
        Self {
            gathered: Mutex::default(),
            more: Notify::new(),
            told: broadcast::Sender::new(BEHIND),
        }
    }
}

impl Deltas {
    /// Hears a turn until the value goes, and passes all on to `also`.
    pub fn hear<'a>(&'a self, place: TurnPlace<'a>, also: &'a dyn DeltaSink) -> Hearing<'a> {
        Hearing {
            deltas: self,
            place,
            also,
            at: AtomicU64::new(0),
        }
    }

    /// Hears everything from now on.
    pub(crate) fn listen(&self) -> broadcast::Receiver<Arc<Said>> {
        self.told.subscribe()
    }

    /// Tells what has been gathered, again and again until the server stops.
    pub(crate) async fn flow(&self, stopping: &CancellationToken) {
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                () = self.more.notified() => sleep(GATHER).await,
            }
            let gathered = {
                let mut gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
                std::mem::take(&mut *gathered)
            };
            for delta in gathered.into_values().flatten() {
                // Who listened may have gone meanwhile.
                self.told.send(Arc::new(Said::new(delta))).ok();
            }
        }
    }

    /// Adds a piece to what is gathered of its turn.
    fn add(&self, new: Delta) {
        let mut gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
        let pieces = gathered.entry(new.task_id.clone()).or_default();
        let bytes: usize = pieces.iter().map(|piece| piece.text.len()).sum();
        if bytes + new.text.len() > MOST {
            return;
        }
        match pieces.last_mut() {
            Some(last) if goes_on(last, &new) => last.text.push_str(&new.text),
            Some(_) | None => pieces.push(new),
        }
        drop(gathered);
        self.more.notify_one();
    }
}

/// Whether a piece is the rest of what the one before it says.
fn goes_on(last: &Delta, new: &Delta) -> bool {
    let says = matches!(
        new.kind,
        DeltaKind::Text | DeltaKind::Reasoning | DeltaKind::ToolCall
    );
    says && last.kind == new.kind
        && last.turn == new.turn
        && new.tool.is_none()
        && last.at + characters(&last.text) == new.at
}

fn characters(text: &str) -> u64 {
    text.chars().count() as u64
}

impl Said {
    fn new(delta: Delta) -> Self {
        Self {
            run: delta.run_id.parse().ok(),
            agent: delta.agent_id.parse().ok(),
            line: Line::of(&Frame::Delta {
                delta: Box::new(delta),
            }),
        }
    }
}

/// Hears one turn.
pub struct Hearing<'a> {
    deltas: &'a Deltas,
    place: TurnPlace<'a>,
    also: &'a dyn DeltaSink,
    /// Characters of the answer so far.
    at: AtomicU64,
}

impl std::fmt::Debug for Hearing<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hearing")
            .field("place", &self.place)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl Hearing<'_> {
    fn tell(&self, kind: DeltaKind, at: u64, text: &str, tool: &str) {
        if self.deltas.told.receiver_count() == 0 {
            return;
        }
        self.deltas.add(Delta {
            run_id: self.place.run.to_owned(),
            task_id: self.place.task.to_owned(),
            agent_id: self.place.agent.to_owned(),
            step: self.place.step.to_owned(),
            turn: self.place.turn,
            kind,
            at,
            text: text.to_owned(),
            tool: Some(tool)
                .filter(|tool| !tool.is_empty())
                .map(str::to_owned),
        });
    }

    fn say(&self, kind: DeltaKind, text: &str, tool: &str) {
        let at = self.at.fetch_add(characters(text), Ordering::Relaxed);
        self.tell(kind, at, text, tool);
    }
}

impl DeltaSink for Hearing<'_> {
    fn take(&self, delta: Piece<'_>) {
        self.also.take(delta);
        match delta {
            Piece::Text(text) => self.say(DeltaKind::Text, text, ""),
            Piece::Reasoning(text) => self.say(DeltaKind::Reasoning, text, ""),
            Piece::ToolCall {
                name, arguments, ..
            } => self.say(DeltaKind::ToolCall, arguments, name),
            Piece::Discarded => {
                let at = self.at.swap(0, Ordering::Relaxed);
                self.tell(DeltaKind::Discarded, at, "", "");
            }
        }
    }

    fn began(&self, generation: &str) {
        self.also.began(generation);
    }

    fn lost(&self, cost: Option<Usage>) -> bool {
        self.also.lost(cost)
    }
}

impl Drop for Hearing<'_> {
    fn drop(&mut self) {
        self.tell(DeltaKind::End, self.at.load(Ordering::Relaxed), "", "");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use fusion_providers::{Delta as Piece, DeltaSink, NoDeltas, TurnPlace};
    use serde_json::{Value, json};
    use tokio::sync::broadcast;
    use tokio::sync::broadcast::error::TryRecvError;
    use tokio_util::sync::CancellationToken;
    use tokio_util::task::TaskTracker;

    use super::{BEHIND, Deltas, MOST, Said};

    const PLACE: TurnPlace<'static> = TurnPlace {
        run: "0198f2c0-0000-7000-8000-000000000001",
        task: "0198f2c0-0000-7000-8000-000000000002",
        step: "write",
        turn: 3,
        agent: "0198f2c0-0000-7000-8000-000000000003",
        key: "k",
    };

    /// What is told flows until the test ends.
    fn flowing() -> (Arc<Deltas>, broadcast::Receiver<Arc<Said>>) {
        let deltas = Arc::new(Deltas::default());
        let heard = deltas.listen();
        let flow = Arc::clone(&deltas);
        let never = CancellationToken::new();
        TaskTracker::new().spawn(async move { flow.flow(&never).await });
        (deltas, heard)
    }

    /// Kind, place, text and tool of the next frame.
    async fn next(heard: &mut broadcast::Receiver<Arc<Said>>) -> Value {
        let said = heard.recv().await.unwrap();
        let frame: Value = serde_json::from_str(&said.line.text).unwrap();
        assert_eq!(said.line.seq, None, "it has no place in the log");
        let delta = &frame["delta"];
        json!([delta["kind"], delta["at"], delta["text"], delta["tool"]])
    }

    fn call(name: &'static str, arguments: &'static str) -> Piece<'static> {
        Piece::ToolCall {
            index: 0,
            name,
            arguments,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn pieces_that_come_together_are_told_as_one_and_say_where_they_are() {
        let (deltas, mut heard) = flowing();
        let hearing = deltas.hear(PLACE, &NoDeltas);
        for piece in [
            Piece::Reasoning("hm"),
            Piece::Text("Bienen "),
            Piece::Text("über "),
            Piece::Text("allem."),
            call("finish", "{\"a\":"),
            call("", "1}"),
        ] {
            hearing.take(piece);
        }
        assert_eq!(next(&mut heard).await, json!(["reasoning", 0, "hm", null]));
        assert_eq!(
            next(&mut heard).await,
            json!(["text", 2, "Bienen über allem.", null])
        );
        assert_eq!(
            next(&mut heard).await,
            json!(["tool_call", 20, "{\"a\":1}", "finish"])
        );
        hearing.take(Piece::Discarded);
        hearing.take(Piece::Text("Anew."));
        drop(hearing);
        assert_eq!(next(&mut heard).await, json!(["discarded", 27, "", null]));
        assert_eq!(next(&mut heard).await, json!(["text", 0, "Anew.", null]));
        assert_eq!(next(&mut heard).await, json!(["end", 5, "", null]));
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_late_learns_how_much_was_said_before() {
        let deltas = Deltas::default();
        let hearing = deltas.hear(PLACE, &NoDeltas);
        hearing.take(Piece::Text("Nobody hears this. "));
        assert!(deltas.gathered.lock().unwrap().is_empty());
        let _heard = deltas.listen();
        hearing.take(Piece::Text("But this."));
        let gathered = deltas.gathered.lock().unwrap();
        assert_eq!(gathered[PLACE.task][0].at, 19);
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_bounded_and_a_slow_listener_misses_some() {
        let (deltas, mut heard) = flowing();
        let hearing = deltas.hear(PLACE, &NoDeltas);
        for _ in 0..100 {
            hearing.take(Piece::Text(&"x".repeat(1_000)));
        }
        let bytes = |deltas: &Deltas| -> usize {
            let gathered = deltas.gathered.lock().unwrap();
            gathered.values().flatten().map(|one| one.text.len()).sum()
        };
        assert_eq!(bytes(&deltas), MOST / 1_000 * 1_000);
        let told = next(&mut heard).await;
        assert_eq!(told[1], json!(0));
        hearing.take(Piece::Text("y"));
        assert_eq!(next(&mut heard).await, json!(["text", 100_000, "y", null]));
        // Nobody takes these: the first are dropped, and nobody waited.
        let mut quick = deltas.listen();
        for _ in 0..=BEHIND {
            hearing.take(Piece::Text("z"));
            next(&mut quick).await;
        }
        assert!(matches!(heard.try_recv(), Err(TryRecvError::Lagged(1))));
    }
}
