//! The runs that a run is part of, and their budgets: these hold for all runs below.

use fusion_core::{Budget, ProjectId, Raise, Run, RunId, Workflow};
use fusion_persistence::{Batch, Repository as _};

use crate::races::Races;
use crate::{Coordinator, Raised, Result};

/// A run whose budgets a run uses up: one above it, or itself where runs lie below.
#[derive(Debug, Clone)]
pub(crate) struct Level {
    pub(crate) run: RunId,
    pub(crate) is_own: bool,
    /// That of the run.
    pub(crate) budget: Budget,
    /// The workflow, and the budget of all runs of it.
    pub(crate) workflow: String,
    pub(crate) total: Budget,
}

/// The runs that a run is part of.
#[derive(Debug, Clone, Default)]
pub(crate) struct Above {
    /// From the run itself to the outermost.
    pub(crate) levels: Vec<Level>,
    /// The project of the nearest of them that has one.
    pub(crate) project: Option<ProjectId>,
}

impl Above {
    fn add(&mut self, run: &Run, workflow: &Workflow, is_own: bool) {
        self.project = self.project.or(workflow.project_id);
        self.levels.push(Level {
            run: run.id,
            is_own,
            budget: workflow.definition.budget,
            workflow: workflow.name.clone(),
            total: workflow.definition.total_budget,
        });
    }
}

impl Coordinator {
    /// The runs that a run is part of.
    pub(crate) async fn above(&self, run: &Run, workflow: &Workflow) -> Result<Above> {
        let mut above = Above::default();
        if workflow.definition.has_calls() {
            above.add(run, workflow, true);
        }
        let mut parent = run.parent.as_ref().map(|parent| parent.run_id);
        while let Some(id) = parent {
            let run: Run = self.parts.store.get(id).await?;
            let workflow = self.workflow_version(run.workflow_id).await?;
            above.add(&run, &workflow, false);
            parent = run.parent.map(|parent| parent.run_id);
        }
        Ok(above)
    }

    /// Keeps the budgets that a person gave a run, where runs below it use these up too: whoever drives
    /// one of them reads them with each call.
    pub(crate) async fn keep_raise(&self, run: &Run, raised: &Raised) -> Result<()> {
        let total = raised.workflow.as_ref().map(|(_, budget)| *budget);
        let more = Raise {
            run: raised.run,
            total: total.unwrap_or_default(),
        };
        if more.is_empty() {
            return Ok(());
        }
        let workflow = self.workflow_version(run.workflow_id).await?;
        if !workflow.definition.has_calls() {
            return Ok(());
        }
        let mut races = Races::new();
        loop {
            let run: Run = self.parts.store.get(run.id).await?;
            let Some(decision) = run.raise_budgets(more) else {
                return Ok(());
            };
            match self.commit(Batch::free(decision)).await {
                Err(error) if error.is_conflict() => races.after(error).await?,
                other => return other,
            }
        }
    }
}
