//! What each argument by itself allows, and all together do not.

use std::collections::BTreeMap;

use clap::error::ErrorKind;

use super::{
    Command, InputArg, ProviderArgs, ProviderCommand, RunArgs, RunCommand, ScheduleArgs,
    ScheduleCommand, StartArgs, WorkflowArgs, WorkflowCommand,
};
use crate::tree::command;

/// Refuses what each argument by itself allows.
pub(super) fn refuse_nonsense(wanted: &Command) -> Result<(), clap::Error> {
    match wanted {
        Command::Run(RunArgs {
            start: Some(start), ..
        }) => refuse_wrong_start(start)?,
        Command::Run(RunArgs {
            command: Some(RunCommand::Fork(fork)),
            ..
        }) => refuse_repeated_input(&fork.inputs)?,
        Command::Workflow(WorkflowArgs {
            command: WorkflowCommand::Start(start),
        }) => refuse_repeated_input(&start.inputs)?,
        Command::Schedule(ScheduleArgs {
            command: ScheduleCommand::Create(create),
        }) => refuse_repeated_input(&create.inputs)?,
        Command::Provider(ProviderArgs {
            command: ProviderCommand::Add(add),
        }) if add.may_hold_a_key() => return Err(key_as_argument()),
        Command::Run(_)
        | Command::Resume(_)
        | Command::Inbox(_)
        | Command::Top
        | Command::Approve(_)
        | Command::Reject(_)
        | Command::Workflow(_)
        | Command::Webhook(_)
        | Command::Init(_)
        | Command::Agent(_)
        | Command::Workspace(_)
        | Command::Task(_)
        | Command::Message(_)
        | Command::Events(_)
        | Command::Export(_)
        | Command::Project(_)
        | Command::Budget(_)
        | Command::Capability(_)
        | Command::Token(_)
        | Command::Dashboard
        | Command::Health(_)
        | Command::Version
        | Command::Info
        | Command::Config(_)
        | Command::Completions(_)
        | Command::Schema(_)
        | Command::Man(_)
        | Command::Metrics(_)
        | Command::Provider(_)
        | Command::Db(_)
        | Command::Sandbox(_)
        | Command::Tool(_)
        | Command::Mcp(_)
        | Command::Artifact(_)
        | Command::Node(_)
        | Command::Schedule(_)
        | Command::Serve(_)
        | Command::Down(_)
        | Command::Bench(_)
        | Command::Verify(_) => {}
    }
    Ok(())
}

fn key_as_argument() -> clap::Error {
    let message = "a key is never an argument: others could read it. Take it off the command line; \
                   without it the key comes from --key-env VAR, from the vendor's variable, or is \
                   asked for";
    command().error(ErrorKind::UnknownArgument, message)
}

fn refuse_wrong_start(start: &StartArgs) -> Result<(), clap::Error> {
    let Some(more) = start.more.first() else {
        return refuse_repeated_input(&start.inputs);
    };
    let message = format!(
        "a run is of one workflow file, and '{more}' is another word: begin one run after the other, and \
         give inputs as -i NAME=VALUE"
    );
    Err(command().error(ErrorKind::TooManyValues, message))
}

fn refuse_repeated_input(inputs: &[InputArg]) -> Result<(), clap::Error> {
    let mut seen = BTreeMap::new();
    for input in inputs {
        if let Some(first) = seen.insert(&input.name, &input.value) {
            let message = format!(
                "the input '{}' is given twice: '{first}' and '{}'",
                input.name, input.value
            );
            return Err(command().error(ErrorKind::ArgumentConflict, message));
        }
    }
    Ok(())
}
