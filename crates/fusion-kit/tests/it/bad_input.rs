//! Wrong input: a clear message with its place and the way out, and nothing is left behind.

use std::fs;

use crate::support::{Finished, Project, is_root};

const WORKFLOW: &str = r#"version: 1
name: flow
inputs:
  topic: { type: string, default: bees }
  count: { type: integer, default: 1 }
agents:
  writer: { provider: scripted, model: script.yaml }
steps:
  - id: draft
    agent: writer
    prompt: "Write about ${{ inputs.topic }}."
"#;

const SCRIPT: &str = "version: 1\nsteps:\n  draft:\n    - text: done\n";

/// Runs `flow.yaml` in a project that must be the same afterwards.
async fn refused(project: &Project, code: i32, says: &[&str]) -> Finished {
    refused_with(project, &[], &[], code, says).await
}

async fn refused_with(
    project: &Project,
    arguments: &[&str],
    env: &[(&str, &str)],
    code: i32,
    says: &[&str],
) -> Finished {
    let before = project.contents();
    let mut call = project.fusion_kit([&["run", "flow.yaml"], arguments].concat());
    for (name, value) in env {
        call = call.env(name, value);
    }
    let ended = call.finish().await.expect(code).says(says);
    assert_eq!(ended.stdout, "");
    assert_eq!(project.contents(), before, "something was left behind");
    ended
}

/// The workflow with one text put in place of another.
fn with(what: &str, instead: &str) -> Project {
    assert!(WORKFLOW.contains(what), "{what}");
    Project::with(&WORKFLOW.replacen(what, instead, 1), SCRIPT)
}

/// The workflow with lines added to its only step.
fn with_key(lines: &str) -> Project {
    Project::with(&format!("{WORKFLOW}    {lines}\n"), SCRIPT)
}

#[tokio::test]
async fn the_workflow_of_these_tests_runs() {
    let project = Project::with(WORKFLOW, SCRIPT);
    project.run(["run", "flow.yaml"]).await.expect(0);
}

#[tokio::test]
async fn a_file_that_can_not_be_read_is_refused() {
    let unreadable = "can't read the workflow file flow.yaml: ";
    let help = "help: give the path of a workflow file; `fusion-kit init` makes one";
    let project = Project::new();
    let missing = format!("{unreadable}No such file or directory");
    refused(&project, 2, &[&missing, help]).await;
    fs::create_dir(project.path().join("flow.yaml")).unwrap();
    refused(
        &project,
        2,
        &[&format!("{unreadable}it is not a file"), help],
    )
    .await;
    let project = Project::new();
    project.write("flow.yaml", b"name: \xff\xfe");
    let binary = format!("{unreadable}it is not UTF-8 text");
    refused(&project, 2, &[&binary, help]).await;
}

/// Each project is refused with its three texts.
async fn all_refused(cases: impl IntoIterator<Item = (Project, [&str; 3])>) {
    for (project, says) in cases {
        refused(&project, 5, &says).await;
    }
}

#[tokio::test]
async fn a_fault_in_the_file_is_told_with_its_place_and_the_way_out() {
    all_refused([
        (
            with("prompt:", "promt:"),
            [
                "unknown key `promt` in step 'draft'",
                "flow.yaml:11:5",
                "help: did you mean `prompt`?",
            ],
        ),
        (
            with("inputs.topic", "inputs.topik"),
            [
                "the workflow has no input 'topik'",
                "flow.yaml:11:37",
                "help: did you mean `topic`?",
            ],
        ),
        (
            with("inputs.topic", "input.topic"),
            [
                "unknown variable `input`",
                "flow.yaml:11:30",
                "help: did you mean `inputs`?",
            ],
        ),
    ])
    .await;
    let broken = with("name: flow", "name: [flow");
    refused(
        &broken,
        5,
        &["this is not YAML: ", "flow.yaml:3:7", "help: check "],
    )
    .await;
}

#[tokio::test]
async fn a_fault_between_steps_and_agents_is_told_with_its_place_and_the_way_out() {
    let ring = "    needs: [last]\n  - { id: last, agent: writer, prompt: x, needs: [draft] }\n";
    all_refused([
        (
            with("agent: writer", "agent: writter"),
            [
                "there is no agent 'writter'",
                "flow.yaml:10:12",
                "help: did you mean `writer`?",
            ],
        ),
        (
            with_key("needs: [draf]"),
            [
                "step 'draft' needs 'draf', which does not exist",
                "flow.yaml:12:13",
                "help: did you mean `draft`?",
            ],
        ),
        (
            Project::with(&format!("{WORKFLOW}{ring}"), SCRIPT),
            [
                "these steps wait for each other: draft -> last -> draft",
                "flow.yaml:13:51",
                "help: take one of them out",
            ],
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_provider_or_model_that_does_not_exist_is_told_with_its_place_and_the_way_out() {
    all_refused([
        (
            with("provider: scripted", "provider: scriptd"),
            [
                "there is no provider 'scriptd'",
                "flow.yaml:7:23",
                "help: did you mean 'scripted'?",
            ],
        ),
        (
            with("model: script.yaml", "model: scrip.yaml"),
            [
                "scrip.yaml: the script can't be read: No such file or directory",
                "flow.yaml:7:40",
                "help: the `model` of a scripted agent is the path of its script",
            ],
        ),
    ])
    .await;
}

#[tokio::test]
async fn what_is_not_supported_yet_is_refused_by_name() {
    let providers = with("agents:", "providers: { p: {} }\nagents:");
    refused(
        &providers,
        5,
        &["`providers` is not supported yet", "flow.yaml:6:1"],
    )
    .await;
}

#[tokio::test]
async fn a_step_that_runs_another_workflow_has_no_agent_and_no_prompt() {
    let step = with_key("workflow: other");
    let says = [
        "step 'draft' has both `workflow` and `agent`",
        "flow.yaml:10:5",
        "step 'draft' has both `workflow` and `prompt`",
        "flow.yaml:11:5",
        "help: the work of such a step is a run of its own",
    ];
    refused(&step, 5, &says).await;
}

#[tokio::test]
async fn a_worktree_is_asked_for_by_an_agent_and_not_by_a_step() {
    let worktree = with_key("workspace: { type: worktree }");
    let says = "a worktree belongs to an agent, not to a step";
    let help = "give the agent of the step this `workspace`";
    refused(&worktree, 5, &[says, "flow.yaml:12:24", help]).await;
}

#[tokio::test]
async fn inputs_that_do_not_fit_are_told_all_at_once() {
    let project = with("default: bees", "required: true");
    let missing = [
        "the input 'topic' is required",
        "give it with: -i topic=...",
    ];
    refused(&project, 2, &missing).await;
    let arguments = ["-i", "topik=x", "-i", "count=many"];
    let says = [
        "the workflow has no input 'topik'",
        "the input 'topic' is required",
        "the input 'count' must be of type integer",
        "help: did you mean 'topic'?",
    ];
    refused_with(&project, &arguments, &[], 2, &says).await;
}

#[tokio::test]
async fn a_script_with_a_fault_is_told_with_the_place_in_it() {
    for (script, says) in [
        ("version: 1\nsteps: [\n", "script.yaml:2:"),
        (
            "version: 1\nsteps:\n  drafts:\n    - text: done\n",
            "the script has no answers for step 'draft'; did you mean 'drafts'?",
        ),
        (
            "version: 2\nsteps: {}\n",
            "version 2 is not known, only 1 is",
        ),
    ] {
        let project = Project::with(WORKFLOW, script);
        refused(&project, 5, &[says, "the agent 'writer' can't be spawned"]).await;
    }
}

#[tokio::test]
async fn a_provider_that_is_not_set_up_is_told_by_its_variable() {
    let project = with("provider: scripted", "provider: openai-compatible");
    let says = ["FUSION_BASE_URL is not set", "http://127.0.0.1:11434/v1"];
    refused(&project, 2, &says).await;
    let closed = [("FUSION_BASE_URL", "http://127.0.0.1:9/v1")];
    let says = [
        "openai-compatible can't be reached at http://127.0.0.1:9/v1: ",
        "Connection refused",
        "help: start the model server at http://127.0.0.1:9/v1, or correct the provider's base URL",
    ];
    refused_with(&project, &[], &closed, 10, &says).await;
    let project = with("provider: scripted", "provider: openrouter");
    let says = [
        "openrouter needs a key and OPENROUTER_API_KEY is not set",
        "help: ",
    ];
    refused(&project, 4, &says).await;
}

#[tokio::test]
async fn a_place_for_data_that_can_not_be_used_is_refused() {
    // Below a regular file nothing can be made, not even by root.
    let project = Project::with(WORKFLOW, SCRIPT);
    let data = ["--data-dir", "script.yaml/data"];
    let says = [
        "can't use the data directory ",
        "script.yaml/data: Not a directory",
    ];
    refused_with(&project, &data, &[], 10, &says)
        .await
        .says(&["help: choose a folder that you can write to with --data-dir"]);
    let not_a_folder = ["--data-dir", "script.yaml"];
    refused_with(
        &project,
        &not_a_folder,
        &[],
        10,
        &["can't use the data directory "],
    )
    .await;
    let root = [("WORKSPACES_ROOT", "script.yaml/workspaces")];
    let says = [
        "can't write to the workspaces folder ",
        "script.yaml/workspaces: Not a directory",
        "help: choose another place with --data-dir or WORKSPACES_ROOT",
    ];
    refused_with(&project, &[], &root, 2, &says).await;
}

#[tokio::test]
async fn a_folder_that_the_user_may_not_write_to_is_refused() {
    if is_root() {
        eprintln!("skipped: root may write everywhere; see the tests of an ordinary user");
        return;
    }
    let project = Project::with(WORKFLOW, SCRIPT);
    for (arguments, env, says) in [
        (
            &["--data-dir", "/proc/data"][..],
            &[][..],
            "can't use the data directory /proc/data: ",
        ),
        (
            &[],
            &[("WORKSPACES_ROOT", "/usr/workspaces")],
            "can't write to the workspaces folder /usr/workspaces: Permission denied",
        ),
    ] {
        refused_with(&project, arguments, env, 10, &[says]).await;
    }
}

#[tokio::test]
async fn wrong_usage_says_how_to_use_it() {
    let project = Project::with(WORKFLOW, SCRIPT);
    let before = project.contents();
    for (arguments, says) in [
        (&["run"][..], "Usage: fusion-kit run"),
        (&["rnu"], "unrecognized subcommand 'rnu'"),
        (
            &["run", "flow.yaml", "-i", "topic"],
            "'topic' has no '=': write topic=VALUE",
        ),
        (
            &["run", "flow.yaml", "-i", "topic=a", "-i", "topic=b"],
            "is given twice",
        ),
    ] {
        project.run(arguments).await.expect(2).says(&[says]);
    }
    assert_eq!(project.contents(), before);
}

const CHOOSING: &str = r#"version: 1
name: flow
inputs:
  who: { type: string, default: scripted }
  model: { type: string, required: false }
agents:
  writer:
    provider: ${{ inputs.who }}
    model: ${{ inputs.model }}
    fallback_models: ["${{ inputs.model }}"]
steps:
  - { id: draft, agent: writer, prompt: Write. }
"#;

#[tokio::test]
async fn a_provider_or_model_that_an_input_chooses_wrongly_is_told_with_its_expression() {
    let project = Project::with(CHOOSING, SCRIPT);
    project
        .run(["workflow", "validate", "flow.yaml"])
        .await
        .expect(0);
    let unknown = [
        "there is no provider 'scriptd'",
        "flow.yaml:8:15",
        "${{ inputs.who }}",
        "help: did you mean 'scripted'?",
    ];
    let chosen = ["-i", "who=scriptd", "-i", "model=script.yaml"];
    refused_with(&project, &chosen, &[], 5, &unknown).await;
    let empty = [
        "`model` names nothing: can't evaluate `${{ inputs.model }}`: it is empty",
        "flow.yaml:9:12",
        "help: an input chooses it: give that input with -i NAME=VALUE",
    ];
    refused(&project, 5, &empty).await;
    let missing = ["flow.yaml:9:12", "other.yaml"];
    refused_with(&project, &["-i", "model=other.yaml"], &[], 5, &missing).await;
}

#[tokio::test]
async fn an_expression_that_needs_a_run_can_not_choose_a_model() {
    let text = CHOOSING.replace("inputs.who", "steps.draft.outputs.text");
    let project = Project::with(&text, SCRIPT);
    let says = [
        "providers, models and granted folders are chosen before the run starts",
        "flow.yaml:8:19",
        "help: use an input, for example `inputs.model`",
    ];
    refused(&project, 5, &says).await;
}
