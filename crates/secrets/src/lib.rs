//! Credentials sealed at rest.
//!
//! A [`Vault`] seals a credential for one [`Place`] of the store (table, row and field) and opens
//! it there again and nowhere else. It works with a [`MasterKey`], which is given as text or kept
//! in a [`KeyFile`].
//!
//! This protects copies of the database: backups, a disk that was taken out, a reader of the
//! database server. It does not protect against who runs as the same user or reads this process's
//! memory: the key is within reach of both.

mod error;
mod key;
mod key_file;
mod vault;
mod webhook;

pub use error::{Error, Result};
pub use key::{KeyId, MasterKey};
pub use key_file::KeyFile;
pub use vault::{Place, Vault};
pub use webhook::WebhookSecret;
