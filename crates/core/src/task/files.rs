//! The files that the result of a task, or the inputs of a run, name.

use serde_json::{Map, Value};

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

/// The SHA-256 of each file in inputs of a run. What merely looks like such a list counts too: a file is
/// kept for too long rather than not for long enough.
#[must_use]
pub fn handed_files(inputs: &Map<String, Value>) -> Vec<String> {
    let lists = inputs.values().filter(|value| is_files(value));
    let files = lists.flat_map(|files| files.as_array().into_iter().flatten());
    let hash = |file: &Value| file.get("sha256")?.as_str().map(str::to_owned);
    files.filter_map(hash).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{handed_files, named_files};

    #[test]
    fn inputs_name_the_files_of_their_lists() {
        let inputs = json!({
            "table": [{ "path": "a", "sha256": "1f", "bytes": 1 }, { "path": "b", "sha256": "2e", "bytes": 2 }],
            "none": [],
            "other": [{ "path": "a", "sha256": "3d" }],
            "text": "4c",
        });
        assert_eq!(handed_files(inputs.as_object().unwrap()), ["1f", "2e"]);
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
