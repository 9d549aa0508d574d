//! `workflow`: files and stored workflows.

use std::path::Path;

use fusion_api_types::{
    FaultView, FileText, InputView, Problem, ProblemKind, RunList, StoredWorkflow, WarningView,
    WorkflowDiff, WorkflowList, WorkflowSummary,
};

use super::db::{answer, answer_rows};
use super::dry_run::tell;
use super::inputs::inputs;
use super::run::{begun_or_ended, no_file};
use crate::args::{
    DiffArgs, GraphArgs, GraphFormat, StartWorkflowArgs, Tried, ValidateArgs, WhichVersion,
    WhichWorkflow, WorkflowCommand,
};
use crate::backend::{Backend, Operation, StartWorkflow};
use crate::exit::Exit;
use crate::progress::{Begun, Display};
use crate::report::{self, graph, workflow as stored};
use crate::session::Session;
use crate::style::Tone;
use crate::table::{Align, Table};
use crate::text::{clean, clean_line, count, indent, shell_word};

/// Every command below `workflow`.
pub(crate) async fn workflow(
    command: &WorkflowCommand,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    match command {
        WorkflowCommand::Validate(file) => validate(file, backend, session).await,
        WorkflowCommand::Create(create) => {
            let project = create.project.as_deref();
            let file = create.file().ok_or_else(no_file)?;
            let created = backend.create_workflow(file, project).await?;
            answer(&created, stored::created, session)
        }
        WorkflowCommand::List(asked) => {
            let workflows = backend.list_workflows(asked.limit).await?;
            if workflows.is_empty() && !session.is_machine() {
                let create = session.command("workflow create FILE");
                session.tell(&format!("no workflows yet; store one with: {create}\n"));
                return Ok(Exit::Done);
            }
            list(workflows, session)
        }
        WorkflowCommand::Versions(which) => {
            let workflows = backend.workflow_versions(&which.workflow).await?;
            list(workflows, session)
        }
        WorkflowCommand::Get(get) => {
            let shown = backend.show_workflow(&get.workflow, get.version).await?;
            answer(&shown, stored::one, session)
        }
        WorkflowCommand::Export(which) => {
            let stored = backend
                .show_workflow(&which.workflow, which.version)
                .await?;
            if session.is_machine() {
                session.print_json(&stored)?;
            } else {
                session.print(stored.source.as_deref().unwrap_or_default())?;
            }
            Ok(Exit::Done)
        }
        WorkflowCommand::Delete(which) => delete(which, backend, session).await,
        WorkflowCommand::Diff(diff) => self::diff(diff, backend, session).await,
        WorkflowCommand::Graph(graph) => draw(graph, backend, session).await,
        WorkflowCommand::Start(start) => self::start(start, backend, session).await,
        WorkflowCommand::Cancel(which) => cancel(which, backend, session).await,
    }
}

fn list(workflows: Vec<StoredWorkflow>, session: &Session<'_>) -> Result<Exit, Problem> {
    let list = WorkflowList { workflows };
    answer_rows(&list, &list.workflows, stored::list, session)
}

async fn diff(
    diff: &DiffArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let before = backend
        .show_workflow(&diff.workflow, Some(diff.from))
        .await?;
    let after = backend.show_workflow(&diff.workflow, diff.to).await?;
    let changed = WorkflowDiff {
        diff: stored::unified(&before, &after),
        name: after.name,
        from: before.version,
        to: after.version,
    };
    if changed.diff.is_empty() && !session.is_machine() {
        let (from, to) = (changed.from, changed.to);
        session.tell(&format!("versions {from} and {to} have the same text\n"));
        return Ok(Exit::Done);
    }
    answer(&changed, stored::diff, session)
}

async fn draw(
    args: &GraphArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let drawn = backend.workflow_graph(&args.workflow, args.version).await?;
    let draw = match args.format {
        GraphFormat::Tree => graph::tree,
        GraphFormat::Mermaid => graph::mermaid,
        GraphFormat::Dot => graph::dot,
    };
    answer(&drawn, |drawn, _| draw(drawn), session)
}

async fn start(
    start: &StartWorkflowArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let request = StartWorkflow {
        workflow: start.workflow.clone(),
        version: start.version,
        inputs: inputs(&start.inputs, start.input_file.as_deref())?,
        max_cost: start.max_cost.clone(),
        detach: start.detach,
    };
    let mut display = Display::new(session, Begun::Now);
    let ended = backend.start_workflow(&request, &mut display).await;
    display.finish();
    begun_or_ended(&ended?, start.detach, session)
}

/// `workflow validate`.
async fn validate(
    validate: &ValidateArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let workflow = backend.validate_workflow(&validate.file).await?;
    if validate.strict && !workflow.warnings.is_empty() {
        return Err(strictly(workflow.warnings, &validate.file));
    }
    if session.is_machine() {
        session.print_json(&workflow)?;
    } else {
        let file = validate.file.to_string_lossy();
        session.print(&summary(&workflow, &file, session))?;
        for warning in &workflow.warnings {
            session.tell(&warned(warning, &file, session));
        }
    }
    Ok(Exit::Done)
}

/// Warnings as the faults that they are with `--strict`.
fn strictly(warnings: Vec<WarningView>, file: &Path) -> Problem {
    let faults = warnings.into_iter().map(|warning| FaultView {
        message: format!("{} ({})", warning.fault.message, warning.rule),
        ..warning.fault
    });
    let path = file.display().to_string();
    let text = "with --strict the workflow can't be used as it is";
    Problem::new(ProblemKind::InvalidInput, text).in_file(
        FileText {
            path,
            text: String::new(),
        },
        faults.collect(),
    )
}

fn warned(warning: &WarningView, file: &str, session: &Session<'_>) -> String {
    let WarningView { rule, fault } = warning;
    let label = session.err.paint(Tone::Warn, "warning:");
    let mut text = format!(
        "{label} {} ({})\n --> {}:{}:{}\n",
        clean_line(&fault.message),
        clean_line(rule),
        clean_line(file),
        fault.line,
        fault.column
    );
    if let Some(help) = &fault.help {
        let label = session.err.paint(Tone::Strong, "help:");
        text.push_str(&format!("  {label} {}\n", clean(help)));
    }
    text
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
        text.push_str(&indent(&declared(&workflow.inputs), 2));
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

fn declared(inputs: &[InputView]) -> String {
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

async fn delete(
    which: &Tried<WhichVersion>,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let (workflow, version) = (&which.what.workflow, which.what.version);
    if which.dry_run {
        let workflow = workflow.clone();
        let operation = Operation::DeleteWorkflow { workflow, version };
        return tell(operation, backend, session).await;
    }
    let gone = backend.delete_workflow(workflow, version).await?;
    answer(&gone, stored::gone, session)
}

async fn cancel(
    which: &Tried<WhichWorkflow>,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let workflow = &which.what.workflow;
    if which.dry_run {
        let operation = Operation::CancelWorkflow(workflow.clone());
        return tell(operation, backend, session).await;
    }
    let runs = backend.cancel_workflow(workflow).await?;
    if runs.is_empty() && !session.is_machine() {
        session.tell("it has no open run\n");
        return Ok(Exit::Done);
    }
    let list = RunList { runs };
    let text = |list: &RunList, session: &Session<'_>| report::list(&list.runs, session);
    answer_rows(&list, &list.runs, text, session)
}
