//! Reading a workflow file and the inputs of a run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fusion_api_types::Problem;
use fusion_core::{InputFault, InputSpec, InputType, WorkflowDefinition};
use serde_json::{Map, Value};

use crate::problems;

/// The largest workflow file, in bytes.
const FILE_LIMIT: u64 = 1024 * 1024;

/// A workflow file that was read and checked.
pub(crate) struct File {
    /// What it says.
    pub(crate) definition: WorkflowDefinition,
    /// Its text.
    pub(crate) source: String,
    /// Where paths in it begin.
    pub(crate) base_dir: PathBuf,
}

/// Reads and checks a workflow file.
pub(crate) fn read_file(path: &Path) -> Result<File, Problem> {
    let meta = std::fs::metadata(path).map_err(|error| problems::of_file(path, &error))?;
    if !meta.is_file() {
        return Err(problems::of_file(
            path,
            &std::io::Error::other("it is not a file"),
        ));
    }
    if meta.len() > FILE_LIMIT {
        return Err(problems::of_file(
            path,
            &std::io::Error::other("it has more than 1 MiB"),
        ));
    }
    let bytes = std::fs::read(path).map_err(|error| problems::of_file(path, &error))?;
    let source = String::from_utf8(bytes)
        .map_err(|_| problems::of_file(path, &std::io::Error::other("it is not UTF-8 text")))?;
    let whole = std::path::absolute(path).map_err(|error| problems::of_file(path, &error))?;
    let base_dir = whole
        .parent()
        .map_or_else(|| PathBuf::from("/"), Path::to_path_buf);
    Ok(File {
        definition: read_text(path, source.clone())?,
        source,
        base_dir,
    })
}

/// Checks the text of a workflow; `path` is where it is from.
pub(crate) fn read_text(path: &Path, source: String) -> Result<WorkflowDefinition, Problem> {
    fusion_workflow_file::parse(&source).map_err(|faults| problems::of_faults(path, source, faults))
}

/// Inputs as typed, checked and with the defaults.
pub(crate) fn typed_inputs(
    definition: &WorkflowDefinition,
    given: &BTreeMap<String, String>,
) -> Result<Map<String, Value>, Vec<InputFault>> {
    definition.resolve_inputs(&in_their_types(&definition.inputs, given))
}

/// Inputs in the types that the workflow declares: texts as they are, the rest as JSON.
pub(crate) fn in_their_types(
    declared: &BTreeMap<String, InputSpec>,
    given: &BTreeMap<String, String>,
) -> Map<String, Value> {
    given
        .iter()
        .map(|(name, text)| {
            let is_text = declared
                .get(name)
                .is_none_or(|input| input.kind == InputType::String);
            let value = if is_text {
                None
            } else {
                serde_json::from_str(text).ok()
            };
            (
                name.clone(),
                value.unwrap_or_else(|| Value::String(text.clone())),
            )
        })
        .collect()
}
