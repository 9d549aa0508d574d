//! Results for programs: JSON, YAML, names.

use fusion_api_types::api::plain_json;
use fusion_api_types::{Problem, ProblemKind};
use serde::Serialize;
use serde_json::Value;

use crate::text::{clean, clean_line};

/// One line of JSON.
pub(crate) fn json(result: &impl Serialize) -> Result<String, Problem> {
    let json = serde_json::to_string(result).map_err(|error| unwritable("JSON", &error))?;
    Ok(format!("{}\n", plain_json(&json)))
}

/// One document of YAML, which begins with `---` so that several can stand in a stream.
pub(crate) fn yaml(result: &impl Serialize) -> Result<String, Problem> {
    // By way of JSON: flattened fields and numbers are then written as there.
    let value = serde_json::to_value(result).map_err(|error| unwritable("YAML", &error))?;
    let yaml = serde_saphyr::to_string(&value).map_err(|error| unwritable("YAML", &error))?;
    Ok(format!("---\n{}\n", clean(yaml.trim_end())))
}

/// What other commands take to mean this: its id, else its name; nothing where it has neither.
pub(crate) fn name(result: &impl Serialize) -> Result<String, Problem> {
    let value = serde_json::to_value(result).map_err(|error| unwritable("a name", &error))?;
    let named = ["id", "name", "run", "message"]
        .iter()
        .find_map(|member| value.get(member).and_then(Value::as_str));
    Ok(named.map_or_else(String::new, |name| format!("{}\n", clean_line(name))))
}

fn unwritable(form: &str, error: &dyn std::fmt::Display) -> Problem {
    Problem::new(
        ProblemKind::Internal,
        format!("the result could not be written as {form}: {error}"),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{json, name, yaml};

    #[test]
    fn a_result_is_written_for_programs_without_what_a_terminal_obeys() {
        let result = json!({ "id": "7", "text": "a\u{1b}[2J\u{9b}b", "list": [1, "yes", null] });
        assert_eq!(
            json(&result).unwrap(),
            "{\"id\":\"7\",\"text\":\"a\\u001b[2J\\u009bb\",\"list\":[1,\"yes\",null]}\n".replace(
                "\"text\":\"a\\u001b[2J\\u009bb\",\"list\":[1,\"yes\",null]",
                "\"list\":[1,\"yes\",null],\"text\":\"a\\u001b[2J\\u009bb\""
            )
        );
        let yaml = yaml(&result).unwrap();
        assert!(
            yaml.starts_with("---\n") && !yaml.contains(['\u{1b}', '\u{9b}']),
            "{yaml}"
        );
        assert_eq!(name(&result).unwrap(), "7\n");
        assert_eq!(name(&json!({ "name": "n" })).unwrap(), "n\n");
        assert_eq!(name(&json!(["id"])).unwrap(), "");
    }
}
