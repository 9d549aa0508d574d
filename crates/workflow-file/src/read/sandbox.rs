//! The `sandbox` of an agent: what its commands may do beyond its workspace.

use std::ops::RangeInclusive;

use fusion_core::{LimitsSpec, NetworkAccess, SandboxSpec};

use crate::fault::{Faults, RawFault};
use crate::read::section::{Keys, Section};
use crate::read::{Marked, duration, value};
use crate::tree::{Kind, Node};

const SANDBOX: Keys = Keys {
    known: &["network", "read", "write", "env", "limits"],
    later: &[],
};

const LIMITS: Keys = Keys {
    known: &[
        "memory",
        "processes",
        "cpu",
        "file_size",
        "disk",
        "snapshot",
        "files",
    ],
    later: &[],
};

/// Folders or variables of one list.
const MAX_ENTRIES: usize = 50;
/// Linux' `PATH_MAX`, in bytes.
const MAX_PATH: usize = 4_096;
/// The longest name of a variable, in bytes.
const MAX_VARIABLE: usize = 255;
/// Processes of one command.
const PROCESSES: RangeInclusive<u32> = 1..=100_000;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;
const UNITS: [(&str, u64); 3] = [("KiB", KIB), ("MiB", MIB), ("GiB", GIB)];
/// Files of one workspace: a new one has a few.
const FILES: RangeInclusive<u32> = 100..=100_000_000;
/// Below it a workspace has no room to work in.
const LEAST_DISK: u64 = MIB;
/// Below it nothing starts.
const LEAST_MEMORY: u64 = 16 * MIB;
const MOST_BYTES: u64 = 1024 * GIB;

/// What a command is given anyway, in its workspace.
const OWN: [&str; 2] = ["HOME", "TMPDIR"];
/// Variables that open the records; those of fusion-kit begin with `FUSION_`.
const OF_RECORDS: [&str; 2] = ["DATABASE_URL", "REDIS_URL"];

pub(super) fn read(node: &Node<'_>, agent: &str, faults: &mut Faults) -> SandboxSpec {
    let owner = format!("the `sandbox` of agent '{agent}'");
    let Some(section) = Section::open(node, owner, &SANDBOX, faults) else {
        return SandboxSpec::default();
    };
    let mut sandbox = SandboxSpec::default();
    if let Some(node) = section.get("network", faults) {
        sandbox.network = network(node, faults);
    }
    if let Some(node) = section.get("read", faults) {
        sandbox.read = entries(node, "read", "folders", faults, check_folder);
    }
    if let Some(node) = section.get("write", faults) {
        sandbox.write = entries(node, "write", "folders", faults, check_folder);
    }
    if let Some(node) = section.get("env", faults) {
        sandbox.env = entries(node, "env", "names of variables", faults, check_variable);
    }
    if let Some(node) = section.get("limits", faults) {
        sandbox.limits = limits(node, agent, faults);
    }
    sandbox
}

/// The entries of `read` and `write`.
pub(super) fn folders<'n>(node: &'n Node<'n>) -> impl Iterator<Item = &'n Node<'n>> {
    let keys = match &node.kind {
        Kind::Map(keys) => keys.as_slice(),
        Kind::List(_) | Kind::Text(_) | Kind::Number(_) | Kind::Boolean(_) | Kind::Null => &[],
    };
    let lists = keys
        .iter()
        .filter(|(key, _)| matches!(key.name.as_ref(), "read" | "write"));
    lists.flat_map(|(_, list)| match &list.kind {
        Kind::List(entries) => entries.as_slice(),
        Kind::Map(_) | Kind::Text(_) | Kind::Number(_) | Kind::Boolean(_) | Kind::Null => {
            std::slice::from_ref(list)
        }
    })
}

fn network(node: &Node<'_>, faults: &mut Faults) -> NetworkAccess {
    let known = NetworkAccess::ALL.iter().map(|access| access.as_str());
    let text = value::text(node, "network", faults);
    let access = text
        .as_ref()
        .map(|text| (text, NetworkAccess::from_text(text.text)));
    match access {
        Some((_, Some(access))) => access,
        Some((text, None)) => {
            let help = faults.hint(text.text, "values of `network`", known);
            let message = format!("`network` can't be `{}`", text.text);
            faults.add(RawFault::new(message, &text.span).help(help));
            NetworkAccess::None
        }
        None => NetworkAccess::None,
    }
}

/// A list of texts that are all different and each pass a check, which says what is wrong and the
/// way out.
fn entries(
    node: &Node<'_>,
    key: &str,
    items: &str,
    faults: &mut Faults,
    check: fn(&str) -> Result<(), (&'static str, &'static str)>,
) -> Vec<String> {
    let found = value::texts(node, key, items, faults);
    if found.len() > MAX_ENTRIES {
        let message = format!("`{key}` has more than {MAX_ENTRIES} {items}");
        faults.add(RawFault::new(message, &node.span));
    }
    let mut kept: Vec<String> = Vec::new();
    for Marked { text, span } in found.into_iter().take(MAX_ENTRIES) {
        if kept.iter().any(|known| known == text) {
            let message = format!("`{text}` is named twice in `{key}`");
            faults.add(RawFault::new(message, &span));
        } else if let Err((wrong, help)) = check(text) {
            let message = format!("`{key}` can't have `{text}`: {wrong}");
            faults.add(RawFault::new(message, &span).help(help));
        } else {
            kept.push(text.to_owned());
        }
    }
    kept
}

/// As far as the text tells; what is there is looked at when a run starts.
fn check_folder(path: &str) -> Result<(), (&'static str, &'static str)> {
    let name_it = "name the folder that is needed";
    if path.len() > MAX_PATH || path.contains('\0') {
        return Err(("it can't be the name of a folder", name_it));
    }
    if path.starts_with('~') {
        return Err(("`~` is not taken", "write the whole path"));
    }
    if path.split('/').all(str::is_empty) {
        return Err(("that is the whole machine", name_it));
    }
    Ok(())
}

fn check_variable(name: &str) -> Result<(), (&'static str, &'static str)> {
    let is_name = name.starts_with(|c: char| c == '_' || c.is_ascii_alphabetic())
        && name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric());
    if !is_name || name.len() > MAX_VARIABLE {
        let help =
            "names have letters, digits and `_`; values come from the environment of fusion-kit";
        return Err(("it can't be the name of a variable", help));
    }
    if OWN.contains(&name) {
        return Err(("commands have one of their own", "leave it out"));
    }
    if name.starts_with("FUSION_") || OF_RECORDS.contains(&name) {
        return Err(("it is fusion-kit's own", "leave it out"));
    }
    Ok(())
}

fn limits(node: &Node<'_>, agent: &str, faults: &mut Faults) -> LimitsSpec {
    let owner = format!("the `limits` of agent '{agent}'");
    let Some(section) = Section::open(node, owner, &LIMITS, faults) else {
        return LimitsSpec::default();
    };
    let mut limits = LimitsSpec::default();
    if let Some(node) = section.get("memory", faults) {
        limits.memory = bytes(node, "memory", LEAST_MEMORY, faults);
    }
    if let Some(node) = section.get("processes", faults) {
        let processes = value::whole_number(node, "processes", PROCESSES, faults);
        limits.processes = processes.map(u64::from);
    }
    if let Some(node) = section.get("cpu", faults) {
        limits.cpu_seconds = duration::seconds(node, "cpu", faults);
    }
    if let Some(node) = section.get("file_size", faults) {
        limits.file_size = bytes(node, "file_size", KIB, faults);
    }
    if let Some(node) = section.get("disk", faults) {
        limits.disk = bytes(node, "disk", LEAST_DISK, faults);
    }
    if let Some(node) = section.get("snapshot", faults) {
        limits.snapshot = bytes(node, "snapshot", KIB, faults);
    }
    if let Some(node) = section.get("files", faults) {
        limits.files = value::whole_number(node, "files", FILES, faults).map(u64::from);
    }
    limits
}

/// A size such as `512MiB`.
fn bytes(node: &Node<'_>, key: &str, least: u64, faults: &mut Faults) -> Option<u64> {
    let parsed = match &node.kind {
        Kind::Text(text) => parse_bytes(text),
        Kind::Map(_) | Kind::List(_) | Kind::Number(_) | Kind::Boolean(_) | Kind::Null => None,
    };
    let Some(bytes) = parsed else {
        let message = format!("`{key}` must be a size such as 512MiB or 2GiB");
        faults.add(RawFault::new(message, &node.span));
        return None;
    };
    if !(least..=MOST_BYTES).contains(&bytes) {
        let message = format!("`{key}` must be from {} to 1024GiB", shown(least));
        faults.add(RawFault::new(message, &node.span));
        return None;
    }
    Some(bytes)
}

fn parse_bytes(text: &str) -> Option<u64> {
    let (digits, unit) = UNITS
        .iter()
        .find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?.trim_end(), bytes)))?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(*unit)
}

fn shown(bytes: u64) -> String {
    if bytes >= MIB {
        format!("{}MiB", bytes / MIB)
    } else {
        format!("{}KiB", bytes / KIB)
    }
}
