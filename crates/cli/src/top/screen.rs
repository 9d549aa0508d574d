//! The terminal as a screen, given back as it was however the view ends.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use ratatui::crossterm::event::{self, Event};
use ratatui::{DefaultTerminal, Frame};
use tokio::sync::mpsc;

/// Keys that wait to be taken.
const WAITING: usize = 64;

/// How often the reader of keys looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(100);

/// The terminal while it is drawn on. A panic gives it back before it is told.
pub(super) struct Screen(DefaultTerminal);

impl Screen {
    pub(super) fn open() -> io::Result<Self> {
        // Also sets the hook for panics.
        ratatui::try_init().map(Self)
    }

    pub(super) fn draw(&mut self, frame: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.0.draw(frame).map(|_| ())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Nobody could be told.
        ratatui::try_restore().ok();
    }
}

/// What is typed, until the value goes.
pub(super) struct Keys {
    typed: mpsc::Receiver<Event>,
    ended: Arc<AtomicBool>,
}

impl Keys {
    /// Reads on a thread of its own, since a terminal can only be waited for.
    pub(super) fn read() -> Self {
        let (sender, typed) = mpsc::channel(WAITING);
        let ended = Arc::new(AtomicBool::new(false));
        let is_ended = Arc::clone(&ended);
        thread::spawn(move || {
            while !is_ended.load(Ordering::Relaxed) {
                let next = match event::poll(LOOK) {
                    Ok(true) => event::read(),
                    Ok(false) => continue,
                    Err(_) => return,
                };
                let Ok(next) = next else { return };
                if sender.blocking_send(next).is_err() {
                    return;
                }
            }
        });
        Self { typed, ended }
    }

    /// The next event of the terminal; `None` once it is gone.
    pub(super) async fn next(&mut self) -> Option<Event> {
        self.typed.recv().await
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}
