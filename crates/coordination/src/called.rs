//! The workflows that the steps of a workflow are runs of: looked up when a run is created, and kept for
//! all runs below it, whatever is stored meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use fusion_core::{
    CallSpec, InputFault, StepSpec, Workflow, WorkflowDefinition, WorkflowId, nearest,
};
use fusion_persistence::{Page, Repository, WorkflowFilter};
use fusion_workflow_file::{Called, CalledWorkflows, Fault, call_faults, missing_outputs};

use crate::{Coordinator, Error, Result};

/// How many runs may lie below one another, the outermost not counted.
const MAX_DEPTH: u32 = 8;

/// Versions that are looked at.
const SEARCHED: u32 = 10_000;

/// Faults that are told.
const TOLD: usize = 50;

/// What is wrong between a workflow and those that its steps are runs of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallFault {
    /// A step can't be a run of its workflow.
    #[error("step '{step}' of the workflow '{of}': {what}")]
    Step {
        /// The workflow whose step it is.
        of: String,
        /// The step.
        step: String,
        /// What is wrong.
        what: WrongCall,
    },
    /// It takes an output or files that the other workflow does not have, or not any more.
    #[error("the workflow '{of}', {fault}{}", hint(fault))]
    Output {
        /// The workflow that takes it.
        of: String,
        /// What is missing, and where in its file it is named.
        fault: Fault,
    },
}

/// Why a workflow can't be run by a step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WrongCall {
    /// No such workflow is stored.
    #[error("there is no stored workflow '{name}'{}", near(.nearest.as_ref()))]
    NoWorkflow {
        /// Its name.
        name: String,
        /// The stored name most like it.
        nearest: Option<String>,
    },
    /// The workflow has no such version.
    #[error("the workflow '{name}' has no version {version}")]
    NoVersion {
        /// Its name.
        name: String,
        /// The version.
        version: u32,
    },
    /// A workflow would run itself.
    #[error("a workflow can't run itself: {}", chain.join(" -> "))]
    Itself {
        /// From the workflow on, back to it.
        chain: Vec<String>,
    },
    /// Too many runs would lie below one another.
    #[error("more than {MAX_DEPTH} runs would lie below one another: {}", chain.join(" -> "))]
    TooDeep {
        /// From the outermost on.
        chain: Vec<String>,
    },
    /// The inputs don't fit.
    #[error("the inputs of '{name}' don't fit: {fault}{}", declared(fault))]
    Input {
        /// The workflow that is to be run.
        name: String,
        /// How.
        fault: InputFault,
    },
}

fn near(nearest: Option<&String>) -> String {
    nearest.map_or_else(String::new, |name| format!(": did you mean '{name}'?"))
}

fn hint(fault: &Fault) -> String {
    let help = fault.help.as_ref();
    help.map_or_else(String::new, |help| format!(": {help}"))
}

fn declared(fault: &InputFault) -> String {
    match fault {
        InputFault::Undeclared { nearest, .. } => near(nearest.as_ref()),
        InputFault::Missing { .. }
        | InputFault::HandedOver { .. }
        | InputFault::WrongType { .. } => String::new(),
    }
}

/// What was found so far.
#[derive(Default)]
struct Found {
    called: BTreeMap<String, WorkflowId>,
    /// How many runs lie below one of a version.
    heights: BTreeMap<WorkflowId, u32>,
    faults: Vec<CallFault>,
    /// The names from the outermost workflow to the one that is looked at.
    chain: Vec<String>,
}

impl Found {
    fn tell(&mut self, of: &str, step: &StepSpec, what: WrongCall) {
        self.tell_of(CallFault::Step {
            of: of.to_owned(),
            step: step.id.clone(),
            what,
        });
    }

    fn tell_of(&mut self, fault: CallFault) {
        if self.faults.len() < TOLD {
            self.faults.push(fault);
        }
    }

    fn chain_to(&self, name: &str) -> Vec<String> {
        let chain = self.chain.iter().map(String::as_str);
        chain.chain([name]).map(str::to_owned).collect()
    }
}

impl Coordinator {
    /// Finds the versions of the workflows that a run of a definition will run, at any depth. `source` is
    /// the file that the definition was read from.
    ///
    /// # Errors
    /// [`Error::Calls`] with all that is wrong; the store fails.
    pub(crate) async fn look_up_called(
        &self,
        definition: &WorkflowDefinition,
        source: &str,
    ) -> Result<BTreeMap<String, WorkflowId>> {
        let mut found = Found::default();
        self.look_below((definition, source), &mut found).await?;
        if found.faults.is_empty() {
            Ok(found.called)
        } else {
            Err(Error::Calls {
                faults: found.faults,
            })
        }
    }

    /// Looks up the workflows that the steps of a definition are runs of, as they are stored now.
    ///
    /// # Errors
    /// The store fails.
    pub async fn called_by(&self, definition: &WorkflowDefinition) -> Result<CalledWorkflows> {
        let mut called = CalledWorkflows::new();
        for (_, call) in definition.calls() {
            let reference = call.reference();
            if called.contains_key(&reference) {
                continue;
            }
            let found = match self.version_called(call, &Found::default()).await? {
                Ok(workflow) => Called::Known(Box::new(workflow.definition.clone())),
                Err(WrongCall::NoWorkflow { nearest, .. }) => Called::NoWorkflow { nearest },
                Err(
                    WrongCall::NoVersion { .. }
                    | WrongCall::Itself { .. }
                    | WrongCall::TooDeep { .. }
                    | WrongCall::Input { .. },
                ) => Called::NoVersion,
            };
            called.insert(reference, found);
        }
        Ok(called)
    }

    /// Looks at all calls of a definition; says how many runs lie below one of it.
    fn look_below<'a>(
        &'a self,
        (definition, source): (&'a WorkflowDefinition, &'a str),
        found: &'a mut Found,
    ) -> Pin<Box<dyn Future<Output = Result<u32>> + Send + 'a>> {
        Box::pin(async move {
            let mut height = 0;
            found.chain.push(definition.name.clone());
            for (step, call) in definition.calls() {
                let below = self.look_at_call(definition, (step, call), found).await?;
                height = height.max(below);
            }
            found.chain.pop();
            self.look_at_outputs((definition, source), found).await?;
            Ok(height)
        })
    }

    /// Tells the outputs that a workflow takes from those that it calls and that these do not have. It was
    /// checked when it was stored; since then others may have been stored under their names.
    async fn look_at_outputs(
        &self,
        (definition, source): (&WorkflowDefinition, &str),
        found: &mut Found,
    ) -> Result<()> {
        let mut called = CalledWorkflows::new();
        for (_, call) in definition.calls() {
            let reference = call.reference();
            if let Some(id) = found.called.get(&reference) {
                let workflow = self.workflow_version(*id).await?;
                let known = Called::Known(Box::new(workflow.definition.clone()));
                called.insert(reference, known);
            }
        }
        if called.is_empty() {
            return Ok(());
        }
        for fault in missing_outputs(source, &called) {
            let of = definition.name.clone();
            found.tell_of(CallFault::Output { of, fault });
        }
        Ok(())
    }

    /// Looks at a call; says how many runs lie below the step.
    async fn look_at_call(
        &self,
        definition: &WorkflowDefinition,
        (step, call): (&StepSpec, &CallSpec),
        found: &mut Found,
    ) -> Result<u32> {
        let (of, name) = (&definition.name, &call.workflow);
        if found.chain.contains(name) {
            let from = found.chain.iter().position(|one| one == name);
            let mut chain = found.chain_to(name);
            chain.drain(..from.unwrap_or(0));
            found.tell(of, step, WrongCall::Itself { chain });
            return Ok(0);
        }
        let workflow = match self.version_called(call, found).await? {
            Ok(workflow) => workflow,
            Err(what) => {
                found.tell(of, step, what);
                return Ok(0);
            }
        };
        found.called.insert(call.reference(), workflow.id);
        for fault in call_faults(call, &workflow.definition) {
            let name = name.clone();
            found.tell(of, step, WrongCall::Input { name, fault });
        }
        let depth = u32::try_from(found.chain.len()).unwrap_or(u32::MAX);
        let known = found.heights.get(&workflow.id).copied();
        if depth.saturating_add(known.unwrap_or(0)) > MAX_DEPTH {
            let chain = found.chain_to(name);
            found.tell(of, step, WrongCall::TooDeep { chain });
            return Ok(0);
        }
        let below = match known {
            Some(height) => height,
            None => {
                let height = self
                    .look_below((&workflow.definition, &workflow.source), found)
                    .await?;
                found.heights.insert(workflow.id, height);
                height
            }
        };
        Ok(below.saturating_add(1))
    }

    /// The version that a call means: the one that was found under its text before, else what is stored
    /// now.
    async fn version_called(
        &self,
        call: &CallSpec,
        found: &Found,
    ) -> Result<std::result::Result<Arc<Workflow>, WrongCall>> {
        if let Some(id) = found.called.get(&call.reference()) {
            return self.workflow_version(*id).await.map(Ok);
        }
        let name = &call.workflow;
        let Some(newest) = self.newest_version(name).await? else {
            let name = name.clone();
            let nearest = self.workflow_like(&name).await?;
            return Ok(Err(WrongCall::NoWorkflow { name, nearest }));
        };
        let Some(version) = call.version else {
            return Ok(Ok(newest));
        };
        let is_it = |row: &Workflow| row.definition_version == version;
        if is_it(&newest) {
            return Ok(Ok(newest));
        }
        let filter = WorkflowFilter {
            name: Some(name.clone()),
            ..WorkflowFilter::default()
        };
        let page = Page::first(SEARCHED);
        let versions: Vec<Workflow> = self.parts.store.list(&filter, page).await?;
        let known = versions.into_iter().find(is_it).map(Arc::new);
        Ok(known.ok_or_else(|| WrongCall::NoVersion {
            name: name.clone(),
            version,
        }))
    }

    async fn workflow_like(&self, name: &str) -> Result<Option<String>> {
        let all = WorkflowFilter::default();
        let all: Vec<Workflow> = self.parts.store.list(&all, Page::first(SEARCHED)).await?;
        // A standing agent's own workflow has a name that no file can have.
        let names: BTreeSet<&str> = all.iter().map(|row| row.name.as_str()).collect();
        let names = names.into_iter().filter(|name| !name.contains('@'));
        Ok(nearest(name, names).map(str::to_owned))
    }
}
