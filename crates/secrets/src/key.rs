//! The master key and its public name.

use std::fmt;

use data_encoding::{BASE64_NOPAD, Encoding, HEXLOWER, HEXLOWER_PERMISSIVE};
use secrecy::{ExposeSecret, ExposeSecretMut, SecretBox, SecretString};
use sha2::{Digest, Sha256};

use fusion_core::Sealed;

use crate::vault::Parts;
use crate::{Error, Result};

/// Bytes of a master key.
const KEY_BYTES: usize = 32;

/// Hex digits of a master key.
pub(crate) const KEY_DIGITS: usize = 64;

/// Keeps a key's id apart from every other hash of the key.
const ID_PREFIX: &[u8] = b"fusion-kit master key id\0";

/// The key that credentials are sealed with: 32 random bytes. They are wiped when it is dropped,
/// and it shows itself by its [`KeyId`] only.
pub struct MasterKey {
    bytes: SecretBox<[u8; KEY_BYTES]>,
    id: KeyId,
}

/// Names a master key without telling anything about it: the first 8 bytes of a SHA-256 hash.
/// Shown as 16 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; KeyId::LEN]);

impl MasterKey {
    /// Makes a new key from the system's random bytes.
    ///
    /// # Errors
    /// The system gave none.
    pub fn generate() -> Result<Self> {
        let mut bytes = SecretBox::<[u8; KEY_BYTES]>::default();
        fill_random(bytes.expose_secret_mut())?;
        Ok(Self::new(bytes))
    }

    /// Reads a key as `FUSION_MASTER_KEY` gives it: 32 bytes as 64 hex digits or in base64, padded
    /// or not. Space around it does not count.
    ///
    /// # Errors
    /// [`Error::Malformed`], which does not hold the text.
    pub fn parse(text: &SecretString) -> Result<Self> {
        Self::from_text(text.expose_secret().as_bytes()).ok_or(Error::Malformed)
    }

    /// The name of the key. It is no secret.
    #[must_use]
    pub const fn id(&self) -> KeyId {
        self.id
    }

    pub(crate) fn from_text(text: &[u8]) -> Option<Self> {
        let text = text.trim_ascii();
        match (text.len(), text.strip_suffix(b"=")) {
            (KEY_DIGITS, _) => Self::decode(&HEXLOWER_PERMISSIVE, text),
            (43, None) => Self::decode(&BASE64_NOPAD, text),
            (44, Some(unpadded)) => Self::decode(&BASE64_NOPAD, unpadded),
            _ => None,
        }
    }

    /// Appends the key as [`KEY_DIGITS`] hex digits. The buffer must have room, else growing
    /// leaves a copy behind.
    pub(crate) fn write_digits(&self, buffer: &mut String) {
        HEXLOWER.encode_append(self.expose(), buffer);
    }

    pub(crate) fn expose(&self) -> &[u8; KEY_BYTES] {
        self.bytes.expose_secret()
    }

    fn decode(encoding: &Encoding, text: &[u8]) -> Option<Self> {
        if encoding.decode_len(text.len()) != Ok(KEY_BYTES) {
            return None;
        }
        let mut bytes = SecretBox::<[u8; KEY_BYTES]>::default();
        encoding
            .decode_mut(text, bytes.expose_secret_mut())
            .is_ok()
            .then(|| Self::new(bytes))
    }

    fn new(bytes: SecretBox<[u8; KEY_BYTES]>) -> Self {
        let hash = Sha256::new()
            .chain_update(ID_PREFIX)
            .chain_update(bytes.expose_secret())
            .finalize();
        let mut id = [0; KeyId::LEN];
        for (to, from) in id.iter_mut().zip(hash) {
            *to = from;
        }
        Self {
            bytes,
            id: KeyId(id),
        }
    }
}

impl Clone for MasterKey {
    fn clone(&self) -> Self {
        let bytes = SecretBox::init_with_mut(|copy: &mut [u8; KEY_BYTES]| {
            copy.copy_from_slice(self.expose());
        });
        Self { bytes, id: self.id }
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MasterKey").field(&self.id).finish()
    }
}

impl KeyId {
    /// Its bytes inside a sealed value.
    pub(crate) const LEN: usize = 8;

    /// The key that a stored value says it is sealed with; `None` when it is no sealed value, or
    /// of a format that this version does not know. Only opening it proves it.
    #[must_use]
    pub fn of(sealed: &Sealed) -> Option<Self> {
        Parts::of(sealed.as_bytes())
            .filter(Parts::is_known_format)
            .map(|parts| parts.key)
    }

    pub(crate) const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// Fills a buffer with the system's random bytes.
pub(crate) fn fill_random(buffer: &mut [u8]) -> Result<()> {
    getrandom::fill(buffer).map_err(|source| Error::NoRandomness { source })
}
