//! Faults in what agents may say to each other.

use crate::faults::check;

#[test]
fn subscriptions_and_the_message_flow_are_checked_key_by_key() {
    check(
        r#"version: 1
name: w
agents:
  writer: {provider: p, model: m, subscriptions: ["workflow.{id}.events", "task.*", "task.*", "[a-é]", 7]}
  reviewer: {provider: p, model: m, subscriptions: {a: b}}
message_flow:
- {from: writr, to: [reviewer, nobody], topics: ["${{ run.id }}"]}
- {from: [], too: reviewer}
- {to: writer}
- writer
steps:
- {id: s, agent: writer, prompt: p}
"#,
        &[
            "4:51 the pattern `workflow.{id}.events` has a placeholder [write `*` in its place, such as `task.completed.*`: only what belongs to the run is heard]",
            "4:85 `task.*` is named twice in `subscriptions`",
            "4:95 pattern \"[a-é]\" has a range that ends outside ASCII: list the characters one by one",
            "4:104 `subscriptions` must be a list of topic patterns [this entry is not one]",
            "5:52 `subscriptions` must be a list of topic patterns",
            "7:10 there is no agent 'writr' [did you mean `writer`?]",
            "7:32 there is no agent 'nobody' [the agents are: reviewer, writer]",
            "7:50 the pattern `${{ run.id }}` has a placeholder [write `*` in its place, such as `task.completed.*`: only what belongs to the run is heard]",
            "8:10 `from` of a rule of `message_flow` names no agent [leave a rule out that allows nothing]",
            "8:14 unknown key `too` in a rule of `message_flow` [did you mean `to`?]",
            "9:4 a rule of `message_flow` has no `from`",
            "10:3 a rule of `message_flow` must be a map [its keys are: from, to, topics]",
        ],
    );
}

#[test]
fn no_agent_has_the_name_of_all_and_no_pattern_has_what_no_topic_has() {
    check(
        r#"version: 1
name: w
agents:
  all: {provider: p, model: m}
  writer: {provider: p, model: m, subscriptions: ["review done.*", "a\tb", "review.*"]}
steps:
- {id: s, agent: writer, prompt: p}
"#,
        &[
            "4:3 no agent can be called `all` [agents write it to send a message to every other agent]",
            "5:51 pattern \"review done.*\" has ' ': no topic has blanks or control characters",
            "5:68 pattern \"a\\tb\" has '\\t': no topic has blanks or control characters",
        ],
    );
}
