//! Which user agents' processes and files belong to.

use std::ops::RangeInclusive;

use rustix::process::geteuid;

use crate::{Error, Result};

/// Chown and setuid read this number as "no change".
const NO_UID: u32 = u32::MAX;

/// Whose agents' processes and files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owners {
    /// The user that this program runs as, who must not be root.
    SameUser,
    /// This program runs as root: every agent has a user id (and group id) of this range.
    Range(RangeInclusive<u32>),
}

impl Owners {
    /// What fits the user that this process runs as: the range for root, else the user itself.
    #[must_use]
    pub fn of_this_process(range: RangeInclusive<u32>) -> Self {
        if geteuid().is_root() {
            Self::Range(range)
        } else {
            Self::SameUser
        }
    }

    /// Refuses what would let an agent run as root, or can't work.
    pub(crate) fn check(&self) -> Result<()> {
        match (self, geteuid().is_root()) {
            (Self::SameUser, false) => Ok(()),
            (Self::SameUser, true) => Err(Error::AgentsAsRoot),
            (Self::Range(_), false) => Err(Error::RangeNeedsRoot),
            (Self::Range(range), true) => check_range(range),
        }
    }

    /// Refuses a user id that no agent here can have. The range may have been another one when
    /// the agent was made.
    pub(crate) fn know(&self, uid: Option<u32>) -> Result<()> {
        match (self, uid) {
            (Self::SameUser, None) => Ok(()),
            (Self::Range(_), Some(id)) if id != 0 && id != NO_UID => Ok(()),
            (Self::SameUser, Some(_)) | (Self::Range(_), _) => Err(Error::Uid { uid }),
        }
    }

    /// Refuses a user id that a new agent does not get here.
    pub(crate) fn admit(&self, uid: Option<u32>) -> Result<()> {
        match (self, uid) {
            (Self::SameUser, None) => Ok(()),
            (Self::Range(range), Some(id)) if range.contains(&id) => check_range(range),
            (Self::SameUser, Some(_)) | (Self::Range(_), _) => Err(Error::Uid { uid }),
        }
    }
}

/// Chooses the user id of a new agent: the one that `seed` (the agent's UUID) points at,
/// else the next that is not taken. The same agent gets the same id again as long as it is free.
///
/// # Errors
/// The range is not usable, or all of it is taken.
pub fn choose_uid(
    range: &RangeInclusive<u32>,
    is_taken: impl Fn(&u32) -> bool,
    seed: u128,
) -> Result<u32> {
    check_range(range)?;
    let (start, end) = (*range.start(), *range.end());
    let size = u128::from(end - start) + 1;
    let first = u32::try_from(seed % size).map_or(start, |offset| start + offset);
    (first..=end)
        .chain(start..first)
        .find(|uid| !is_taken(uid))
        .ok_or(Error::UidsUsedUp { start, end })
}

fn check_range(range: &RangeInclusive<u32>) -> Result<()> {
    if range.is_empty() || range.contains(&0) || range.contains(&NO_UID) {
        return Err(Error::UidRange {
            start: *range.start(),
            end: *range.end(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(range: RangeInclusive<u32>, used: &[u32], seed: u128) -> String {
        match choose_uid(&range, |uid| used.contains(uid), seed) {
            Ok(uid) => uid.to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn an_agent_gets_the_uid_its_seed_points_at_or_the_next_free_one() {
        assert_eq!(choice(100..=103, &[], 0), "100");
        assert_eq!(choice(100..=103, &[], 7), "103");
        assert_eq!(choice(100..=103, &[], u128::MAX), "103");
        assert_eq!(choice(100..=103, &[103], 7), "100");
        assert_eq!(choice(100..=103, &[102, 103, 100], 2), "101");
    }

    #[test]
    fn a_used_up_range_names_the_variable_to_change() {
        assert_eq!(
            choice(100..=101, &[100, 101], 5),
            "all user ids 100-101 belong to agents: remove agents or widen FUSION_KIT_AGENT_UIDS"
        );
    }

    #[test]
    fn a_range_with_root_or_the_reserved_id_is_refused() {
        for range in [0..=5, u32::MAX - 1..=u32::MAX, RangeInclusive::new(9, 8)] {
            assert!(matches!(
                choose_uid(&range, |_| false, 1),
                Err(Error::UidRange { .. })
            ));
        }
    }
}
