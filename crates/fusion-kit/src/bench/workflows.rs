//! The workflows that are measured, as anybody would write them.

use std::fmt::Write as _;

use fusion_cli::{BenchModel, BenchRow};
use fusion_coordination::STEP;

use crate::wiring::{OPENAI_COMPATIBLE, SCRIPTED};

/// The script of answers, beside the workflow.
pub(super) const SCRIPT: &str = "answers.yaml";

/// Steps in the middle of W4.
const FAN_OUT: usize = 200;

/// Agents that do them.
const HANDS: usize = 8;

/// Turns of W2 that call a tool.
const TOOL_TURNS: usize = 10;

/// Steps of an agent of W7.
const IN_A_ROW: usize = 5;

/// The text of a workflow.
pub(super) fn workflow(row: BenchRow, llm: BenchModel) -> String {
    let agent = |more: &str| {
        let (provider, model) = match (llm, row) {
            (BenchModel::None, _) => (SCRIPTED, SCRIPT),
            (BenchModel::Raw, BenchRow::W2) => (OPENAI_COMPATIBLE, "tool-turns-10"),
            (BenchModel::Raw, _) => (OPENAI_COMPATIBLE, "mock"),
        };
        format!("{{ provider: {provider}, model: {model}{more} }}")
    };
    let name = row.name().to_lowercase();
    let head = format!("version: 1\nname: {name}\nagents:\n");
    let one = |more: &str| format!("{head}  worker: {}\nsteps:\n", agent(more));
    match row {
        BenchRow::W2 => one(", tools: [files], max_repeats: 100") + &step("s1", None),
        BenchRow::W3 => one("") + &chain(3),
        BenchRow::W7 => one("") + &chain(IN_A_ROW),
        BenchRow::W4 => {
            let hand = agent(", capabilities: [work]");
            let hands = (1..=HANDS).map(|number| format!("  hand{number}: {hand}\n"));
            format!("{head}{}steps:\n{}", hands.collect::<String>(), fan_out())
        }
        BenchRow::W1 | BenchRow::W1d | BenchRow::W5 | BenchRow::W6 | BenchRow::W9 => {
            one("") + &step("s1", None)
        }
    }
}

/// Steps, each of which is given what the one before it answered.
fn chain(steps: usize) -> String {
    (1..=steps)
        .map(|number| {
            let before = (number > 1).then(|| format!("s{}", number - 1));
            step(&format!("s{number}"), before.as_deref())
        })
        .collect()
}

fn step(id: &str, before: Option<&str>) -> String {
    match before {
        None => format!("  - {{ id: {id}, agent: worker, prompt: Say hello. }}\n"),
        Some(before) => format!(
            "  - {{ id: {id}, agent: worker, needs: {before}, prompt: \"Go on from: ${{{{ steps.{before}.outputs.text }}}}\" }}\n"
        ),
    }
}

fn fan_out() -> String {
    let mut text = "  - { id: split, capabilities: work, prompt: Split it. }\n".to_owned();
    for number in 1..=FAN_OUT {
        // Writing to a text does not fail.
        writeln!(
            text,
            "  - {{ id: p{number}, capabilities: work, needs: split, prompt: Do your part. }}"
        )
        .ok();
    }
    let parts: Vec<String> = (1..=FAN_OUT).map(|number| format!("p{number}")).collect();
    text + &format!(
        "  - {{ id: join, capabilities: work, needs: [{}], prompt: Join it. }}\n",
        parts.join(", ")
    )
}

/// Steps of a run.
pub(super) const fn steps(row: BenchRow) -> u64 {
    match row {
        BenchRow::W3 => 3,
        BenchRow::W4 => FAN_OUT as u64 + 2,
        BenchRow::W7 => IN_A_ROW as u64,
        BenchRow::W1
        | BenchRow::W1d
        | BenchRow::W2
        | BenchRow::W5
        | BenchRow::W6
        | BenchRow::W9 => 1,
    }
}

/// Answers without a model; `tasks` is how many W9 has.
pub(super) fn script(row: BenchRow, tasks: u64) -> String {
    let answer = "    - { text: \"Hello, how can I help you today?\" }\n";
    let call = "    - { tool_calls: [{ name: list_files, arguments: {} }] }\n";
    let before = if row == BenchRow::W2 {
        call.repeat(TOOL_TURNS)
    } else {
        String::new()
    };
    let ids: Vec<String> = match row {
        BenchRow::W4 => {
            let parts = (1..=FAN_OUT).map(|number| format!("p{number}"));
            parts
                .chain(["split".to_owned(), "join".to_owned()])
                .collect()
        }
        BenchRow::W5 => vec![STEP.to_owned()],
        BenchRow::W9 => (1..=tasks).map(|number| format!("s{number}")).collect(),
        BenchRow::W1
        | BenchRow::W1d
        | BenchRow::W2
        | BenchRow::W3
        | BenchRow::W6
        | BenchRow::W7 => (1..=steps(row))
            .map(|number| format!("s{number}"))
            .collect(),
    };
    let steps = ids.iter().map(|id| format!("  {id}:\n{before}{answer}"));
    format!("version: 1\nsteps:\n{}", steps.collect::<String>())
}

#[cfg(test)]
mod tests {
    use fusion_cli::{BenchModel, BenchRow};

    use super::{steps, workflow};

    #[test]
    fn each_row_is_a_workflow_of_so_many_steps() {
        use BenchRow::{W1, W1d, W2, W3, W4, W5, W6, W7, W9};
        for row in [W1, W1d, W2, W3, W4, W5, W6, W7, W9] {
            for llm in [BenchModel::Raw, BenchModel::None] {
                let text = workflow(row, llm);
                let definition = fusion_workflow_file::parse(&text);
                let definition = definition.unwrap_or_else(|faults| panic!("{faults:?}\n{text}"));
                assert_eq!(definition.steps.len() as u64, steps(row), "{text}");
            }
        }
    }
}
