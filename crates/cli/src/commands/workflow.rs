//! `workflow validate`.

use fusion_api_types::{InputView, Problem, WorkflowSummary};

use crate::args::ValidateArgs;
use crate::backend::Backend;
use crate::exit::Exit;
use crate::session::Session;
use crate::style::Tone;
use crate::table::{Align, Table};
use crate::text::{clean, clean_line, count, indent, shell_word};

/// `workflow validate`.
pub(crate) async fn validate(
    validate: &ValidateArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let workflow = backend.validate_workflow(&validate.file).await?;
    if session.is_machine() {
        session.print_json(&workflow)?;
    } else {
        let file = validate.file.to_string_lossy();
        session.print(&summary(&workflow, &file, session))?;
    }
    Ok(Exit::Done)
}

fn summary(workflow: &WorkflowSummary, file: &str, session: &Session<'_>) -> String {
    let mut text = format!(
        "{} {} is valid: workflow {}, {}, {}\n",
        session.out.paint(Tone::Good, "✓"),
        clean_line(file),
        session.out.paint(Tone::Strong, &clean_line(&workflow.name)),
        count(workflow.agents.len() as u64, "agent"),
        count(workflow.steps.len() as u64, "step"),
    );
    if let Some(description) = workflow.description.as_deref().filter(|d| !d.is_empty()) {
        text.push_str(&indent(&clean(description), 2));
    }
    if !workflow.inputs.is_empty() {
        text.push_str("\ninputs\n");
        text.push_str(&indent(&inputs(&workflow.inputs), 2));
    }
    for (heading, names) in [("agents", &workflow.agents), ("steps", &workflow.steps)] {
        text.push_str(&format!("\n{heading}\n"));
        for name in names {
            text.push_str(&format!("  {}\n", clean_line(name)));
        }
    }
    let run = session.command(&format!("run {}", shell_word(file)));
    text.push_str(&format!("\nrun it: {run}\n"));
    text
}

fn inputs(inputs: &[InputView]) -> String {
    let mut table = Table::new(&[
        ("NAME", Align::Left),
        ("TYPE", Align::Left),
        ("WITHOUT IT", Align::Left),
        ("WHAT", Align::Whole),
    ]);
    for input in inputs {
        let without = match &input.default {
            Some(default) => format!("is {}", clean_line(&default.to_string())),
            None if input.required => "refused".to_owned(),
            None => "empty".to_owned(),
        };
        table.row([
            clean_line(&input.name),
            clean_line(&input.r#type),
            without,
            input
                .description
                .as_deref()
                .map(clean_line)
                .unwrap_or_default(),
        ]);
    }
    table.render()
}
