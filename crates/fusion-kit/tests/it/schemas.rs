//! What commands print with `--json` is as `fusion-kit schema` says: checked for every call of the
//! binary in these tests.

use std::ffi::OsString;

use fusion_cli::Printed;
use serde_json::{Deserializer, Value};

/// Fails when a call that printed JSON did not print what it promises.
pub(crate) fn check(arguments: &[OsString], stdout: &str) {
    let is_asked = arguments.iter().any(|argument| argument == "--json");
    let Some(words) = words(arguments).filter(|_| is_asked && !stdout.is_empty()) else {
        return;
    };
    let Some(Printed::Json(schema)) = fusion_cli::printed(&words) else {
        return;
    };
    // With `--follow` and `--lines` each line is one, and a log has another form than its lines.
    let is_stream = ["--follow", "-f", "--lines"];
    if arguments
        .iter()
        .any(|argument| is_stream.iter().any(|it| argument == it))
    {
        return;
    }
    let validator = jsonschema::validator_for(&schema).unwrap();
    for value in Deserializer::from_str(stdout).into_iter::<Value>() {
        let value = value.unwrap_or_else(|error| panic!("{words}: {error}: {stdout}"));
        let faults: Vec<String> = validator
            .iter_errors(&value)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(faults.is_empty(), "{words}: {faults:#?}\n{value:#}");
    }
}

/// The words of the command that these arguments mean; `None` where they mean none.
pub(crate) fn words(arguments: &[OsString]) -> Option<String> {
    let all = [OsString::from("fusion-kit")];
    let all = all.iter().chain(arguments);
    let matches = fusion_cli::command().try_get_matches_from(all).ok()?;
    let (mut words, mut at) = (Vec::new(), &matches);
    while let Some((word, below)) = at.subcommand() {
        words.push(word.to_owned());
        at = below;
    }
    Some(words.join(" "))
}

#[test]
fn a_call_that_prints_something_else_is_found_out() {
    let line = ["run", "list", "--json"].map(OsString::from);
    assert_eq!(words(&line).as_deref(), Some("run list"));
    check(&line, r#"{"runs":[]}"#);
    let other = std::panic::catch_unwind(|| check(&line, r#"{"rows":[]}"#));
    assert!(other.is_err());
}
