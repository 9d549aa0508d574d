//! The matcher: a pattern compiled to one token per byte it takes.

use std::ops::RangeInclusive;

/// A compiled pattern.
#[derive(Debug)]
pub(super) struct Glob {
    tokens: Box<[Token]>,
}

/// A range with an end outside ASCII, where Redis's answer depends on its processor.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RangeOutsideAscii;

#[derive(Debug)]
enum Token {
    /// Any run of bytes, also an empty one.
    Star,
    /// Any one byte.
    Any,
    /// This byte.
    Byte(u8),
    /// One byte that is in the ranges, or, when negated, in none of them.
    Class {
        negated: bool,
        ranges: Box<[RangeInclusive<u8>]>,
    },
}

impl Glob {
    /// Reads a pattern as Redis does. Every text has a meaning; only ranges that end outside ASCII
    /// are refused.
    pub(super) fn compile(pattern: &[u8]) -> Result<Self, RangeOutsideAscii> {
        let mut tokens = Vec::new();
        let mut rest = pattern;
        while let [first, after @ ..] = rest {
            let token = match (first, after) {
                (b'*', _) => {
                    rest = after;
                    Token::Star
                }
                (b'?', _) => {
                    rest = after;
                    Token::Any
                }
                (b'[', [b'^', after @ ..]) => class(true, after, &mut rest)?,
                (b'[', _) => class(false, after, &mut rest)?,
                (b'\\', [escaped, after @ ..]) => {
                    rest = after;
                    Token::Byte(*escaped)
                }
                (byte, _) => {
                    rest = after;
                    Token::Byte(*byte)
                }
            };
            tokens.push(token);
        }
        Ok(Self {
            tokens: tokens.into(),
        })
    }

    /// Whether the whole text fits.
    ///
    /// Every token but the star takes exactly one byte. So when the tokens after a star have found
    /// their first place and a later star then fails, no other place for them can help: only the
    /// last star is ever widened, and the work is at most tokens times bytes.
    pub(super) fn matches(&self, text: &[u8]) -> bool {
        let mut tokens: &[Token] = &self.tokens;
        let mut text = text;
        let mut last_star: Option<(&[Token], &[u8])> = None;
        loop {
            match (tokens, text) {
                ([], []) | ([Token::Star], _) => return true,
                ([Token::Star, after @ ..], _) => {
                    last_star = Some((after, text));
                    tokens = after;
                }
                ([token, next @ ..], [byte, after @ ..]) if token.takes(*byte) => {
                    tokens = next;
                    text = after;
                }
                _ => {
                    let Some((after_star, [_, wider @ ..])) = last_star else {
                        return false;
                    };
                    last_star = Some((after_star, wider));
                    tokens = after_star;
                    text = wider;
                }
            }
        }
    }

    /// The bytes, if the pattern holds nothing else.
    pub(super) fn literal(&self) -> Option<Box<[u8]>> {
        self.tokens.iter().map(Token::byte).collect()
    }

    /// The bytes that every text it matches begins with.
    pub(super) fn start(&self) -> Box<[u8]> {
        self.tokens.iter().map_while(Token::byte).collect()
    }

    /// The bytes that every text it matches ends with.
    pub(super) fn end(&self) -> Box<[u8]> {
        let mut end: Box<[u8]> = self.tokens.iter().rev().map_while(Token::byte).collect();
        end.reverse();
        end
    }
}

impl Token {
    const fn byte(&self) -> Option<u8> {
        match self {
            Self::Byte(byte) => Some(*byte),
            Self::Star | Self::Any | Self::Class { .. } => None,
        }
    }

    fn takes(&self, byte: u8) -> bool {
        match self {
            Self::Star => false,
            Self::Any => true,
            Self::Byte(own) => *own == byte,
            Self::Class { negated, ranges } => {
                ranges.iter().any(|range| range.contains(&byte)) != *negated
            }
        }
    }
}

/// Reads a class from behind its `[` or `[^`, and leaves in `rest` what follows it.
fn class<'a>(
    negated: bool,
    body: &'a [u8],
    rest: &mut &'a [u8],
) -> Result<Token, RangeOutsideAscii> {
    let mut ranges = Vec::new();
    *rest = body;
    loop {
        match *rest {
            [] => break,
            [b'\\', escaped, after @ ..] => {
                ranges.push(*escaped..=*escaped);
                *rest = after;
            }
            [b']', after @ ..] => {
                *rest = after;
                break;
            }
            // The end of a range is taken as it is, even a `]` or a backslash.
            [start, b'-', end, after @ ..] => {
                if !start.is_ascii() || !end.is_ascii() {
                    return Err(RangeOutsideAscii);
                }
                ranges.push(*start.min(end)..=*start.max(end));
                *rest = after;
            }
            [byte, after @ ..] => {
                ranges.push(*byte..=*byte);
                *rest = after;
            }
        }
    }
    Ok(Token::Class {
        negated,
        ranges: ranges.into(),
    })
}
