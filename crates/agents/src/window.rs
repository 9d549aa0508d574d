//! How much of a conversation fits what its model reads at once.
//!
//! A model counts tokens and we have bytes: how many bytes a token has is measured at the turns that
//! were answered, and guessed before the first.

/// Bytes in so many tokens, before anything was measured: English and code are about here.
const GUESS: (u64, u64) = (16, 5);
/// Bytes of a token, as measured, are taken for at most this many.
const MOST_BYTES: u64 = 8;
/// Of what fits as measured, this part is used: the next texts may have shorter tokens.
const USED: (u64, u64) = (19, 20);

/// What a turn was measured to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Measured {
    /// What was sent, in bytes.
    pub(crate) bytes: u64,
    /// The same, as the model counted it.
    pub(crate) tokens: u64,
}

/// The bytes that fit so many tokens.
pub(crate) fn bytes_in(tokens: u64, measured: Option<Measured>) -> usize {
    let bytes = match measured.filter(|measured| measured.tokens > 0 && measured.bytes > 0) {
        None => scaled(tokens, GUESS),
        Some(Measured {
            bytes,
            tokens: in_tokens,
        }) => {
            let most = in_tokens.saturating_mul(MOST_BYTES);
            let bytes = bytes.clamp(in_tokens, most);
            scaled(scaled(tokens, (bytes, in_tokens)), USED)
        }
    };
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

fn scaled(value: u64, (by, of): (u64, u64)) -> u64 {
    let scaled = u128::from(value) * u128::from(by) / u128::from(of.max(1));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Measured, bytes_in};

    #[test]
    fn a_token_is_guessed_before_it_is_measured() {
        assert_eq!(bytes_in(128_000, None), 400 * 1024);
        let nothing = Measured {
            bytes: 0,
            tokens: 0,
        };
        assert_eq!(bytes_in(128_000, Some(nothing)), 400 * 1024);
    }

    #[test]
    fn what_was_measured_counts_within_reason() {
        let measured = |bytes, tokens| bytes_in(1_000, Some(Measured { bytes, tokens }));
        assert_eq!(measured(2_000, 1_000), 1_900);
        assert_eq!(measured(10, 1_000), 950, "no token is shorter than a byte");
        assert_eq!(measured(1_000_000, 10), 7_600, "nor longer than eight");
        assert_eq!(
            bytes_in(
                u64::MAX,
                Some(Measured {
                    bytes: 8,
                    tokens: 1
                })
            ),
            usize::MAX / 20 * 19 + 14
        );
    }
}
