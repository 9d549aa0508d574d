//! Checks what an agent hands in against the step's outputs.

use jsonschema::Validator;
use jsonschema::error::ValidationErrorKind;
use serde_json::Value;

/// The schema of a step's outputs, ready to check.
#[derive(Debug)]
pub(crate) struct OutputSchema {
    validator: Validator,
}

impl OutputSchema {
    /// Compiles a schema. `Err` says what is wrong with it.
    pub(crate) fn new(schema: &Value) -> Result<Self, String> {
        jsonschema::validator_for(schema)
            .map(|validator| Self { validator })
            .map_err(|error| format!("the schema of the outputs is not valid: {error}"))
    }

    /// Checks a value; `Err` names the first field that does not fit and why.
    pub(crate) fn check(&self, value: &Value) -> Result<(), String> {
        self.validator
            .iter_errors(value)
            .next()
            .map_or(Ok(()), |error| Err(describe(&error)))
    }
}

/// The longest words of the checker that are told, in bytes: they quote the whole value.
const WORDS_LIMIT: usize = 300;

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the crate's enum: all other kinds are told by their text"
)]
fn describe(error: &jsonschema::ValidationError<'_>) -> String {
    let place = error.instance_path().to_string();
    let field = place.trim_start_matches('/').replace('/', ".");
    match error.kind() {
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            let full = if field.is_empty() {
                name.to_owned()
            } else {
                format!("{field}.{name}")
            };
            format!("output '{full}' is missing")
        }
        ValidationErrorKind::AdditionalProperties { unexpected } if field.is_empty() => {
            format!("output '{}' is not declared", unexpected.join("', '"))
        }
        _ if field.is_empty() => format!("the outputs do not fit: {}", words(error)),
        _ => format!("output '{field}' does not fit: {}", words(error)),
    }
}

/// The checker's words, without the value when that is long.
fn words(error: &jsonschema::ValidationError<'_>) -> String {
    let words = error.to_string();
    if words.len() <= WORDS_LIMIT {
        words
    } else {
        error.masked_with("the value").to_string()
    }
}

/// Reads an answer's text as JSON, also out of a fenced code block.
pub(crate) fn json_in(text: &str) -> Option<Value> {
    let text = text.trim();
    let inner = text
        .strip_prefix("```json")
        .or_else(|| text.strip_prefix("```"))
        .and_then(|rest| rest.strip_suffix("```"))
        .unwrap_or(text);
    serde_json::from_str::<Value>(inner.trim())
        .ok()
        .filter(Value::is_object)
}

#[cfg(test)]
mod tests {
    use super::{OutputSchema, json_in};
    use serde_json::json;

    fn fault(value: &serde_json::Value) -> String {
        let schema = json!({
            "type": "object",
            "properties": { "tasks": { "type": "array", "items": { "type": "string" } } },
            "required": ["tasks"],
            "additionalProperties": false,
        });
        OutputSchema::new(&schema)
            .unwrap()
            .check(value)
            .unwrap_err()
    }

    #[test]
    fn a_fault_names_its_field() {
        assert_eq!(fault(&json!({})), "output 'tasks' is missing");
        assert_eq!(
            fault(&json!({ "tasks": [], "more": 1 })),
            "output 'more' is not declared"
        );
        assert_eq!(
            fault(&json!({ "tasks": ["a", 5] })),
            "output 'tasks.1' does not fit: 5 is not of type \"string\""
        );
        assert_eq!(
            fault(&json!("text")),
            "the outputs do not fit: \"text\" is not of type \"object\""
        );
    }

    #[test]
    fn a_long_value_is_not_quoted() {
        assert_eq!(
            fault(&json!({ "tasks": "x".repeat(300) })),
            "output 'tasks' does not fit: the value is not of type \"array\""
        );
    }

    #[test]
    fn json_is_found_bare_and_in_a_code_block_and_only_objects_count() {
        let object = Some(json!({ "a": 1 }));
        assert_eq!(json_in(" {\"a\": 1} "), object);
        assert_eq!(json_in("```json\n{\"a\": 1}\n```"), object);
        assert_eq!(json_in("```\n{\"a\": 1}\n```"), object);
        assert_eq!(json_in("[1]"), None);
        assert_eq!(json_in("The answer is {\"a\": 1}"), None);
    }
}
