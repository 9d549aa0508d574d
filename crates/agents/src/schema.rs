//! Checks what an agent hands in, and what it calls its tools with, against their schemas.

use jsonschema::Validator;
use jsonschema::error::ValidationErrorKind;
use serde_json::Value;

/// A JSON Schema of one object, ready to check.
#[derive(Debug)]
pub(crate) struct Schema {
    validator: Validator,
    /// What a field of the object is called.
    field: &'static str,
}

impl Schema {
    /// Compiles the schema of a step's outputs. `Err` says what is wrong with it.
    pub(crate) fn of_outputs(schema: &Value) -> Result<Self, String> {
        Self::new(schema, "output")
    }

    /// Compiles the schema of a tool's arguments. `Err` says what is wrong with it.
    pub(crate) fn of_arguments(schema: &Value) -> Result<Self, String> {
        Self::new(schema, "argument")
    }

    fn new(schema: &Value, field: &'static str) -> Result<Self, String> {
        jsonschema::validator_for(schema)
            .map(|validator| Self { validator, field })
            .map_err(|error| format!("the schema of the {field}s is not valid: {error}"))
    }

    /// Checks a value; `Err` names the first field that does not fit and why.
    pub(crate) fn check(&self, value: &Value) -> Result<(), String> {
        self.validator
            .iter_errors(value)
            .next()
            .map_or(Ok(()), |error| Err(self.describe(&error)))
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the crate's enum: all other kinds are told by their text"
    )]
    fn describe(&self, error: &jsonschema::ValidationError<'_>) -> String {
        let noun = self.field;
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
                format!("{noun} '{full}' is missing")
            }
            ValidationErrorKind::AdditionalProperties { unexpected } if field.is_empty() => {
                format!("{noun} '{}' is not declared", unexpected.join("', '"))
            }
            _ if field.is_empty() => format!("the {noun}s do not fit: {}", words(error)),
            _ => format!("{noun} '{field}' does not fit: {}", words(error)),
        }
    }
}

/// The longest words of the checker that are told, in bytes: they quote the whole value.
const WORDS_LIMIT: usize = 300;

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
    use super::{Schema, json_in};
    use serde_json::json;

    fn fault(value: &serde_json::Value) -> String {
        let schema = json!({
            "type": "object",
            "properties": { "tasks": { "type": "array", "items": { "type": "string" } } },
            "required": ["tasks"],
            "additionalProperties": false,
        });
        Schema::of_outputs(&schema)
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
