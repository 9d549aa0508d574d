//! A run and all that is told of it, on its way into a file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use fusion_core::{
    Agent, AgentId, Approval, Delivery, Message, Run, RunId, Timestamp, Workflow, WorkflowId,
};
use fusion_persistence::{
    ApprovalFilter, EventFilter, MessageFilter, Page, Reader, Repository as _, RunFilter,
};
use fusion_workspaces::{ARTIFACT_LIMIT, Artifacts, Member, Source, Spool, write_bundle};
use serde::{Deserialize, Serialize};

use super::fault::RunFileFault;
use super::manifest::{
    ARTIFACTS, FORMAT, LISTS, Listed, MANIFEST, MOST_ENTRIES, MOST_MEMBERS, MOST_ROWS, Manifest,
    Origin, STORED, Weight,
};
use crate::artifacts::{files_of, handed_to};
use crate::coordinator::off_runtime;
use crate::deletions::expect_whole;
use crate::{Error, Result};

/// Rows that are read at once.
const AT_ONCE: u32 = 500;

/// Bytes of rows that are written at once.
const PIECE: usize = 1024 * 1024;

/// A run that is about to be written to a file.
#[derive(Debug)]
pub struct RunFile {
    content: Content,
    /// SHA-256 of what it says was done; of an imported run the file has it.
    said: Option<String>,
}

#[derive(Debug)]
enum Content {
    /// These members.
    New(Vec<Member>),
    /// The file that it came with.
    Kept(File),
}

/// A message and what became of it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Sent {
    pub(super) message: Message,
    pub(super) deliveries: Vec<Delivery>,
}

impl RunFile {
    /// Reads a run that has ended, and all runs below it. What is long is put into files without names on
    /// the disk of the folder `spool`. Of an imported run it is the file that it came with.
    ///
    /// # Errors
    /// There is no such run, it has not ended or is a step of another one, there is too much of it, a kept
    /// file is damaged, or the store or the disk fails.
    pub async fn collect(
        store: &dyn Reader,
        kept: &Artifacts,
        run: RunId,
        (origin, now): (&Origin, Timestamp),
        spool: &Path,
    ) -> Result<Self> {
        let root: Run = store.get(run).await?;
        if let Some(parent) = &root.parent {
            let above = parent.run_id;
            return Err(RunFileFault::OfStep { run, above }.into());
        }
        if let Some(imported) = &root.imported {
            let (kept, hash) = (kept.clone(), imported.file.clone());
            let file = off_runtime(move || kept.open(&hash)).await?;
            let file = file.map_err(|source| Error::Artifact { source })?;
            return file
                .map(|file| Self {
                    content: Content::Kept(file),
                    said: None,
                })
                .ok_or_else(|| RunFileFault::FileGone { run }.into());
        }
        let runs = tree(store, root.clone()).await?;
        if let Some(open) = runs.iter().find(|run| !run.state.is_final()) {
            return Err(RunFileFault::NotEnded { run: open.id }.into());
        }
        let mut collecting = Collecting {
            store,
            kept,
            spool: spool.to_path_buf(),
            room: Room::whole(),
            members: Vec::new(),
        };
        let (events_up_to, missing) = collecting.everything(&runs).await?;
        expect_whole(store, run).await?;
        let manifest = Manifest {
            format: FORMAT,
            run,
            workflow: root.workflow_name,
            runs: u64::try_from(runs.len()).unwrap_or(u64::MAX),
            exported_at: now,
            machine: origin.machine.clone(),
            program: origin.program.clone(),
            events_up_to,
            missing,
            members: collecting.listed(),
        };
        collecting.finish(&manifest).await
    }

    /// SHA-256, in hex, of what it says was done; `None` of an imported run.
    pub(super) fn content(&self) -> Option<&str> {
        self.said.as_deref()
    }

    /// Writes the file. This blocks.
    ///
    /// # Errors
    /// Reading or writing fails, or it is longer than an import takes (`FileTooLarge`): what was written is
    /// no whole file.
    pub fn write(self, mut to: impl Write) -> io::Result<()> {
        match self.content {
            Content::New(members) => write_bundle(members, Bounded::new(to)),
            Content::Kept(mut file) => {
                io::copy(&mut file, &mut to)?;
                to.flush()
            }
        }
    }
}

/// Takes no more than an import does.
struct Bounded<T> {
    to: T,
    left: u64,
}

impl<T> Bounded<T> {
    const fn new(to: T) -> Self {
        Self {
            to,
            left: ARTIFACT_LIMIT,
        }
    }
}

impl<T: Write> Write for Bounded<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.to.write(bytes)?;
        let left = u64::try_from(count)
            .ok()
            .and_then(|count| self.left.checked_sub(count));
        self.left = left.ok_or(io::ErrorKind::FileTooLarge)?;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// A run and those below it, each after the one above it.
pub(crate) async fn tree(store: &dyn Reader, root: Run) -> Result<Vec<Run>> {
    let mut runs = vec![root];
    let mut next = 0;
    while let Some(run) = runs.get(next) {
        let filter = RunFilter {
            parent: Some(Some(run.id)),
            ..RunFilter::default()
        };
        let mut page = Page::first(AT_ONCE);
        loop {
            let found: Vec<Run> = store.list(&filter, page).await?;
            let Some(last) = found.last() else { break };
            page.after = Some(last.id);
            runs.extend(found);
        }
        next += 1;
    }
    Ok(runs)
}

struct Collecting<'a> {
    store: &'a dyn Reader,
    kept: &'a Artifacts,
    spool: PathBuf,
    /// What there may still be of rows.
    room: Room,
    members: Vec<(Member, String)>,
}

impl Collecting<'_> {
    /// Gives the end of the log, and the kept files that are gone.
    async fn everything(&mut self, runs: &[Run]) -> Result<(u64, Vec<String>)> {
        self.definitions(runs).await?;
        let mut all = self.sheet()?;
        for run in runs {
            all.row(run).await?;
        }
        self.done(all).await?;
        self.agents(runs).await?;
        let hashes = self.tasks(runs).await?;
        self.approvals(runs).await?;
        self.messages(runs).await?;
        let last = self.events(runs).await?;
        let missing = self.artifacts(hashes).await?;
        Ok((last, missing))
    }

    fn sheet(&self) -> Result<Sheet> {
        let spool = Spool::within(&self.spool).map_err(RunFileFault::from)?;
        Ok(Sheet {
            spool: Some(spool),
            buffer: Vec::new(),
            rows: 0,
            room: self.room,
        })
    }

    /// The next list is whole.
    async fn done(&mut self, mut sheet: Sheet) -> Result<()> {
        sheet.flush().await?;
        self.room = sheet.room;
        let name = LISTS.get(self.members.len()).copied();
        let (Some(name), Some(spool)) = (name, sheet.spool.take()) else {
            return Err(Error::Broken("a run file has too many lists".to_owned()));
        };
        if STORED.contains(&name) {
            self.room.entries(sheet.rows)?;
        }
        let finished = off_runtime(move || spool.finish()).await?;
        let finished = finished.map_err(RunFileFault::from)?;
        self.members.push(finished.named(name));
        Ok(())
    }

    async fn definitions(&mut self, runs: &[Run]) -> Result<()> {
        let ids: BTreeSet<WorkflowId> = runs.iter().map(|run| run.workflow_id).collect();
        let mut all = self.sheet()?;
        for id in ids {
            let workflow: Workflow = self.store.get(id).await?;
            all.row(&Workflow {
                base_dir: String::new(),
                project_id: None,
                ..workflow
            })
            .await?;
        }
        self.done(all).await
    }

    async fn agents(&mut self, runs: &[Run]) -> Result<()> {
        let mut agents: BTreeMap<AgentId, Agent> = BTreeMap::new();
        for run in runs {
            let found = self.store.agents_of_run(run.id).await?;
            agents.extend(found.into_iter().map(|(agent, _)| (agent.id, agent)));
        }
        let mut all = self.sheet()?;
        for agent in agents.into_values() {
            all.row(&Agent {
                workspace_path: String::new(),
                provider_id: None,
                project_id: None,
                ..agent
            })
            .await?;
        }
        self.done(all).await
    }

    /// Tasks and their journals. Gives the kept files that the tasks' results name.
    async fn tasks(&mut self, runs: &[Run]) -> Result<BTreeSet<String>> {
        let mut hashes = BTreeSet::new();
        let mut all = self.sheet()?;
        let mut ids = Vec::new();
        for run in runs {
            hashes.extend(handed_to(self.store, run).await?);
            for task in self.store.tasks_of_run(run.id).await? {
                all.row(&task).await?;
                all.room.entries(task.dependencies.len())?;
                hashes.extend(files_of(&task).into_iter().map(|file| file.sha256));
                ids.push(task.id);
            }
        }
        self.done(all).await?;
        let mut all = self.sheet()?;
        for id in ids {
            for entry in self.store.journal(id).await? {
                all.row(&entry).await?;
            }
        }
        self.done(all).await?;
        Ok(hashes)
    }

    async fn approvals(&mut self, runs: &[Run]) -> Result<()> {
        let mut all = self.sheet()?;
        for run in runs {
            let filter = ApprovalFilter {
                run: Some(run.id),
                ..ApprovalFilter::default()
            };
            let mut page = Page::first(AT_ONCE);
            loop {
                let found: Vec<Approval> = self.store.list(&filter, page).await?;
                let Some(last) = found.last() else { break };
                page.after = Some(last.id);
                for approval in &found {
                    all.row(approval).await?;
                }
            }
        }
        self.done(all).await
    }

    async fn messages(&mut self, runs: &[Run]) -> Result<()> {
        let mut all = self.sheet()?;
        for run in runs {
            let filter = MessageFilter {
                run: Some(run.id),
                ..MessageFilter::default()
            };
            let mut after = 0;
            loop {
                let found = self.store.messages_after(&filter, after, AT_ONCE).await?;
                let Some(last) = found.last() else { break };
                after = last.seq;
                for message in found {
                    let deliveries = self.store.deliveries(message.id).await?;
                    let sent = Sent {
                        message,
                        deliveries,
                    };
                    all.row(&sent).await?;
                }
            }
        }
        self.done(all).await
    }

    /// Those that are still kept, as `events list` shows them. Gives the end of the log.
    async fn events(&mut self, runs: &[Run]) -> Result<u64> {
        let bounds = self.store.event_bounds().await?;
        let mut all = self.sheet()?;
        for run in runs {
            let filter = EventFilter::of_run(run.id);
            let mut after = bounds.oldest.saturating_sub(1);
            loop {
                let found = self.store.events_after(&filter, after, AT_ONCE).await?;
                let Some(last) = found.last() else { break };
                after = last.seq;
                for event in found.iter().filter(|event| event.seq <= bounds.last) {
                    all.row(event).await?;
                }
            }
        }
        self.done(all).await?;
        Ok(bounds.last)
    }

    async fn artifacts(&mut self, hashes: BTreeSet<String>) -> Result<Vec<String>> {
        let mut missing = Vec::new();
        for sha256 in hashes {
            let (kept, hash) = (self.kept.clone(), sha256.clone());
            let found = off_runtime(move || kept.find(&hash)).await?;
            let found = found.map_err(|source| Error::Artifact { source })?;
            let Some((path, bytes)) = found else {
                missing.push(sha256);
                continue;
            };
            let name = format!("{ARTIFACTS}{sha256}");
            let from = Source::At(path);
            self.members.push((Member { name, bytes, from }, sha256));
        }
        Ok(missing)
    }

    fn listed(&self) -> Vec<Listed> {
        let members = self.members.iter();
        let listed = members.map(|(member, sha256)| Listed {
            name: member.name.clone(),
            bytes: member.bytes,
            sha256: sha256.clone(),
        });
        listed.collect()
    }

    async fn finish(self, manifest: &Manifest) -> Result<RunFile> {
        if u64::try_from(self.members.len()).unwrap_or(u64::MAX) >= MOST_MEMBERS {
            let what = format!("{} lists and kept files", self.members.len());
            return Err(RunFileFault::TooLarge { what }.into());
        }
        let mut sheet = Sheet {
            spool: Some(Spool::within(&self.spool).map_err(RunFileFault::from)?),
            buffer: Vec::new(),
            rows: 0,
            room: Room::whole(),
        };
        sheet.row(manifest).await?;
        sheet.flush().await?;
        let Some(spool) = sheet.spool.take() else {
            return Err(Error::Broken("a run file has no manifest".to_owned()));
        };
        let first = off_runtime(move || spool.finish()).await?;
        let (first, _) = first.map_err(RunFileFault::from)?.named(MANIFEST);
        let rest = self.members.into_iter().map(|(member, _)| member);
        Ok(RunFile {
            content: Content::New([first].into_iter().chain(rest).collect()),
            said: Some(manifest.content()),
        })
    }
}

/// Rows as JSON lines.
struct Sheet {
    /// Away only while it is written to.
    spool: Option<Spool>,
    buffer: Vec<u8>,
    rows: usize,
    room: Room,
}

/// How much of rows there may still be.
#[derive(Debug, Clone, Copy)]
struct Room {
    bytes: u64,
    weight: Weight,
    entries: u64,
}

impl Room {
    const fn whole() -> Self {
        Self {
            bytes: MOST_ROWS,
            weight: Weight::MOST,
            entries: MOST_ENTRIES,
        }
    }

    fn row(&mut self, line: &[u8]) -> Result<()> {
        let bytes = u64::try_from(line.len()).unwrap_or(u64::MAX);
        self.bytes = left(self.bytes, bytes, || {
            format!("{} MiB of rows", MOST_ROWS >> 20)
        })?;
        let left = self.weight.less(Weight::of(line));
        self.weight = left.map_err(|most| RunFileFault::TooLarge {
            what: format!("more than {most}"),
        })?;
        Ok(())
    }

    fn entries(&mut self, more: usize) -> Result<()> {
        let more = u64::try_from(more).unwrap_or(u64::MAX);
        self.entries = left(self.entries, more, || {
            format!("{MOST_ENTRIES} rows and needs of steps")
        })?;
        Ok(())
    }
}

fn left(room: u64, taken: u64, most: impl Fn() -> String) -> Result<u64> {
    room.checked_sub(taken).ok_or_else(|| {
        let what = format!("more than {}", most());
        RunFileFault::TooLarge { what }.into()
    })
}

impl Sheet {
    async fn row(&mut self, row: &(impl Serialize + Sync)) -> Result<()> {
        let before = self.buffer.len();
        let written = serde_json::to_writer(&mut self.buffer, row);
        written.map_err(|error| Error::Broken(format!("a row is no JSON: {error}")))?;
        self.buffer.push(b'\n');
        self.rows = self.rows.saturating_add(1);
        self.room
            .row(self.buffer.get(before..).unwrap_or_default())?;
        if self.buffer.len() >= PIECE {
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        let piece = std::mem::take(&mut self.buffer);
        let Some(mut spool) = self.spool.take() else {
            return Err(Error::Broken("a run file is written to twice".to_owned()));
        };
        let (spool, written) = off_runtime(move || {
            let written = spool.write_all(&piece);
            (spool, written)
        })
        .await?;
        self.spool = Some(spool);
        Ok(written.map_err(RunFileFault::from)?)
    }
}
