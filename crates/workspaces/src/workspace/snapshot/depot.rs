//! Port: where sealed pieces of snapshots lie that several machines read and write.

pub(super) mod folder;

use std::fmt::Debug;
use std::io;
use std::path::Path;

pub use folder::FolderDepot;

/// What one process wrote for one owner. No other process writes there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shelf<'a> {
    /// Whose workspace it is.
    pub owner: &'a str,
    /// The process.
    pub writer: &'a str,
}

/// Where sealed pieces lie. Every method blocks, for a bounded time where the place is beyond a network.
///
/// Owners, writers and names are of letters, digits and `-`, and not empty.
pub trait Depot: Debug + Send + Sync {
    /// Where it is, for people.
    fn place(&self) -> &Path;

    /// Proves that something can be written there, read and removed again; it is called after `id`, of letters,
    /// digits and `-`, which nobody else uses meanwhile.
    ///
    /// # Errors
    /// It can't.
    fn preflight(&self, id: &str) -> io::Result<()>;

    /// Keeps a content under a name, in place of what had it. Readers find a whole content or none,
    /// whenever the process dies.
    ///
    /// # Errors
    /// It can't be written, or nobody knows whether it was.
    fn put(&self, shelf: Shelf<'_>, name: &str, content: &[u8]) -> io::Result<()>;

    /// Keeps many contents, each under its name; in no order, and those before one that fails may be there.
    ///
    /// # Errors
    /// Not all were written, or nobody knows.
    fn put_all(&self, shelf: Shelf<'_>, pieces: Vec<(String, Vec<u8>)>) -> io::Result<()> {
        let mut pieces = pieces.iter();
        pieces.try_for_each(|(name, content)| self.put(shelf, name, content))
    }

    /// Returns when all that was put on the shelf outlives a loss of power.
    ///
    /// # Errors
    /// It may not.
    fn sync(&self, shelf: Shelf<'_>) -> io::Result<()>;

    /// The content of this name.
    ///
    /// # Errors
    /// `NotFound` when there is none, `FileTooLarge` when it has more bytes than the limit; or it can't be
    /// read.
    fn get(&self, shelf: Shelf<'_>, name: &str, limit: u64) -> io::Result<Vec<u8>>;

    /// The contents of these names, in their order; each may have so many bytes.
    ///
    /// # Errors
    /// As of [`get`](Self::get), of any of them.
    fn get_all(&self, shelf: Shelf<'_>, names: &[String], limit: u64) -> io::Result<Vec<Vec<u8>>> {
        let names = names.iter();
        names.map(|name| self.get(shelf, name, limit)).collect()
    }

    /// Removes a content; it is no fault when there is none.
    ///
    /// # Errors
    /// It can't be removed.
    fn remove(&self, shelf: Shelf<'_>, name: &str) -> io::Result<()>;

    /// Removes many contents; those that are not there are no fault.
    ///
    /// # Errors
    /// One can't be removed.
    fn remove_all(&self, shelf: Shelf<'_>, names: &[String]) -> io::Result<()> {
        let mut names = names.iter();
        names.try_for_each(|name| self.remove(shelf, name))
    }

    /// Removes a whole shelf; it is no fault when there is none.
    ///
    /// # Errors
    /// Something of it can't be removed.
    fn clear(&self, shelf: Shelf<'_>) -> io::Result<()>;

    /// Removes all shelves of an owner; it is no fault when there is none.
    ///
    /// # Errors
    /// Something of them can't be removed.
    fn clear_owner(&self, owner: &str) -> io::Result<()>;

    /// Who has something there, in order; things whose names are no names of owners are left out.
    ///
    /// # Errors
    /// It can't be found out.
    fn owners(&self) -> io::Result<Vec<String>>;
}

/// Whether a text can be an owner, a writer or a name in a depot.
#[must_use]
pub fn is_depot_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c == '-' || c.is_ascii_alphanumeric())
}
