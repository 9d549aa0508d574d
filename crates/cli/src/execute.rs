//! From a parsed command line to its end.

use fusion_api_types::Problem;
use futures::future::BoxFuture;

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

/// A command at work.
type Work<'a> = BoxFuture<'a, Result<Exit, Problem>>;

async fn dispatch(
    command: Command,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let work: Work<'_> = match &command {
        Command::Run(arguments) => Box::pin(run(arguments, backend, session)),
        Command::Resume(resume) => Box::pin(commands::run::resume(resume, backend, session)),
        Command::Workflow(workflow) => Box::pin(commands::workflow::workflow(
            &workflow.command,
            backend,
            session,
        )),
        Command::Agent(agent) => Box::pin(commands::agent::agent(&agent.command, backend, session)),
        Command::Task(task) => Box::pin(commands::task::task(&task.command, backend, session)),
        Command::Metrics(metrics) => Box::pin(commands::metrics::metrics(
            &metrics.command,
            backend,
            session,
        )),
        Command::Inbox => Box::pin(commands::inbox::inbox(backend, session)),
        Command::Approve(approve) => Box::pin(commands::inbox::approve(approve, backend, session)),
        Command::Reject(reject) => Box::pin(commands::inbox::reject(reject, backend, session)),
        Command::Init(init) => Box::pin(async { commands::init::init(init, session) }),
        Command::Message(message) => Box::pin(commands::message::message(
            &message.command,
            backend,
            session,
        )),
        Command::Provider(provider) => Box::pin(commands::provider::provider(
            &provider.command,
            backend,
            session,
        )),
        Command::Db(db) => Box::pin(commands::db::db(&db.command, backend, session)),
        Command::Sandbox(sandbox) => Box::pin(async {
            Ok(commands::tool::sandbox(&sandbox.command, backend, session).await)
        }),
        Command::Tool(tool) => Box::pin(commands::tool::tool(&tool.command, backend, session)),
        Command::Serve(serve) => Box::pin(commands::serve::serve(serve, backend, session)),
        Command::Bench(bench) => Box::pin(commands::bench::bench(bench, backend, session)),
        Command::Verify(verify) => Box::pin(commands::verify::verify(verify, backend, session)),
    };
    work.await
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
