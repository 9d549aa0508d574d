//! The user ids of new agents: no two get the same, however many are made at once.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fusion_core::{Agent, Workspace};
use fusion_workspaces::{Owners, choose_uid};

use crate::spawn::of_workspace;
use crate::{Coordinator, Result};

/// After so many looks at single ids, all that are in use are read at once: most of the range is.
const LOOKS: usize = 4;

/// The user ids that were chosen in this process for agents that are not stored yet.
#[derive(Debug, Default)]
pub(crate) struct Promised(Mutex<BTreeSet<u32>>);

impl Promised {
    /// Every change under the lock is one step, so a poisoned one holds a whole set.
    fn locked(&self) -> MutexGuard<'_, BTreeSet<u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// User ids that nobody else is given until this is dropped. By then their agents are stored, or never will be.
#[derive(Debug)]
pub(crate) struct Chosen {
    promised: Arc<Promised>,
    uids: BTreeSet<u32>,
}

impl Chosen {
    fn choose(
        &mut self,
        range: &RangeInclusive<u32>,
        used: &BTreeSet<u32>,
        seed: u128,
    ) -> fusion_workspaces::Result<u32> {
        let mut promised = self.promised.locked();
        let is_taken = |uid: &u32| used.contains(uid) || promised.contains(uid);
        let uid = choose_uid(range, is_taken, seed)?;
        promised.insert(uid);
        self.uids.insert(uid);
        Ok(uid)
    }

    fn give_back(&mut self, uid: u32) {
        self.uids.remove(&uid);
        self.promised.locked().remove(&uid);
    }
}

impl Drop for Chosen {
    fn drop(&mut self) {
        let mut promised = self.promised.locked();
        for uid in &self.uids {
            promised.remove(uid);
        }
    }
}

impl Coordinator {
    /// Gives new agents user ids, where agents have their own. What it returns is kept until they are stored.
    ///
    /// An id is promised first and looked up then: whoever stored it before the promise is seen.
    ///
    /// # Errors
    /// The ids are used up, or the store fails.
    pub(crate) async fn give_uids(&self, agents: &mut [&mut (Agent, Workspace)]) -> Result<Chosen> {
        let mut chosen = Chosen {
            promised: Arc::clone(&self.promised_uids),
            uids: BTreeSet::new(),
        };
        let Owners::Range(range) = &self.options.owners else {
            return Ok(chosen);
        };
        let mut used = BTreeSet::new();
        for looks in 0_usize.. {
            let asked = choose_missing(agents, &mut chosen, range, &used)?;
            if asked.is_empty() {
                break;
            }
            let found = if looks == LOOKS {
                self.parts.store.used_process_uids().await?
            } else {
                self.parts.store.process_uids_used_of(&asked).await?
            };
            for (_, workspace) in agents.iter_mut() {
                if let Some(uid) = workspace.process_uid.take_if(|uid| found.contains(uid)) {
                    chosen.give_back(uid);
                }
            }
            used.extend(found);
        }
        Ok(chosen)
    }
}

/// Chooses an id for each agent that has none, and says which.
fn choose_missing(
    agents: &mut [&mut (Agent, Workspace)],
    chosen: &mut Chosen,
    range: &RangeInclusive<u32>,
    used: &BTreeSet<u32>,
) -> Result<Vec<u32>> {
    let mut asked = Vec::new();
    for (agent, workspace) in agents.iter_mut().map(|both| &mut **both) {
        if workspace.process_uid.is_none() {
            let uid = chosen.choose(range, used, agent.id.uuid().as_u128());
            let uid = uid.map_err(|source| of_workspace(agent, source))?;
            workspace.process_uid = Some(uid);
            asked.push(uid);
        }
    }
    Ok(asked)
}
