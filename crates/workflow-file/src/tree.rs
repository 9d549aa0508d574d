//! The text as a tree of nodes that know where they stand.

mod build;

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use serde_json::{Map, Number, Value};
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy};
use serde_saphyr::{Error, Options};

use crate::fault::{Faults, RawFault};

/// The largest file that is read, in bytes.
const MAX_FILE_BYTES: usize = 1024 * 1024;
/// How deep maps and lists may nest. In a debug build the parser needs some 35 KiB of stack
/// for a level, and the stack of a worker thread has 2 MiB.
const MAX_DEPTH: usize = 24;
/// Text behind anchors that the parser copies, in bytes, and nodes that aliases may repeat.
const MAX_ANCHORED_BYTES: usize = 32 * 1024;
const MAX_REPEATED_NODES: usize = 2_500;
/// All text of a file once its aliases are replaced, in bytes.
const MAX_TEXT_BYTES: usize = 4 * MAX_FILE_BYTES;

/// A place in the text, in bytes.
pub(crate) type Span = Range<usize>;

/// A map key and where it stands.
#[derive(Debug)]
pub(crate) struct Key<'t> {
    pub(crate) name: Cow<'t, str>,
    pub(crate) span: Span,
}

/// One value of the file.
#[derive(Debug)]
pub(crate) struct Node<'t> {
    /// Where it is used: of an alias, the place of the `*name`.
    pub(crate) span: Span,
    /// Where it is written: of an alias, the place of the anchor's value.
    pub(crate) written: Span,
    pub(crate) kind: Kind<'t>,
}

/// What a node is.
#[derive(Debug)]
pub(crate) enum Kind<'t> {
    Map(Vec<(Key<'t>, Node<'t>)>),
    List(Vec<Node<'t>>),
    Text(Cow<'t, str>),
    Number(Number),
    Boolean(bool),
    Null,
}

impl Node<'_> {
    /// The value as JSON; of keys given twice the last one counts.
    pub(crate) fn to_json(&self) -> Value {
        match &self.kind {
            Kind::Map(entries) => {
                let members = entries
                    .iter()
                    .map(|(key, node)| (key.name.to_string(), node.to_json()));
                Value::Object(members.collect::<Map<_, _>>())
            }
            Kind::List(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            Kind::Text(text) => Value::String(text.to_string()),
            Kind::Number(number) => Value::Number(number.clone()),
            Kind::Boolean(value) => Value::Bool(*value),
            Kind::Null => Value::Null,
        }
    }
}

/// Reads the text into a tree and tells every key that is given twice. `None` when there is
/// no tree: then one fault says why.
pub(crate) fn grow<'t>(text: &'t str, faults: &mut Faults) -> Option<Node<'t>> {
    let grown = refuse_odd_text(text).and_then(|()| {
        let node: Node<'t> = serde_saphyr::from_str_with_options(text, options())
            .map_err(|error| syntax_fault(text, error.without_snippet()))?;
        let size = measure(&node, faults);
        if size > MAX_TEXT_BYTES {
            return Err(RawFault::new(
                format!("the file has more than {MAX_TEXT_BYTES} bytes of text once its aliases are replaced"),
                &(0..0),
            ));
        }
        Ok(node)
    });
    grown.map_err(|fault| faults.add(fault)).ok()
}

fn refuse_odd_text(text: &str) -> Result<(), RawFault> {
    if text.len() > MAX_FILE_BYTES {
        let message = format!(
            "the file has {} bytes, more than {MAX_FILE_BYTES}",
            text.len()
        );
        return Err(RawFault::new(message, &(0..0)));
    }
    if text.starts_with('\u{feff}') {
        let fault = RawFault::new("the file starts with a byte order mark", &(0..3));
        return Err(fault.help("save it as UTF-8 without a byte order mark"));
    }
    Ok(())
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            max_documents: 1,
            max_recorded_anchor_bytes: MAX_ANCHORED_BYTES,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MAX_REPEATED_NODES,
        },
        // We tell duplicates ourselves, to tell them with all other faults.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        merge_keys: MergeKeyPolicy::Error,
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    }
}

/// Counts the bytes of all text and tells every key that is given twice in one map.
fn measure(node: &Node<'_>, faults: &mut Faults) -> usize {
    match &node.kind {
        Kind::Map(entries) => {
            let mut seen = HashSet::new();
            let mut size = 0_usize;
            for (key, value) in entries {
                if !seen.insert(key.name.as_ref()) {
                    let message = format!("the key `{}` is given twice", key.name);
                    faults.add(RawFault::new(message, &key.span).help("keep one of them"));
                }
                size = size.saturating_add(key.name.len() + measure(value, faults));
            }
            size
        }
        Kind::List(items) => items
            .iter()
            .fold(0, |size, item| size.saturating_add(measure(item, faults))),
        Kind::Text(text) => text.len(),
        Kind::Number(_) | Kind::Boolean(_) | Kind::Null => 0,
    }
}

/// The one fault of a text that is not YAML as we take it.
fn syntax_fault(text: &str, error: &Error) -> RawFault {
    if let Error::AliasError { error, .. } = error {
        return syntax_fault(text, error);
    }
    let span = error_span(text, error);
    if let Error::Budget { breach, .. } = error {
        return budget_fault(breach, &span);
    }
    if let Error::AliasReplayLimitExceeded { .. } | Error::AliasReplayStackDepthExceeded { .. } =
        error
    {
        return RawFault::new("the file repeats too much with aliases", &span);
    }
    if let Error::MergeKeyNotAllowed { .. } = error {
        return RawFault::new("merge keys (`<<`) are not supported", &span)
            .help("write the keys out, or repeat a whole value with an alias");
    }
    // Only a key is ever asked to be a text.
    if let Error::NullIntoString { .. } | Error::Unexpected { .. } = error {
        return RawFault::new("a key must be a text", &span);
    }
    if let Error::NonFiniteFloat { .. } = error {
        return RawFault::new("a number must be finite", &span).help("put a text in quotes");
    }
    let told = error.to_string();
    let message = match told.find(" at line ") {
        Some(end) => told.get(..end).unwrap_or(&told),
        None => &told,
    };
    let fault = RawFault::new(format!("this is not YAML: {message}"), &span);
    match syntax_help(text, message, &span) {
        Some(help) => fault.help(help),
        None => fault,
    }
}

fn budget_fault(breach: &BudgetBreach, span: &Span) -> RawFault {
    if let BudgetBreach::Depth { .. } = breach {
        return RawFault::new(
            format!("maps and lists nest deeper than {MAX_DEPTH} levels"),
            span,
        );
    }
    if let BudgetBreach::Documents { .. } = breach {
        return RawFault::new("the file holds more than one document", span)
            .help("keep one workflow in a file, without `---` between");
    }
    RawFault::new(
        "the file is too large or repeats too much with aliases",
        span,
    )
}

/// What people most often get wrong, told by the line of the error.
fn syntax_help(text: &str, message: &str, span: &Span) -> Option<&'static str> {
    let before = text.get(..span.start).unwrap_or_default();
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = text.get(start..).and_then(|rest| rest.lines().next())?;
    if message.contains("tabs disallowed") {
        Some("indent with spaces")
    } else if line.contains("${{") {
        Some("put quotes around a text that holds `${{ }}`")
    } else if message.contains("mapping values") {
        Some("put quotes around a text that holds `: `, or check the indentation")
    } else if message.contains("alias") || message.contains("tag") {
        None
    } else {
        Some("check brackets, quotes and indentation here and in the lines before")
    }
}

/// The parser counts some places in characters only.
fn error_span(text: &str, error: &Error) -> Span {
    let Some(location) = error.location() else {
        return text.len()..text.len();
    };
    if let Some(span) = build::span_of(location) {
        return span;
    }
    let characters = usize::try_from(location.span().offset()).unwrap_or(usize::MAX);
    match text.char_indices().nth(characters) {
        Some((start, character)) => start..start + character.len_utf8(),
        None => text.len()..text.len(),
    }
}
