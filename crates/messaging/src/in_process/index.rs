//! Which readers a subject concerns, found without trying every pattern.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

use crate::{Feed, Pattern, Subject};

/// The feeds of a bus, each under a number of its own.
///
/// Most readers name one subject (the inbox of an agent): these are found by it. A pattern is found
/// by the literal text at its start or its end, whichever is longer, so that a publisher tries those
/// only that have a chance. Readers of the same pattern share one trial.
#[derive(Default)]
pub(super) struct Index {
    last: u64,
    by_subject: HashMap<Box<[u8]>, Feeds>,
    by_start: Anchored,
    by_end: Anchored,
}

type Feeds = BTreeMap<u64, Feed>;

/// Patterns by the literal text at one of their ends: first by its length, since a subject can have
/// one text of each, then by the [`Sum`] of its bytes. A pattern without such a text is under length 0.
/// Sums may be the same by chance; the pattern itself decides.
#[derive(Default)]
struct Anchored {
    by_length: BTreeMap<usize, HashMap<u64, HashMap<Pattern, Feeds>, Unchanged>>,
}

/// FNV-1a over the bytes so far (<http://www.isthe.com/chongo/tech/comp/fnv/>): one pass over a
/// subject gives the sums of all its beginnings.
#[derive(Clone, Copy)]
struct Sum(u64);

impl Sum {
    const START: Self = Self(0xcbf2_9ce4_8422_2325);

    const fn with(self, byte: u8) -> Self {
        Self((self.0 ^ byte as u64).wrapping_mul(0x0100_0000_01b3))
    }
}

/// Takes a sum for its own hash.
type Unchanged = BuildHasherDefault<Identity>;

#[derive(Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn write(&mut self, bytes: &[u8]) {
        let sum = bytes.iter().fold(Sum(self.0), |sum, byte| sum.with(*byte));
        self.0 = sum.0;
    }

    fn write_u64(&mut self, sum: u64) {
        self.0 = sum;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Index {
    pub(super) fn len(&self) -> usize {
        let mut count = 0;
        self.for_all(|_| count += 1);
        count
    }

    pub(super) const fn next_number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    pub(super) fn add(&mut self, number: u64, pattern: &Pattern, feed: Feed) {
        if let Some(subject) = pattern.literal() {
            self.by_subject
                .entry(subject)
                .or_default()
                .insert(number, feed);
            return;
        }
        let (anchored, place) = self.place(pattern);
        let patterns = anchored.by_length.entry(place.length).or_default();
        let patterns = patterns.entry(place.sum).or_default();
        patterns
            .entry(pattern.clone())
            .or_default()
            .insert(number, feed);
    }

    pub(super) fn remove(&mut self, number: u64, pattern: &Pattern) {
        if let Some(subject) = pattern.literal() {
            if let Some(feeds) = self.by_subject.get_mut(&subject) {
                feeds.remove(&number);
                if feeds.is_empty() {
                    self.by_subject.remove(&subject);
                }
            }
            return;
        }
        let (anchored, place) = self.place(pattern);
        anchored.remove(number, place, pattern);
    }

    fn place(&mut self, pattern: &Pattern) -> (&mut Anchored, Place) {
        let (start, end) = (pattern.start(), pattern.end());
        if start.len() >= end.len() {
            (&mut self.by_start, Place::of(start.iter().copied()))
        } else {
            (&mut self.by_end, Place::of(end.iter().rev().copied()))
        }
    }

    /// Does something with each feed whose pattern names this subject, once.
    pub(super) fn for_each(&self, subject: &Subject, mut act: impl FnMut(&Feed)) {
        let text = subject.as_str().as_bytes();
        if let Some(feeds) = self.by_subject.get(text) {
            feeds.values().for_each(&mut act);
        }
        self.by_start
            .for_each(text.iter().copied(), subject, &mut act);
        self.by_end
            .for_each(text.iter().rev().copied(), subject, &mut act);
    }

    /// Does something with every feed.
    pub(super) fn for_all(&self, act: impl FnMut(&Feed)) {
        let anchored = [&self.by_start, &self.by_end]
            .into_iter()
            .flat_map(|anchored| anchored.by_length.values())
            .flat_map(HashMap::values)
            .flat_map(HashMap::values);
        self.by_subject
            .values()
            .chain(anchored)
            .flat_map(BTreeMap::values)
            .for_each(act);
    }
}

/// Where a pattern is kept.
#[derive(Clone, Copy)]
struct Place {
    length: usize,
    sum: u64,
}

impl Place {
    /// By the bytes at an end of the pattern, the outermost first.
    fn of(bytes: impl ExactSizeIterator<Item = u8>) -> Self {
        Self {
            length: bytes.len(),
            sum: bytes.fold(Sum::START, Sum::with).0,
        }
    }
}

impl Anchored {
    fn remove(&mut self, number: u64, place: Place, pattern: &Pattern) {
        let Some(sums) = self.by_length.get_mut(&place.length) else {
            return;
        };
        if let Some(patterns) = sums.get_mut(&place.sum) {
            if let Some(feeds) = patterns.get_mut(pattern) {
                feeds.remove(&number);
                if feeds.is_empty() {
                    patterns.remove(pattern);
                }
            }
            if patterns.is_empty() {
                sums.remove(&place.sum);
            }
        }
        if sums.is_empty() {
            self.by_length.remove(&place.length);
        }
    }

    /// `bytes` are those of the subject, from the end in question.
    fn for_each(
        &self,
        mut bytes: impl Iterator<Item = u8>,
        subject: &Subject,
        act: &mut impl FnMut(&Feed),
    ) {
        let (mut sum, mut taken) = (Sum::START, 0);
        for (length, sums) in &self.by_length {
            while taken < *length {
                let Some(byte) = bytes.next() else {
                    return;
                };
                sum = sum.with(byte);
                taken += 1;
            }
            for (pattern, feeds) in sums.get(&sum.0).into_iter().flatten() {
                if pattern.matches(subject) {
                    feeds.values().for_each(&mut *act);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Index;
    use crate::conformance::PATTERNS;
    use crate::{Feed, Pattern, QueueLimits, Subject, Subscription, subscription};

    fn pair() -> (Feed, Subscription) {
        subscription(QueueLimits::default(), || {})
    }

    /// How many feeds a subject concerns.
    fn concerned(index: &Index, subject: &Subject) -> usize {
        let mut count = 0;
        index.for_each(subject, |_| count += 1);
        count
    }

    /// Adds all, then looks; takes half of them away and looks again; takes away the rest.
    fn agrees_with_the_matcher(patterns: &[Pattern], subjects: &[Subject]) {
        let mut index = Index::default();
        let numbers: Vec<u64> = patterns
            .iter()
            .map(|pattern| {
                let number = index.next_number();
                index.add(number, pattern, pair().0);
                number
            })
            .collect();
        for kept in [patterns.len(), patterns.len() / 2, 0] {
            for (number, pattern) in numbers.iter().zip(patterns).skip(kept) {
                index.remove(*number, pattern);
            }
            for subject in subjects {
                let expected = patterns.iter().take(kept).filter(|it| it.matches(subject));
                assert_eq!(concerned(&index, subject), expected.count(), "{subject}");
            }
            assert_eq!(index.len(), kept);
        }
        assert!(index.by_subject.is_empty());
        for anchored in [&index.by_start, &index.by_end] {
            assert!(anchored.by_length.is_empty());
        }
    }

    #[test]
    fn every_row_of_the_table_is_found() {
        let patterns: Vec<Pattern> = PATTERNS
            .iter()
            .map(|row| row.pattern.parse().unwrap())
            .collect();
        let subjects: Vec<Subject> = PATTERNS
            .iter()
            .flat_map(|row| row.matches.iter().chain(row.refuses))
            .map(|subject| subject.parse().unwrap())
            .collect();
        agrees_with_the_matcher(&patterns, &subjects);
    }

    proptest! {
        #[test]
        fn a_subject_concerns_exactly_the_readers_whose_pattern_matches(
            patterns in proptest::collection::vec(r"[ab.]{0,3}[*?]{0,1}[ab.]{0,3}[*]{0,1}[ab]{0,2}", 1..20),
            subjects in proptest::collection::vec("[ab]{1,4}([.][ab]{1,3}){0,2}", 1..10),
        ) {
            let patterns: Vec<Pattern> = patterns.iter().filter_map(|it| it.parse().ok()).collect();
            let subjects: Vec<Subject> = subjects.iter().map(|it| it.parse().unwrap()).collect();
            agrees_with_the_matcher(&patterns, &subjects);
        }
    }
}
