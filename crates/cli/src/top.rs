//! The full-screen view: what is drawn is told by the backend, nothing is looked up here.

mod draw;
mod more;
mod screen;
mod view;

#[cfg(test)]
mod tests;

use std::time::Duration;

use fusion_api_types::{Problem, ProblemKind};
use ratatui::crossterm::event::Event;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::backend::{Backend, Sight};
use crate::exit::Exit;
use crate::session::Session;
use crate::style::Palette;
use screen::{Keys, Screen};
use view::View;

/// Sights that wait to be taken in.
const WAITING: usize = 256;

/// The time between two drawings at least.
const FRAME: Duration = Duration::from_millis(50);

/// How often clocks move when nothing happens.
const CLOCK: Duration = Duration::from_secs(1);

/// Shows everything until a key or a signal ends it.
pub(crate) async fn show(backend: &dyn Backend, session: &Session<'_>) -> Result<Exit, Problem> {
    let (sender, sights) = mpsc::channel(WAITING);
    let work = backend.overview(sender);
    let looking = look(sights, session);
    tokio::pin!(work, looking);
    tokio::select! {
        biased;
        // The screen is given back before a problem is told.
        ended = &mut work => match ended {
            Ok(()) => looking.await,
            Err(problem) => Err(problem),
        },
        exit = &mut looking => exit,
    }
}

async fn look(mut sights: mpsc::Receiver<Sight>, session: &Session<'_>) -> Result<Exit, Problem> {
    // What can't be seen at all is told as any problem is, and no screen was opened for it.
    let Some(first) = sights.recv().await else {
        return Ok(Exit::Done);
    };
    let mut stop = stop_signals()?;
    let mut screen = Screen::open().map_err(|error| no_screen(&error))?;
    let mut keys = Keys::read();
    let mut view = View::default();
    view.take(first);
    let mut clock = interval(CLOCK);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut is_new, mut next_frame) = (true, Instant::now());
    loop {
        tokio::select! {
            biased;
            Some(()) = stop.recv() => return Ok(Exit::Interrupted),
            key = keys.next() => match key {
                Some(Event::Key(key)) => {
                    if view.key(key).is_break() {
                        return Ok(Exit::Done);
                    }
                    is_new = true;
                }
                Some(_) => is_new = true,
                // The terminal is gone.
                None => return Ok(Exit::Interrupted),
            },
            () = sleep_until(next_frame), if is_new => {
                let now = (session.terminal.now)();
                let is_coloured = session.out == Palette::Coloured;
                screen
                    .draw(|frame| draw::draw(frame, &view, &draw::Manner { now, is_coloured }))
                    .map_err(|error| no_screen(&error))?;
                (is_new, next_frame) = (false, Instant::now() + FRAME);
            }
            Some(sight) = sights.recv() => {
                view.take(sight);
                is_new = true;
            }
            _ = clock.tick() => is_new = true,
        }
    }
}

/// Tells of every signal that ends a program.
fn stop_signals() -> Result<mpsc::Receiver<()>, Problem> {
    let (sender, receiver) = mpsc::channel(1);
    let kinds = [
        SignalKind::terminate(),
        SignalKind::hangup(),
        SignalKind::interrupt(),
    ];
    let tasks = tokio_util::task::TaskTracker::new();
    for kind in kinds {
        let mut signals = signal(kind).map_err(|error| no_screen(&error))?;
        let sender = sender.clone();
        tasks.spawn(async move {
            if signals.recv().await.is_some() {
                sender.send(()).await.ok();
            }
        });
    }
    Ok(receiver)
}

fn no_screen(error: &std::io::Error) -> Problem {
    let text = format!("the terminal can't be drawn on: {error}");
    Problem::new(ProblemKind::Unavailable, text)
}
