//! Rows of lists, which are looked at again and again.

use std::ops::Deref;
use std::sync::OnceLock;

/// A row, and the text by which lists show it: written once, and kept for as long as the row is.
#[derive(Debug)]
pub struct Seen<T> {
    row: T,
    shown: OnceLock<Box<str>>,
}

impl<T> Seen<T> {
    /// A row that was just read.
    #[must_use]
    pub const fn new(row: T) -> Self {
        Self {
            row,
            shown: OnceLock::new(),
        }
    }

    /// The text of the row, which `write` makes of nothing but the row, and always in the same way.
    ///
    /// # Errors
    /// Those of `write`.
    pub fn shown<E>(&self, write: impl FnOnce(&T) -> Result<Box<str>, E>) -> Result<&str, E> {
        if let Some(shown) = self.shown.get() {
            return Ok(shown);
        }
        let written = write(&self.row)?;
        Ok(self.shown.get_or_init(|| written))
    }
}

impl<T> Deref for Seen<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.row
    }
}
