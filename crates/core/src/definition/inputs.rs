//! What a run of a workflow must be given.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::transition::text_enum;
use crate::{WorkflowDefinition, is_files, nearest};

impl WorkflowDefinition {
    /// Names that are given and that no input has.
    pub fn undeclared_inputs<'a>(
        &'a self,
        given: &'a Map<String, Value>,
    ) -> impl Iterator<Item = InputFault> + 'a {
        let undeclared = given.keys();
        let undeclared = undeclared.filter(|name| !self.inputs.contains_key(*name));
        undeclared.map(|name| InputFault::Undeclared {
            name: name.clone(),
            nearest: nearest(name, self.inputs.keys().map(String::as_str)).map(str::to_owned),
            declared: self.inputs.keys().cloned().collect(),
        })
    }

    /// Checks the values given for a run against `inputs` and adds the defaults. Files can't be given so.
    ///
    /// # Errors
    /// All faults at once: undeclared names, missing required ones, wrong types.
    pub fn resolve_inputs(
        &self,
        given: &Map<String, Value>,
    ) -> Result<Map<String, Value>, Vec<InputFault>> {
        self.resolve(given, None)
    }

    /// The same for a run that is handed files over; `files` are the values of its inputs of that type.
    ///
    /// # Errors
    /// As [`resolve_inputs`](Self::resolve_inputs).
    pub fn resolve_inputs_with(
        &self,
        given: &Map<String, Value>,
        files: &Map<String, Value>,
    ) -> Result<Map<String, Value>, Vec<InputFault>> {
        self.resolve(given, Some(files))
    }

    fn resolve(
        &self,
        given: &Map<String, Value>,
        files: Option<&Map<String, Value>>,
    ) -> Result<Map<String, Value>, Vec<InputFault>> {
        let mut faults: Vec<InputFault> = self.undeclared_inputs(given).collect();
        let mut resolved = Map::new();
        for (name, spec) in &self.inputs {
            if spec.kind == InputType::Files {
                match spec.files(name, given.contains_key(name), files) {
                    Ok(files) => drop(resolved.insert(name.clone(), files)),
                    Err(fault) => faults.push(fault),
                }
                continue;
            }
            match given.get(name).or(spec.default.as_ref()) {
                Some(value) if spec.kind.accepts(value) => {
                    resolved.insert(name.clone(), value.clone());
                }
                Some(_) => faults.push(InputFault::WrongType {
                    name: name.clone(),
                    expected: spec.kind,
                }),
                None if spec.required => faults.push(InputFault::Missing { name: name.clone() }),
                None => {
                    resolved.insert(name.clone(), Value::Null);
                }
            }
        }
        if faults.is_empty() {
            Ok(resolved)
        } else {
            Err(faults)
        }
    }
}

/// Something wrong with a value given for a run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InputFault {
    /// The workflow has no such input.
    #[error("the workflow has no input '{name}'")]
    Undeclared {
        /// The name given.
        name: String,
        /// The declared name most like it.
        nearest: Option<String>,
        /// Every declared name.
        declared: Vec<String>,
    },
    /// A required input was not given.
    #[error("the input '{name}' is required")]
    Missing {
        /// The declared name.
        name: String,
    },
    /// It is of files, and nobody who is asked for a run can give any.
    #[error("the input '{name}' is of files, which only a step of another workflow hands over")]
    HandedOver {
        /// The declared name.
        name: String,
    },
    /// The value is of another type.
    #[error("the input '{name}' must be of type {expected}")]
    WrongType {
        /// The declared name.
        name: String,
        /// The declared type.
        expected: InputType,
    },
}

text_enum! {
    /// The type of an input, in the words of JSON Schema.
    InputType {
        /// Any text.
        String = "string",
        /// Any number.
        Number = "number",
        /// A whole number.
        Integer = "integer",
        /// true or false.
        Boolean = "boolean",
        /// A list.
        Array = "array",
        /// A map.
        Object = "object",
        /// Files of steps of the run above, as they are kept.
        Files = "files",
    }
}

impl InputType {
    /// Whether a value is of this type.
    #[must_use]
    pub fn accepts(self, value: &Value) -> bool {
        match self {
            Self::String => value.is_string(),
            Self::Number => value.is_number(),
            Self::Integer => value.is_i64() || value.is_u64(),
            Self::Boolean => value.is_boolean(),
            Self::Array => value.is_array(),
            Self::Object => value.is_object(),
            Self::Files => is_files(value),
        }
    }
}

/// One declared input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InputSpec {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: InputType,
    /// Whether a run can't start without it.
    pub required: bool,
    /// Used when it is not given.
    pub default: Option<Value>,
    /// What it is for.
    pub description: String,
}

impl InputSpec {
    /// The value of an input of files: none where it need not be given.
    fn files(
        &self,
        name: &str,
        is_given: bool,
        files: Option<&Map<String, Value>>,
    ) -> Result<Value, InputFault> {
        let name = || name.to_owned();
        match files.map(|files| files.get(&name())) {
            Some(Some(found)) if is_files(found) && !is_given => Ok(found.clone()),
            None | Some(None) if !self.required && !is_given => Ok(Value::Array(Vec::new())),
            Some(None) if !is_given => Err(InputFault::Missing { name: name() }),
            None | Some(_) => Err(InputFault::HandedOver { name: name() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{InputFault, InputSpec, InputType};
    use crate::{Budget, WorkflowDefinition};
    use serde_json::{Map, Value, json};

    fn with_inputs(inputs: &[(&str, InputType, bool, Option<Value>)]) -> WorkflowDefinition {
        WorkflowDefinition {
            name: "w".into(),
            description: String::new(),
            inputs: inputs
                .iter()
                .map(|(name, kind, required, default)| {
                    let spec = InputSpec {
                        kind: *kind,
                        required: *required,
                        default: default.clone(),
                        description: String::new(),
                    };
                    ((*name).to_owned(), spec)
                })
                .collect(),
            agents: [].into(),
            steps: vec![],
            outputs: [].into(),
            artifacts: vec![],
            budget: Budget::default(),
            total_budget: Budget::default(),
            message_flow: None,
        }
    }

    fn object(value: &Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn defaults_fill_what_was_not_given_and_optional_inputs_are_null() {
        let workflow = with_inputs(&[
            ("topic", InputType::String, true, None),
            ("size", InputType::Integer, false, Some(json!(3))),
            ("note", InputType::String, false, None),
        ]);
        let resolved = workflow.resolve_inputs(&object(&json!({"topic": "bees"})));
        assert_eq!(
            resolved,
            Ok(object(&json!({"topic": "bees", "size": 3, "note": null})))
        );
    }

    #[test]
    fn files_are_handed_over_and_never_given_by_hand() {
        let workflow = with_inputs(&[
            ("table", InputType::Files, true, None),
            ("more", InputType::Files, false, None),
        ]);
        let file = json!([{"path": "artifacts/table/a", "sha256": "1f", "bytes": 3}]);
        let handed = object(&json!({ "table": file }));
        let resolve = |given: &Value| workflow.resolve_inputs_with(&object(given), &handed);
        assert_eq!(
            resolve(&json!({})),
            Ok(object(&json!({ "table": file, "more": [] })))
        );
        let name = "table".to_owned();
        let by_hand = vec![InputFault::HandedOver { name: name.clone() }];
        let same = object(&json!({ "table": file }));
        assert_eq!(resolve(&json!({ "table": file })), Err(by_hand.clone()));
        assert_eq!(workflow.resolve_inputs(&same), Err(by_hand.clone()));
        assert_eq!(workflow.resolve_inputs(&Map::new()), Err(by_hand));
        assert_eq!(
            workflow.resolve_inputs_with(&Map::new(), &Map::new()),
            Err(vec![InputFault::Missing { name }])
        );
    }

    #[test]
    fn all_faults_of_the_inputs_are_told_at_once() {
        let workflow = with_inputs(&[
            ("topic", InputType::String, true, None),
            ("size", InputType::Integer, false, None),
        ]);
        let faults = workflow
            .resolve_inputs(&object(&json!({"topik": "x", "size": "big"})))
            .unwrap_err();
        assert_eq!(
            faults,
            [
                InputFault::Undeclared {
                    name: "topik".into(),
                    nearest: Some("topic".into()),
                    declared: vec!["size".into(), "topic".into()],
                },
                InputFault::WrongType {
                    name: "size".into(),
                    expected: InputType::Integer
                },
                InputFault::Missing {
                    name: "topic".into()
                },
            ]
        );
    }
}
