use serde_json::{Map, Value, json};

use super::reach::{Reach, reach};
use super::{Offer, Selection, offers};
use crate::args::{AgentCommand, Command, RunArgs, ScopeName, TaskCommand};
use crate::schema::{Printed, printed};
use crate::tree::command_lines;

fn all(scope: ScopeName, only: &[&str]) -> Vec<Offer> {
    let only = only.iter().map(ToString::to_string).collect();
    offers(&Selection { scope, only }).unwrap()
}

fn offer(words: &str) -> Offer {
    let name = words.replace(' ', "_");
    let mut all = all(ScopeName::Admin, &[words]).into_iter();
    all.find(|offer| offer.name == name).unwrap()
}

fn line(words: &str, input: &Value) -> Result<Vec<String>, String> {
    offer(words).command_line(input.as_object().unwrap())
}

fn parsed(words: &str, input: &Value) -> Command {
    let line = line(words, input).unwrap();
    let line = ["fusion-kit".to_owned()].into_iter().chain(line);
    crate::parse(line).unwrap().command
}

#[test]
fn every_command_is_offered_or_kept_for_a_reason_and_every_name_is_a_command() {
    let commands = command_lines();
    for words in &commands {
        assert!(
            reach(words).is_some(),
            "nobody says whether '{words}' is a tool"
        );
    }
    let named: Vec<&str> = super::reach::named().collect();
    for words in &named {
        assert!(
            commands.iter().any(|one| one == words),
            "there is no '{words}'"
        );
    }
    assert_eq!(named.len(), commands.len(), "a command is named twice");
}

#[test]
fn every_tool_answers_with_json_and_takes_an_object() {
    for words in command_lines() {
        if !matches!(reach(&words), Some(Reach::Offered { .. })) {
            continue;
        }
        let answers = printed(&words);
        assert!(
            matches!(answers, Some(Printed::Json(_))),
            "{words}: {answers:?}"
        );
        let offer = offer(&words);
        assert!(jsonschema_is_plain(&offer.input_schema), "{words}");
        let name = offer.name.chars();
        assert!(
            name.into_iter()
                .all(|c| c.is_ascii_alphanumeric() || c == '_')
        );
        assert!(
            offer.description.len() > 3,
            "{words}: {}",
            offer.description
        );
    }
}

/// Each field has a type or a choice, and each required one is a field.
fn jsonschema_is_plain(schema: &Map<String, Value>) -> bool {
    let fields = schema["properties"].as_object().unwrap();
    let typed = |field: &Value| field.get("type").is_some() || field.get("enum").is_some();
    let required = schema["required"].as_array().unwrap();
    fields.values().all(typed)
        && required
            .iter()
            .all(|name| fields.contains_key(name.as_str().unwrap()))
}

#[test]
fn what_a_person_decides_is_offered_only_when_somebody_says_so() {
    let names = |scope, only: &[&str]| -> Vec<String> {
        let offers = all(scope, only).into_iter();
        offers.map(|offer| offer.name).collect()
    };
    let everyday = names(ScopeName::Operate, &[]);
    assert!(everyday.contains(&"agent_spawn".to_owned()), "{everyday:?}");
    assert!(!everyday.contains(&"approve".to_owned()), "{everyday:?}");
    let looks = all(ScopeName::Read, &[]);
    assert!(looks.iter().all(|offer| offer.is_read_only), "{looks:?}");
    assert_eq!(names(ScopeName::Admin, &["approve"]), ["approve"]);
    assert_eq!(
        names(ScopeName::Read, &["project", "agent list"]),
        ["agent_list", "project_get", "project_list"]
    );
}

#[test]
fn room_in_a_budget_is_given_with_admin_only() {
    for scope in [ScopeName::Operate, ScopeName::Admin] {
        for offer in all(scope, &["run resume", "resume", "project", "agent update"]) {
            let fields = offer.input_schema["properties"].as_object().unwrap();
            let gives = fields
                .keys()
                .any(|name| name.starts_with("budget") || name == "max_cost");
            assert!(
                !gives || scope == ScopeName::Admin,
                "{} gives room",
                offer.name
            );
        }
    }
    let input = json!({ "run": "r", "budget_tokens": 5 });
    let input = input.as_object().unwrap();
    let resume = |scope| all(scope, &["run resume"]).remove(0).command_line(input);
    let refused = resume(ScopeName::Operate).unwrap_err();
    assert!(
        refused.starts_with("there is no 'budget_tokens'"),
        "{refused}"
    );
    let line = resume(ScopeName::Admin).unwrap();
    assert_eq!(
        line,
        ["run", "resume", "--json", "--budget-tokens=5", "--", "r"]
    );
}

#[test]
fn an_argument_never_takes_the_place_of_one_that_is_missing() {
    let told = |words: &str, input: Value| line(words, &input).unwrap_err();
    assert_eq!(
        told("agent send", json!({ "message": ["w", "do it"] })),
        "'agent' is missing"
    );
    assert_eq!(
        told("agent get", json!({ "agent": null })),
        "'agent' is missing"
    );
    assert_eq!(
        told("task wait", json!({ "tasks": [] })),
        "'tasks' is missing"
    );
}

#[test]
fn words_that_give_no_tool_are_refused_with_the_reason() {
    let refused = |only: &str| {
        let only = vec![only.to_owned()];
        let scope = ScopeName::Operate;
        offers(&Selection { scope, only }).unwrap_err()
    };
    assert_eq!(refused("agnt"), "there is no command 'agnt'");
    assert_eq!(refused("approve"), "'approve' needs --scope admin");
    let kept = "'token create' is no tool: a secret is in what it takes or prints";
    assert_eq!(refused("token create"), kept);
}

#[test]
fn a_value_is_never_taken_for_an_option() {
    let input = json!({ "agent": "-rf", "message": "--server=http://evil" });
    let Command::Agent(agent) = parsed("agent send", &input) else {
        panic!("another command");
    };
    let AgentCommand::Send(send) = agent.command else {
        panic!("another command");
    };
    assert!(format!("{send:?}").contains("\"-rf\""), "{send:?}");
    let input = json!({ "what": ["--help", "me"], "priority": 3 });
    let Command::Task(task) = parsed("task create", &input) else {
        panic!("another command");
    };
    let TaskCommand::Create(create) = task.command else {
        panic!("another command");
    };
    assert!(format!("{create:?}").contains("\"--help\""), "{create:?}");
}

#[test]
fn lists_flags_and_jq_stand_as_a_person_would_type_them() {
    let input = json!({ "file": "list", "input": ["name=Ada", "n=-1"], "jq": ".id" });
    assert_eq!(
        line("run", &input).unwrap(),
        [
            "run",
            "--jq=.id",
            "--input=name=Ada",
            "--input=n=-1",
            "--",
            "list"
        ]
    );
    let Command::Run(RunArgs { start, .. }) = parsed("run", &input) else {
        panic!("another command");
    };
    assert_eq!(start.unwrap().file.to_str(), Some("list"));
    let input = json!({ "dry_run": true });
    let line = line("workspace gc", &input).unwrap();
    assert_eq!(line, ["workspace", "gc", "--json", "--dry-run"]);
    assert_eq!(
        super::tests::line("workspace gc", &json!({ "dry_run": false })).unwrap(),
        ["workspace", "gc", "--json"]
    );
}

#[test]
fn wrong_input_is_told_in_words_to_act_on() {
    let told = |input: Value| line("agent get", &input).unwrap_err();
    assert_eq!(
        told(json!({ "name": "a" })),
        "there is no 'name'; it takes: agent, jq"
    );
    assert_eq!(
        told(json!({ "agent": { "a": 1 } })),
        "'agent' is a text or a number, not {\"a\":1}"
    );
    let long = "x".repeat(100 * 1024 + 1);
    assert!(
        told(json!({ "agent": long })).starts_with("'agent' has 102401 bytes; the most is 102400")
    );
    assert_eq!(
        told(json!({ "agent": "a\0b" })),
        "'agent' has a NUL character"
    );
    let flag = line("workspace gc", &json!({ "dry_run": "yes" })).unwrap_err();
    assert_eq!(flag, "'dry_run' is true or false, not \"yes\"");
}

#[test]
fn of_which_fields_one_is_needed_stands_with_each_of_them() {
    let told = |words: &str, field: &str| {
        let schema = offer(words).input_schema;
        let text = schema["properties"][field]["description"].as_str();
        text.unwrap().to_owned()
    };
    for field in ["to", "topic", "broadcast"] {
        let told = told("message send", field);
        let needed = " (just one of to, topic, broadcast is needed)";
        assert!(told.ends_with(needed), "{told}");
    }
    let told = told("agent update", "model");
    let needed = " (at least one of model, provider, capabilities, tools, instructions, max_turns, \
                  max_cost is needed)";
    assert!(told.ends_with(needed), "{told}");
}

#[test]
fn what_ends_something_or_writes_over_it_says_so_also_where_it_cant_be_tried() {
    const VERBS: &[&str] = &[
        "archive",
        "cancel",
        "clear",
        "delete",
        "discard",
        "drain",
        "gc",
        "merge",
        "reject",
        "remove",
        "restart",
        "revoke",
        "terminate",
        "unset",
        "update",
    ];
    let mut seen = 0;
    for words in command_lines() {
        let verb = words.rsplit(' ').next().unwrap();
        let is_offered = matches!(reach(&words), Some(Reach::Offered { .. }));
        if is_offered && VERBS.contains(&verb) {
            seen += 1;
            assert!(offer(&words).is_destructive, "{words}");
        }
    }
    assert!(seen > 20, "{seen}");
    for words in ["agent spawn", "agent list", "task create", "approve"] {
        assert!(!offer(words).is_destructive, "{words}");
    }
    // What may take long has the room of what takes long.
    assert!(!offer("workspace merge").is_quick() && offer("run cancel").is_quick());
}
