//! Progress on a terminal, read from a small terminal of our own.

use fusion_cli::Size;

use crate::progress::message;
use crate::support::{
    Fake, RUN_ID, Streams, completed, completed_run, failed, fusion_kit_on, queued, run, running,
    three_steps,
};

const WINDOW: Size = Size {
    columns: 80,
    rows: 12,
};

/// What stands on a screen of `size` after these bytes.
///
/// # Panics
/// They hold a command that this small terminal does not know.
fn screen(bytes: &str, size: Size) -> Vec<String> {
    let width = usize::from(size.columns);
    let mut lines: Vec<Vec<char>> = vec![Vec::new()];
    let (mut row, mut column) = (0_usize, 0_usize);
    let mut chars = bytes.chars();
    while let Some(c) = chars.next() {
        match c {
            '\r' => column = 0,
            '\n' => (row, column) = (row + 1, 0),
            '\u{1b}' => {
                assert_eq!(chars.next(), Some('['));
                let mut number = String::new();
                let command = loop {
                    match chars.next().unwrap() {
                        digit if digit.is_ascii_digit() => number.push(digit),
                        letter => break letter,
                    }
                };
                let by: usize = number.parse().unwrap();
                match command {
                    'A' => row = row.saturating_sub(by),
                    'B' => row += by,
                    'K' => lines[row].clear(),
                    other => panic!("unknown command {other}"),
                }
            }
            letter => {
                // A full line wraps only when the next letter comes.
                if column == width {
                    (row, column) = (row + 1, 0);
                }
                while lines.len() <= row {
                    lines.push(Vec::new());
                }
                let line = &mut lines[row];
                line.resize(line.len().max(column + 1), ' ');
                line[column] = letter;
                column += 1;
            }
        }
        while lines.len() <= row {
            lines.push(Vec::new());
        }
    }
    let text = |line: Vec<char>| line.into_iter().collect::<String>().trim_end().to_owned();
    let mut lines: Vec<String> = lines.into_iter().map(text).collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}

#[tokio::test]
async fn each_step_has_one_line_that_is_drawn_anew() {
    let [plan, build, review] = three_steps();
    let backend = Fake {
        snapshots: vec![
            run(three_steps()),
            run([running(plan.clone(), 0), build.clone(), review.clone()]),
            run([completed(plan, 0), running(build, 1), review]),
        ],
        notice: Some("a notice stays above"),
        messages: vec![message(&["planner"], "agent.x.inbox", "Hello.")],
        ..Fake::of(completed_run())
    };
    let ended = fusion_kit_on(Streams::ErrWindow(WINDOW), "run a.yaml", &backend).await;
    assert_eq!(
        screen(&ended.err, WINDOW),
        [
            format!("run {RUN_ID} of feature: 3 steps, 3 agents").as_str(),
            "13:00:04 planner -> planner  inbox  Hello.",
            "a notice stays above",
            "✓ plan    planner  completed    0.4s  1,204 tokens  $0.0042",
            "⠹ build   coder    running      4.0s                          turn 1",
            "· review  critic   queued",
            "1/3 steps, 2 turns, 1,204 tokens, $0.0126, 5.0s",
        ]
    );
}

#[tokio::test]
async fn the_lines_make_way_for_a_result_on_the_same_screen() {
    let backend = Fake {
        snapshots: vec![run(three_steps())],
        ..Fake::of(completed_run())
    };
    let ended = fusion_kit_on(Streams::Window(WINDOW), "run a.yaml", &backend).await;
    assert_eq!(
        screen(&ended.err, WINDOW),
        [format!("run {RUN_ID} of feature: 3 steps, 3 agents")]
    );
    assert!(ended.out.starts_with("✓ feature completed"));
}

#[tokio::test]
async fn a_run_with_more_steps_than_lines_shows_the_telling_ones() {
    let mut steps: Vec<_> = (0..20)
        .map(|n| completed(queued(&format!("done-{n}"), "coder", &[]), 0))
        .collect();
    steps.push(running(queued("works", "coder", &[]), 1));
    steps.push(failed(
        queued("broken", "coder", &[]),
        1,
        &"very long error ".repeat(20),
    ));
    steps.push(queued("waits", "coder", &[]));
    let backend = Fake {
        snapshots: vec![run(steps)],
        ..Fake::of(completed_run())
    };
    let small = Size {
        columns: 60,
        rows: 8,
    };
    let ended = fusion_kit_on(Streams::ErrWindow(small), "run a.yaml --json", &backend).await;
    // The opening takes the first two lines.
    assert_eq!(
        screen(&ended.err, small)[2..],
        [
            "✓ done-18  coder  completed    0.4s  1,204 tokens  $0.0042",
            "✓ done-19  coder  completed    0.4s  1,204 tokens  $0.0042",
            "⠋ works    coder  running      4.0s                        …",
            "✗ broken   coder  failed       0.4s  1,204 tokens  $0.0042 …",
            "· waits    coder  queued",
            "  … and 18 steps more",
            "20/23 steps, 42 turns, 25,284 tokens, $0.0126, 5.0s",
        ]
    );
}

#[tokio::test]
async fn colours_are_written_only_where_they_are_wanted() {
    let backend = Fake {
        snapshots: vec![run(three_steps())],
        ..Fake::of(completed_run())
    };
    let coloured = |text: &str| text.contains("\u{1b}[") && text.contains('m');
    for (line, wanted) in [
        ("run a.yaml --no-progress", false),
        ("run a.yaml --no-progress --color never", false),
        ("run a.yaml --no-progress --color always", true),
    ] {
        let ended = fusion_kit_on(Streams::Window(WINDOW), line, &backend).await;
        assert_eq!(coloured(&ended.out), wanted, "{line}");
    }
}
