//! What is said when a request can't be done.

use fusion_api_types::{FaultView, FileText, Problem, ProblemKind};
use fusion_cli::Size;

use crate::support::{Ended, Fake, Streams, fusion_kit, fusion_kit_on, problem};

const FILE: &str = "version: 1\nname: hello\nstpes: []\nagents:\n  größe: { modell: x }\n";

fn fault(message: &str, help: Option<&str>, word: &str) -> FaultView {
    let (before, _) = FILE.split_once(word).unwrap();
    FaultView {
        message: message.to_owned(),
        help: help.map(str::to_owned),
        line: before.matches('\n').count() + 1,
        column: before.chars().rev().take_while(|c| *c != '\n').count() + 1,
        offset: before.len(),
        length: word.len(),
    }
}

fn faulty() -> Problem {
    Problem::new(
        ProblemKind::InvalidInput,
        "bad.yaml is not a valid workflow",
    )
    .with_help("the format is described in docs/workflow-file.md")
    .in_file(
        FileText {
            path: "bad.yaml".to_owned(),
            text: FILE.to_owned(),
        },
        vec![
            fault(
                "unknown key `stpes`",
                Some("did you mean `steps`?"),
                "stpes",
            ),
            fault("unknown key `modell`", None, "modell"),
        ],
    )
}

#[tokio::test]
async fn every_fault_of_a_file_is_shown_where_it_stands() {
    let said = fusion_kit("workflow validate bad.yaml", &Fake::refusing(faulty())).await;
    let expected = Ended {
        code: 5,
        out: String::new(),
        err: "\
error: unknown key `stpes`
 --> bad.yaml:3:1
  |
3 | stpes: []
  | ^^^^^
  |
  = help: did you mean `steps`?

error: unknown key `modell`
 --> bad.yaml:5:12
  |
5 |   größe: { modell: x }
  |            ^^^^^^

error: bad.yaml is not a valid workflow (2 faults)
help: the format is described in docs/workflow-file.md
"
        .to_owned(),
    };
    assert_eq!(said, expected);
}

#[tokio::test]
async fn a_fault_is_coloured_on_a_terminal() {
    let window = Streams::Window(Size {
        columns: 80,
        rows: 24,
    });
    let backend = Fake::refusing(faulty());
    let said = fusion_kit_on(window, "run bad.yaml --color always", &backend).await;
    assert!(
        said.err.contains("\u{1b}[1m\u{1b}[91merror"),
        "{:?}",
        said.err
    );
}

#[tokio::test]
async fn a_place_outside_its_file_is_pulled_inside() {
    for (text, offset, length) in [
        ("", 0, 0),
        ("a: b\n", 5, 0),
        ("a: b\n", 99, 7),
        ("ä", 1, 1),
        ("ä", 1, usize::MAX),
        ("a\u{9b}b: [", 2, 3),
    ] {
        let problem = Problem::new(ProblemKind::InvalidInput, "bad.yaml is broken").in_file(
            FileText {
                path: "bad.yaml".to_owned(),
                text: text.to_owned(),
            },
            vec![FaultView {
                message: "the file ends too early".to_owned(),
                help: Some("close\u{1b}[2J it".to_owned()),
                line: 1,
                column: 1,
                offset,
                length,
            }],
        );
        let said = fusion_kit("run bad.yaml", &Fake::refusing(problem)).await;
        assert_eq!(said.code, 5);
        assert!(said.err.contains("--> bad.yaml:"), "{}", said.err);
        assert!(!said.err.contains(['\u{1b}', '\u{9b}']), "{}", said.err);
    }
}

#[tokio::test]
async fn a_problem_without_a_place_is_one_line_and_its_help() {
    let refused = problem("the data directory /data is in use by process 4711")
        .with_help("wait for it, or stop it: kill 4711");
    let said = fusion_kit("run a.yaml", &Fake::refusing(refused)).await;
    let expected = Ended {
        code: 10,
        out: String::new(),
        err: "error: the data directory /data is in use by process 4711\n\
              help: wait for it, or stop it: kill 4711\n"
            .to_owned(),
    };
    assert_eq!(said, expected);
}

#[tokio::test]
async fn each_kind_of_problem_ends_with_its_own_code() {
    for (kind, code) in [
        (ProblemKind::InvalidInput, 2),
        (ProblemKind::NotFound, 3),
        (ProblemKind::Conflict, 5),
        (ProblemKind::Denied, 4),
        (ProblemKind::OverBudget, 9),
        (ProblemKind::Limited, 9),
        (ProblemKind::Unavailable, 10),
        (ProblemKind::Timeout, 8),
        (ProblemKind::Internal, 1),
    ] {
        let backend = Fake::refusing(Problem::new(kind, "no"));
        for line in [
            "run a",
            "resume",
            "run list",
            "run show",
            "workflow validate a",
        ] {
            assert_eq!(
                fusion_kit(line, &backend).await.code,
                code,
                "{line} {kind:?}"
            );
        }
    }
}

#[tokio::test]
async fn with_json_a_problem_is_one_object_without_the_text_of_the_file() {
    let said = fusion_kit("run bad.yaml --json", &Fake::refusing(faulty())).await;
    assert_eq!((said.code, said.out.as_str()), (5, ""));
    assert!(!said.err.contains("version: 1"));
    let mut expected = faulty();
    expected.file.as_mut().unwrap().text.clear();
    assert_eq!(
        serde_json::from_str::<Problem>(&said.err).unwrap(),
        expected
    );
}
