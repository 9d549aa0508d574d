//! Which steps come before which, for all pairs at once.

/// For each step the set of all steps before it, as bits.
pub(super) struct Ancestors(Vec<Vec<u64>>);

impl Ancestors {
    /// `needs` are the direct edges by number and `order` puts each step after its needs.
    /// Takes one pass over the edges, each adding one set of bits to another.
    pub(super) fn new(needs: &[Vec<usize>], order: &[usize]) -> Self {
        let words = needs.len().div_ceil(64);
        let mut sets = vec![Vec::new(); needs.len()];
        for step in order {
            let mut before = vec![0_u64; words];
            for need in needs.get(*step).into_iter().flatten() {
                for (word, earlier) in before.iter_mut().zip(sets.get(*need).into_iter().flatten())
                {
                    *word |= earlier;
                }
                if let Some(word) = before.get_mut(need / 64) {
                    *word |= 1 << (need % 64);
                }
            }
            if let Some(set) = sets.get_mut(*step) {
                *set = before;
            }
        }
        Self(sets)
    }

    /// Whether `earlier` ends before `step` starts.
    pub(super) fn contains(&self, step: usize, earlier: usize) -> bool {
        self.0
            .get(step)
            .and_then(|set| set.get(earlier / 64))
            .is_some_and(|word| word & (1 << (earlier % 64)) != 0)
    }
}
