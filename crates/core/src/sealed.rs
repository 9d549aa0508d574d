//! A credential as the store keeps it.

use std::fmt;

/// An encrypted value: bytes that mean nothing without the master key. What they hold is known
/// to the crate that seals and opens them. It can be stored, and that is all: it is in no JSON
/// and in no text, so that what was sealed does not travel further than the store.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(Vec<u8>);

impl Sealed {
    /// Gives stored bytes their type. Nothing is checked before they are opened.
    #[must_use]
    pub const fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::Sealed;

    #[test]
    fn debug_shows_the_length_only() {
        let sealed = Sealed::from_bytes(vec![7, 8, 9]);
        assert_eq!(format!("{sealed:?}"), "Sealed(3 bytes)");
    }
}
