//! "Did you mean": the nearest known name to an unknown one.

/// The known name that is most like `name`, if one is alike enough to be a typing mistake.
///
/// Alike means a Jaro-Winkler similarity of at least 0.75 (1 is equal, case is ignored).
#[must_use]
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = name.to_lowercase();
    known
        .into_iter()
        .map(|candidate| {
            (
                strsim::jaro_winkler(&wanted, &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(likeness, _)| *likeness >= 0.75)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_typing_mistake_finds_its_word_and_a_strange_word_finds_none() {
        let known = ["planner", "implementer", "reviewer"];
        assert_eq!(nearest("plannner", known), Some("planner"));
        assert_eq!(nearest("Reviewer", known), Some("reviewer"));
        assert_eq!(nearest("xyz", known), None);
    }
}
