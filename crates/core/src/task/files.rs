//! The files that the result of a task, or the inputs of a run, name.

use serde_json::{Map, Value};

use crate::{InputType, WorkflowDefinition};

/// Letters of a SHA-256 in hexadecimal digits.
const HASH_LENGTH: usize = 64;

/// Whether a text is a SHA-256 as it names a kept file.
#[must_use]
pub fn is_hash(text: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == HASH_LENGTH && text.bytes().all(is_digit)
}

/// The SHA-256 of each kept file that a result names, in hexadecimal digits.
#[must_use]
pub fn named_files(made: &Value) -> Vec<String> {
    let files = made.get("files").and_then(Value::as_array);
    let named = files.into_iter().flatten();
    let hash = |file: &Value| file.get("sha256")?.as_str().map(str::to_owned);
    named.filter_map(hash).collect()
}

/// Whether a value is a list of kept files: each with its path, its SHA-256 and how long it is.
#[must_use]
pub fn is_files(value: &Value) -> bool {
    let is_file = |file: &Value| {
        let text = |name| file.get(name).is_some_and(Value::is_string);
        text("path") && text("sha256") && file.get("bytes").is_some_and(Value::is_u64)
    };
    let files = value.as_array();
    files.is_some_and(|files| files.iter().all(is_file))
}

/// The SHA-256 of each file in the inputs of a run of this workflow. An input of another type names none, also
/// where its value looks as files do: anybody may write such a value.
#[must_use]
pub fn handed_files(definition: &WorkflowDefinition, inputs: &Map<String, Value>) -> Vec<String> {
    let is_of_files = |name: &String| {
        let spec = definition.inputs.get(name);
        spec.is_some_and(|spec| spec.kind == InputType::Files)
    };
    let lists = inputs.iter().filter(|(name, _)| is_of_files(name));
    let files = lists.flat_map(|(_, files)| files.as_array().into_iter().flatten());
    let hash = |file: &Value| file.get("sha256")?.as_str().map(str::to_owned);
    files
        .filter_map(hash)
        .filter(|hash| is_hash(hash))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{handed_files, is_hash, named_files};
    use crate::{Budget, InputSpec, InputType, WorkflowDefinition};

    fn with_inputs(inputs: &[(&str, InputType)]) -> WorkflowDefinition {
        let spec = |kind| InputSpec {
            kind,
            required: false,
            default: None,
            description: String::new(),
        };
        let inputs = inputs.iter();
        WorkflowDefinition {
            name: "w".into(),
            description: String::new(),
            inputs: inputs
                .map(|(name, kind)| ((*name).to_owned(), spec(*kind)))
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

    #[test]
    fn inputs_name_the_files_of_those_that_are_declared_as_files() {
        let hash = |letter: &str| letter.repeat(64);
        let file = |sha256: String| json!({ "path": "a", "sha256": sha256, "bytes": 1 });
        let inputs = json!({
            "table": [file(hash("1")), file(hash("2"))],
            "short": [file("1f".to_owned())],
            "none": [],
            "list": [file(hash("3"))],
            "undeclared": [file(hash("4"))],
        });
        let definition = with_inputs(&[
            ("table", InputType::Files),
            ("short", InputType::Files),
            ("none", InputType::Files),
            ("list", InputType::Array),
        ]);
        let named = handed_files(&definition, inputs.as_object().unwrap());
        assert_eq!(named, [hash("1"), hash("2")]);
    }

    #[test]
    fn a_hash_has_64_small_hexadecimal_digits() {
        assert!(is_hash(&"0f".repeat(32)));
        for other in [
            "0F".repeat(32),
            "0f".repeat(31),
            "0g".repeat(32),
            String::new(),
        ] {
            assert!(!is_hash(&other), "{other}");
        }
    }

    #[test]
    fn a_result_names_the_files_under_its_files_and_no_others() {
        let made = json!({
            "outputs": { "files": [{ "sha256": "in an output" }] },
            "artifacts": ["a", "b"],
            "files": [{ "path": "a", "sha256": "1f" }, { "path": "b", "sha256": "2e" }],
        });
        assert_eq!(named_files(&made), ["1f", "2e"]);
        assert_eq!(named_files(&json!({ "outputs": {} })), Vec::<String>::new());
    }
}
