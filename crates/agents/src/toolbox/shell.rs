//! `run_command`, and the `verify` commands of a step.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use fusion_core::{EffectClass, error_chain};
use fusion_providers::ToolSpec;
use fusion_workspaces::{Command, Exit, Finished, Program, Sandbox};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Place, Stopped, Tool, arguments};
use crate::context::CONTENT_LIMIT;
use crate::entry::{CheckOutcome, ToolOutcome};

/// Seconds a command may take when the model names no time.
const DEFAULT_TIMEOUT_SECONDS: u64 = 120;

/// Characters of a command's input.
const STDIN_MAX: usize = 1_000_000;

pub(super) struct RunCommand;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RunArguments {
    #[serde(default)]
    command: Option<String>,
    #[serde(default)]
    argv: Option<Vec<String>>,
    #[serde(default)]
    stdin: String,
    #[serde(default)]
    timeout_seconds: Option<u64>,
}

impl RunArguments {
    /// What to run; `Err` tells the model what is missing.
    fn program(&mut self) -> Result<Program, String> {
        match (self.command.take(), self.argv.take()) {
            (Some(script), None) => Ok(Program::Shell(script)),
            (None, Some(argv)) => Ok(Program::Argv(argv)),
            (None, None) | (Some(_), Some(_)) => Err(
                "give either `command`, a line for the shell, or `argv`, a program and its arguments"
                    .to_owned(),
            ),
        }
    }
}

#[async_trait]
impl Tool for RunCommand {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: "run_command".to_owned(),
            description:
                "Runs a command in the workspace and gives its output and exit code: `command` for the \
                 shell, or `argv` without one. When it ends, everything it started is ended too. Of a \
                 long output the middle is left out, and the whole is in a file that is named."
                    .to_owned(),
            parameters: json!({
                "type": "object",
                "properties": {
                    "command": {
                        "type": "string", "minLength": 1, "maxLength": 100_000, "description": "For sh -c."
                    },
                    "argv": {
                        "type": "array", "minItems": 1, "maxItems": 1_000,
                        "items": { "type": "string", "maxLength": 100_000 },
                        "description": "A program and its arguments, taken as they are."
                    },
                    "stdin": {
                        "type": "string", "maxLength": STDIN_MAX,
                        "description": "What it reads; nothing when left out."
                    },
                    "timeout_seconds": {
                        "type": "integer", "minimum": 1,
                        "description": format!("{DEFAULT_TIMEOUT_SECONDS} when left out.")
                    }
                },
                "additionalProperties": false,
            }),
        }
    }

    fn effect(&self) -> EffectClass {
        EffectClass::Once
    }

    fn can_be_cut(&self) -> bool {
        true
    }

    async fn call(&self, value: Value, place: &Place<'_>) -> Result<ToolOutcome, Stopped> {
        let mut given: RunArguments = match arguments("run_command", value) {
            Ok(given) => given,
            Err(refused) => return Ok(refused),
        };
        let program = match given.program() {
            Ok(program) => program,
            Err(told) => return Ok(ToolOutcome::refused(told)),
        };
        let wanted = given.timeout_seconds.unwrap_or(DEFAULT_TIMEOUT_SECONDS);
        let timeout = Duration::from_secs(wanted).min(place.command_timeout);
        let command = Command {
            stdin: given.stdin,
            output_file: place.output_file.clone(),
            ..command(program, timeout)
        };
        match run(&command, place).await {
            Ok(Finished {
                exit: Exit::Cancelled,
                ..
            }) => Err(Stopped),
            Ok(finished) => Ok(outcome(&finished)),
            Err(told) => Ok(ToolOutcome::refused(told)),
        }
    }
}

fn command(program: Program, timeout: Duration) -> Command {
    Command {
        program,
        env: BTreeMap::new(),
        stdin: String::new(),
        timeout,
        output_limit: CONTENT_LIMIT,
        output_file: None,
    }
}

/// Runs a command; an error is told in words.
async fn run(command: &Command, place: &Place<'_>) -> Result<Finished, String> {
    let workspace = place.workspace()?;
    let finished = place.launcher.run(workspace, command, &place.cancel).await;
    finished.map_err(|error| error_chain(&error))
}

fn outcome(finished: &Finished) -> ToolOutcome {
    let exit_code = match finished.exit {
        Exit::Code(code) => Some(code),
        Exit::Signal(_) | Exit::TimedOut | Exit::Cancelled | Exit::OverLimit(_) => None,
    };
    let content = format!("{}\n[{}]", finished.output.trim_end(), ending(finished));
    let outcome = match finished.exit {
        Exit::Code(0) => ToolOutcome::done(content),
        Exit::Code(_) | Exit::Signal(_) | Exit::TimedOut | Exit::Cancelled | Exit::OverLimit(_) => {
            ToolOutcome::refused(content)
        }
    };
    ToolOutcome {
        exit_code,
        unsandboxed: finished
            .sandbox
            .as_ref()
            .is_some_and(|report| report.sandbox == Sandbox::Off),
        ..outcome
    }
}

fn ending(finished: &Finished) -> String {
    match finished.exit {
        Exit::Code(code) => format!("exit code {code}"),
        Exit::Signal(signal) => format!("killed by signal {signal}"),
        Exit::TimedOut => format!(
            "killed: it took longer than {} seconds",
            finished.duration.as_secs()
        ),
        Exit::OverLimit(resource) => format!("killed: it used too much {resource}"),
        Exit::Cancelled => "stopped".to_owned(),
    }
}

/// Runs the command that a step is. Its text is its output alone, unless it did not end by itself.
pub(crate) async fn script(script: &str, place: &Place<'_>) -> Result<ToolOutcome, Stopped> {
    let command = Command {
        output_file: place.output_file.clone(),
        ..command(Program::Shell(script.to_owned()), place.command_timeout)
    };
    match run(&command, place).await {
        Ok(Finished {
            exit: Exit::Cancelled,
            ..
        }) => Err(Stopped),
        Ok(mut finished) => {
            let whole = outcome(&finished);
            let content = match whole.exit_code {
                Some(_) => std::mem::take(&mut finished.output),
                None => whole.content,
            };
            Ok(ToolOutcome { content, ..whole })
        }
        Err(why) => Ok(ToolOutcome::refused(why)),
    }
}

/// Runs the `verify` commands of a step until one does not pass.
pub(crate) async fn verify(
    commands: &[String],
    place: &Place<'_>,
) -> Result<CheckOutcome, Stopped> {
    for script in commands {
        let command = command(Program::Shell(script.clone()), place.command_timeout);
        let report = match run(&command, place).await {
            Ok(Finished {
                exit: Exit::Cancelled,
                ..
            }) => return Err(Stopped),
            Ok(Finished {
                exit: Exit::Code(0),
                ..
            }) => continue,
            Ok(finished) => outcome(&finished).content,
            Err(told) => told,
        };
        return Ok(CheckOutcome {
            passed: false,
            report: format!("$ {script}\n{report}"),
        });
    }
    Ok(CheckOutcome {
        passed: true,
        report: String::new(),
    })
}
