//! Kept files that deleted runs named: removed once nobody names them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use fusion_core::{Change, Decision};
use fusion_persistence::{Batch, NamedFiles};
use fusion_workspaces::Holding;

use super::Until;
use crate::coordinator::off_runtime;
use crate::run_file::RunFileFault;
use crate::{Coordinator, Error, Result};

/// Files that are looked for in one pass over what all tasks have made.
const LOOKED_FOR: u32 = 10_000;

/// Files that are dealt with under one lock.
const FILES: usize = 200;

/// How often, and after which wait, it is tried to be alone with the kept files.
const TRIES: u32 = 20;
const WAIT: Duration = Duration::from_millis(50);

impl Coordinator {
    /// Removes the files that deleted runs named and that nobody names any more. Where others keep files all
    /// the time, it is left for the next time. What can't be removed holds up no other, however many there are.
    pub(crate) async fn forget_files(&self, until: Until) -> Result<()> {
        let (mut after, mut stuck) = (None::<String>, None);
        loop {
            let loose = self.parts.store.loose_files(after.as_deref(), LOOKED_FOR);
            let loose = loose.await?;
            let Some((last, _)) = loose.last_key_value() else {
                break;
            };
            after = Some(last.clone());
            let noted = loose.into_iter().map(|(file, noted)| (file, Some(noted)));
            match self.forget_unnamed(&noted.collect(), until).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(Error::RunFile(RunFileFault::Disk { source: error })) => {
                    stuck = stuck.or(Some(error));
                }
                Err(error) => return Err(error),
            }
        }
        if let Some(error) = stuck {
            tracing::warn!(%error, "files that nobody names can't be removed");
        }
        Ok(())
    }

    /// Removes those of some files that nobody names; says whether all were dealt with, which they are not
    /// where the time is over. Where others keep files all the time, they stay. What all tasks have made is
    /// read before, for that takes a while: while nobody may keep a file, only what was committed since. Each
    /// is given with the noting of it that was looked at: where it was noted again since, that stays. What
    /// comes without one was not noted.
    ///
    /// # Errors
    /// The store fails; the disk does for some file, and the others are dealt with.
    pub(crate) async fn forget_unnamed(
        &self,
        files: &BTreeMap<String, Option<u64>>,
        until: Until,
    ) -> Result<bool> {
        if files.is_empty() {
            return Ok(true);
        }
        let hashes = files.keys().cloned().collect();
        let looking = async {
            fail::fail_point!("coordination::looks_for_files");
            self.parts.store.files_named(&hashes).await
        };
        let Some(known) = until.at_most(looking).await else {
            self.untidy.notify_one();
            return Ok(false);
        };
        let (known, mut failed) = (known?, None);
        fail::fail_point!("coordination::looked_for_files");
        let files: Vec<(&String, &Option<u64>)> = files.iter().collect();
        for some in files.chunks(FILES) {
            if until.is_over() {
                self.untidy.notify_one();
                return Ok(false);
            }
            let Some(alone) = self.alone().await? else {
                return Ok(false);
            };
            let some = some.iter().map(|(file, noted)| ((*file).clone(), **noted));
            let stuck = self.forget_some(some.collect(), &known, alone).await?;
            failed = failed.or(stuck);
        }
        failed.map_or(Ok(true), |error| Err(RunFileFault::from(error).into()))
    }

    /// For who removes kept files; `None` where others keep some all the time.
    async fn alone(&self) -> Result<Option<Holding>> {
        for _ in 0..TRIES {
            let kept = self.kept();
            let alone = off_runtime(move || kept.alone()).await?;
            if let Some(alone) = alone.map_err(RunFileFault::from)? {
                return Ok(Some(alone));
            }
            tokio::time::sleep(WAIT).await;
        }
        Ok(None)
    }

    /// Removes those of some files that nobody names, while nobody else keeps any, and notes that they were
    /// dealt with. Gives why the first one of those could not be removed that could not: they are tried again.
    async fn forget_some(
        &self,
        files: BTreeMap<String, Option<u64>>,
        known: &NamedFiles,
        alone: Holding,
    ) -> Result<Option<io::Error>> {
        let store = &self.parts.store;
        // What a process committed that was killed meanwhile is seen from here on.
        self.note_forgotten(BTreeMap::new()).await?;
        let hashes: BTreeSet<String> = files.keys().cloned().collect();
        let since = match store.files_named_since(&hashes, known.up_to).await? {
            Some(since) => since,
            // The log has lost what was committed since.
            None => store.files_named(&hashes).await?.files,
        };
        let is_named = |file: &String| known.files.contains(file) || since.contains(file);
        let unnamed: Vec<String> = hashes.into_iter().filter(|file| !is_named(file)).collect();
        let kept = self.kept();
        let removed = off_runtime(move || {
            let (mut left, mut failed) = (BTreeSet::new(), None);
            for file in unnamed {
                if let Err(error) = kept.remove(&file, &alone) {
                    failed = failed.or(Some(error));
                    left.insert(file);
                    continue;
                }
                fail::fail_point!("coordination::removed_file", |_| std::process::abort());
            }
            (left, failed, alone)
        });
        let (left, failed, _alone) = removed.await?;
        let done = files.into_iter().filter(|(file, _)| !left.contains(file));
        let done = done.filter_map(|(file, noted)| Some((file, noted?)));
        self.note_forgotten(done.collect()).await?;
        Ok(failed)
    }

    async fn note_forgotten(&self, files: BTreeMap<String, u64>) -> Result<()> {
        let decision = Decision::default().with(Change::ForgetFiles(files));
        self.commit(Batch::free(decision)).await
    }
}
