//! The versions of workflows that were used last. What a run needs of a version never changes, so that
//! nobody reads it twice.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use fusion_core::{Decision, Workflow, WorkflowId, WorkflowState};
use fusion_persistence::Repository as _;
use lru::LruCache;

use crate::spawn::Definition;
use crate::tasks::Written;
use crate::{Coordinator, Result};

/// Versions that are kept.
const KEPT: NonZeroUsize = NonZeroUsize::new(64).unwrap();

/// Versions by their ids.
pub(crate) struct Versions {
    recent: Mutex<LruCache<WorkflowId, Arc<Workflow>>>,
    /// The definitions of tasks of their own, by what they may take and how often they are tried.
    of_tasks: Mutex<LruCache<(u64, u32), OfTasks>>,
}

/// The definition of tasks of their own.
#[derive(Clone)]
pub(crate) struct OfTasks {
    pub(crate) written: Arc<Written>,
    /// Its stored version, once it was seen. The run of a task refers to it, so that it stays.
    pub(crate) stored: Option<Arc<Workflow>>,
}

impl Default for Versions {
    fn default() -> Self {
        Self {
            recent: Mutex::new(LruCache::new(KEPT)),
            of_tasks: Mutex::new(LruCache::new(KEPT)),
        }
    }
}

impl fmt::Debug for Versions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Versions").finish_non_exhaustive()
    }
}

impl Versions {
    fn known(&self, id: WorkflowId) -> Option<Arc<Workflow>> {
        // Each change under the lock is one step, so a poisoned one holds whole values.
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.get(&id).cloned()
    }

    /// The definition of tasks of their own, which is written once.
    pub(crate) fn of_tasks(
        &self,
        limits: (u64, u32),
        write: impl FnOnce() -> Result<Written>,
    ) -> Result<OfTasks> {
        let mut of_tasks = self.of_tasks.lock().unwrap_or_else(PoisonError::into_inner);
        let known = of_tasks.try_get_or_insert(limits, || {
            write().map(|written| OfTasks {
                written: Arc::new(written),
                stored: None,
            })
        })?;
        Ok(known.clone())
    }

    /// Keeps the version that is stored of the definition of such tasks.
    pub(crate) fn keep_of_tasks(&self, limits: (u64, u32), stored: &Arc<Workflow>) {
        let mut of_tasks = self.of_tasks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = of_tasks.get_mut(&limits) {
            known.stored = Some(Arc::clone(stored));
        }
    }

    fn keep(&self, workflow: &Arc<Workflow>) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.put(workflow.id, Arc::clone(workflow));
    }
}

impl Coordinator {
    /// A version of a workflow: name, definition and text as stored; its state may have moved on.
    pub(crate) async fn workflow_version(&self, id: WorkflowId) -> Result<Arc<Workflow>> {
        if let Some(known) = self.versions.known(id) {
            return Ok(known);
        }
        let read = Arc::new(self.parts.store.get(id).await?);
        self.versions.keep(&read);
        Ok(read)
    }

    /// The newest version under a name, as [`workflow_version`](Self::workflow_version).
    pub(crate) async fn newest_version(&self, name: &str) -> Result<Option<Arc<Workflow>>> {
        match self.parts.store.newest_version(name).await? {
            Some(id) => self.workflow_version(id).await.map(Some),
            None => Ok(None),
        }
    }

    /// The stored version of this very text, or a new one.
    pub(crate) fn version(
        &self,
        new: &Definition<'_>,
        latest: Option<Arc<Workflow>>,
    ) -> (Arc<Workflow>, Decision) {
        let (mut next, mut project_id) = (1, None);
        if let Some(latest) = latest {
            let is_same = latest.source == new.source;
            if is_same && latest.base_dir == new.base_dir {
                return (latest, Decision::default());
            }
            next = latest.definition_version.saturating_add(1);
            // The same text in another folder stays in its project.
            project_id = latest.project_id.filter(|_| is_same);
        }
        let moment = self.moment();
        let workflow = Workflow {
            id: WorkflowId::from_uuid(self.parts.ids.uuid()),
            name: new.checked.name.clone(),
            description: new.checked.description.clone(),
            definition: new.checked.clone(),
            source: new.source.to_owned(),
            base_dir: new.base_dir.to_owned(),
            state: WorkflowState::Ready,
            created_at: moment.now,
            project_id,
            definition_version: next,
            version: 1,
        };
        let decision = workflow.create(moment);
        (Arc::new(workflow), decision)
    }
}
