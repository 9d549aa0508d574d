//! The inputs of a run: those of a file, and those of the command line, which stand above them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use fusion_api_types::{Problem, ProblemKind};
use serde_json::{Map, Value};

use crate::args::{InputArg, by_name};
use crate::text::clean_line;

/// The largest file of inputs, in bytes.
const LIMIT: u64 = 1024 * 1024;

/// By name, as they would be typed: texts as they are, all else as JSON. `-` is stdin.
pub(super) fn inputs(
    typed: &[InputArg],
    file: Option<&Path>,
) -> Result<BTreeMap<String, String>, Problem> {
    let mut inputs = match file {
        Some(file) => of_text(&read(file)?).map_err(|why| wrong(file, &why))?,
        None => BTreeMap::new(),
    };
    inputs.extend(by_name(typed));
    Ok(inputs)
}

fn read(file: &Path) -> Result<String, Problem> {
    let opened: io::Result<Box<dyn Read>> = if file == Path::new("-") {
        Ok(Box::new(io::stdin()))
    } else {
        File::open(file).map(|file| Box::new(file) as Box<dyn Read>)
    };
    let mut text = String::new();
    let read = opened.and_then(|opened| opened.take(LIMIT + 1).read_to_string(&mut text));
    match read {
        Ok(length) if length as u64 > LIMIT => Err(wrong(file, "it has more than 1 MiB")),
        Ok(_) => Ok(text),
        Err(error) => Err(wrong(file, &error.to_string())),
    }
}

fn of_text(text: &str) -> Result<BTreeMap<String, String>, String> {
    let values: Map<String, Value> = serde_saphyr::from_str(text)
        .map_err(|error| format!("it maps no names to values: {error}"))?;
    let as_typed = |value: Value| match value {
        Value::String(text) => text,
        other @ (Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::Array(_)
        | Value::Object(_)) => other.to_string(),
    };
    Ok(values
        .into_iter()
        .map(|(name, value)| (name, as_typed(value)))
        .collect())
}

fn wrong(file: &Path, why: &str) -> Problem {
    let file = clean_line(&file.to_string_lossy());
    let text = format!("the inputs of {file} can't be read: {}", clean_line(why));
    Problem::new(ProblemKind::InvalidInput, text)
        .with_help("write a line NAME: VALUE for each input, or JSON")
}

#[cfg(test)]
mod tests {
    use super::of_text;

    #[test]
    fn values_of_a_file_are_as_they_would_be_typed() {
        let text = "name: Ada\ncount: 3\nfast: true\nlist: [1, two]\n";
        let typed = [
            ("count", "3"),
            ("fast", "true"),
            ("list", "[1,\"two\"]"),
            ("name", "Ada"),
        ];
        let typed = typed.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(of_text(text), Ok(typed.clone().into()));
        let json = r#"{"name": "Ada", "count": 3, "fast": true, "list": [1, "two"]}"#;
        assert_eq!(of_text(json), Ok(typed.into()));
    }

    #[test]
    fn what_is_no_mapping_and_a_name_that_comes_twice_are_refused() {
        for text in ["- Ada", "Ada", "name: Ada\nname: Bob"] {
            let why = of_text(text).unwrap_err();
            assert!(why.starts_with("it maps no names to values: "), "{why}");
        }
    }
}
