//! Reading a body: all its faults at once, each with its place.

mod unique;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{FromRequest, OptionalFromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use fusion_api_types::api::Fault;
use serde_json::{Map, Value};

use crate::problem::{Refusal, Result};
use unique::Unique;

/// The longest body.
pub(crate) const MAX_BODY: usize = 1024 * 1024;

/// How deep lists and objects may lie in one another.
const MAX_DEPTH: usize = 64;

/// The longest name.
pub(crate) const MAX_NAME: usize = 255;

/// The longest text that is no content of its own.
pub(crate) const MAX_TEXT: usize = 16 * 1024;

/// Entries of a list at most.
const MAX_LIST: usize = 1_000;

/// The bytes of a JSON object that a client sent.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    pub(crate) bytes: Bytes,
    object: Map<String, Value>,
}

impl<S: Send + Sync> FromRequest<S> for Input {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Self> {
        check_type(request.headers(), "application/json", "JSON")?;
        let bytes = read(request.into_body()).await?;
        let object = parse(&bytes)?;
        Ok(Self { bytes, object })
    }
}

/// A request may have no body at all, or `null` as one.
impl<S: Send + Sync> OptionalFromRequest<S> for Input {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Option<Self>> {
        let (head, body) = request.into_parts();
        let bytes = read(body).await?;
        if bytes.is_empty() {
            return Ok(None);
        }
        check_type(&head.headers, "application/json", "JSON")?;
        if bytes.trim_ascii() == b"null" {
            return Ok(None);
        }
        let object = parse(&bytes)?;
        Ok(Some(Self { bytes, object }))
    }
}

/// Only this type is read, whatever stands behind it: a form of a web page can't send it without being asked.
pub(crate) fn check_type(headers: &HeaderMap, wanted: &str, what: &str) -> Result<()> {
    let given = headers.get(header::CONTENT_TYPE);
    let given = given.and_then(|given| given.to_str().ok());
    let essence = given.and_then(|given| given.split(';').next());
    if essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case(wanted)) {
        return Ok(());
    }
    Err(Refusal::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        format!("the body must be {what}: send the header Content-Type: {wanted}"),
    ))
}

async fn read(body: Body) -> Result<Bytes> {
    // One byte more than allowed tells that it is too long, without holding more.
    match to_bytes(body, MAX_BODY).await {
        Ok(bytes) => Ok(bytes),
        Err(error) if is_too_long(&error) => Err(Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "payload_too_large",
            format!("the body has more than {MAX_BODY} bytes (1 MiB), which is the limit"),
        )),
        Err(_) => Err(Refusal::fault("", "the body ended before it was whole")),
    }
}

fn is_too_long(error: &axum::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        if source.to_string() == "length limit exceeded" {
            return true;
        }
        cause = source.source();
    }
    false
}

fn parse(bytes: &[u8]) -> Result<Map<String, Value>> {
    let text =
        std::str::from_utf8(bytes).map_err(|_| Refusal::fault("", "the body is not UTF-8 text"))?;
    if depth(text) > MAX_DEPTH {
        return Err(Refusal::fault(
            "",
            format!("the body is nested deeper than {MAX_DEPTH} levels, which is the limit"),
        ));
    }
    match serde_json::from_str(text).map(|Unique(value)| value) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_),
        ) => Err(Refusal::fault("", "the body must be a JSON object")),
        Err(error) if error.is_data() => Err(Refusal::fault("", error.to_string())),
        Err(error) => Err(Refusal::fault("", format!("the body is not JSON: {error}"))),
    }
}

/// How deep a text is nested, before anything is built from it.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest, mut in_text, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
impl Input {
    /// A body that was read.
    pub(crate) const fn of(object: Map<String, Value>) -> Self {
        Self {
            bytes: Bytes::new(),
            object,
        }
    }
}

impl Input {
    /// Begins to read it. These are all the fields that there may be.
    pub(crate) fn fields(&self, known: &[&str]) -> Fields<'_> {
        let mut fields = Fields {
            object: &self.object,
            faults: Vec::new(),
            prefix: String::new(),
        };
        fields.refuse_unknown(known);
        fields
    }
}

/// Reads fields and gathers what is wrong with them.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    object: &'a Map<String, Value>,
    faults: Vec<Fault>,
    /// The pointer of the object.
    prefix: String,
}

impl<'a> Fields<'a> {
    /// Whether a field was given, `null` included.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.object.contains_key(name)
    }

    /// Whether a field was given, and not as `null`.
    pub(crate) fn is_given(&self, name: &str) -> bool {
        self.given(name).is_some()
    }

    /// A field that is there and not `null`.
    fn given(&self, name: &str) -> Option<&'a Value> {
        self.object.get(name).filter(|value| !value.is_null())
    }

    /// Notes what is wrong with a field.
    pub(crate) fn add(&mut self, name: &str, message: impl Into<String>) {
        let escaped = name.replace('~', "~0").replace('/', "~1");
        self.faults.push(Fault {
            pointer: format!("{}/{escaped}", self.prefix),
            message: message.into(),
        });
    }

    /// Everything that was read is right.
    ///
    /// # Errors
    /// It is not: all faults at once.
    pub(crate) fn finish(self) -> Result<()> {
        if self.faults.is_empty() {
            Ok(())
        } else {
            Err(Refusal::invalid(self.faults))
        }
    }

    /// A text of at most so many characters.
    pub(crate) fn text(&mut self, name: &str, most: usize) -> Option<&'a str> {
        match self.given(name)? {
            Value::String(text) if text.chars().count() > most => {
                self.add(name, format!("has more than {most} characters"));
                None
            }
            Value::String(text) if text.contains('\0') => {
                self.add(name, "contains the character NUL");
                None
            }
            Value::String(text) => Some(text),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_) => {
                self.add(name, "must be a text");
                None
            }
        }
    }

    /// A name: not empty, no control characters.
    pub(crate) fn name(&mut self, name: &str) -> Option<&'a str> {
        let text = self.text(name, MAX_NAME)?;
        match name_fault(text) {
            Some(fault) => {
                self.add(name, fault);
                None
            }
            None => Some(text),
        }
    }

    /// A name that must be given; empty where it is not, which is a fault.
    pub(crate) fn needed_name(&mut self, name: &str) -> String {
        if self.given(name).is_none() {
            self.add(name, "is required");
        }
        self.name(name).unwrap_or_default().to_owned()
    }

    /// An object; empty without it.
    pub(crate) fn object(&mut self, name: &str) -> Option<Value> {
        match self.given(name)? {
            object @ Value::Object(_) => Some(object.clone()),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::String(_) => {
                self.add(name, "must be an object");
                None
            }
        }
    }

    /// True or false.
    pub(crate) fn flag(&mut self, name: &str) -> Option<bool> {
        let value = self.given(name)?;
        if value.as_bool().is_none() {
            self.add(name, "must be true or false");
        }
        value.as_bool()
    }

    /// Any JSON, which must be there.
    pub(crate) fn any(&mut self, name: &str) -> Option<&'a Value> {
        let value = self.object.get(name);
        if value.is_none() {
            self.add(name, "is required");
        }
        value
    }

    /// A text that is read further: an id, a state, a time.
    pub(crate) fn read<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> std::result::Result<T, String>,
    ) -> Option<T> {
        let text = self.text(name, MAX_TEXT)?;
        match parse(text) {
            Ok(value) => Some(value),
            Err(message) => {
                self.add(name, message);
                None
            }
        }
    }

    /// A text that must be given and is read further.
    pub(crate) fn needed<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> std::result::Result<T, String>,
    ) -> Option<T> {
        if self.given(name).is_none() {
            self.add(name, "is required");
        }
        self.read(name, parse)
    }

    /// A list of texts that are read further, such as ids.
    pub(crate) fn ids<T: std::str::FromStr>(&mut self, name: &str) -> Option<Vec<T>>
    where
        T::Err: std::fmt::Display,
    {
        let Some(list) = self.given(name)?.as_array() else {
            self.add(name, "must be a list");
            return None;
        };
        if list.len() > MAX_LIST {
            self.add(name, format!("has more than {MAX_LIST} entries"));
            return None;
        }
        let mut read = Vec::with_capacity(list.len());
        for (index, value) in list.iter().enumerate() {
            match value.as_str().map(parsed) {
                Some(Ok(id)) => read.push(id),
                Some(Err(message)) => self.at(name, index, &message),
                None => self.at(name, index, "must be a text"),
            }
        }
        Some(read)
    }

    /// The fields of an object within; hand them to [`absorb`](Self::absorb) when they are read.
    pub(crate) fn within(&mut self, name: &str, known: &[&str]) -> Option<Fields<'a>> {
        let Some(object) = self.given(name)?.as_object() else {
            self.add(name, "must be an object");
            return None;
        };
        let mut fields = Fields {
            object,
            faults: Vec::new(),
            prefix: format!("{}/{name}", self.prefix),
        };
        fields.refuse_unknown(known);
        Some(fields)
    }

    /// A list of anything, which must be there.
    pub(crate) fn list(&mut self, name: &str, most: usize) -> &'a [Value] {
        let list = self.given(name).and_then(Value::as_array);
        if let Some(list) = list.filter(|list| list.len() <= most) {
            return list;
        }
        self.add(name, format!("must be a list of at most {most} entries"));
        &[]
    }

    /// A list of objects, each read by itself, that has from `least` to `most` entries.
    pub(crate) fn each<T>(
        &mut self,
        name: &str,
        (least, most): (usize, usize),
        known: &[&str],
        read: impl Fn(&mut Fields<'a>) -> T,
    ) -> Vec<T> {
        let list = self.given(name).and_then(Value::as_array);
        let Some(list) = list.filter(|list| (least..=most).contains(&list.len())) else {
            self.add(name, format!("must be a list of {least} to {most} objects"));
            return Vec::new();
        };
        let mut all = Vec::with_capacity(list.len());
        for (index, value) in list.iter().enumerate() {
            let Some(object) = value.as_object() else {
                self.at(name, index, "must be an object");
                continue;
            };
            let mut fields = Fields {
                object,
                faults: Vec::new(),
                prefix: format!("{}/{name}/{index}", self.prefix),
            };
            fields.refuse_unknown(known);
            all.push(read(&mut fields));
            self.absorb(fields);
        }
        all
    }

    /// Tells the faults of an object within with these.
    pub(crate) fn absorb(&mut self, within: Fields<'_>) {
        self.faults.extend(within.faults);
    }

    fn refuse_unknown(&mut self, known: &[&str]) {
        let unknown = |name: &&String| !known.contains(&name.as_str());
        for name in self.object.keys().filter(unknown) {
            let message = format!("there is no such field; known are: {}", known.join(", "));
            self.add(name, message);
        }
    }

    /// Notes what is wrong with an entry of a list.
    pub(crate) fn at(&mut self, name: &str, index: usize, message: &str) {
        self.faults.push(Fault {
            pointer: format!("{}/{name}/{index}", self.prefix),
            message: message.chars().take(200).collect(),
        });
    }

    /// A whole number that a smaller type may hold.
    pub(crate) fn number<T: TryFrom<u64>>(&mut self, name: &str) -> Option<T> {
        let number = self
            .given(name)?
            .as_u64()
            .and_then(|number| T::try_from(number).ok());
        if number.is_none() {
            self.add(
                name,
                "must be a whole number that is not negative or too large",
            );
        }
        number
    }
}

/// What is wrong with a name, if anything is.
#[must_use]
pub fn name_fault(text: &str) -> Option<&'static str> {
    if text.trim().is_empty() {
        Some("must not be empty")
    } else if text.chars().count() > MAX_NAME {
        Some("has more than 255 characters")
    } else if text.chars().any(char::is_control) {
        Some("must not contain control characters")
    } else {
        None
    }
}

/// Reads something that has a text form.
pub(crate) fn parsed<T>(text: &str) -> std::result::Result<T, String>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| error.to_string())
}

/// Reads a time.
pub(crate) fn time(text: &str) -> std::result::Result<fusion_core::Timestamp, String> {
    chrono::DateTime::parse_from_rfc3339(text)
        .map(|time| time.to_utc())
        .map_err(|_| "must be a time such as 2026-11-23T16:21:19Z (RFC 3339)".to_owned())
}

#[cfg(test)]
mod tests {
    use super::depth;

    #[test]
    fn brackets_in_a_text_are_no_depth() {
        assert_eq!(
            [
                depth(r#"{"a": [1, {"b": 2}]}"#),
                depth(r#"{"a": "[[[[\"[["}"#),
                depth("1"),
                depth(&"[".repeat(20_000)),
            ],
            [3, 1, 0, 20_000]
        );
    }
}
