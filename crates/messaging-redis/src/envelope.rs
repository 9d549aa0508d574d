//! How a message looks on its way: who said it, the how-manieth of theirs it is, and the payload.

use uuid::Uuid;

/// The first byte of every message: the form of the rest.
const FORM: u8 = 1;

/// Form, origin and number.
const HEAD_BYTES: usize = 1 + 16 + 8;

/// A message as the server carries it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Envelope<'a> {
    /// The bus that said it.
    pub(crate) origin: Uuid,
    /// Rises by one with everything that this bus says, whether it gets here or not.
    pub(crate) number: u64,
    pub(crate) payload: &'a [u8],
}

impl<'a> Envelope<'a> {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + self.payload.len());
        bytes.push(FORM);
        bytes.extend(self.origin.as_bytes());
        bytes.extend(self.number.to_be_bytes());
        bytes.extend(self.payload);
        bytes
    }

    /// `None` for what another program, or another version, published there.
    pub(crate) fn read(bytes: &'a [u8]) -> Option<Self> {
        let (&form, rest) = bytes.split_first()?;
        let (origin, rest) = rest.split_first_chunk()?;
        let (number, payload) = rest.split_first_chunk()?;
        (form == FORM).then(|| Self {
            origin: Uuid::from_bytes(*origin),
            number: u64::from_be_bytes(*number),
            payload,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Envelope, HEAD_BYTES, Uuid};

    proptest! {
        #[test]
        fn what_was_written_is_read_and_nothing_shorter_or_of_another_form(
            origin in any::<u128>(),
            number in any::<u64>(),
            payload in proptest::collection::vec(any::<u8>(), 0..40),
            cut in 0..HEAD_BYTES,
        ) {
            let envelope = Envelope { origin: Uuid::from_u128(origin), number, payload: &payload };
            let mut bytes = envelope.to_bytes();
            prop_assert_eq!(Envelope::read(&bytes), Some(envelope));
            prop_assert_eq!(Envelope::read(&bytes[..cut]), None);
            bytes[0] ^= 3;
            prop_assert_eq!(Envelope::read(&bytes), None);
        }
    }
}
