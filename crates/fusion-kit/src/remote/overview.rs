//! The work of `top` through a server: its live stream says when something has changed.

use std::time::Duration;

use fusion_api_client::Live;
use fusion_api_types::api::{self, EventPage, Frame};
use fusion_api_types::{InboxView, Problem, ProblemKind};
use fusion_cli::{Picture, Sight};
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, sleep, sleep_until};

use super::Remote;
use crate::agents::living;
use crate::overview::{BEFORE, Halt, MOST, changes_something, open, tell, watched};

/// Events come in groups: one look is enough for all that come within this time.
const GATHER: Duration = Duration::from_millis(200);

/// The wait before a server that went away is looked for again.
const PAUSE: Duration = Duration::from_secs(1);

impl Remote {
    pub(crate) async fn overview(&self, sights: &Sender<Sight>) -> Result<(), Problem> {
        let mut place = None;
        loop {
            let why = match self.follow(sights, &mut place).await {
                // It was never seen: a wrong address, a wrong token.
                Err(halt) if place.is_none() => return watched(halt),
                Err(Halt::Gone) => return Ok(()),
                Err(Halt::Problem(problem)) => problem.message,
                Ok(()) => "the server has ended the stream".to_owned(),
            };
            if let Err(halt) = tell(sights, Sight::Lost(why)).await {
                return watched(halt);
            }
            tokio::select! {
                () = sights.closed() => return Ok(()),
                () = sleep(PAUSE) => {}
            }
        }
    }

    /// Tells everything until the stream ends, which goes on after a place.
    async fn follow(&self, sights: &Sender<Sight>, place: &mut Option<u64>) -> Result<(), Halt> {
        let mut live = self.stream_after(*place).await?;
        if place.is_none() {
            self.tell_before(sights).await?;
        }
        let picture = self.picture().await?;
        tell(sights, Sight::Picture(Box::new(picture))).await?;
        // When everything is looked at again.
        let mut due: Option<Instant> = None;
        loop {
            let frame = tokio::select! {
                () = sights.closed() => return Ok(()),
                frame = live.next() => frame?,
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    due = None;
                    let picture = self.picture().await?;
                    tell(sights, Sight::Picture(Box::new(picture))).await?;
                    continue;
                }
            };
            let Some(frame) = frame else {
                return Ok(());
            };
            match seen(frame, place) {
                Seen::Changed(sight) => {
                    due = due.or_else(|| Some(Instant::now() + GATHER));
                    tell(sights, sight).await?;
                }
                Seen::Told(sight) => tell(sights, sight).await?,
                Seen::Nothing => {}
                Seen::End => return Ok(()),
            }
        }
    }

    /// What happens after a place, with what models say.
    async fn stream_after(&self, place: Option<u64>) -> Result<Live, Problem> {
        let deltas = ("deltas", true.to_string());
        let Some(place) = place else {
            return self.client.live(&[deltas]).await;
        };
        let after = ("after", place.to_string());
        match self.client.live(&[deltas.clone(), after]).await {
            // The events after the place are gone: go on at the end.
            Err(problem) if problem.kind == ProblemKind::NotFound => {
                self.client.live(&[deltas]).await
            }
            opened => opened,
        }
    }

    /// Tells the newest events of the time before.
    async fn tell_before(&self, sights: &Sender<Sight>) -> Result<(), Halt> {
        let limit = [("limit", BEFORE.to_string())];
        let page: EventPage = self.client.get("/events", &limit).await?;
        for event in page.events.into_iter().rev() {
            tell(sights, Sight::Event(Box::new(event))).await?;
        }
        Ok(())
    }

    async fn picture(&self) -> Result<Picture, Problem> {
        let states = living().into_iter();
        let states: Vec<(&str, String)> = states
            .map(|state| ("state", state.as_str().to_owned()))
            .collect();
        let agents = self.agents(&states, MOST as usize).await?;
        let states = open().into_iter();
        let states: Vec<(&str, String)> = states
            .map(|state| ("state", state.as_str().to_owned()))
            .collect();
        let tasks: Vec<api::Task> = self.rows("/tasks", "tasks", &states, MOST as usize).await?;
        let inbox: InboxView = self.inbox().await?;
        Ok(Picture {
            agents,
            tasks,
            inbox: inbox.items,
        })
    }
}

/// What a frame is to who looks on.
enum Seen {
    /// To be told, and something that the picture shows has changed.
    Changed(Sight),
    Told(Sight),
    Nothing,
    End,
}

fn seen(frame: Frame, place: &mut Option<u64>) -> Seen {
    match frame {
        Frame::Event { event } => {
            *place = Some(event.seq);
            let is_change = changes_something(&event.event_type);
            let sight = Sight::Event(event);
            if is_change {
                Seen::Changed(sight)
            } else {
                Seen::Told(sight)
            }
        }
        Frame::Delta { delta } => Seen::Told(Sight::Words(delta)),
        Frame::Hello { seq, .. } | Frame::Bookmark { seq } => {
            *place = Some(seq);
            Seen::Nothing
        }
        Frame::Lagged { .. } | Frame::Shutdown { .. } => Seen::End,
    }
}
