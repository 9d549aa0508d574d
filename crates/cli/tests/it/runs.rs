//! What the commands print about runs.

use std::io::{self, ErrorKind, Write};

use fusion_api_types::{RunDetail, RunList, WorkflowSummary};
use fusion_cli::{Exit, Output};
use serde_json::{Value, json};

use crate::support::{
    Buffer, Ended, Fake, RUN_ID, cancelled, check_snapshot, completed, completed_run, ended, entry,
    failed_run, fusion_kit, interrupted_run, run, terminal, three_steps, usage,
};

fn text(ended: &Ended) -> String {
    format!(
        "exit {}\n--- stdout\n{}--- stderr\n{}",
        ended.code, ended.out, ended.err
    )
}

#[tokio::test]
async fn a_completed_run_shows_outputs_files_steps_and_totals() {
    let said = fusion_kit("run a.yaml", &Fake::of(completed_run())).await;
    check_snapshot("run-completed.txt", &text(&said));
}

#[tokio::test]
async fn a_failed_run_says_first_which_step_failed_and_why() {
    let said = fusion_kit("run a.yaml --data-dir /data", &Fake::of(failed_run())).await;
    check_snapshot("run-failed.txt", &text(&said));
}

#[tokio::test]
async fn a_run_that_failed_outside_its_steps_says_its_own_error() {
    let mut failed = ended(run(three_steps().map(|step| completed(step, 0))), "failed");
    failed.summary.error = Some("output 'report' is missing".to_owned());
    let said = fusion_kit("run a.yaml", &Fake::of(failed)).await;
    assert_eq!(said.code, 6);
    assert_eq!(
        said.err,
        format!(
            "error: the run failed: output 'report' is missing\n\
             help: look closer: fusion-kit run show {RUN_ID}\n"
        )
    );
}

#[tokio::test]
async fn an_interrupted_run_says_how_to_go_on_and_ends_with_130() {
    let backend = Fake::of(interrupted_run());
    let said = fusion_kit("run a.yaml", &backend).await;
    let expected = Ended {
        code: 130,
        out: String::new(),
        err: format!("interrupted; nothing is lost. go on with: fusion-kit resume {RUN_ID}\n"),
    };
    assert_eq!(said, expected);
}

#[tokio::test]
async fn a_run_is_resumed_with_the_budget_that_was_given() {
    let backend = Fake::of(interrupted_run());
    fusion_kit(
        "resume 019a --budget-usd 2.50 --budget-tokens 7 --budget-of writer",
        &backend,
    )
    .await;
    assert_eq!(
        *backend.asked.lock().unwrap(),
        [r#"resume Some("019a") (Some("2.50"), Some(7), Some("writer"))"#]
    );
}

#[tokio::test]
async fn the_way_on_names_the_data_directory_that_was_given() {
    let terminal_words = ["fusion-kit", "resume", "019a", "--data-dir", "/my data"];
    let cli = fusion_cli::parse(terminal_words).unwrap();
    let (out, err) = (Buffer::default(), Buffer::default());
    let terminal = terminal(Output::file(out.clone()), Output::file(err.clone()));
    let backend = Fake::of(interrupted_run());
    let exit = fusion_cli::execute(cli, &backend, &terminal).await;
    assert_eq!(exit, Exit::Interrupted);
    assert!(err.text().ends_with(&format!(
        "fusion-kit resume {RUN_ID} --data-dir '/my data'\n"
    )));
    assert_eq!(*backend.asked.lock().unwrap(), [r#"resume Some("019a")"#]);
}

#[tokio::test]
async fn a_cancelled_run_has_failed() {
    let steps = three_steps().map(|step| cancelled(step, "requested"));
    let said = fusion_kit("run a.yaml", &Fake::of(ended(run(steps), "cancelled"))).await;
    check_snapshot("run-cancelled.txt", &text(&said));
}

#[tokio::test]
async fn a_skipped_step_is_not_called_cancelled() {
    let [plan, build, review] = three_steps();
    let steps = [
        completed(plan, 0),
        cancelled(build, "condition_false"),
        cancelled(review, "dependency_skipped"),
    ];
    let said = fusion_kit("run a.yaml", &Fake::of(ended(run(steps), "completed"))).await;
    assert_eq!(said.code, 0);
    assert_eq!(said.out.matches("- skipped").count(), 2);
    assert!(!said.out.contains("cancelled"));
}

#[tokio::test]
async fn json_is_one_object_on_stdout_and_nothing_else() {
    for run in [completed_run(), failed_run(), interrupted_run()] {
        let backend = Fake {
            snapshots: vec![run.clone()],
            notice: None,
            ..Fake::of(run.clone())
        };
        let plain = fusion_kit("run a.yaml", &backend).await;
        let said = fusion_kit("run a.yaml --json", &backend).await;
        assert_eq!(serde_json::from_str::<RunDetail>(&said.out).unwrap(), run);
        assert_eq!(said.out.lines().count(), 1);
        assert_eq!(said.code, plain.code);
        assert!(
            !said.err.contains("12:00") && !said.err.contains("13:00"),
            "{}",
            said.err
        );
    }
}

#[tokio::test]
async fn every_reading_command_has_pure_json() {
    let mut backend = Fake::of(completed_run());
    backend.runs = vec![completed_run().summary, interrupted_run().summary];
    let list = fusion_kit("run list --json", &backend).await;
    let runs = serde_json::from_str::<RunList>(&list.out).unwrap().runs;
    assert_eq!((runs, list.err.as_str()), (backend.runs.clone(), ""));
    let show = fusion_kit("run show --json", &backend).await;
    assert_eq!(
        serde_json::from_str::<RunDetail>(&show.out).unwrap(),
        completed_run()
    );
    let workflow: WorkflowSummary = serde_json::from_value(workflow()).unwrap();
    backend.workflow = Some(workflow.clone());
    let validate = fusion_kit("workflow validate a.yaml --json", &backend).await;
    assert_eq!(
        serde_json::from_str::<WorkflowSummary>(&validate.out).unwrap(),
        workflow
    );
}

#[tokio::test]
async fn a_list_shows_each_run_on_one_line() {
    let mut failed = failed_run().summary;
    failed.id = "019aaaaa-0000-7000-8000-000000000002".to_owned();
    failed.workflow = "a-workflow-whose-name-is-far-too-long-for-a-table".to_owned();
    failed.started_at = None;
    let backend = Fake {
        runs: vec![interrupted_run().summary, failed, completed_run().summary],
        ..Fake::default()
    };
    let said = fusion_kit("run list", &backend).await;
    check_snapshot("run-list.txt", &text(&said));
    assert_eq!(*backend.asked.lock().unwrap(), ["list 20"]);
}

#[tokio::test]
async fn runs_are_listed_by_how_they_stand() {
    for (line, wanted) in [
        ("run list --failed", "list 20 [\"failed\"] None None"),
        (
            "run list --in-flight",
            "list 20 [\"ready\", \"running\"] None None",
        ),
    ] {
        let backend = Fake::default();
        fusion_kit(line, &backend).await;
        assert_eq!(*backend.asked.lock().unwrap(), [wanted], "{line}");
    }
    let both = fusion_kit("run list --failed --in-flight", &Fake::default()).await;
    assert_eq!(both.code, 2);
}

#[tokio::test]
async fn an_empty_list_is_no_failure() {
    let said = fusion_kit("run list", &Fake::default()).await;
    let expected = Ended {
        code: 0,
        out: String::new(),
        err: "no runs yet; start one with: fusion-kit run FILE\n".to_owned(),
    };
    assert_eq!(said, expected);
    let said = fusion_kit("run list --json", &Fake::default()).await;
    assert_eq!((said.code, said.out.as_str()), (0, "{\"runs\":[]}\n"));
}

fn run_with_journal() -> RunDetail {
    let mut run = failed_run();
    let mut turn = entry(1, "turn", "some/model", json!({ "messages": 2 }));
    turn.usage = usage(1, 700, 100, "0.001");
    turn.outcome = Some(json!({ "text": "I will write the file." }));
    let mut write = entry(
        2,
        "tool",
        "write_file",
        json!({ "path": "a.sh", "text": "x".repeat(99) }),
    );
    write.outcome = Some(json!({ "bytes": 99 }));
    let mut command = entry(3, "tool", "run_command", json!({ "command": "sh a.sh" }));
    command.outcome = Some(json!({ "exit_code": 1, "stderr": "expected 3,\ngot \u{1b}[31m4" }));
    command.attempts = 2;
    let mut check = entry(4, "check", "verify", json!(["sh ./check.sh"]));
    check.state = "unknown".to_owned();
    check.finished_at = None;
    run.steps[1].journal = vec![turn, write, command, check];
    run.steps[1].attempts = 2;
    run
}

#[tokio::test]
async fn a_shown_run_tells_what_each_step_did() {
    let said = fusion_kit("run show", &Fake::of(run_with_journal())).await;
    check_snapshot("run-show.txt", &text(&said));
}

#[tokio::test]
async fn a_shown_run_tells_everything_when_asked_for_more() {
    let said = fusion_kit("run show -v", &Fake::of(run_with_journal())).await;
    check_snapshot("run-show-verbose.txt", &text(&said));
}

#[tokio::test]
async fn an_interrupted_run_that_is_shown_says_how_to_go_on() {
    let said = fusion_kit("run show", &Fake::of(interrupted_run())).await;
    assert_eq!(said.code, 0);
    assert!(said.out.starts_with("! feature interrupted\n"));
    assert!(
        said.out
            .contains(&format!("go on with: fusion-kit resume {RUN_ID}\n"))
    );
}

fn workflow() -> Value {
    json!({
        "name": "feature",
        "description": "Plan and build.",
        "inputs": [
            { "name": "issue", "type": "string", "required": true, "default": null, "description": "What to do." },
            { "name": "depth", "type": "integer", "required": false, "default": 3, "description": null },
            { "name": "note", "type": "string", "required": false, "default": null, "description": null },
        ],
        "agents": ["planner", "coder"],
        "steps": ["plan", "build"],
    })
}

#[tokio::test]
async fn a_valid_workflow_is_summed_up() {
    let backend = Fake {
        workflow: Some(serde_json::from_value(workflow()).unwrap()),
        ..Fake::default()
    };
    let said = fusion_kit("workflow validate a.yaml", &backend).await;
    check_snapshot("validate.txt", &text(&said));
}

#[tokio::test]
async fn what_is_likely_not_meant_is_a_warning_and_with_strict_a_fault() {
    let mut warned = workflow();
    warned["warnings"] = json!([{
        "rule": "unused-input", "message": "nothing uses the input 'note\u{1b}[2J'",
        "help": "take it out, or name it: ${{ inputs.note }}",
        "line": 5, "column": 3, "offset": 40, "length": 4,
    }]);
    let backend = Fake {
        workflow: Some(serde_json::from_value(warned).unwrap()),
        ..Fake::default()
    };
    let said = fusion_kit("workflow validate a.yaml", &backend).await;
    let err = "\
warning: nothing uses the input 'note␛[2J' (unused-input)
 --> a.yaml:5:3
  help: take it out, or name it: ${{ inputs.note }}
";
    assert_eq!((said.code, said.err.as_str()), (0, err));
    assert!(said.out.starts_with("✓ a.yaml is valid"), "{}", said.out);
    let said = fusion_kit("workflow validate a.yaml --json", &backend).await;
    let told: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(
        (said.code, &told["warnings"][0]["rule"]),
        (0, &json!("unused-input"))
    );

    let said = fusion_kit("workflow validate a.yaml --strict", &backend).await;
    assert_eq!((said.code, said.out.as_str()), (5, ""));
    for text in ["unused-input", "a.yaml:5:3", "(1 fault)", "--strict"] {
        assert!(said.err.contains(text), "{text}: {}", said.err);
    }
    let said = fusion_kit("workflow validate a.yaml --strict --json", &backend).await;
    let told: Value = serde_json::from_str(&said.err).unwrap();
    assert_eq!((said.code, &told["faults"][0]["line"]), (5, &json!(5)));
    let good = Fake {
        workflow: Some(serde_json::from_value(workflow()).unwrap()),
        ..Fake::default()
    };
    let said = fusion_kit("workflow validate a.yaml --strict", &good).await;
    assert_eq!((said.code, said.err.as_str()), (0, ""));
}

#[tokio::test]
async fn no_text_of_a_model_reaches_the_terminal_as_a_command() {
    let evil = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\r\u{202e}";
    let mut run = run_with_journal();
    run.outputs = Some(json!({ evil: evil, "nested": { "a": [evil] } }));
    run.summary.workflow = evil.to_owned();
    run.summary.error = Some(evil.to_owned());
    run.inputs.insert(evil.to_owned(), json!(evil));
    for agent in &mut run.agents {
        agent.name = evil.to_owned();
        agent.model = evil.to_owned();
    }
    for step in &mut run.steps {
        step.id = evil.to_owned();
        step.agent = Some(evil.to_owned());
        step.error = Some(evil.to_owned());
        step.artifacts = vec![evil.to_owned()];
        step.outputs = Some(json!({ "text": evil }));
        for entry in &mut step.journal {
            entry.name = evil.to_owned();
            entry.request = json!(evil);
            entry.outcome = Some(json!({ "exit_code": evil }));
        }
    }
    let backend = Fake {
        snapshots: vec![run.clone()],
        notice: Some("\u{1b}[2J\u{9b}31m"),
        runs: vec![run.summary.clone()],
        ..Fake::of(run)
    };
    for line in [
        "run a.yaml",
        "run show",
        "run show -v",
        "run list",
        "run a.yaml --json",
    ] {
        let said = fusion_kit(line, &backend).await;
        for text in [said.out, said.err] {
            let obeyed: Vec<char> = text
                .chars()
                .filter(|c| {
                    (c.is_control() && *c != '\n')
                        || (*c == '\u{202e}' && line != "run a.yaml --json")
                })
                .collect();
            assert_eq!(obeyed, [], "{line}: {text}");
        }
    }
}

/// A reader that has gone away, or a disk without room.
struct Broken(ErrorKind);

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_reader_that_went_away_is_no_failure_and_a_full_disk_is() {
    for (kind, exit) in [
        (ErrorKind::BrokenPipe, Exit::Done),
        (ErrorKind::StorageFull, Exit::Unreachable),
    ] {
        let err = Buffer::default();
        let terminal = terminal(Output::file(Broken(kind)), Output::file(err.clone()));
        let cli = fusion_cli::parse(["fusion-kit", "run", "show"]).unwrap();
        let ended = fusion_cli::execute(cli, &Fake::of(completed_run()), &terminal).await;
        assert_eq!(ended, exit);
        assert_eq!(
            err.text()
                .starts_with("error: the result could not be written to stdout"),
            exit != Exit::Done
        );
    }
}
