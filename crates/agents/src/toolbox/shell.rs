//! `run_command`, and the `verify` commands of a step.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use fusion_core::{EffectClass, error_chain};
use fusion_providers::ToolSpec;
use fusion_workspaces::{Command, Exit, Finished, Grants, Program, Sandbox};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Place, Stopped, Tool, arguments};
use crate::context::CONTENT_LIMIT;
use crate::entry::{CheckOutcome, ToolOutcome};

/// Seconds a command may take when the model names no time.
const DEFAULT_TIMEOUT_SECONDS: u64 = 120;

pub(super) struct RunCommand;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RunArguments {
    command: String,
    #[serde(default)]
    timeout_seconds: Option<u64>,
}

#[async_trait]
impl Tool for RunCommand {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: "run_command".to_owned(),
            description:
                "Runs a shell command in the workspace and gives its output and exit code. When it \
                          ends, everything it started is ended too."
                    .to_owned(),
            parameters: json!({
                "type": "object",
                "properties": {
                    "command": { "type": "string", "maxLength": 100_000, "description": "For sh -c." },
                    "timeout_seconds": {
                        "type": "integer", "minimum": 1,
                        "description": format!("{DEFAULT_TIMEOUT_SECONDS} when left out.")
                    }
                },
                "required": ["command"],
                "additionalProperties": false,
            }),
        }
    }

    fn effect(&self) -> EffectClass {
        EffectClass::Once
    }

    async fn call(&self, value: Value, place: &Place<'_>) -> Result<ToolOutcome, Stopped> {
        let RunArguments {
            command,
            timeout_seconds,
        } = match arguments("run_command", value) {
            Ok(given) => given,
            Err(refused) => return Ok(refused),
        };
        let wanted = Duration::from_secs(timeout_seconds.unwrap_or(DEFAULT_TIMEOUT_SECONDS).max(1));
        match run(command, wanted.min(place.command_timeout), place).await {
            Ok(Finished {
                exit: Exit::Cancelled,
                ..
            }) => Err(Stopped),
            Ok(finished) => Ok(outcome(&finished)),
            Err(error) => Ok(ToolOutcome::refused(error_chain(&error))),
        }
    }
}

async fn run(
    script: String,
    timeout: Duration,
    place: &Place<'_>,
) -> fusion_workspaces::Result<Finished> {
    let command = Command {
        program: Program::Shell(script),
        env: BTreeMap::new(),
        grants: Grants::default(),
        timeout,
        output_limit: CONTENT_LIMIT,
    };
    place
        .launcher
        .run(&place.workspace, &command, &place.cancel)
        .await
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

/// Runs the `verify` commands of a step until one does not pass.
pub(crate) async fn verify(
    commands: &[String],
    place: &Place<'_>,
) -> Result<CheckOutcome, Stopped> {
    for command in commands {
        let report = match run(command.clone(), place.command_timeout, place).await {
            Ok(Finished {
                exit: Exit::Cancelled,
                ..
            }) => return Err(Stopped),
            Ok(Finished {
                exit: Exit::Code(0),
                ..
            }) => continue,
            Ok(finished) => outcome(&finished).content,
            Err(error) => error_chain(&error),
        };
        return Ok(CheckOutcome {
            passed: false,
            report: format!("$ {command}\n{report}"),
        });
    }
    Ok(CheckOutcome {
        passed: true,
        report: String::new(),
    })
}
