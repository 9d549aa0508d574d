//! A map whose keys are fixed by the format.

use crate::fault::{Faults, RawFault};
use crate::read::Marked;
use crate::tree::{Key, Kind, Node, Span};

/// The keys that a section of the format has.
pub(super) struct Keys {
    pub(super) known: &'static [&'static str],
    /// Keys of the format that this version does not build yet: refused by name.
    pub(super) later: &'static [&'static str],
}

/// A map that is being read by its keys.
pub(super) struct Section<'n> {
    entries: &'n [(Key<'n>, Node<'n>)],
    start: Span,
    owner: String,
}

impl<'n> Section<'n> {
    /// Takes a node as a section of `owner` ("step 'plan'") and tells its unknown keys.
    pub(super) fn open(
        node: &'n Node<'n>,
        owner: impl Into<String>,
        keys: &Keys,
        faults: &mut Faults,
    ) -> Option<Self> {
        let owner = owner.into();
        let Kind::Map(entries) = &node.kind else {
            let fault = RawFault::new(format!("{owner} must be a map"), &node.span);
            faults.add(fault.help(format!("its keys are: {}", keys.known.join(", "))));
            return None;
        };
        for (key, _) in entries {
            tell_unknown(key, &owner, keys, faults);
        }
        let start = match entries.first() {
            Some((key, _)) => key.span.clone(),
            None => node.span.clone(),
        };
        Some(Self {
            entries,
            start,
            owner,
        })
    }

    /// What the section describes, for messages.
    pub(super) fn owner(&self) -> &str {
        &self.owner
    }

    /// Where the section starts.
    pub(super) fn start(&self) -> &Span {
        &self.start
    }

    /// The place of a key, if it is given.
    pub(super) fn key(&self, name: &str) -> Option<&'n Span> {
        self.entries
            .iter()
            .find(|(key, _)| key.name == name)
            .map(|(key, _)| &key.span)
    }

    /// The value of a key, if it is given. A key without a value is a fault.
    pub(super) fn get(&self, name: &str, faults: &mut Faults) -> Option<&'n Node<'n>> {
        let (key, node) = self.entries.iter().find(|(key, _)| key.name == name)?;
        if matches!(node.kind, Kind::Null) {
            let message = format!("`{name}` of {} has no value", self.owner);
            faults
                .add(RawFault::new(message, &key.span).help("write a value or leave the key out"));
            return None;
        }
        Some(node)
    }

    /// The value of a key that must be given.
    pub(super) fn required(&self, name: &str, faults: &mut Faults) -> Option<&'n Node<'n>> {
        if self.key(name).is_none() {
            let message = format!("{} has no `{name}`", self.owner);
            faults.add(RawFault::new(message, &self.start));
            return None;
        }
        self.get(name, faults)
    }
}

fn tell_unknown(key: &Key<'_>, owner: &str, keys: &Keys, faults: &mut Faults) {
    let name = key.name.as_ref();
    if keys.known.contains(&name) || name.starts_with("x-") {
        return;
    }
    if keys.later.contains(&name) {
        let message = format!("`{name}` is not supported yet");
        faults.add(RawFault::new(message, &key.span).help("leave the key out"));
        return;
    }
    let help = faults.hint(name, "keys", keys.known.iter().copied());
    faults.add(RawFault::new(format!("unknown key `{name}` in {owner}"), &key.span).help(help));
}

/// The entries of a map whose keys are names that the author chose.
pub(super) fn named<'n>(
    node: &'n Node<'n>,
    key: &str,
    faults: &mut Faults,
) -> Vec<(Marked<'n>, &'n Node<'n>)> {
    let Kind::Map(entries) = &node.kind else {
        faults.add(RawFault::new(
            format!("`{key}` must be a map of names"),
            &node.span,
        ));
        return Vec::new();
    };
    entries
        .iter()
        .map(|(key, node)| {
            let name = Marked {
                text: key.name.as_ref(),
                span: key.span.clone(),
            };
            (name, node)
        })
        .collect()
}
