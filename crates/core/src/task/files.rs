//! The files that the result of a task names.

use serde_json::Value;

/// The SHA-256 of each kept file that a result names, in hexadecimal digits.
#[must_use]
pub fn named_files(made: &Value) -> Vec<String> {
    let files = made.get("files").and_then(Value::as_array);
    let named = files.into_iter().flatten();
    let hash = |file: &Value| file.get("sha256")?.as_str().map(str::to_owned);
    named.filter_map(hash).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::named_files;

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
