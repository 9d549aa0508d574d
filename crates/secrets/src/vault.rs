//! Seals values and opens them: XChaCha20-Poly1305 with a random nonce each.
//!
//! A sealed value is, in this order: 1 byte format, 8 bytes key id, 24 bytes nonce, the
//! ciphertext (as long as the value), 16 bytes tag. Format, key id and place are authenticated
//! with it.

use std::fmt;

use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::{AeadInOut, KeyInit, Tag, XChaCha20Poly1305, XNonce};
use data_encoding::HEXLOWER;
use hmac::digest::Key;
use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use zeroize::Zeroize;

use fusion_core::Sealed;

use crate::key::fill_random;
use crate::{Error, KeyId, MasterKey, Result};

/// The one format there is.
const FORMAT: u8 = 1;

/// Keeps what is authenticated here apart from every other use of the key.
const DOMAIN: &[u8] = b"fusion-kit sealed value\0";

/// The same for the names of pieces.
const NAME_DOMAIN: &[u8] = b"fusion-kit piece name\0";

const NONCE_BYTES: usize = 24;

const TAG_BYTES: usize = 16;

/// Where in the store a value belongs. A sealed value opens only there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// The table.
    pub table: &'a str,
    /// The row, by its id as text.
    pub row: &'a str,
    /// The column, or the path of a field inside it.
    pub field: &'a str,
}

/// Seals with the current key; opens with the current key and the older ones.
#[derive(Debug, Clone)]
pub struct Vault {
    current: MasterKey,
    older: Vec<MasterKey>,
}

/// A sealed value, taken apart.
pub(crate) struct Parts<'a> {
    format: u8,
    /// The key it says it is sealed with.
    pub(crate) key: KeyId,
    nonce: &'a [u8; NONCE_BYTES],
    ciphertext: &'a [u8],
    tag: &'a [u8; TAG_BYTES],
}

impl Vault {
    /// The longest value that is sealed, in bytes.
    pub const MAX_VALUE: usize = 64 * 1024;

    /// The longest piece of a file that is sealed, in bytes.
    pub const MAX_PIECE: usize = 4 * 1024 * 1024;

    /// A vault with its keys. The older ones are needed until nothing is sealed with them.
    #[must_use]
    pub const fn new(current: MasterKey, older: Vec<MasterKey>) -> Self {
        Self { current, older }
    }

    /// The name of the key that new values are sealed with.
    #[must_use]
    pub const fn key_id(&self) -> KeyId {
        self.current.id()
    }

    /// Whether what is sealed with this key can be opened.
    #[must_use]
    pub fn knows(&self, key: &KeyId) -> bool {
        self.key(*key).is_some()
    }

    /// Encrypts a value for its place with the current key. Sealing the same value again gives
    /// other bytes.
    ///
    /// # Errors
    /// The value has more than [`Self::MAX_VALUE`] bytes, or the system gave no random bytes.
    pub fn seal(&self, place: Place<'_>, value: &SecretString) -> Result<Sealed> {
        let value = value.expose_secret().as_bytes();
        self.seal_within(Self::MAX_VALUE, place, value)
            .map(Sealed::from_bytes)
    }

    /// The same for a piece of a file: at most [`Self::MAX_PIECE`] bytes of any kind.
    ///
    /// # Errors
    /// As [`seal`](Self::seal).
    pub fn seal_piece(&self, place: Place<'_>, piece: &[u8]) -> Result<Vec<u8>> {
        self.seal_within(Self::MAX_PIECE, place, piece)
    }

    /// What a piece of a file is called by who has the key: the same for the same content, and telling
    /// nothing of it to anybody else.
    #[must_use]
    pub fn name_of(&self, piece: &[u8]) -> String {
        let mut mac = named_by(&self.current);
        mac.update(NAME_DOMAIN);
        mac.update(piece);
        HEXLOWER.encode(&mac.finalize().into_bytes())
    }

    fn seal_within(&self, limit: usize, place: Place<'_>, value: &[u8]) -> Result<Vec<u8>> {
        let too_long = || Error::TooLong {
            place: place.to_string(),
            bytes: value.len(),
            limit,
        };
        if value.len() > limit {
            return Err(too_long());
        }
        let mut nonce = [0; NONCE_BYTES];
        fill_random(&mut nonce)?;
        let mut ciphertext = vec![0; value.len()];
        let buffer = InOutBuf::new(value, &mut ciphertext).map_err(|_| too_long())?;
        let id = self.key_id();
        let tag = cipher(&self.current)
            .encrypt_inout_detached(&XNonce::from(nonce), &context(place, id), buffer)
            .map_err(|_| too_long())?;
        let sealed = [
            &[FORMAT],
            id.as_bytes().as_slice(),
            &nonce,
            &ciphertext,
            &tag,
        ];
        Ok(sealed.concat())
    }

    /// Decrypts a value at its place.
    ///
    /// # Errors
    /// [`Error::WrongKey`] when none of the keys has sealed it, [`Error::Damaged`] when it is not
    /// what was sealed for this place, [`Error::UnknownFormat`] when its format is newer.
    pub fn open(&self, place: Place<'_>, sealed: &Sealed) -> Result<SecretString> {
        let value = self.open_piece(place, sealed.as_bytes())?;
        String::from_utf8(value)
            .map(SecretString::from)
            .map_err(|error| {
                error.into_bytes().zeroize();
                Error::Damaged {
                    place: place.to_string(),
                }
            })
    }

    /// Decrypts a piece of a file at its place.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_piece(&self, place: Place<'_>, sealed: &[u8]) -> Result<Vec<u8>> {
        let damaged = || Error::Damaged {
            place: place.to_string(),
        };
        let parts = Parts::of(sealed).ok_or_else(damaged)?;
        if !parts.is_known_format() {
            return Err(Error::UnknownFormat {
                place: place.to_string(),
                format: parts.format,
            });
        }
        let key = self.key(parts.key).ok_or_else(|| Error::WrongKey {
            sealed_with: parts.key,
            have: self.key_id(),
        })?;
        // Of exactly the right length: growing or shrinking would leave a copy behind.
        let mut value = vec![0; parts.ciphertext.len()];
        let buffer = InOutBuf::new(parts.ciphertext, &mut value).map_err(|_| damaged())?;
        let (nonce, tag) = (XNonce::from(*parts.nonce), Tag::from(*parts.tag));
        cipher(key)
            .decrypt_inout_detached(&nonce, &context(place, parts.key), buffer, &tag)
            .map_err(|_| damaged())?;
        Ok(value)
    }

    fn key(&self, id: KeyId) -> Option<&MasterKey> {
        std::iter::once(&self.current)
            .chain(&self.older)
            .find(|key| key.id() == id)
    }
}

impl<'a> Parts<'a> {
    /// `None` when there are too few bytes.
    pub(crate) fn of(bytes: &'a [u8]) -> Option<Self> {
        let (format, rest) = bytes.split_first()?;
        let (key, rest) = rest.split_first_chunk::<{ KeyId::LEN }>()?;
        let (nonce, rest) = rest.split_first_chunk()?;
        let (ciphertext, tag) = rest.split_last_chunk()?;
        Some(Self {
            format: *format,
            key: KeyId::from_bytes(*key),
            nonce,
            ciphertext,
            tag,
        })
    }

    pub(crate) const fn is_known_format(&self) -> bool {
        self.format == FORMAT
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} {}", self.field, self.table, self.row)
    }
}

/// Tells names apart with a key; its copy of the key is wiped here.
fn named_by(key: &MasterKey) -> Hmac<Sha256> {
    // As long as the hash's block: filled up with zeros, as every shorter key would be.
    let mut block = Key::<Hmac<Sha256>>::default();
    for (to, from) in block.iter_mut().zip(key.expose()) {
        *to = *from;
    }
    let mac = Hmac::new(&block);
    block.as_mut_slice().zeroize();
    mac
}

/// Made for one use; its copy of the key is wiped after it.
fn cipher(key: &MasterKey) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(key.expose().into())
}

/// What is authenticated beside the value. Every text has its length before it, so that no two
/// places give the same bytes.
fn context(place: Place<'_>, key: KeyId) -> Vec<u8> {
    let mut context = [DOMAIN, &[FORMAT], key.as_bytes()].concat();
    for text in [place.table, place.row, place.field] {
        context.extend((text.len() as u64).to_be_bytes());
        context.extend(text.as_bytes());
    }
    context
}
