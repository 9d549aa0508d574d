//! Names that people give: of a workflow, an agent or a capability.

/// The longest of them, in characters.
pub const MAX_LABEL: usize = 255;

/// Whether a text is such a name: 1 to [`MAX_LABEL`] ASCII letters, digits, `_`, `-` and `.`, which is
/// safe in a path, a topic and a list.
#[must_use]
pub fn is_label(text: &str) -> bool {
    let allowed = |character: char| character.is_ascii_alphanumeric() || "_-.".contains(character);
    (1..=MAX_LABEL).contains(&text.chars().count()) && text.chars().all(allowed)
}
