//! What a message or an event is about, as a text: the rule that every subject keeps.

/// The longest subject, in bytes.
pub const MAX_SUBJECT_BYTES: usize = 255;

/// The characters that mean something in a pattern. A subject without them is, read as a pattern, a
/// pattern for itself alone.
const GLOB_CHARACTERS: [char; 5] = ['*', '?', '[', ']', '\\'];

/// Why a text is no subject.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubjectFault {
    /// It has no bytes, or a part between two dots has none.
    #[error(
        "subject {subject:?} has an empty part: write names joined by single dots, such as task.completed.42"
    )]
    EmptyPart {
        /// The refused text.
        subject: String,
    },
    /// A character that a subject may not hold: a blank, a control character, or one that means
    /// something in a pattern.
    #[error(
        "subject {subject:?} has {character:?}: blanks, control characters and * ? [ ] \\ are not allowed in a subject"
    )]
    ForbiddenCharacter {
        /// The refused text.
        subject: String,
        /// The first character that is not allowed.
        character: char,
    },
    /// Longer than [`MAX_SUBJECT_BYTES`].
    #[error("a subject of {bytes} bytes is too long: {MAX_SUBJECT_BYTES} bytes are allowed")]
    TooLong {
        /// The length of the refused text.
        bytes: usize,
    },
}

/// Checks that a text is a subject: names joined by dots, such as `agent.019ab3c4.inbox`, of 1 to
/// [`MAX_SUBJECT_BYTES`] bytes, with no empty name, no blank or control character, and none of
/// `*`, `?`, `[`, `]`, `\`.
///
/// # Errors
/// It is none, and why.
pub fn check_subject(text: &str) -> Result<(), SubjectFault> {
    if text.len() > MAX_SUBJECT_BYTES {
        return Err(SubjectFault::TooLong { bytes: text.len() });
    }
    let subject = || text.to_owned();
    if let Some(character) = text.chars().find(|&character| is_forbidden(character)) {
        return Err(SubjectFault::ForbiddenCharacter {
            subject: subject(),
            character,
        });
    }
    if text.split('.').any(str::is_empty) {
        return Err(SubjectFault::EmptyPart { subject: subject() });
    }
    Ok(())
}

/// First parts of the subjects that the engine itself speaks on: nobody else may send to them.
const OF_ENGINE: [&str; 4] = ["agent", "system", "task", "workflow"];

/// The first part of a subject, when it is one that the engine itself speaks on.
#[must_use]
pub fn reserved_part(subject: &str) -> Option<&str> {
    let first = subject.split('.').next()?;
    OF_ENGINE.contains(&first).then_some(first)
}

fn is_forbidden(character: char) -> bool {
    character.is_whitespace() || character.is_control() || GLOB_CHARACTERS.contains(&character)
}
