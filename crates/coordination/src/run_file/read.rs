//! Reading a run file that nobody vouches for. Nothing is written here.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Seek};

use fusion_core::{Agent, Approval, Event, JournalEntry, Run, Task, Timestamp, Workflow, is_hash};
use fusion_workspaces::{ARTIFACT_LIMIT, Artifacts, Summed, read_bundle};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::check::{self, Told};
use super::collect::Sent;
use super::fault::RunFileFault;
use super::manifest::{
    ARTIFACTS, FORMAT, LIMITS, LISTS, MANIFEST, MOST_MANIFEST, MOST_ROWS, Manifest, Weight,
};

type Result<T> = std::result::Result<T, RunFileFault>;

/// What a file has, each part by itself.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rows {
    pub(super) manifest: Manifest,
    /// SHA-256 of the file.
    pub(super) file: String,
    pub(super) workflows: Vec<Workflow>,
    pub(super) runs: Vec<Run>,
    pub(super) agents: Vec<Agent>,
    pub(super) tasks: Vec<Task>,
    pub(super) journal: Vec<JournalEntry>,
    pub(super) approvals: Vec<Approval>,
}

/// Checks a whole file as an import does; gives what it says about itself, and the SHA-256 and the length of
/// it. This blocks.
///
/// # Errors
/// It is no whole run file, or one of a newer program.
pub fn looked_through(file: &File, now: Timestamp) -> Result<(Manifest, String, u64)> {
    let (rows, bytes) = rows(file, now)?;
    Ok((rows.manifest, rows.file, bytes))
}

/// The rows of a whole file that was checked, and its length.
pub(super) fn rows(file: &File, now: Timestamp) -> Result<(Rows, u64)> {
    let (reading, sha256, bytes) = walk(file)?;
    let rows = parsed(reading, sha256)?;
    check::sound(&rows, now)?;
    Ok((rows, bytes))
}

/// Each list goes away once it was read.
fn parsed(reading: Reading, file: String) -> Result<Rows> {
    let manifest = reading.manifest()?;
    let mut lists = reading.lists;
    let lists = &mut lists;
    let runs: Vec<Run> = lines(lists, 1)?;
    // They stay in the file: nothing of them is kept in memory.
    let told = Told::of(&runs, manifest.exported_at);
    each(lists, 6, |sent: Sent| told.message(&sent))?;
    each(lists, 7, |event: Event| told.event(&event))?;
    Ok(Rows {
        manifest,
        file,
        workflows: lines(lists, 0)?,
        runs,
        agents: lines(lists, 2)?,
        tasks: lines(lists, 3)?,
        journal: lines(lists, 4)?,
        approvals: lines(lists, 5)?,
    })
}

/// Copies the kept files in a run file, which was looked through before, to the others, and the file itself.
/// What was not kept before is put into `newly`, also when it fails.
pub(super) fn keep(
    file: &File,
    sha256: &str,
    kept: &Artifacts,
    newly: &mut BTreeSet<String>,
) -> Result<()> {
    let mut keep = |content: &mut dyn Read, sha256: &str| {
        let (copy, is_new) = kept.keep_newly(content)?;
        newly.extend(is_new.then(|| copy.sha256.clone()));
        match copy.sha256 == sha256 {
            true => Ok(()),
            false => Err(changed()),
        }
    };
    keep(&mut rewound(file)?, sha256)?;
    let from = rewound(file)?;
    read_bundle(from, LIMITS, |name, _, content| {
        match name.strip_prefix(ARTIFACTS) {
            Some(sha256) => keep(content, sha256),
            None => Ok(()),
        }
    })?;
    Ok(())
}

fn changed() -> io::Error {
    io::Error::other("the file was changed while it was read")
}

fn rewound(file: &File) -> io::Result<File> {
    let mut file = file.try_clone()?;
    file.rewind()?;
    Ok(file)
}

fn walk(file: &File) -> Result<(Reading, String, u64)> {
    if file.metadata()?.len() > ARTIFACT_LIMIT {
        let why = format!("it has more than {} MiB", ARTIFACT_LIMIT >> 20);
        return Err(RunFileFault::unsound(why));
    }
    let mut summed = Summed::new(rewound(file)?.take(ARTIFACT_LIMIT));
    let mut reading = Reading::new();
    let read = read_bundle(&mut summed, LIMITS, |name, bytes, content| {
        reading.member(name, bytes, content)
    });
    match (read, reading.newer) {
        (_, Some(format)) => Err(RunFileFault::Newer { format }),
        (Err(error), None) => Err(RunFileFault::unsound(error.to_string())),
        (Ok(()), None) => {
            let (_, sha256, bytes) = summed.finish();
            Ok((reading, sha256, bytes))
        }
    }
}

/// The lists as they stand in a file.
type Lists = [Vec<u8>; LISTS.len()];

/// How far a file was read.
struct Reading {
    manifest: Option<Manifest>,
    /// The number of a format that is not ours.
    newer: Option<u32>,
    /// Members of the manifest that were read.
    seen: usize,
    /// Bytes of lists.
    rows: u64,
    /// What they may still take of memory.
    weight: Weight,
    lists: Lists,
}

impl Reading {
    const fn new() -> Self {
        Self {
            manifest: None,
            newer: None,
            seen: 0,
            rows: 0,
            weight: Weight::MOST,
            lists: [const { Vec::new() }; LISTS.len()],
        }
    }

    fn member(&mut self, name: &str, bytes: u64, content: &mut dyn Read) -> io::Result<()> {
        let Some(manifest) = &self.manifest else {
            let manifest = self.first(name, bytes, content)?;
            self.manifest = Some(manifest);
            return Ok(());
        };
        let listed = manifest.members.get(self.seen);
        let listed = listed.filter(|listed| listed.name == name && listed.bytes == bytes);
        let Some(listed) = listed.cloned() else {
            return Err(wrong("its members are not those that its manifest names"));
        };
        let mut summed = Summed::new(content);
        let list = self.lists.get_mut(self.seen);
        if let Some(list) = list {
            self.rows = self.rows.saturating_add(bytes);
            if self.rows > MOST_ROWS {
                let text = format!("it has more than {} MiB of rows", MOST_ROWS >> 20);
                return Err(wrong(text));
            }
            summed.read_to_end(list)?;
            let left = self.weight.less(Weight::of(list));
            self.weight = left.map_err(|most| wrong(format!("it has more than {most}")))?;
        } else {
            if bytes > ARTIFACT_LIMIT {
                let text = format!(
                    "it has a kept file of more than {} MiB",
                    ARTIFACT_LIMIT >> 20
                );
                return Err(wrong(text));
            }
            io::copy(&mut summed, &mut io::sink())?;
        }
        self.seen += 1;
        let (_, sha256, read) = summed.finish();
        if sha256 == listed.sha256 && read == bytes {
            Ok(())
        } else {
            let text = format!("the SHA-256 of {name} is another than the manifest says");
            Err(wrong(text))
        }
    }

    fn first(&mut self, name: &str, bytes: u64, content: &mut dyn Read) -> io::Result<Manifest> {
        if name != MANIFEST || bytes > MOST_MANIFEST {
            return Err(wrong("it does not begin with a manifest"));
        }
        let mut text = Vec::new();
        content.read_to_end(&mut text)?;
        let unread =
            |error: serde_json::Error| wrong(format!("its manifest can't be read: {error}"));
        let Numbered { format } = serde_json::from_slice(&text).map_err(unread)?;
        if format > FORMAT {
            self.newer = Some(format);
            return Err(wrong("its format is newer"));
        }
        if format != FORMAT {
            return Err(wrong("its format is none that there was"));
        }
        let manifest: Manifest = serde_json::from_slice(&text).map_err(unread)?;
        let names = manifest.members.iter().map(|listed| listed.name.as_str());
        let are_lists = names.clone().take(LISTS.len()).eq(LISTS);
        let mut rest = manifest.members.iter().skip(LISTS.len());
        let is_kept = |name: &str, sha256: &str| {
            name.strip_prefix(ARTIFACTS) == Some(sha256) && is_hash(sha256)
        };
        if are_lists && rest.all(|listed| is_kept(&listed.name, &listed.sha256)) {
            Ok(manifest)
        } else {
            Err(wrong("its manifest names what no export has"))
        }
    }

    fn manifest(&self) -> Result<Manifest> {
        let manifest = self.manifest.clone();
        let whole = manifest.filter(|manifest| manifest.members.len() == self.seen);
        whole.ok_or_else(|| RunFileFault::unsound("members that its manifest names are missing"))
    }
}

/// What every manifest has, whatever else is in it.
#[derive(Deserialize)]
struct Numbered {
    format: u32,
}

fn wrong(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

fn lines<T: DeserializeOwned>(lists: &mut Lists, list: usize) -> Result<Vec<T>> {
    let mut rows = Vec::new();
    each(lists, list, |row| {
        rows.push(row);
        Ok(())
    })?;
    Ok(rows)
}

/// Does something with each row of a list, which then goes away; a fault is told with its line.
fn each<T: DeserializeOwned>(
    lists: &mut Lists,
    list: usize,
    mut with: impl FnMut(T) -> Result<()>,
) -> Result<()> {
    let text = lists.get_mut(list).map(std::mem::take).unwrap_or_default();
    let name = LISTS.get(list).copied().unwrap_or_default();
    let lines = text.split(|byte| *byte == b'\n');
    for (number, line) in lines.enumerate().filter(|(_, line)| !line.is_empty()) {
        let line_of = || format!("line {} of {name}", number.saturating_add(1));
        let row = serde_json::from_slice(line).map_err(|error| {
            RunFileFault::unsound(format!("{} can't be read: {error}", line_of()))
        })?;
        with(row).map_err(|fault| fault.at(&line_of()))?;
    }
    Ok(())
}
