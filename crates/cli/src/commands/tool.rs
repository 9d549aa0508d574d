//! `sandbox run`, `tool list`, `tool call`.

use fusion_api_types::{Problem, ProblemKind, ToolAnswer};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::args::{SandboxCommand, ToolCallArgs, ToolCommand};
use crate::backend::{Backend, HeldCommand, NotRun, ToolFolder};
use crate::exit::Exit;
use crate::problem;
use crate::session::Session;
use crate::table::{Align, Table};
use crate::text::{clean, clean_line};

/// `sandbox run`: the command's end is this command's end.
pub(crate) async fn sandbox(
    command: &SandboxCommand,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Exit {
    let SandboxCommand::Run(run) = command;
    let command = HeldCommand {
        workspace: run.workspace.clone(),
        argv: run.argv.clone(),
    };
    let notice = |text: &str| {
        if !session.global.quiet {
            session.tell(&format!("{}\n", clean(text)));
        }
    };
    match backend.run_held(&command, &notice).await {
        Ok(code) => Exit::Held(code),
        Err(NotRun { problem, code }) => {
            session.tell(&problem::render(&problem, session));
            Exit::Held(code)
        }
    }
}

/// `tool`.
pub(crate) async fn tool(
    command: &ToolCommand,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    match command {
        ToolCommand::List => list(backend, session),
        ToolCommand::Call(arguments) => call(arguments, backend, session).await,
    }
}

/// `tool list`.
fn list(backend: &dyn Backend, session: &Session<'_>) -> Result<Exit, Problem> {
    let tools = backend.tools();
    if session.is_machine() {
        session.print_rows(&tools, &tools.tools)?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&[
        ("TOOL", Align::Whole),
        ("GROUP", Align::Left),
        ("EFFECT", Align::Left),
        ("WHAT IT DOES", Align::Whole),
    ]);
    for tool in &tools.tools {
        table.row([
            clean_line(&tool.name),
            clean_line(&tool.group),
            clean_line(&tool.effect),
            clean_line(&tool.description),
        ]);
    }
    session.print(&table.render())?;
    Ok(Exit::Done)
}

/// `tool call`.
async fn call(
    call: &ToolCallArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let Some(name) = &call.name else {
        return lines(call, backend, session).await;
    };
    let input = serde_json::from_str(&call.input).map_err(|error| {
        Problem::new(
            ProblemKind::InvalidInput,
            format!("--input is not JSON: {error}"),
        )
        .with_help(
            "write the tool's arguments as one object: `fusion-kit tool list --json` tells them",
        )
    })?;
    let answer = backend.call_tool(name, input, folder(call)).await?;
    if session.is_machine() {
        session.print_json(&answer)?;
    } else {
        session.print(&format!("{}\n", clean(&answer.content)))?;
    }
    Ok(if answer.ok { Exit::Done } else { Exit::Failed })
}

/// A request of `--lines`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    #[serde(default)]
    id: Option<Value>,
    name: String,
    #[serde(default = "no_arguments")]
    input: Value,
}

fn no_arguments() -> Value {
    Value::Object(serde_json::Map::new())
}

/// An answer of `--lines`.
#[derive(Serialize)]
struct Answer {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Value>,
    #[serde(flatten)]
    answer: ToolAnswer,
}

async fn lines(
    call: &ToolCallArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    while let Some(line) = backend.next_line().await? {
        if line.trim().is_empty() {
            continue;
        }
        let answer = match serde_json::from_str::<Request>(&line) {
            Ok(Request { id, name, input }) => Answer {
                id,
                answer: backend.call_tool(&name, input, folder(call)).await?,
            },
            Err(error) => Answer {
                id: None,
                answer: ToolAnswer {
                    ok: false,
                    content: format!("the line is no request: {error}"),
                    exit_code: None,
                },
            },
        };
        session.print_json(&answer)?;
    }
    Ok(Exit::Done)
}

fn folder(call: &ToolCallArgs) -> ToolFolder<'_> {
    ToolFolder {
        workspace: &call.workspace,
        hosts: &call.hosts,
    }
}
