//! The refusal of a move that a state machine does not have.

use std::fmt;

/// A state change that the specification does not allow. Names both states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a {from} {entity} can't become {to}")]
pub struct IllegalTransition {
    entity: &'static str,
    from: &'static str,
    to: &'static str,
}

impl IllegalTransition {
    /// A move that is refused for a reason that the states alone don't tell.
    pub(crate) fn refused<S: StateMachine>(from: S, to: S) -> Self {
        Self {
            entity: S::ENTITY,
            from: from.name(),
            to: to.name(),
        }
    }
}

/// A state machine of the specification.
pub trait StateMachine: Copy + fmt::Debug + PartialEq + 'static {
    /// What it is the state of, for messages.
    const ENTITY: &'static str;

    /// Every state.
    const STATES: &'static [Self];

    /// The text form of a state.
    fn name(self) -> &'static str;

    /// Whether the specification has the move from this state to `to`.
    fn allows(self, to: Self) -> bool;

    /// Gives back `to` when the move is allowed.
    ///
    /// # Errors
    /// The specification does not have that move.
    fn step(self, to: Self) -> Result<Self, IllegalTransition> {
        if self.allows(to) {
            Ok(to)
        } else {
            Err(IllegalTransition::refused(self, to))
        }
    }

    /// The states that a row may have been in when it is written with this one: the same, or one
    /// with a move to it.
    fn before(self) -> Vec<&'static str> {
        Self::STATES
            .iter()
            .filter(|from| **from == self || from.allows(self))
            .map(|from| from.name())
            .collect()
    }
}

/// Declares an enum whose variants have one text form, the same in SQL, JSON, UI and logs.
macro_rules! text_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $text)] $variant,)*
        }

        impl $name {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The text form, the same in SQL, JSON, UI and logs.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            /// Reads the text form; `None` for any other text.
            #[must_use]
            pub fn from_text(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)* _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}
pub(crate) use text_enum;
