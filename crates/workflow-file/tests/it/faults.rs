//! Files with faults: each line of an answer is `line:column message [help]`.

use fusion_workflow_file::{Fault, Position, parse};

pub(crate) fn check(text: &str, expected: &[&str]) {
    let told = told(parse(text).unwrap_err());
    assert_eq!(told, expected, "{text}");
}

/// Faults as they are read: place, message and help.
pub(crate) fn told(faults: Vec<Fault>) -> Vec<String> {
    let told = faults.into_iter().map(|fault| {
        let at = fault.position;
        let help = fault
            .help
            .map_or_else(String::new, |help| format!(" [{help}]"));
        format!("{}:{} {}{help}", at.line, at.column, fault.message)
    });
    told.collect()
}

const WORKFLOW_KEYS: &str = "1:1 the workflow must be a map [its keys are: version, name, \
     description, inputs, defaults, agents, steps, outputs, artifacts, budget, total_budget, message_flow]";

#[test]
fn a_fault_is_a_message_a_way_out_and_a_place_in_characters_and_bytes() {
    let text = "version: 1\nname: n\nsteps: [ { id: \"é\", promt: x } ]\n";
    let unknown = Fault {
        message: "unknown key `promt` in step 'é'".into(),
        help: Some("did you mean `prompt`?".into()),
        position: Position {
            line: 3,
            column: 21,
            offset: 40,
            length: 5,
        },
    };
    let faults = parse(text).unwrap_err();
    assert!(faults.contains(&unknown), "{faults:?}");
    assert_eq!(
        unknown.to_string(),
        "line 3, column 21: unknown key `promt` in step 'é'"
    );
}

#[test]
fn text_that_is_no_workflow_has_one_clear_fault() {
    for (text, expected) in [
        (
            "",
            "1:1 the file is empty [a workflow has `version: 1`, a `name` and `steps`]",
        ),
        (
            "# nothing\n",
            "1:1 the file is empty [a workflow has `version: 1`, a `name` and `steps`]",
        ),
        ("- a", WORKFLOW_KEYS),
        ("just text", WORKFLOW_KEYS),
        (
            "\u{feff}version: 1",
            "1:1 the file starts with a byte order mark [save it as UTF-8 without a byte order mark]",
        ),
        (
            "version: 1\nname:\n\tx: 1",
            "3:2 this is not YAML: tabs disallowed within this context (block indentation) [indent with spaces]",
        ),
        (
            "a: [",
            "1:4 this is not YAML: unclosed bracket '[' \
             [check brackets, quotes and indentation here and in the lines before]",
        ),
        (
            "version: 1\n---\nversion: 1\n",
            "2:1 the file holds more than one document [keep one workflow in a file, without `---` between]",
        ),
        (
            "<<: {a: 1}",
            "1:1 merge keys (`<<`) are not supported [write the keys out, or repeat a whole value with an alias]",
        ),
        (
            "a: {b: ${{ x }} }",
            "1:9 this is not YAML: while parsing a flow mapping, did not find expected ',' or '}' \
             [put quotes around a text that holds `${{ }}`]",
        ),
        (
            "a: é b: c",
            "1:7 this is not YAML: mapping values are not allowed in this context \
             [put quotes around a text that holds `: `, or check the indentation]",
        ),
        ("{1: 2, ~: 3}", "1:8 a key must be a text"),
        ("? [a]\n: b", "1:3 a key must be a text"),
        (
            "a: .nan",
            "1:4 a number must be finite [put a text in quotes]",
        ),
        ("a: !foo b", "1:9 this is not YAML: unsupported tag `!foo`"),
        (
            "a: *nope",
            "1:4 this is not YAML: alias references unknown anchor",
        ),
    ] {
        check(text, &[expected]);
    }
}

#[test]
fn the_top_level_is_checked_key_by_key() {
    check(
        r#"name: 5
version: 2
stpes: 3
budget: {usd: 0, tokens: 1.5, eur: 2}
providers: {}
defaults: {timeout: 20, retry: {}}
steps: []
x-layout: ~
"#,
        &[
            "1:7 `name` must be a text [put it in quotes]",
            "2:10 `version` must be 1 [it is the version of the file format, and 1 is the only one]",
            "3:1 unknown key `stpes` in the workflow [did you mean `steps`?]",
            "4:15 `usd` must be an amount of US dollars [write a number above 0, such as 2.50]",
            "4:26 `tokens` must be a whole number from 1 to 1000000000000",
            "4:31 unknown key `eur` in the `budget` of the workflow [the keys are: usd, tokens]",
            "5:1 `providers` is not supported yet [leave the key out]",
            "6:21 `timeout` must be a time such as 90s, 20m or 2h [write 20s for seconds]",
            "6:32 `retry` of `defaults` has no `max_attempts`",
            "7:8 `steps` has no step",
        ],
    );
}

#[test]
fn inputs_and_agents_are_checked_key_by_key() {
    check(
        r#"version: 1
name: "a b"
name: v
description:
inputs:
  a-b: string
  c: strng
  d: {required: yes, default: 5}
  e: {type: integer, default: five, foo: 1}
  f: [1]
agents:
  'my agent': {provider: p, model: 4.1}
  b: {model: m, tools: [file, shell, shell], max_turns: 0, max_repeats: 1, context_tokens: 999, max_tokens: 1.5, temperature: 3, capabilities: {a: 1}}
  c: p
steps:
- {id: a, agent: c, prompt: p}
"#,
        &[
            "2:7 the workflow's name must have 1 to 255 letters, digits, `_`, `-` or `.`",
            "3:1 the key `name` is given twice [keep one of them]",
            "4:1 `description` of the workflow has no value [write a value or leave the key out]",
            "6:3 an input's name must start with a letter or `_` and go on with letters, digits and `_`, 64 at most [write `a_b`: in an expression `-` is a minus]",
            "7:6 unknown type `strng` [did you mean `string`?]",
            "8:7 input 'd' has no `type`",
            "8:17 `required` must be true or false",
            "9:31 the default of input 'e' must be of type integer",
            "9:37 unknown key `foo` in input 'e' [the keys are: type, required, default, description]",
            "10:6 input 'f' must be a map [its keys are: type, required, default, description]",
            "12:3 an agent's name must have 1 to 255 letters, digits, `_`, `-` or `.`",
            "12:36 `model` must be a text [put it in quotes]",
            "13:7 agent 'b' has no `provider`",
            "13:25 unknown tool group `file` [did you mean `files`?]",
            "13:38 `shell` is named twice in `tools`",
            "13:57 `max_turns` must be a whole number from 1 to 200",
            "13:73 `max_repeats` must be a whole number from 2 to 100",
            "13:92 `context_tokens` must be a whole number from 1000 to 10000000",
            "13:109 `max_tokens` must be a whole number from 1 to 4294967295",
            "13:127 `temperature` must be a number from 0 to 2",
            "13:144 `capabilities` must be a list of capability names",
            "14:6 agent 'c' must be a map [its keys are: provider, model, capabilities, count, instructions, tools, max_turns, max_repeats, context_tokens, max_tokens, temperature, fallback_models, provider_options, budget, subscriptions, web, sandbox, workspace, when_stuck]",
        ],
    );
}

#[test]
fn fallback_models_provider_options_and_budgets_are_checked_key_by_key() {
    check(
        r#"version: 1
name: w
agents:
  a: {provider: p, model: m, fallback_models: 5, provider_options: [], budget: {}}
  b: {provider: p, model: m, fallback_models: [m2, 4.1, {provider: q}, {model: n, key: x}]}
  c: {provider: p, model: m, provider_options: {top_p: 1, model: n, stream: true}, budget: 5}
  d: {provider: p, model: m, budget: {usd: two, tokens: ~}}
steps:
- {id: s, agent: a, prompt: p}
total_budget: {}
"#,
        &[
            "4:47 `fallback_models` must be a list of models",
            "4:68 `provider_options` must be a map of fields of the request",
            "4:80 `budget` limits nothing [give it `usd`, `tokens` or both]",
            "5:52 `fallback_models` must be a text [put it in quotes]",
            "5:58 a fallback model has no `model`",
            "5:83 unknown key `key` in a fallback model [the keys are: provider, model]",
            "6:59 `model` can't be a provider option [the agent's own keys and the step say what is sent there]",
            "6:69 `stream` can't be a provider option [the agent's own keys and the step say what is sent there]",
            "6:92 the `budget` of agent 'c' must be a map [its keys are: usd, tokens]",
            "7:44 `usd` must be an amount of US dollars [write a number above 0, such as 2.50]",
            "7:49 `tokens` of the `budget` of agent 'd' has no value [write a value or leave the key out]",
            "10:15 `total_budget` limits nothing [give it `usd`, `tokens` or both]",
        ],
    );
}

#[test]
fn steps_are_checked_key_by_key_and_against_each_other() {
    check(
        r#"version: 1
name: w
agents:
  planner: {provider: p, model: m, capabilities: [planning]}
  coder: {provider: p, model: m, capabilities: [coding]}
steps:
- id: plan
  agent: plannner
  promt: x
- agent: coder
  capabilities: [coding]
  prompt: ''
- id: plan
  needs: {a: b}
  prompt: 3
- id: a-b
  capabilities: [plannin, coding]
  needs: [pln, a-b, plan, plan, 7]
  prompt: x
- id: both
  capabilities: [planning, coding]
  prompt: x
- id: none
  capabilities: []
  prompt: x
"#,
        &[
            "7:3 step 'plan' has no `prompt`",
            "8:10 there is no agent 'plannner' [did you mean `planner`?]",
            "9:3 unknown key `promt` in step 'plan' [did you mean `prompt`?]",
            "10:3 step 2 has no `id`",
            "11:3 step 2 has both `agent` and `capabilities` [keep one of them]",
            "12:11 `prompt` is empty",
            "13:3 step 'plan' has neither `agent` nor `capabilities` [say which agent runs it, or what an agent must be able to do]",
            "13:7 the step id 'plan' is used twice [give each step an id of its own]",
            "14:10 `needs` must be a list of step ids",
            "15:11 `prompt` must be a text [put it in quotes]",
            "16:7 a step's id must start with a letter or `_` and go on with letters, digits and `_`, 64 at most [write `a_b`: in an expression `-` is a minus]",
            "17:18 no agent has the capability 'plannin' [did you mean `planning`?]",
            "18:11 step 'a-b' needs 'pln', which does not exist [did you mean `plan`?]",
            "18:16 step 'a-b' needs itself",
            "18:27 step 'a-b' needs 'plan' twice",
            "18:33 `needs` must be a list of step ids [this entry is not one]",
            "21:18 no agent has all of these capabilities: coding, planning",
            "24:17 `capabilities` of a step must name at least one",
        ],
    );
}

#[test]
fn keys_that_are_not_built_yet_are_refused_by_name() {
    check(
        r#"version: 1
name: w
agents: {a: {provider: p, model: m}}
steps:
- id: none
  agent: a
  prompt: x
  workspace: {type: worktree}
providers: {}
"#,
        &[
            "8:21 a worktree belongs to an agent, not to a step [give the agent of the step this `workspace`]",
            "9:1 `providers` is not supported yet [leave the key out]",
        ],
    );
}

#[test]
fn the_values_of_a_step_are_checked() {
    check(
        r#"version: 1
name: w
agents: {a: {provider: p, model: m}}
steps:
- id: a
  agent: a
  prompt: x
  timeout: 25h
  priority: high
  outputs: {x: string, y: {type: strng}, z: [1], w-x: true, p: {pattern: '('}, ok: {enum: [1]}}
  artifacts: ['a[', /abs, a/../b, 'ok/**', 3]
  verify: [sh x, '', 4]
- id: b
  agent: a
  prompt: x
  timeout: 90
  workspace: sharde
- id: c
  agent: a
  prompt: x
  timeout: '20 m'
  workspace: {kind: directory}
"#,
        &[
            "8:12 `timeout` must be from 1s to 24h",
            "9:13 `priority` must be a whole number from -2147483648 to 2147483647",
            "10:16 the schema of output 'x' must be a JSON Schema [write { type: string }]",
            "10:27 the schema of output 'y' is not a JSON Schema at /type [\"strng\" is not valid under any of the schemas listed in the 'anyOf' keyword]",
            "10:45 the schema of output 'z' is not a JSON Schema [[1] is not of types \"boolean\", \"object\"]",
            "10:50 an output's name must start with a letter or `_` and go on with letters, digits and `_`, 64 at most [write `w_x`: in an expression `-` is a minus]",
            "10:64 the schema of output 'p' is not a JSON Schema at /pattern [\"(\" is not a \"regex\"]",
            "11:15 the artifact `a[` is not a glob: unclosed character class; missing ']'",
            "11:21 the artifact `/abs` must be inside the workspace [write a path relative to the workspace, without `..`]",
            "11:27 the artifact `a/../b` must be inside the workspace [write a path relative to the workspace, without `..`]",
            "11:44 `artifacts` must be a list of globs [this entry is not one]",
            "12:18 `verify` must be a list of shell commands [this entry is not one]",
            "12:22 `verify` must be a list of shell commands [this entry is not one]",
            "16:12 `timeout` must be a time such as 90s, 20m or 2h [write 90s for seconds]",
            "17:14 unknown type of workspace `sharde` [the types are: directory]",
            "21:12 `timeout` must be a time such as 90s, 20m or 2h",
            "22:15 unknown key `kind` in `workspace` [the keys are: type, shared_with]",
            "22:15 `workspace` has no `type`",
        ],
    );
}

#[test]
fn a_cycle_is_named_and_stands_at_one_of_its_edges() {
    check(
        r#"version: 1
name: w
agents: {a: {provider: p, model: m}}
steps:
- {id: plan, agent: a, needs: [review], prompt: x}
- {id: build, agent: a, needs: [plan], prompt: x}
- {id: review, agent: a, needs: [build], prompt: "${{ steps.plan.status }}"}
- {id: me, agent: a, needs: me, prompt: x}
"#,
        &[
            "6:33 these steps wait for each other: plan -> build -> review -> plan [take one of them out of the other's `needs`]",
            "8:29 step 'me' needs itself",
        ],
    );
}

#[test]
fn every_name_in_an_expression_is_checked_at_its_own_place() {
    check(
        r#"version: 1
name: w
inputs: {issue: string}
agents: {a: {provider: p, model: m}}
steps:
- id: plan
  agent: a
  prompt: |
    Hé ${{ inputs.isue }} and
    ${{ input.issue }} ${{ 1 + }}
    ${{ steps['plan'].status }} $ {{ x }} {% raw %} {# no #}
- id: build
  agent: a
  outputs: {tasks: {type: array}}
  prompt: "Hé ${{ steps.plan.outputs.text }} ${{ inputs.issue | uper }}"
- id: review
  agent: a
  needs: build
  if: steps.build.outputs.task == 1 and steps.plan.outputs.text
  prompt: 'a "b" ''${{ steps.build.outptus }}'' ${{ steps.build.outputs.text[1:] }}'
- id: last
  agent: a
  needs: review
  if: ${{ a }} and ${{ b }}
  prompt: >
    folded
    ${{ run.idd }} ${{ workflow.title }}
    ${{ steps }} ${{ rnge(3) }} ${{ 1 is evn }} ${{ }}
- id: more
  agent: a
  prompt: "esc \"q\" ${{ inputs[\"nope\"] }} \u00e9 ${{ foo }} ${{ steps.review.outputs.text }}"
"#,
        &[
            "9:19 the workflow has no input 'isue' [did you mean `issue`?]",
            "10:9 unknown variable `input` [did you mean `inputs`?]",
            "10:30 this is not an expression: unexpected end of input, expected expression",
            "11:16 step 'plan' can't use its own result [it has none yet when this is evaluated]",
            "15:25 step 'build' does not need 'plan' [add `plan` to its `needs`]",
            "15:65 unknown filter `uper` [did you mean `upper`?]",
            "19:27 step 'build' has no output 'task' [did you mean `tasks`?]",
            "19:47 step 'review' does not need 'plan' [add `plan` to its `needs`]",
            "20:36 a step has no `outptus` [did you mean `outputs`?]",
            "20:73 step 'build' has no output 'text' [the outputs are: tasks]",
            "24:7 a condition is one expression: write one `${{ }}` around it all",
            "27:13 a run has no `idd` [did you mean `id`?]",
            "27:33 the workflow has no `title` [the fields are: name]",
            "28:9 `steps` must be followed by the id of a step [write for example `steps.plan.outputs.text`]",
            "28:22 unknown function `rnge` [did you mean `range`?]",
            "28:42 unknown test `evn` [did you mean `even`?]",
            "28:52 an expression is empty",
            "31:22 the workflow has no input 'nope' [the inputs are: issue]",
            "31:57 unknown variable `foo` [the variables are: inputs, run, steps, workflow, attempt]",
            "31:74 step 'more' does not need 'review' [add `review` to its `needs`]",
        ],
    );
}

#[test]
fn the_workflows_outputs_may_use_every_step_and_a_template_must_be_whole() {
    check(
        r#"version: 1
name: w
inputs: {issue: string}
agents: {a: {provider: p, model: m}}
steps:
- {id: plan, agent: a, prompt: "${{ inputs.issue }} ${{ inputs.issue"}
outputs:
  a: ${{ steps.plan.status }}
  x: ${{ steps.nope }}
  y: ${{ steps.plan.outputs.nope }}
  z: 5
"#,
        &[
            "6:53 `${{` is never closed with `}}`",
            "9:16 there is no step 'nope' [the steps are: plan]",
            "10:29 step 'plan' has no output 'nope' [the outputs are: text]",
            "11:6 `outputs.z` must be a text [put it in quotes]",
        ],
    );
}

#[test]
fn providers_and_models_are_chosen_by_what_is_known_before_a_run() {
    let text = "version: 1
name: n
inputs: { model: { type: string } }
agents:
  a:
    provider: ${{ inputs.modle }}
    model: \"x/${{ steps.s.outputs.text }}\"
    fallback_models: [\"${{ run.id }}\", { provider: \"${{ input.x }}\", model: \"${{ inputs.model | uper }}\" }]
  b: { provider: p, model: \"${{ inputs.model\" }
steps: [{ id: s, agent: a, prompt: hi }]
";
    check(
        text,
        &[
            "6:26 the workflow has no input 'modle' [did you mean `model`?]",
            "7:19 providers, models and granted folders are chosen before the run starts: no step has a result yet \
             [use an input, for example `inputs.model`]",
            "8:28 providers, models and granted folders are chosen before there is a run \
             [use an input, for example `inputs.model`]",
            "8:57 unknown variable `input` [did you mean `inputs`?]",
            "8:97 unknown filter `uper` [did you mean `upper`?]",
            "9:29 `${{` is never closed with `}}`",
        ],
    );
}
