//! From a parsed command line to its end.

use fusion_api_types::Problem;

use crate::args::{Cli, Command, RunArgs, RunCommand};
use crate::backend::Backend;
use crate::commands;
use crate::exit::Exit;
use crate::problem;
use crate::session::Session;
use crate::terminal::Terminal;

/// Does what the command line says and writes what came of it.
pub async fn execute(cli: Cli, backend: &dyn Backend, terminal: &Terminal) -> Exit {
    let session = Session::new(&cli.global, terminal);
    match dispatch(cli.command, backend, &session).await {
        Ok(exit) => exit,
        Err(problem) => {
            session.tell(&problem::render(&problem, &session));
            Exit::from(&problem)
        }
    }
}

/// Writes why [`crate::parse`] gave no command line: wrong usage to stderr, and help or version,
/// which are results, to stdout.
pub fn refuse(error: &clap::Error, terminal: &Terminal) -> Exit {
    let (output, exit) = if error.use_stderr() {
        (&terminal.stderr, Exit::WrongInput)
    } else {
        (&terminal.stdout, Exit::Done)
    };
    let text = error.render();
    let text = if output.size().is_some() && !terminal.no_color {
        text.ansi().to_string()
    } else {
        text.to_string()
    };
    // A reader that went away has all it wanted.
    output.write(&text).ok();
    exit
}

async fn dispatch(
    command: Command,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    match command {
        Command::Run(arguments) => run(&arguments, backend, session).await,
        Command::Resume(resume) => commands::run::resume(&resume, backend, session).await,
        Command::Workflow(workflow) => {
            commands::workflow::workflow(&workflow.command, backend, session).await
        }
        Command::Agent(agent) => commands::agent::agent(&agent.command, backend, session).await,
        Command::Task(task) => commands::task::task(&task.command, backend, session).await,
        Command::Metrics(metrics) => {
            commands::metrics::metrics(&metrics.command, backend, session).await
        }
        Command::Inbox => commands::inbox::inbox(backend, session).await,
        Command::Approve(approve) => commands::inbox::approve(&approve, backend, session).await,
        Command::Reject(reject) => commands::inbox::reject(&reject, backend, session).await,
        Command::Init(init) => commands::init::init(&init, session),
        Command::Message(message) => {
            commands::message::message(&message.command, backend, session).await
        }
        Command::Provider(provider) => {
            commands::provider::provider(&provider.command, backend, session).await
        }
        Command::Db(db) => commands::db::db(&db.command, backend, session).await,
        Command::Sandbox(sandbox) => {
            Ok(commands::tool::sandbox(&sandbox.command, backend, session).await)
        }
        Command::Tool(tool) => commands::tool::tool(&tool.command, backend, session).await,
        Command::Serve(serve) => commands::serve::serve(&serve, backend, session).await,
        Command::Bench(bench) => commands::bench::bench(&bench, backend, session).await,
        Command::Verify(verify) => commands::verify::verify(&verify, backend, session).await,
    }
}

async fn run(
    arguments: &RunArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    match &arguments.command {
        Some(RunCommand::List(list)) => commands::run::list(list, backend, session).await,
        Some(RunCommand::Show(show)) => commands::run::show(show, backend, session).await,
        Some(RunCommand::Watch(watch)) => commands::run::watch(watch, backend, session).await,
        Some(RunCommand::Pause(hold)) => commands::run::pause(hold, backend, session).await,
        Some(RunCommand::Resume(resume)) => commands::run::resume(resume, backend, session).await,
        Some(RunCommand::Cancel(cancel)) => commands::run::cancel(cancel, backend, session).await,
        Some(RunCommand::Retry(retry)) => commands::run::retry(retry, backend, session).await,
        Some(RunCommand::Fork(fork)) => commands::run::fork(fork, backend, session).await,
        None => commands::run::start(arguments.start.as_ref(), backend, session).await,
    }
}
