//! What the names of all channels begin with.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::{Error, Result};

/// The name space when nothing else is configured.
pub const DEFAULT_NAMESPACE: &str = "fusion:";

/// The longest name space, in bytes.
const MAX_BYTES: usize = 64;

/// Keeps those apart who share a server: `fusion:` makes the channel `fusion:task.completed.42`. The
/// numbered databases of Redis do not, since publish and subscribe know none. Holds no character that
/// means something in a pattern.
#[derive(Clone, PartialEq, Eq)]
pub struct Namespace(Arc<str>);

impl Namespace {
    /// The text that [`FromStr`] accepted.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The subject's name on the server.
    pub(crate) fn channel(&self, subject: &str) -> String {
        [&self.0, subject].concat()
    }

    /// The pattern of all its channels.
    pub(crate) fn everything(&self) -> String {
        self.channel("*")
    }

    /// The subject's name back from the server's.
    pub(crate) fn subject<'a>(&self, channel: &'a [u8]) -> Option<&'a str> {
        let subject = channel.strip_prefix(self.0.as_bytes())?;
        std::str::from_utf8(subject).ok()
    }
}

impl Default for Namespace {
    fn default() -> Self {
        Self(DEFAULT_NAMESPACE.into())
    }
}

impl FromStr for Namespace {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".:_-/".contains(&byte);
        if (1..=MAX_BYTES).contains(&text.len()) && text.bytes().all(is_allowed) {
            Ok(Self(text.into()))
        } else {
            Err(Error::Namespace {
                text: text.to_owned(),
            })
        }
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Namespace({:?})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_BYTES, Namespace};
    use crate::Error;

    #[test]
    fn a_subject_is_found_behind_its_own_name_space_only() {
        let namespace: Namespace = "team-a:".parse().unwrap();
        assert_eq!(namespace.channel("task.done.1"), "team-a:task.done.1");
        assert_eq!(namespace.everything(), "team-a:*");
        assert_eq!(namespace.subject(b"team-a:x.y"), Some("x.y"));
        assert_eq!(namespace.subject(b"team-b:x.y"), None);
        assert_eq!(namespace.subject(b"team-a:\xff"), None);
    }

    #[test]
    fn what_means_something_in_a_pattern_is_refused() {
        let longest = "x".repeat(MAX_BYTES);
        for text in ["f", "fusion:", "a/b_c-d.e:", &longest] {
            assert_eq!(text.parse::<Namespace>().unwrap().as_str(), text);
        }
        let too_long = "x".repeat(MAX_BYTES + 1);
        for text in ["", "a*", "a?", "[a]", r"a\", "a b", "ü", &too_long] {
            let text = text.to_owned();
            assert_eq!(text.parse::<Namespace>(), Err(Error::Namespace { text }));
        }
    }
}
