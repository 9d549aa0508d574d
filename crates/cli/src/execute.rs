//! From a parsed command line to its end.

use fusion_api_types::Problem;
use futures::future::BoxFuture;

use clap::CommandFactory;

use crate::args::{Cli, Command, ConfigCommand, EventsCommand, ExportCommand, RunArgs, RunCommand};
use crate::backend::Backend;
use crate::commands;
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

/// Every command that does something, by the words that lead to it: `agent list`.
#[must_use]
pub fn command_lines() -> Vec<String> {
    let all = leaves().into_iter();
    all.map(|(words, _)| words).collect()
}

/// The first example of every command that does something, with the words that lead to it.
#[must_use]
pub fn examples() -> Vec<(String, String)> {
    let all = leaves().into_iter();
    all.filter_map(|(words, command)| {
        let help = command.get_after_long_help()?.to_string();
        let begins = format!("fusion-kit {words}");
        let mut lines = help.lines().map(str::trim);
        let example = lines.find(|line| line.starts_with(&begins))?;
        // What follows two spaces is said about it, what follows a bar is not ours.
        let example = example.split("  ").next()?.split(['|', '>']).next()?;
        Some((words, example.trim().to_owned()))
    })
    .collect()
}

fn leaves() -> Vec<(String, clap::Command)> {
    let mut found = Vec::new();
    let mut left: Vec<(String, clap::Command)> = Cli::command()
        .get_subcommands()
        .map(|one| (one.get_name().to_owned(), one.clone()))
        .collect();
    while let Some((words, command)) = left.pop() {
        let below = command.get_subcommands();
        left.extend(below.map(|one| (format!("{words} {}", one.get_name()), one.clone())));
        // One that has nothing but commands below it does nothing by itself.
        let is_leaf =
            command.get_subcommands().next().is_none() || command.get_arguments().next().is_some();
        if is_leaf {
            found.push((words, command));
        }
    }
    found.sort_by(|one, other| one.0.cmp(&other.0));
    found
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
        Command::Events(events) => {
            let EventsCommand::Tail(tail) = &events.command;
            Box::pin(commands::events::tail(tail, backend, session))
        }
        Command::Export(export) => {
            let ExportCommand::Events(events) = &export.command;
            Box::pin(commands::events::export(events, backend, session))
        }
        Command::Project(project) => Box::pin(commands::record::project(
            &project.command,
            backend,
            session,
        )),
        Command::Capability(capability) => Box::pin(commands::record::capability(
            &capability.command,
            backend,
            session,
        )),
        Command::Token(token) => {
            Box::pin(commands::record::token(&token.command, backend, session))
        }
        Command::Health => Box::pin(commands::shell::health(backend, session)),
        Command::Config(config) => {
            let ConfigCommand::Show(show) = &config.command;
            Box::pin(async { commands::shell::config(show, backend, session) })
        }
        Command::Completions(completions) => {
            Box::pin(async { commands::shell::completions(completions.shell, session) })
        }
        Command::Man(man) => Box::pin(async { commands::shell::man(&man.dir, session) }),
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
