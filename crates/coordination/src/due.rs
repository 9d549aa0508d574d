//! What there is to sweep for: one look tells all sweeps of a process, so that an idle one asks for nothing
//! else.
//!
//! Hints make sweeps needless, but for lost ones. The look belongs to the heartbeat, or to the look of a node
//! at the others.

use std::time::Duration;

use fusion_persistence::Due;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::{Coordinator, Result};

/// What was seen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    at: Instant,
    due: Due,
}

/// Tells the sweeps of a process what was seen last.
#[derive(Debug)]
pub(crate) struct Lookout(watch::Sender<Option<Seen>>);

impl Default for Lookout {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

/// Says when it is time for a sweep.
#[derive(Debug)]
pub(crate) struct Sweep {
    seen: watch::Receiver<Option<Seen>>,
    /// Whether it would find something.
    finds: fn(&Due) -> bool,
    /// The least time between two of them.
    rest: Duration,
    /// For so long what was seen counts. While nobody looks, it is swept that often.
    fresh: Duration,
    last: Option<Instant>,
}

impl Sweep {
    /// Waits for the time of the next one, and takes it for done. The first is at once.
    pub(crate) async fn come(&mut self) {
        while !self.is_due() {
            self.wait().await;
        }
        self.done();
    }

    /// It was just done.
    pub(crate) fn done(&mut self) {
        self.last = Some(Instant::now());
    }

    /// It is to be done at once: the last one failed.
    pub(crate) fn again(&mut self) {
        self.last = None;
    }

    fn is_due(&mut self) -> bool {
        let Some(last) = self.last else {
            return true;
        };
        let now = Instant::now();
        let seen = *self.seen.borrow_and_update();
        match seen.filter(|seen| now < seen.at + self.fresh) {
            // What was seen before may be what the last one dealt with.
            Some(seen) => seen.at > last && now >= last + self.rest && (self.finds)(&seen.due),
            None => now >= last + self.fresh,
        }
    }

    /// Waits until it may be time.
    async fn wait(&mut self) {
        let now = Instant::now();
        let Some(last) = self.last else {
            return;
        };
        if now < last + self.rest.min(self.fresh) {
            return sleep_until(last + self.rest.min(self.fresh)).await;
        }
        let seen = self.seen.borrow().map(|seen| seen.at);
        let old_at = seen.map_or(last, |at| at.max(last)) + self.fresh;
        tokio::select! {
            Ok(()) = self.seen.changed() => {}
            () = sleep_until(old_at) => {}
        }
    }
}

impl Coordinator {
    /// A sweep that is made when something is seen that it would find.
    pub(crate) fn sweep_for(&self, finds: fn(&Due) -> bool, rest: Duration) -> Sweep {
        Sweep {
            seen: self.lookout.0.subscribe(),
            finds,
            rest,
            fresh: self.fresh(),
            last: None,
        }
    }

    /// Looks what there is to do, for all sweeps of this process.
    pub(crate) async fn look_out(&self) -> Result<Due> {
        let due = self.parts.store.due().await?;
        self.tell_due(due);
        Ok(due)
    }

    /// Tells all sweeps of this process.
    pub(crate) fn tell_due(&self, due: Due) {
        let at = Instant::now();
        self.lookout.0.send_replace(Some(Seen { at, due }));
    }

    /// What there may be to do: anything, where nobody looked lately.
    pub(crate) fn may_be_due(&self) -> Due {
        let seen = *self.lookout.0.borrow();
        let lately = seen.filter(|seen| seen.at.elapsed() < self.fresh());
        lately.map_or(Due::ALL, |seen| seen.due)
    }

    /// Some looks may be late, or fail.
    fn fresh(&self) -> Duration {
        (self.options.heartbeat * 5).max(self.options.sweep * 15)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use fusion_persistence::Due;
    use futures::FutureExt as _;
    use tokio::sync::watch;
    use tokio::time::{Instant, advance};

    use super::{Lookout, Seen, Sweep};

    const REST: Duration = Duration::from_secs(5);
    const FRESH: Duration = Duration::from_secs(15);

    fn sweep(lookout: &Lookout) -> Sweep {
        Sweep {
            seen: watch::Sender::subscribe(&lookout.0),
            finds: |due| due.mail,
            rest: REST,
            fresh: FRESH,
            last: None,
        }
    }

    fn see(lookout: &Lookout, due: Due) {
        let at = Instant::now();
        lookout.0.send_replace(Some(Seen { at, due }));
    }

    const MAIL: Due = Due {
        mail: true,
        ..Due::NOTHING
    };

    #[tokio::test(start_paused = true)]
    async fn it_is_swept_when_something_is_seen_and_not_when_there_is_nothing() {
        let lookout = Lookout::default();
        let mut sweep = sweep(&lookout);
        assert_eq!(sweep.come().now_or_never(), Some(()), "the first");
        let other = Due {
            pool: true,
            ..Due::NOTHING
        };
        for _ in 0..100 {
            advance(Duration::from_secs(3)).await;
            see(&lookout, other);
            assert_eq!(sweep.come().now_or_never(), None);
        }
        see(&lookout, MAIL);
        assert_eq!(sweep.come().now_or_never(), Some(()));
        assert_eq!(sweep.come().now_or_never(), None, "that was dealt with");
    }

    #[tokio::test(start_paused = true)]
    async fn a_sweep_rests_and_then_does_what_was_seen_meanwhile() {
        let lookout = Lookout::default();
        let mut sweep = sweep(&lookout);
        sweep.come().await;
        let began = Instant::now();
        advance(Duration::from_secs(1)).await;
        see(&lookout, MAIL);
        sweep.come().await;
        let waited = began.elapsed();
        assert!(waited >= REST && waited < REST * 2, "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_swept_now_and_then_while_nobody_looks() {
        let lookout = Lookout::default();
        let mut sweep = sweep(&lookout);
        sweep.come().await;
        for _ in 0..3 {
            let began = Instant::now();
            sweep.come().await;
            let waited = began.elapsed();
            assert!(waited >= FRESH && waited < FRESH + REST, "{waited:?}");
        }
        see(&lookout, Due::NOTHING);
        advance(Duration::from_secs(14)).await;
        assert_eq!(sweep.come().now_or_never(), None);
        advance(Duration::from_secs(2)).await;
        assert_eq!(sweep.come().now_or_never(), Some(()), "that look is old");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_failed_is_made_again_at_once() {
        let lookout = Lookout::default();
        let mut sweep = sweep(&lookout);
        sweep.come().await;
        sweep.again();
        assert_eq!(sweep.come().now_or_never(), Some(()));
    }
}
