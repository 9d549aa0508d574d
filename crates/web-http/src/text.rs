//! From the bytes of a page to its text.

use encoding_rs::{Encoding, UTF_8};

use crate::html;

/// What a server says that a page is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kind {
    /// In lower case, without parameters; empty when the server says nothing.
    pub(crate) name: String,
    charset: Option<String>,
}

impl Kind {
    /// Reads a `Content-Type` (RFC 9110, 8.3).
    pub(crate) fn of(declared: &str) -> Self {
        let mut parts = declared.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let charset = parts.find_map(|part| {
            let (key, value) = part.split_once('=')?;
            let is_charset = key.trim().eq_ignore_ascii_case("charset");
            is_charset.then(|| value.trim().trim_matches('"').to_owned())
        });
        Self { name, charset }
    }

    /// Whether it can be text. A server that says nothing may send some.
    pub(crate) fn is_text(&self) -> bool {
        let name = self.name.as_str();
        let kinds = [
            "application/json",
            "application/xml",
            "application/javascript",
            "application/x-ndjson",
            "application/yaml",
            "application/toml",
        ];
        name.is_empty()
            || name.starts_with("text/")
            || name.ends_with("+json")
            || name.ends_with("+xml")
            || kinds.contains(&name)
    }

    fn is_html(&self) -> bool {
        matches!(self.name.as_str(), "text/html" | "application/xhtml+xml")
    }

    /// The text; `None` when it turns out to be none.
    pub(crate) fn text(&self, bytes: &[u8], is_raw: bool) -> Option<String> {
        if bytes.contains(&0) && self.charset.is_none() {
            return None;
        }
        let label = self.charset.as_deref().unwrap_or_default();
        let encoding = Encoding::for_label(label.as_bytes()).unwrap_or(UTF_8);
        let (text, _, _) = encoding.decode(bytes);
        if !self.is_html() || is_raw {
            return Some(text.into_owned());
        }
        Some(html::plain(&text).unwrap_or_else(|| text.into_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn text_is_told_from_what_is_none_by_its_declared_type() {
        for (declared, is_text) in [
            ("text/html; charset=utf-8", true),
            ("TEXT/Plain", true),
            ("application/json", true),
            ("application/problem+json", true),
            ("image/svg+xml", true),
            ("", true),
            ("image/png", false),
            ("application/octet-stream", false),
            ("application/pdf", false),
        ] {
            assert_eq!(Kind::of(declared).is_text(), is_text, "{declared}");
        }
        assert_eq!(Kind::of("text/plain").text(b"a\0b", false), None);
    }

    #[test]
    fn the_declared_charset_counts() {
        let latin = Kind::of("text/plain; charset=\"ISO-8859-1\"");
        assert_eq!(latin.text(b"caf\xe9", false).as_deref(), Some("café"));
        assert_eq!(
            Kind::of("text/plain").text(b"caf\xe9", false).as_deref(),
            Some("caf\u{fffd}")
        );
    }
}
