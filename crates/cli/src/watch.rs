//! `--watch`: looks again and prints what has changed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fusion_api_types::{Problem, ProblemKind};

use crate::args::{
    AgentCommand, BudgetCommand, BudgetsArgs, CapabilityArgs, CapabilityCommand, Cli, Command,
    DbCommand, EventsCommand, MessageCommand, MetricsCommand, NodeCommand, ProjectArgs,
    ProjectCommand, ProviderCommand, RunCommand, ScheduleArgs, ScheduleCommand, TaskCommand,
    TokenArgs, TokenCommand, WebhookArgs, WebhookCommand, WorkspaceCommand,
};
use crate::backend::Backend;
use crate::exit::Exit;
use crate::session::Session;
use crate::terminal::{Output, Terminal};

/// The time between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// Moves to the top of a terminal and clears it.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J";

/// Does a look again and again until its reader goes away, it fails, or Ctrl-C ends the program.
pub(crate) async fn watch(cli: &Cli, backend: &dyn Backend, terminal: &Terminal) -> Exit {
    let session = Session::new(&cli.global, terminal);
    if !is_look(&cli.command) {
        let text = "only commands that look can be watched, such as: fusion-kit agent list --watch";
        let problem = Problem::new(ProblemKind::InvalidInput, text);
        session.tell(&crate::problem::render(&problem, &session));
        return Exit::from(&problem);
    }
    let mut shown: Option<String> = None;
    loop {
        let (seen, exit) = look(cli, backend, terminal).await;
        if exit != Exit::Done {
            return exit;
        }
        if shown.as_ref() != Some(&seen) {
            let clears = terminal.stdout.size().is_some() && !session.is_machine();
            let text = format!("{}{seen}", if clears { CLEAR } else { "" });
            match session.stream(&text) {
                Ok(flow) if flow.is_continue() => shown = Some(seen),
                Ok(_) => return Exit::Done,
                Err(problem) => return Exit::from(&problem),
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What a look prints.
async fn look(cli: &Cli, backend: &dyn Backend, terminal: &Terminal) -> (String, Exit) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let writer = Seen(Arc::clone(&seen));
    let stdout = match terminal.stdout.size() {
        Some(size) => Output::terminal(writer, move || size),
        None => Output::file(writer),
    };
    let looking = Terminal {
        stdout,
        ..terminal.clone()
    };
    let session = Session::new(&cli.global, &looking);
    let exit = crate::execute::done(cli.command.clone(), backend, &session).await;
    let bytes = seen.lock().unwrap_or_else(PoisonError::into_inner);
    (String::from_utf8_lossy(&bytes).into_owned(), exit)
}

/// Keeps what is written.
struct Seen(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Seen {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Whether a command prints how something is and changes nothing.
fn is_look(command: &Command) -> bool {
    match command {
        Command::Run(run) => matches!(run.command, Some(RunCommand::List(_) | RunCommand::Show(_))),
        Command::Agent(agent) => {
            matches!(agent.command, AgentCommand::List(_) | AgentCommand::Get(_))
        }
        Command::Workspace(of) => matches!(
            of.command,
            WorkspaceCommand::List(_)
                | WorkspaceCommand::Files(_)
                | WorkspaceCommand::Read(_)
                | WorkspaceCommand::Diff(_)
        ),
        Command::Task(task) => {
            matches!(task.command, TaskCommand::List(_) | TaskCommand::Get(_))
        }
        Command::Message(message) => matches!(
            message.command,
            MessageCommand::List(_) | MessageCommand::Show(_)
        ),
        Command::Provider(provider) => matches!(
            provider.command,
            ProviderCommand::List | ProviderCommand::Show(_)
        ),
        Command::Project(_)
        | Command::Capability(_)
        | Command::Schedule(_)
        | Command::Webhook(_)
        | Command::Budget(_)
        | Command::Token(_) => is_look_at_records(command),
        Command::Events(events) => matches!(events.command, EventsCommand::List(_)),
        Command::Node(node) => matches!(node.command, NodeCommand::List | NodeCommand::Get(_)),
        Command::Db(db) => matches!(db.command, DbCommand::Status),
        Command::Metrics(of) => {
            matches!(of.command, MetricsCommand::Cost(_) | MetricsCommand::Top(_))
        }
        Command::Health(_) | Command::Inbox(_) | Command::Info => true,
        Command::Top
        | Command::Bench(_)
        | Command::Resume(_)
        | Command::Approve(_)
        | Command::Reject(_)
        | Command::Workflow(_)
        | Command::Init(_)
        | Command::Export(_)
        | Command::Sandbox(_)
        | Command::Tool(_)
        | Command::Mcp(_)
        | Command::Artifact(_)
        | Command::Serve(_)
        | Command::Down(_)
        | Command::Dashboard
        | Command::Version
        | Command::Config(_)
        | Command::Completions(_)
        | Command::Schema(_)
        | Command::Man(_)
        | Command::Verify(_) => false,
    }
}

/// The same of what people keep.
fn is_look_at_records(command: &Command) -> bool {
    matches!(
        command,
        Command::Project(ProjectArgs {
            command: ProjectCommand::List(_) | ProjectCommand::Get(_)
        }) | Command::Capability(CapabilityArgs {
            command: CapabilityCommand::List(_) | CapabilityCommand::Get(_)
        }) | Command::Schedule(ScheduleArgs {
            command: ScheduleCommand::List(_) | ScheduleCommand::Get(_)
        }) | Command::Webhook(WebhookArgs {
            command: WebhookCommand::List(_)
                | WebhookCommand::Get(_)
                | WebhookCommand::Deliveries(_)
        }) | Command::Budget(BudgetsArgs {
            command: BudgetCommand::List(_)
        }) | Command::Token(TokenArgs {
            command: TokenCommand::List(_)
        })
    )
}
