//! From a parsed command line to its end.

use fusion_api_types::Problem;
use futures::future::BoxFuture;

use crate::args::{Cli, Command, Global, RunArgs, RunCommand};
use crate::backend::Backend;
use crate::commands::{
    agent, artifact, bench, budget, db, events, inbox, init, mcp, message, metrics, node, provider,
    record, run, run_deletion, run_file, schedule, serve, shell, task, tool, top, verify, webhook,
    workflow, workspace,
};
use crate::exit::Exit;
use crate::problem;
use crate::session::Session;
use crate::terminal::Terminal;
use crate::watch;

/// Does what the command line says and writes what came of it.
pub async fn execute(cli: Cli, backend: &dyn Backend, terminal: &Terminal) -> Exit {
    if cli.global.watch {
        return watch::watch(&cli, backend, terminal).await;
    }
    let session = Session::new(&cli.global, terminal);
    done(cli.command, backend, &session).await
}

/// Does a command and tells what kept it from it.
pub(crate) async fn done(command: Command, backend: &dyn Backend, session: &Session<'_>) -> Exit {
    match dispatch(command, backend, session).await {
        Ok(exit) => exit,
        Err(problem) => {
            session.tell(&problem::render(&problem, session));
            Exit::from(&problem)
        }
    }
}

/// Tells what keeps a command from being begun at all.
pub fn fail(problem: &Problem, global: &Global, terminal: &Terminal) -> Exit {
    let session = Session::new(global, terminal);
    session.tell(&problem::render(problem, &session));
    Exit::from(problem)
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
        Command::Run(it) => Box::pin(run_or_look(it, backend, session)),
        Command::Resume(it) => Box::pin(run::resume(it, backend, session)),
        Command::Workflow(it) => Box::pin(workflow::workflow(&it.command, backend, session)),
        Command::Agent(it) => Box::pin(agent::agent(&it.command, backend, session)),
        Command::Workspace(it) => Box::pin(workspace::workspace(&it.command, backend, session)),
        Command::Task(it) => Box::pin(task::task(&it.command, backend, session)),
        Command::Events(it) => Box::pin(events::events(it, backend, session)),
        Command::Export(it) => Box::pin(events::export(it, backend, session)),
        Command::Project(it) => Box::pin(record::project(&it.command, backend, session)),
        Command::Budget(it) => Box::pin(budget::budget(&it.command, backend, session)),
        Command::Version => Box::pin(shell::version(backend, session)),
        Command::Info => Box::pin(shell::info(backend, session)),
        Command::Capability(it) => Box::pin(record::capability(&it.command, backend, session)),
        Command::Token(it) => Box::pin(record::token(&it.command, backend, session)),
        Command::Dashboard => Box::pin(serve::dashboard(backend, session)),
        Command::Health(it) => Box::pin(shell::health(it, backend, session)),
        Command::Config(it) => Box::pin(shell::config(it, backend, session)),
        Command::Completions(it) => Box::pin(async { shell::completions(it.shell, session) }),
        Command::Schema(it) => Box::pin(async { shell::schema(&it.words, session) }),
        Command::Man(it) => Box::pin(async { shell::man(&it.dir, session) }),
        Command::Metrics(it) => Box::pin(metrics::metrics(&it.command, backend, session)),
        Command::Inbox(_) => Box::pin(inbox::inbox(backend, session)),
        Command::Top => Box::pin(top::top(backend, session)),
        Command::Approve(it) => Box::pin(inbox::approve(it, backend, session)),
        Command::Reject(it) => Box::pin(inbox::reject(it, backend, session)),
        Command::Init(it) => Box::pin(init::init(it, backend, session)),
        Command::Message(it) => Box::pin(message::message(&it.command, backend, session)),
        Command::Provider(it) => Box::pin(provider::provider(&it.command, backend, session)),
        Command::Db(it) => Box::pin(db::db(&it.command, backend, session)),
        Command::Sandbox(it) => {
            Box::pin(async { Ok(tool::sandbox(&it.command, backend, session).await) })
        }
        Command::Mcp(it) => Box::pin(mcp::mcp(&it.command, backend, session)),
        Command::Tool(it) => Box::pin(tool::tool(&it.command, backend, session)),
        Command::Schedule(it) => Box::pin(schedule::schedule(&it.command, backend, session)),
        Command::Webhook(it) => Box::pin(webhook::webhook(&it.command, backend, session)),
        Command::Artifact(it) => Box::pin(artifact::artifact(&it.command, backend, session)),
        Command::Node(it) => Box::pin(node::node(&it.command, backend, session)),
        Command::Serve(it) => Box::pin(serve::serve(it, backend, session)),
        Command::Down(it) => Box::pin(serve::down(it, backend, session)),
        Command::Bench(it) => Box::pin(bench::bench(it, backend, session)),
        Command::Verify(it) => Box::pin(verify::verify(it, backend, session)),
    };
    work.await
}

/// `run`: a file, or what is done with runs.
async fn run_or_look(
    arguments: &RunArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    match &arguments.command {
        Some(RunCommand::List(list)) => run::list(list, backend, session).await,
        Some(RunCommand::Show(show)) => run::show(show, backend, session).await,
        Some(RunCommand::Watch(watch)) => run::watch(watch, backend, session).await,
        Some(RunCommand::Pause(hold)) => run::pause(hold, backend, session).await,
        Some(RunCommand::Resume(resume)) => run::resume(resume, backend, session).await,
        Some(RunCommand::Cancel(cancel)) => run::cancel(cancel, backend, session).await,
        Some(RunCommand::Retry(retry)) => run::retry(retry, backend, session).await,
        Some(RunCommand::Fork(fork)) => run::fork(fork, backend, session).await,
        Some(RunCommand::Delete(delete)) => run_deletion::delete(delete, backend, session).await,
        Some(RunCommand::Export(export)) => run_file::export(export, backend, session).await,
        Some(RunCommand::Import(import)) => run_file::import(import, backend, session).await,
        None => run::start(arguments.start.as_ref(), backend, session).await,
    }
}
