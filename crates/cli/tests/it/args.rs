//! The reading of command lines.

use std::collections::BTreeMap;
use std::path::Path;

use clap::Command as ClapCommand;
use fusion_cli::{Cli, ColorChoice, Command, Printed, RunCommand, Template, WorkflowCommand};

use crate::support::{Fake, check_snapshot, fusion_kit};

fn parse(line: &str) -> Cli {
    let words = line.split_whitespace();
    fusion_cli::parse(["fusion-kit"].into_iter().chain(words)).unwrap()
}

fn refusal(line: &str) -> String {
    let words = line.split_whitespace();
    let error = fusion_cli::parse(["fusion-kit"].into_iter().chain(words)).unwrap_err();
    error.to_string().lines().next().unwrap().to_owned()
}

/// File and inputs of a `run FILE`.
fn started(line: &str) -> (String, BTreeMap<String, String>) {
    let Command::Run(run) = parse(line).command else {
        panic!("{line} is not a run");
    };
    assert_eq!(run.command, None);
    let start = run.start.unwrap();
    let inputs = start.inputs.into_iter();
    let inputs = inputs.map(|input| (input.name, input.value));
    (start.file.display().to_string(), inputs.collect())
}

#[test]
fn a_run_takes_a_file_and_inputs_as_typed() {
    let inputs = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    };
    for (line, file, given) in [
        ("run a.yaml", "a.yaml", inputs(&[])),
        (
            "run a.yaml -i k=v --input e= -i q=a=b",
            "a.yaml",
            inputs(&[("k", "v"), ("e", ""), ("q", "a=b")]),
        ),
        ("run -i k=@file a.yaml", "a.yaml", inputs(&[("k", "@file")])),
        ("run ./list", "./list", inputs(&[])),
        ("run ./show --json -q", "./show", inputs(&[])),
    ] {
        assert_eq!(started(line), (file.to_owned(), given), "{line}");
    }
}

#[test]
fn runs_are_listed_and_shown_by_subcommands_of_run() {
    let Command::Run(list) = parse("run list --limit 7").command else {
        panic!("not a run");
    };
    assert!(matches!(list.command, Some(RunCommand::List(list)) if list.limit == 7));
    let Command::Run(list) = parse("run list").command else {
        panic!("not a run");
    };
    assert!(matches!(list.command, Some(RunCommand::List(list)) if list.limit == 20));
    let Command::Run(show) = parse("run show 019a").command else {
        panic!("not a run");
    };
    assert!(
        matches!(show.command, Some(RunCommand::Show(show)) if show.run.as_deref() == Some("019a"))
    );
}

#[test]
fn the_other_commands_take_their_arguments() {
    assert!(matches!(parse("resume").command, Command::Resume(resume) if resume.run.is_none()));
    let Command::Workflow(workflow) = parse("workflow validate a.yaml").command else {
        panic!("not a workflow command");
    };
    let WorkflowCommand::Validate(validate) = workflow.command else {
        panic!("not a validation");
    };
    assert_eq!(validate.file, Path::new("a.yaml"));
    for (line, dir, template) in [
        ("init", ".", Template::Hello),
        ("init demo --template empty", "demo", Template::Empty),
        ("init --template repo", ".", Template::Repo),
        (
            "init --template plan-implement-review",
            ".",
            Template::PlanImplementReview,
        ),
    ] {
        let Command::Init(init) = parse(line).command else {
            panic!("not an init");
        };
        assert_eq!(
            (init.dir.as_path(), init.template),
            (Path::new(dir), template)
        );
    }
}

#[test]
fn global_options_stand_anywhere() {
    let before = parse("--data-dir d --json -q --no-progress --color never -vv run list");
    let after = parse("run list --data-dir d --json -q --no-progress --color never -vv");
    let between = parse("run --data-dir d --json -q --no-progress --color never -vv list");
    assert_eq!(before.global, after.global);
    assert_eq!(before.global, between.global);
    let global = before.global;
    assert_eq!(global.data_dir.as_deref(), Some(Path::new("d")));
    assert_eq!(
        (global.json, global.quiet, global.no_progress),
        (true, true, true)
    );
    assert_eq!((global.color, global.verbose), (ColorChoice::Never, 2));
}

#[test]
fn wrong_usage_is_refused_by_name() {
    for (line, message) in [
        (
            "run a.yaml -i topic",
            "error: invalid value 'topic' for '--input <NAME=VALUE>': 'topic' has no '=': write topic=VALUE",
        ),
        (
            "run a.yaml -i =v",
            "error: invalid value '=v' for '--input <NAME=VALUE>': the name before '=' is missing: write NAME=VALUE",
        ),
        (
            "run a.yaml -i k=1 -i k=2",
            "error: the input 'k' is given twice: '1' and '2'",
        ),
        (
            "run",
            "error: the following required arguments were not provided:",
        ),
        (
            "run -i k=v",
            "error: the following required arguments were not provided:",
        ),
        (
            "run a.yaml list",
            "error: a run is of one workflow file, and 'list' is another word: begin one run after the other, and give inputs as -i NAME=VALUE",
        ),
        (
            "run list --limit 0",
            "error: invalid value '0' for '--limit <N>': 0 is not in 1..=1000",
        ),
        ("resmue", "error: unrecognized subcommand 'resmue'"),
        (
            "run a.yaml --jsn",
            "error: unexpected argument '--jsn' found",
        ),
    ] {
        assert_eq!(refusal(line), message, "{line}");
    }
}

#[tokio::test]
async fn wrong_usage_ends_with_2_and_help_with_0() {
    let backend = Fake::default();
    let wrong = fusion_kit("messge", &backend).await;
    assert_eq!((wrong.code, wrong.out.as_str()), (2, ""));
    assert!(wrong.err.contains("a similar subcommand exists: 'message'"));
    let bare = fusion_kit("workflow", &backend).await;
    assert_eq!((bare.code, bare.out.as_str()), (2, ""));
    assert!(
        bare.err
            .contains("Usage: fusion-kit workflow [OPTIONS] <COMMAND>")
    );
    let version = fusion_kit("--version", &backend).await;
    assert_eq!((version.code, version.err.as_str()), (0, ""));
    assert_eq!(
        version.out,
        format!("fusion-kit {}\n", env!("CARGO_PKG_VERSION"))
    );
}

/// Every command of the tree with its path.
fn commands(command: &ClapCommand, path: &str, found: &mut Vec<(String, ClapCommand)>) {
    found.push((path.to_owned(), command.clone()));
    for child in command
        .get_subcommands()
        .filter(|child| child.get_name() != "help")
    {
        commands(child, &format!("{path} {}", child.get_name()), found);
    }
}

fn command_tree() -> Vec<(String, ClapCommand)> {
    let mut root = fusion_cli::command().term_width(100);
    root.build();
    let mut found = Vec::new();
    commands(&root, "fusion-kit", &mut found);
    found
}

#[test]
fn the_help_texts_are_the_recorded_ones() {
    let mut all = String::new();
    for (path, mut command) in command_tree() {
        all.push_str(&format!(
            "$ {path} --help\n{}\n",
            command.render_long_help()
        ));
    }
    check_snapshot("help.txt", &all);
}

#[test]
fn no_line_that_help_ends_with_is_broken_on_a_screen_of_100_columns() {
    for (path, command) in command_tree() {
        let help = command.get_after_long_help().unwrap().to_string();
        let too_long = help.lines().find(|line| line.chars().count() > 100);
        assert_eq!(too_long, None, "{path}");
    }
}

#[test]
fn every_command_has_an_example_that_parses() {
    for (path, command) in command_tree() {
        let help = command.get_after_long_help().unwrap().to_string();
        let examples: Vec<&str> = help
            .lines()
            .map(str::trim)
            .filter(|line| line.starts_with(&path) || line.starts_with("fusion-kit "))
            .collect();
        assert!(!examples.is_empty(), "{path} has no example");
        for example in examples {
            // What follows two spaces is said about the example, what follows a bar is not ours.
            let line = example.split("  ").next().unwrap();
            let line = line.split(['|', '>']).next().unwrap();
            let words = shlex::split(line).unwrap();
            assert!(fusion_cli::parse(words).is_ok(), "{path}: {line}");
        }
    }
}

/// Commands that print no JSON of ours.
const NO_JSON: [&str; 10] = [
    "completions",
    "config edit",
    "events export",
    "export events",
    "man",
    "mcp serve",
    "sandbox run",
    "schema",
    "top",
    "workspace open",
];

#[test]
fn every_command_tells_its_exit_codes_and_the_schema_of_what_it_prints() {
    for (path, command) in command_tree() {
        let help = command.get_after_long_help().unwrap().to_string();
        assert!(help.contains("Exit codes:"), "{path} tells no exit codes");
    }
    let examples = fusion_cli::examples();
    let mut without = Vec::new();
    for words in fusion_cli::command_lines() {
        // It is `resume` under another name.
        let has_example = words == "run resume" || examples.iter().any(|(of, _)| *of == words);
        assert!(has_example, "{words} has no example of its own");
        match fusion_cli::printed(&words) {
            Some(Printed::Json(schema)) => {
                let is_object = schema["type"] == "object"
                    || schema["allOf"].is_array()
                    || schema["anyOf"].is_array();
                assert!(is_object, "{words}: {schema:#}");
            }
            Some(Printed::Other(_)) => without.push(words),
            None => panic!("{words} has no schema"),
        }
    }
    assert_eq!(without, NO_JSON);
}

#[tokio::test]
async fn the_schema_of_a_command_is_printed_and_no_other_command_has_one() {
    let backend = Fake::default();
    let said = fusion_kit("schema agent list", &backend).await;
    let schema: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(schema["properties"]["agents"]["type"], "array");
    let all = fusion_kit("schema", &backend).await;
    let all: serde_json::Value = serde_json::from_str(&all.out).unwrap();
    assert_eq!(all["agent list"], schema);
    let wrong = fusion_kit("schema agent lost", &backend).await;
    assert_eq!((wrong.code, wrong.out.as_str()), (2, ""));
    let other = fusion_kit("schema top", &backend).await;
    assert!(other.err.contains("`top` prints a screen"), "{}", other.err);
}
