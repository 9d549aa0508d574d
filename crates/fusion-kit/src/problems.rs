//! From errors of the engine to what a person is told.

use std::error::Error as StdError;
use std::path::Path;

use fusion_api_types::{FaultView, FileText, Problem, ProblemKind};
use fusion_coordination::{CallFault, Error, WrongCall};
use fusion_core::{Coded, ErrorCode, InputFault, ProviderConfig, RunId, error_chain};
use fusion_messaging_redis::Error as BusError;
use fusion_persistence::{ANOTHER_NAME, Error as StoreError, unarchive};
use fusion_providers::Error as ModelError;
use fusion_workflow_file::{
    Choice, ChoicePart, Fault, GrantList, Position, place_in_agent, place_of_grant,
};

use crate::data_dir::DataDir;

/// What the store was trying to do when a server does not let us in.
const CONNECT: &str = "connect to the database";

/// The kind of a problem, from the code of an error.
fn kind(code: ErrorCode) -> ProblemKind {
    match code {
        ErrorCode::InvalidInput => ProblemKind::InvalidInput,
        ErrorCode::NotFound => ProblemKind::NotFound,
        ErrorCode::Conflict | ErrorCode::Fenced => ProblemKind::Conflict,
        ErrorCode::Denied => ProblemKind::Denied,
        ErrorCode::OverBudget => ProblemKind::OverBudget,
        ErrorCode::Limited => ProblemKind::Limited,
        ErrorCode::Unavailable => ProblemKind::Unavailable,
        ErrorCode::Timeout => ProblemKind::Timeout,
        ErrorCode::Internal => ProblemKind::Internal,
    }
}

/// A problem with the text of an error and of all its causes; what a cause only repeats is left out.
pub(crate) fn of_error(error: &(impl Coded + 'static)) -> Problem {
    let problem = Problem::new(kind(error.code()), error_chain(error));
    match error.retry_after() {
        Some(wait) => problem.retry_after(wait),
        None => problem,
    }
}

/// A problem of the store, with the way out where its text does not say it.
pub(crate) fn of_store(error: &StoreError) -> Problem {
    let help = match error {
        StoreError::Unavailable { .. } => {
            "try again in a moment; if it stays so: does the server that DATABASE_URL names run, or \
             does another tool hold the database file?"
        }
        StoreError::DiskFull { .. } => "free some space on the disk of the database",
        StoreError::OutcomeUnknown => "see what was done with: fusion-kit run show",
        StoreError::Failed {
            action: CONNECT, ..
        } => "check the user, the password and the database that DATABASE_URL names",
        StoreError::Corrupt { .. } => "see what else is wrong with: fusion-kit verify",
        StoreError::Exists { .. } => ANOTHER_NAME,
        StoreError::Archived { project } => {
            return of_error(error).with_help(unarchive(project));
        }
        StoreError::NotFound { .. }
        | StoreError::Conflict { .. }
        | StoreError::Missing { .. }
        | StoreError::InUse { .. }
        | StoreError::Needed { .. }
        | StoreError::Deleted { .. }
        | StoreError::Heard { .. }
        | StoreError::Refused { .. }
        | StoreError::DryRun
        | StoreError::Repeated(_)
        | StoreError::KeyReused { .. }
        | StoreError::Gone { .. }
        | StoreError::Invalid { .. }
        | StoreError::InboxFull { .. }
        | StoreError::OverBudget { .. }
        | StoreError::NotDriver { .. }
        | StoreError::Fenced { .. }
        | StoreError::Unusable { .. }
        | StoreError::Failed { .. } => return of_error(error),
    };
    of_error(error).with_help(help)
}

/// A problem of the bus over Redis.
pub(crate) fn of_bus(error: &BusError) -> Problem {
    let help = match error {
        BusError::Unreachable { .. } | BusError::TooSlow { .. } => {
            "does the server that REDIS_URL names run, and is its port open? runs go on without it"
        }
        BusError::LetsNotIn { .. } => "check the user and the password in REDIS_URL",
        BusError::Refuses { .. } => {
            "it needs Redis 6 or newer, and a user who may PUBLISH and PSUBSCRIBE on the channels of \
             FUSION_REDIS_NAMESPACE"
        }
        BusError::Url { .. } => "correct REDIS_URL, or leave it out to work without Redis",
        BusError::Namespace { .. } => "correct FUSION_REDIS_NAMESPACE, or leave it out",
    };
    of_error(error).with_help(help)
}

/// A problem with the place of the workspaces.
pub(crate) fn of_workspaces(error: &fusion_workspaces::Error) -> Problem {
    with_help(of_error(error), error.help())
}

fn with_help(problem: Problem, help: Option<impl Into<String>>) -> Problem {
    match help {
        Some(help) => problem.with_help(help),
        None => problem,
    }
}

/// A problem of a provider, with the way out where one is known.
pub(crate) fn of_provider(error: &ModelError) -> Problem {
    with_help(of_error(error), error.help())
}

/// A problem of a stored provider: what the environment has to do with others is not told of it.
/// `command` makes a command line for this data directory.
pub(crate) fn of_stored_provider(
    row: &ProviderConfig,
    error: &ModelError,
    command: impl Fn(&str) -> String,
) -> Problem {
    let (name, url) = (&row.name, &row.api_endpoint);
    let is_about_key = matches!(
        error,
        ModelError::Refused { .. } | ModelError::MissingKey { .. }
    );
    let help = if is_about_key {
        Some(format!(
            "check the key at the provider; give another with: {}",
            command(&format!(
                "provider add {name} --type {} --base-url {url} --key-env VAR --replace",
                row.provider_type
            ))
        ))
    } else if matches!(error, ModelError::Unreachable { .. }) {
        Some(format!(
            "does the server run at {url}? another base URL: {}",
            command(&format!(
                "provider add {name} --type {} --base-url URL --replace",
                row.provider_type
            ))
        ))
    } else {
        error.help()
    };
    with_help(of_error(error), help)
}

/// A problem of the engine, with the way out where one is known.
pub(crate) fn of_engine(error: &Error) -> Problem {
    let problem = of_error(error);
    match error {
        Error::Model { source, .. } => with_help(problem, source.help()),
        Error::Workspace { source, .. } | Error::Artifact { source } => {
            with_help(problem, source.help())
        }
        Error::Unserved { help, .. } => with_help(problem, help.clone()),
        Error::Store(error) => of_store(error),
        Error::Calls { faults } => of_calls(problem, faults),
        Error::NobodyLeft { .. } => problem
            .with_help("send it to an agent of a run that goes on, with: fusion-kit message send"),
        Error::Lives { .. }
        | Error::HasEnded { .. }
        | Error::Ending { .. }
        | Error::OnlyCopy { .. }
        | Error::OnlyCopies { .. }
        | Error::OpenWork(_)
        | Error::Wanted { .. } => with_help(problem, error.way_out()),
        Error::Choice { .. }
        | Error::Grant { .. }
        | Error::Ended { .. }
        | Error::Cancelling { .. }
        | Error::Held { .. }
        | Error::Lifecycle { .. }
        | Error::Elsewhere { .. }
        | Error::NodeDown { .. }
        | Error::Description { .. }
        | Error::OfRun { .. }
        | Error::OfImported { .. }
        | Error::RunFile(_)
        | Error::Busy { .. }
        | Error::InOtherState { .. }
        | Error::AtWork { .. }
        | Error::Occupied { .. }
        | Error::Again(_)
        | Error::Answer(_)
        | Error::TaskState { .. }
        | Error::QueueFull { .. }
        | Error::Standalone { .. }
        | Error::OfWorkflow { .. }
        | Error::NotEnded { .. }
        | Error::Message(_)
        | Error::DryRun(_)
        | Error::Illegal(_)
        | Error::Broken(_) => problem,
    }
}

/// The way out where a step is a run of a workflow that can't be run.
fn of_calls(problem: Problem, faults: &[CallFault]) -> Problem {
    let is_missing = |fault: &CallFault| match fault {
        CallFault::Step { what, .. } => matches!(what, WrongCall::NoWorkflow { .. }),
        CallFault::Output { .. } => false,
    };
    if faults.iter().any(is_missing) {
        return problem.with_help("store a workflow with: fusion-kit workflow create FILE");
    }
    let lacks_output = |fault: &CallFault| matches!(fault, CallFault::Output { .. });
    if faults.iter().any(lacks_output) {
        return problem.with_help(
            "take an output that there is, or store the workflow that lacks it again, with: \
             fusion-kit workflow create FILE",
        );
    }
    problem
}

/// A problem of driving a run, with what can be done with the run.
pub(crate) fn left_over(error: &Error, data_dir: &DataDir, run: RunId) -> Problem {
    let problem = of_engine(error);
    let has_ended = matches!(
        error,
        // A workspace that can't be made ends the run before it began.
        Error::Ended { .. } | Error::Workspace { .. } | Error::Artifact { .. }
    );
    if has_ended {
        let show = data_dir.command(&format!("run show {run}"));
        return problem.with_help(format!("see what it did with: {show}"));
    }
    let resume = data_dir.command(&format!("resume {run}"));
    let go_on = format!("nothing that was done is lost; go on with: {resume}");
    match problem.help.clone() {
        Some(help) => problem.with_help(format!("{help}; {go_on}")),
        None => problem.with_help(go_on),
    }
}

/// A workflow file that can't be read.
pub(crate) fn of_file(path: &Path, error: &dyn StdError) -> Problem {
    Problem::new(
        ProblemKind::InvalidInput,
        format!("can't read the workflow file {}: {error}", path.display()),
    )
    .with_help("give the path of a workflow file; `fusion-kit init` makes one")
}

/// A workflow file with faults.
pub(crate) fn of_faults(path: &Path, text: String, faults: Vec<Fault>) -> Problem {
    let faults = faults
        .into_iter()
        .map(|fault| FaultView {
            message: fault.message,
            help: fault.help,
            line: fault.position.line,
            column: fault.position.column,
            offset: fault.position.offset,
            length: fault.position.length,
        })
        .collect();
    Problem::new(ProblemKind::InvalidInput, "the workflow file can't be used").in_file(
        FileText {
            path: path.display().to_string(),
            text,
        },
        faults,
    )
}

/// A model that can't be asked: where the workflow file names what does not exist, with the
/// place in it.
pub(crate) fn of_models(path: &Path, text: &str, error: &Error, data_dir: &DataDir) -> Problem {
    let problem = of_engine(error);
    let in_file = |agent: &str, fault| Problem {
        message: format!("the agent '{agent}' can't be spawned"),
        ..of_faults(path, text.to_owned(), vec![fault])
    };
    if let Error::Choice { agent, source } = error
        && let Some(position) = place_in_agent(text, agent, source.choice)
    {
        let fault = Fault {
            message: error_chain(source),
            help: Some("an input chooses it: give that input with -i NAME=VALUE".to_owned()),
            position,
        };
        return in_file(agent, fault);
    }
    let Some((agent, source, place)) = misnamed(text, error) else {
        return problem;
    };
    let mut help = source.help();
    if let (ModelError::UnknownProvider { name, .. }, Some(known)) = (source, &help) {
        let add = how_to_add(name, data_dir);
        help = Some(format!("{known}; add it with: {add}"));
    }
    let fault = Fault {
        message: of_error(source).message,
        help,
        position: place,
    };
    in_file(agent, fault)
}

/// A run that was not stored: where the workflow file grants what can't be granted, with the place
/// in it.
pub(crate) fn of_grants(path: &Path, text: &str, error: &Error) -> Problem {
    let Error::Grant {
        agent,
        granted,
        why,
    } = error
    else {
        return of_engine(error);
    };
    let Some(position) = place_of_grant(text, agent, *granted) else {
        return of_engine(error);
    };
    let help = match granted.list {
        GrantList::Read | GrantList::Write => {
            "name a folder that is there, and holds nothing but what the agent needs"
        }
        GrantList::Env => "set it in the environment of fusion-kit, or leave it out",
    };
    let fault = Fault {
        message: why.clone(),
        help: Some(help.to_owned()),
        position,
    };
    Problem {
        message: format!("the agent '{agent}' can't be spawned"),
        ..of_faults(path, text.to_owned(), vec![fault])
    }
}

/// A known vendor is added by its name, anything else by its base URL.
fn how_to_add(name: &str, data_dir: &DataDir) -> String {
    let shown = fusion_cli::shell_word(name);
    let url = match fusion_providers_http::vendor(name) {
        Some(vendor) if vendor.base_url.is_some() => "",
        Some(_) | None => " --base-url URL",
    };
    data_dir.command(&format!("provider add {shown}{url}"))
}

/// The agent whose provider or model is at fault, and where the file names it.
fn misnamed<'e>(
    text: &str,
    error: &'e Error,
) -> Option<(&'e str, &'e fusion_providers::Error, Position)> {
    use ModelError as Model;
    let Error::Model {
        agent,
        number,
        source,
    } = error
    else {
        return None;
    };
    let source = source.as_ref();
    let part = match source {
        Model::UnknownProvider { .. } | Model::Disabled { .. } => ChoicePart::Provider,
        Model::UnknownModel { .. }
        | Model::NoTools { .. }
        | Model::NoJsonSchema { .. }
        | Model::Script { .. } => ChoicePart::Model,
        Model::MissingKey { .. }
        | Model::Setup { .. }
        | Model::Unreachable { .. }
        | Model::Refused { .. }
        | Model::PaymentRequired { .. }
        | Model::Limited { .. }
        | Model::Paused { .. }
        | Model::OverBudget { .. }
        | Model::ContextTooLong { .. }
        | Model::Server { .. }
        | Model::BadRequest { .. }
        | Model::Malformed { .. }
        | Model::TooLarge { .. }
        | Model::Truncated { .. }
        | Model::Timeout { .. } => return None,
    };
    let number = number.unwrap_or_default();
    let place = place_in_agent(text, agent, Choice { number, part })?;
    Some((agent, source, place))
}

/// Inputs that do not fit the workflow: all of them at once.
pub(crate) fn of_inputs(faults: &[InputFault]) -> Problem {
    let messages: Vec<String> = faults.iter().map(InputFault::to_string).collect();
    let problem = Problem::new(ProblemKind::InvalidInput, messages.join("; "));
    with_help(problem, faults.first().map(help_of))
}

fn help_of(fault: &InputFault) -> String {
    match fault {
        InputFault::Undeclared {
            nearest: Some(nearest),
            ..
        } => format!("did you mean '{nearest}'?"),
        InputFault::Undeclared { declared, .. } if declared.is_empty() => {
            "the workflow declares no inputs".to_owned()
        }
        InputFault::Undeclared { declared, .. } => {
            format!("the workflow's inputs are: {}", declared.join(", "))
        }
        InputFault::Missing { name } => format!("give it with: -i {name}=..."),
        InputFault::HandedOver { .. } => {
            "run the workflow as a step of another one, or give the input `required: false`"
                .to_owned()
        }
        InputFault::WrongType { name, expected } => {
            format!("give it as JSON of type {expected}: -i {name}=...")
        }
    }
}
