//! Whether a workflow file fits the workflows that its steps are runs of.

use std::path::Path;

use fusion_api_types::{Problem, ProblemKind};
use fusion_cli::Workflows as _;
use fusion_core::{CallSpec, WorkflowDefinition, nearest};
use fusion_workflow_file::{Called, CalledWorkflows, check_called};

use crate::backend::LocalBackend;
use crate::files::read_file;
use crate::problems;

/// Workflows of which the one is told whose name is most like one that is not there.
const SEARCHED: u32 = 10_000;

impl LocalBackend {
    /// Checks a definition against the workflows that its steps are runs of: as they are stored, and those
    /// that are not, as they are in a file of their name in the folder `beside`. `path` and `text` are where
    /// it is from.
    pub(crate) async fn check_calls(
        &self,
        definition: &WorkflowDefinition,
        (path, text): (&Path, &str),
        beside: Option<&Path>,
    ) -> Result<(), Problem> {
        let mut called = CalledWorkflows::new();
        for (_, call) in definition.calls() {
            let reference = call.reference();
            if called.contains_key(&reference) {
                continue;
            }
            if let Some(found) = self.look_up(call, beside).await? {
                called.insert(reference, found);
            }
        }
        let faults = check_called(text, &called);
        if faults.is_empty() {
            return Ok(());
        }
        Err(problems::of_faults(path, text.to_owned(), faults))
    }

    /// The workflow of a call; `None` when it is there and can't be read by the rules of today.
    async fn look_up(
        &self,
        call: &CallSpec,
        beside: Option<&Path>,
    ) -> Result<Option<Called>, Problem> {
        let name = &call.workflow;
        let Some(newest) = found(self.show_workflow(name, None).await)? else {
            if let Some(definition) = beside.and_then(|folder| in_folder(folder, call)) {
                return Ok(Some(Called::Known(Box::new(definition))));
            }
            let stored = self.list_workflows(SEARCHED).await?;
            let names = stored.iter().map(|workflow| workflow.name.as_str());
            let nearest = nearest(name, names).map(str::to_owned);
            return Ok(Some(Called::NoWorkflow { nearest }));
        };
        let meant = match call.version {
            None => newest,
            Some(_) => match found(self.show_workflow(name, call.version).await)? {
                Some(version) => version,
                None => return Ok(Some(Called::NoVersion)),
            },
        };
        let source = meant.source.unwrap_or_default();
        let definition = fusion_workflow_file::parse(&source).ok();
        Ok(definition.map(|definition| Called::Known(Box::new(definition))))
    }
}

/// What was asked for, where it is there.
fn found<T>(asked: Result<T, Problem>) -> Result<Option<T>, Problem> {
    match asked {
        Ok(found) => Ok(Some(found)),
        Err(problem) if problem.kind == ProblemKind::NotFound => Ok(None),
        Err(problem) => Err(problem),
    }
}

/// A workflow in a file of its name, which would be its first version.
fn in_folder(folder: &Path, call: &CallSpec) -> Option<WorkflowDefinition> {
    if call.version.is_some_and(|version| version != 1) {
        return None;
    }
    let files = ["yaml", "yml"].map(|ending| folder.join(format!("{}.{ending}", call.workflow)));
    let file = files.into_iter().find(|file| file.is_file())?;
    let definition = read_file(&file).ok()?.definition;
    (definition.name == call.workflow).then_some(definition)
}
