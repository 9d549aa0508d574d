//! Which readers a subject concerns, found without trying every pattern.

use std::collections::{BTreeMap, HashMap};

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

/// Patterns by the literal text at one of their ends. A pattern without any is under the empty text.
#[derive(Default)]
struct Anchored {
    by_text: HashMap<Box<[u8]>, HashMap<Pattern, Feeds>>,
    /// How many texts there are of each length: other lengths need no look.
    lengths: BTreeMap<usize, usize>,
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
        let (anchored, text) = self.place(pattern);
        anchored.add(number, text, pattern, feed);
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
        let (anchored, text) = self.place(pattern);
        anchored.remove(number, &text, pattern);
    }

    fn place(&mut self, pattern: &Pattern) -> (&mut Anchored, Box<[u8]>) {
        let (start, end) = (pattern.start(), pattern.end());
        if start.len() >= end.len() {
            (&mut self.by_start, start)
        } else {
            (&mut self.by_end, end)
        }
    }

    /// Does something with each feed whose pattern names this subject, once.
    pub(super) fn for_each(&self, subject: &Subject, mut act: impl FnMut(&Feed)) {
        let text = subject.as_str().as_bytes();
        if let Some(feeds) = self.by_subject.get(text) {
            feeds.values().for_each(&mut act);
        }
        for length in self.by_start.lengths.keys() {
            let Some((start, _)) = text.split_at_checked(*length) else {
                break;
            };
            self.by_start.for_each(start, subject, &mut act);
        }
        for length in self.by_end.lengths.keys() {
            let Some(from) = text.len().checked_sub(*length) else {
                break;
            };
            let (_, end) = text.split_at(from);
            self.by_end.for_each(end, subject, &mut act);
        }
    }

    /// Does something with every feed.
    pub(super) fn for_all(&self, act: impl FnMut(&Feed)) {
        let anchored = [&self.by_start, &self.by_end]
            .into_iter()
            .flat_map(|anchored| anchored.by_text.values())
            .flat_map(HashMap::values);
        self.by_subject
            .values()
            .chain(anchored)
            .flat_map(BTreeMap::values)
            .for_each(act);
    }
}

impl Anchored {
    fn add(&mut self, number: u64, text: Box<[u8]>, pattern: &Pattern, feed: Feed) {
        let length = text.len();
        let patterns = self.by_text.entry(text).or_default();
        if patterns.is_empty() {
            *self.lengths.entry(length).or_default() += 1;
        }
        patterns
            .entry(pattern.clone())
            .or_default()
            .insert(number, feed);
    }

    fn remove(&mut self, number: u64, text: &[u8], pattern: &Pattern) {
        let Some(patterns) = self.by_text.get_mut(text) else {
            return;
        };
        if let Some(feeds) = patterns.get_mut(pattern) {
            feeds.remove(&number);
            if feeds.is_empty() {
                patterns.remove(pattern);
            }
        }
        if !patterns.is_empty() {
            return;
        }
        self.by_text.remove(text);
        if let Some(texts) = self.lengths.get_mut(&text.len()) {
            *texts -= 1;
            if *texts == 0 {
                self.lengths.remove(&text.len());
            }
        }
    }

    fn for_each(&self, text: &[u8], subject: &Subject, act: &mut impl FnMut(&Feed)) {
        for (pattern, feeds) in self.by_text.get(text).into_iter().flatten() {
            if pattern.matches(subject) {
                feeds.values().for_each(&mut *act);
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
            assert!(anchored.by_text.is_empty() && anchored.lengths.is_empty());
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
