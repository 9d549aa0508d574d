//! What comes from the server, handed to the readers of this process.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError, Weak};

use fusion_messaging::{Bus, InProcessBus, Subject};
use redis::{PushInfo, PushKind, Value};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::Namespace;
use crate::envelope::Envelope;

/// Buses whose numbers are remembered. With more of them a gap may go without its mark.
const ORIGINS: usize = 1_024;

/// Hears what the server brings. Called on the path of the connection: it never waits, since the
/// queues of readers are bounded, and so what is not taken fast enough stays with the server.
#[derive(Debug)]
pub(crate) struct Incoming {
    /// What this bus says itself, its readers have heard already.
    pub(crate) own: Uuid,
    pub(crate) namespace: Namespace,
    /// Weak: the connection does not keep the bus alive.
    pub(crate) readers: Weak<InProcessBus>,
    /// The number that is expected next of each bus.
    pub(crate) expected: Mutex<HashMap<Uuid, u64>>,
}

impl Incoming {
    /// Takes what the client library tells. `lost` is cancelled with the connection.
    pub(crate) fn take(&self, push: &PushInfo, lost: &CancellationToken) {
        match (&push.kind, push.data.as_slice()) {
            (PushKind::PMessage, [_, Value::BulkString(channel), Value::BulkString(message)]) => {
                self.hear(channel, message)
            }
            (PushKind::PSubscribe, _) => self.begin(),
            (PushKind::Disconnection, _) => lost.cancel(),
            _ => {}
        }
    }

    /// The server listens for us from here on. Whoever has been listening before it did may have
    /// missed something.
    fn begin(&self) {
        self.lock().clear();
        if let Some(readers) = self.readers.upgrade() {
            readers.note_gap();
        }
    }

    fn hear(&self, channel: &[u8], message: &[u8]) {
        let subject = self.namespace.subject(channel);
        let subject = subject.and_then(|subject| subject.parse::<Subject>().ok());
        let (Some(subject), Some(envelope)) = (subject, Envelope::read(message)) else {
            tracing::debug!("a message on a channel of ours is not one of ours");
            return;
        };
        if envelope.origin == self.own {
            return;
        }
        let Some(readers) = self.readers.upgrade() else {
            return;
        };
        match self.place(envelope.origin, envelope.number) {
            Place::Next => {}
            Place::BehindAGap => readers.note_gap(),
            Place::Again => return,
        }
        readers.publish(&subject, envelope.payload.into());
    }

    fn place(&self, origin: Uuid, number: u64) -> Place {
        let mut expected = self.lock();
        if expected.len() >= ORIGINS && !expected.contains_key(&origin) {
            expected.clear();
        }
        let place = match expected.get(&origin) {
            Some(next) if number < *next => return Place::Again,
            Some(next) if number > *next => Place::BehindAGap,
            Some(_) | None => Place::Next,
        };
        expected.insert(origin, number.saturating_add(1));
        place
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, u64>> {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a message stands among those of its bus.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    Next,
    BehindAGap,
    Again,
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use fusion_messaging::{Bus, InProcessBus, QueueLimits, Subscription};
    use redis::{PushInfo, PushKind, Value};
    use tokio_util::sync::CancellationToken;
    use uuid::Uuid;

    use super::{Incoming, ORIGINS};
    use crate::Namespace;
    use crate::envelope::Envelope;

    const OWN: Uuid = Uuid::from_u128(1);
    const OTHER: Uuid = Uuid::from_u128(2);

    fn world() -> (Arc<InProcessBus>, Incoming) {
        let readers = Arc::new(InProcessBus::new(QueueLimits::default()));
        let incoming = Incoming {
            own: OWN,
            namespace: Namespace::default(),
            readers: Arc::downgrade(&readers),
            expected: Mutex::default(),
        };
        (readers, incoming)
    }

    fn pushed(kind: PushKind, texts: &[&[u8]]) -> PushInfo {
        let data = texts.iter().map(|text| Value::BulkString(text.to_vec()));
        PushInfo {
            kind,
            data: data.collect(),
        }
    }

    fn message(origin: Uuid, number: u64, payload: &str) -> PushInfo {
        let envelope = Envelope {
            origin,
            number,
            payload: payload.as_bytes(),
        };
        let texts: [&[u8]; 3] = [b"fusion:*", b"fusion:task.done", &envelope.to_bytes()];
        pushed(PushKind::PMessage, &texts)
    }

    /// What is there, and what was lost before it.
    async fn heard(reader: &mut Subscription) -> Vec<(String, u64)> {
        let mut all = Vec::new();
        while let Ok(Some(message)) = tokio::time::timeout(Duration::ZERO, reader.recv()).await {
            let payload = String::from_utf8(message.payload.to_vec()).unwrap();
            all.push((payload, message.lost_before));
        }
        all
    }

    fn expected(messages: &[(&str, u64)]) -> Vec<(String, u64)> {
        let owned = |(payload, lost): &(&str, u64)| ((*payload).to_owned(), *lost);
        messages.iter().map(owned).collect()
    }

    #[tokio::test]
    async fn a_message_that_comes_again_is_dropped_and_a_gap_is_marked() {
        let (readers, incoming) = world();
        let mut reader = readers.subscribe(&"task.*".parse().unwrap()).await;
        let lost = CancellationToken::new();
        for (origin, number, payload) in [
            (OTHER, 7, "first"),
            (OTHER, 8, "next"),
            (OTHER, 8, "again"),
            (OTHER, 6, "late"),
            (OTHER, 11, "behind a gap"),
            (Uuid::from_u128(3), 0, "of another"),
            (OTHER, 12, "next"),
        ] {
            incoming.take(&message(origin, number, payload), &lost);
        }
        assert_eq!(
            heard(&mut reader).await,
            expected(&[
                ("first", 0),
                ("next", 0),
                ("behind a gap", 1),
                ("of another", 0),
                ("next", 0)
            ])
        );
    }

    #[tokio::test]
    async fn listening_anew_marks_one_gap_whatever_was_missed() {
        let (readers, incoming) = world();
        let lost = CancellationToken::new();
        let begin = pushed(PushKind::PSubscribe, &[]);
        incoming.take(&begin, &lost);
        let mut reader = readers.subscribe(&"task.*".parse().unwrap()).await;
        incoming.take(&message(OTHER, 1, "before"), &lost);
        incoming.take(&pushed(PushKind::Disconnection, &[]), &lost);
        assert!(lost.is_cancelled());
        incoming.take(&begin, &lost);
        incoming.take(&message(OTHER, 40, "after"), &lost);
        let heard = heard(&mut reader).await;
        assert_eq!(heard, expected(&[("before", 0), ("after", 1)]));
    }

    #[tokio::test]
    async fn own_messages_and_what_others_publish_there_are_left_out() {
        let (readers, incoming) = world();
        let mut reader = readers.subscribe(&"*".parse().unwrap()).await;
        let lost = CancellationToken::new();
        incoming.take(&message(OWN, 0, "own"), &lost);
        let good = message(OTHER, 0, "good");
        for (channel, payload) in [
            (&b"fusion:task.done"[..], &b"hello"[..]),
            (b"fusion:not a subject", b"x"),
            (b"other:task.done", b"x"),
            (b"fusion:\xff", b"x"),
        ] {
            let mut wrong = good.clone();
            wrong.data[1] = Value::BulkString(channel.to_vec());
            if payload != b"x" {
                wrong.data[2] = Value::BulkString(payload.to_vec());
            }
            incoming.take(&wrong, &lost);
        }
        incoming.take(&pushed(PushKind::PMessage, &[b"fusion:*"]), &lost);
        assert_eq!(heard(&mut reader).await, []);
        incoming.take(&good, &lost);
        assert_eq!(heard(&mut reader).await, expected(&[("good", 0)]));
    }

    #[test]
    fn the_memory_of_numbers_is_bounded() {
        let (_readers, incoming) = world();
        let lost = CancellationToken::new();
        for origin in 0..10_000 {
            incoming.take(&message(Uuid::from_u128(origin), 0, ""), &lost);
        }
        assert!(incoming.lock().len() <= ORIGINS);
    }
}
