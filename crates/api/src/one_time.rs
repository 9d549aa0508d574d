//! Secrets that count once and for a short while. They are kept in mind only: a restart ends them all.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use chrono::TimeDelta;
use fusion_core::Timestamp;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::auth::random;

/// Those that wait to be used at most.
const KEPT: usize = 1_000;

/// Why there is no new secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotKept {
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Random(#[from] getrandom::Error),
    /// Too many wait to be used.
    #[error("too many were made that nobody has used as yet")]
    Full,
}

/// What each secret stands for. Of the secrets only hashes are kept.
pub(crate) struct OneTime<T> {
    life: TimeDelta,
    kept: Mutex<Vec<Kept<T>>>,
}

struct Kept<T> {
    hash: [u8; 32],
    what: T,
    end: Timestamp,
}

impl<T> fmt::Debug for OneTime<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OneTime").finish_non_exhaustive()
    }
}

impl<T> OneTime<T> {
    /// None as yet; each will hold for so long.
    pub(crate) const fn holding_for(life: TimeDelta) -> Self {
        Self {
            life,
            kept: Mutex::new(Vec::new()),
        }
    }

    /// A new secret of 256 random bits, and when it ends.
    ///
    /// # Errors
    /// There are too many, or no random bytes.
    pub(crate) fn make(&self, what: T, now: Timestamp) -> Result<(String, Timestamp), NotKept> {
        let secret = random()?;
        let end = now + self.life;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|one| now < one.end);
        if kept.len() >= KEPT {
            return Err(NotKept::Full);
        }
        kept.push(Kept {
            hash: hash(&secret),
            what,
            end,
        });
        Ok((secret, end))
    }

    /// What a secret stands for. It counts no more from now on; `None` where it never did, was taken
    /// before or has ended.
    pub(crate) fn take(&self, secret: &str, now: Timestamp) -> Option<T> {
        let hash = hash(secret);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |one: &Kept<T>| bool::from(one.hash.ct_eq(&hash));
        let found = kept.iter().position(same)?;
        let taken = kept.swap_remove(found);
        (now < taken.end).then_some(taken.what)
    }
}

fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};
    use fusion_core::Timestamp;

    use super::{KEPT, NotKept, OneTime};

    fn at(second: i64) -> Timestamp {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    fn minute() -> OneTime<u32> {
        OneTime::holding_for(TimeDelta::minutes(1))
    }

    #[test]
    fn a_secret_counts_once() {
        let all = minute();
        let (one, end) = all.make(1, at(0)).unwrap();
        let (other, _) = all.make(2, at(0)).unwrap();
        assert_eq!((one.len(), end), (43, at(60)));
        let taken = [&one, &one, &other, &"?".to_owned()].map(|secret| all.take(secret, at(1)));
        assert_eq!(taken, [Some(1), None, Some(2), None]);
    }

    #[test]
    fn a_secret_ends_with_its_time() {
        let all = minute();
        let (early, late) = (all.make(1, at(0)).unwrap(), all.make(2, at(0)).unwrap());
        assert_eq!(all.take(&early.0, at(59)), Some(1));
        assert_eq!(all.take(&late.0, at(60)), None);
    }

    #[test]
    fn those_that_nobody_uses_are_bounded_and_make_room_when_they_end() {
        let all = minute();
        for _ in 0..KEPT {
            all.make(1, at(0)).unwrap();
        }
        assert!(matches!(all.make(2, at(59)), Err(NotKept::Full)));
        let (secret, _) = all.make(3, at(60)).unwrap();
        assert_eq!(all.take(&secret, at(60)), Some(3));
    }
}
