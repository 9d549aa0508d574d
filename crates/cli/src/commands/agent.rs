//! `agent`: the life of agents, and what they are sent.

use fusion_api_types::{AgentList, AgentSent, AgentsEnded, Problem};

use super::db::answer;
use super::dry_run::tell;
use super::grace;
use super::log::Shown;
use super::run::conclude;
use crate::args::{
    AgentCommand, AgentListArgs, AgentSendArgs, AttachArgs, Changes, RestartArgs, SpawnArgs,
    TerminateArgs,
};
use crate::backend::{AgentChanges, AgentQuery, Backend, Leaving, LogQuery, NewAgents, Operation};
use crate::exit::Exit;
use crate::progress::{Begun, Display};
use crate::report::agent as report;
use crate::session::Session;

/// Every command below `agent`.
pub(crate) async fn agent(
    command: &AgentCommand,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    match command {
        AgentCommand::Spawn(spawn) => {
            let spawned = backend.spawn_agents(&new_agents(spawn)).await?;
            if session.is_machine() {
                session.print_rows(&spawned, &spawned.agents)?;
                return Ok(Exit::Done);
            }
            answer(&spawned, report::spawned, session)
        }
        AgentCommand::List(list) => self::list(list, backend, session).await,
        AgentCommand::Get(which) => {
            let shown = backend.show_agent(&which.agent).await?;
            answer(&shown, report::one, session)
        }
        AgentCommand::Pause(pause) if pause.dry_run => {
            let (agent, at) = (pause.agent.clone(), pause.at);
            tell(Operation::PauseAgent { agent, at }, backend, session).await
        }
        AgentCommand::Pause(pause) => {
            let paused = backend.pause_agent(&pause.agent, pause.at.as_str()).await?;
            answer(&paused, report::paused, session)
        }
        AgentCommand::Resume(which) => {
            let resumed = backend.resume_agent(&which.agent).await?;
            answer(&resumed, report::resumed, session)
        }
        AgentCommand::Restart(restart) => self::restart(restart, backend, session).await,
        AgentCommand::Terminate(terminate) => self::terminate(terminate, backend, session).await,
        AgentCommand::Update(update) => {
            let changes = changes(&update.changes);
            let updated = backend.update_agent(&update.agent, &changes).await?;
            answer(&updated, report::updated, session)
        }
        AgentCommand::Logs(logs) => {
            let mut shown = Shown::new(logs.follow, session);
            let query = LogQuery {
                limit: logs.limit,
                since: logs.since,
                follow: logs.follow,
            };
            backend.agent_logs(&logs.agent, &query, &mut shown).await?;
            shown.finish()
        }
        AgentCommand::Send(send) => self::send(send, backend, session).await,
        AgentCommand::Attach(attach) => self::attach(attach, backend, session).await,
    }
}

fn new_agents(spawn: &SpawnArgs) -> NewAgents {
    let SpawnArgs {
        name,
        model,
        provider,
        capabilities,
        tools,
        hosts,
        instructions,
        max_turns,
        max_cost,
        project,
        count,
        workspace,
    } = spawn.clone();
    NewAgents {
        name,
        count,
        provider,
        model,
        capabilities: named(capabilities),
        tools: named(tools),
        hosts,
        instructions,
        max_turns,
        max_cost,
        project,
        workspace,
    }
}

fn changes(changes: &Changes) -> AgentChanges {
    let Changes {
        model,
        provider,
        capabilities,
        tools,
        instructions,
        max_turns,
        max_cost,
    } = changes.clone();
    AgentChanges {
        provider,
        model,
        capabilities: capabilities.map(named),
        tools: tools.map(named),
        instructions,
        max_turns,
        max_cost,
    }
}

/// An empty value names nothing.
fn named(mut names: Vec<String>) -> Vec<String> {
    names.retain(|name| !name.is_empty());
    names
}

async fn list(
    list: &AgentListArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let query = AgentQuery {
        states: list.state.iter().map(|state| state.as_str()).collect(),
        all: list.all,
        run: list.run.clone(),
        project: list.project.clone(),
        limit: list.limit,
    };
    let agents = backend.list_agents(&query).await?;
    if session.is_machine() {
        let list = AgentList { agents };
        session.print_rows(&list, &list.agents)?;
    } else if agents.is_empty() {
        session.tell(&none(&query, session));
    } else {
        session.print(&report::list(&agents, session))?;
    }
    Ok(Exit::Done)
}

/// Says that there is none, and what else there may be.
fn none(query: &AgentQuery, session: &Session<'_>) -> String {
    let spawn = session.command("agent spawn --name NAME --provider PROVIDER --model MODEL");
    let is_narrow = !query.states.is_empty() || query.run.is_some() || query.project.is_some();
    if query.all || is_narrow {
        return format!("no such agents; make one with: {spawn}\n");
    }
    let all = session.command("agent list --all");
    format!("no agent lives; see those that have ended with: {all}\nmake one with: {spawn}\n")
}

async fn restart(
    restart: &RestartArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let restarted = backend.restart_agents(&restart.agents, restart.at.as_str());
    let restarted = restarted.await?;
    if session.is_machine() {
        session.print_rows(&restarted, &restarted.agents)?;
        return Ok(Exit::Done);
    }
    answer(&restarted, report::restarted, session)
}

async fn terminate(
    terminate: &TerminateArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let agents = if terminate.all {
        Leaving::Standing(terminate.state.iter().map(|state| state.as_str()).collect())
    } else {
        Leaving::Named(terminate.agents.clone())
    };
    if terminate.dry_run {
        let operation = Operation::TerminateAgents {
            agents,
            workspace: terminate.workspace,
        };
        return tell(operation, backend, session).await;
    }
    let workspace = terminate.workspace.as_str();
    let ended: AgentsEnded = match terminate.grace {
        Some(grace) => grace::terminate(grace, &agents, workspace, backend, session).await?,
        None => backend.terminate_agents(&agents, workspace).await?,
    };
    answer(&ended, report::ended, session)?;
    if ended.left.is_empty() {
        return Ok(Exit::Done);
    }
    session.tell(&report::left(&ended.left, session));
    Ok(Exit::Failed)
}

async fn send(
    send: &AgentSendArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let mut display = Display::new(session, Begun::Now);
    let message = send.message.join(" ");
    let sent = backend
        .send_to_agent(&send.agent, &message, send.wait, &mut display)
        .await;
    display.finish();
    let sent: AgentSent = sent?;
    match &sent.result {
        Some(run) if !session.is_machine() => conclude(run, session),
        Some(run) => {
            session.print_json(&sent)?;
            Ok(super::run::exit_of(run))
        }
        None => answer(&sent, report::sent, session),
    }
}

async fn attach(
    attach: &AttachArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let mut shown = Shown::new(true, session);
    let end = backend
        .attach_to_agent(&attach.agent, attach.limit, &mut shown)
        .await;
    shown.finish()?;
    let end = end?;
    if end.stopped {
        session.tell(&report::detached(&end.agent, session));
        return Ok(Exit::Interrupted);
    }
    Ok(if end.failed.is_empty() {
        Exit::Done
    } else {
        Exit::WorkFailed
    })
}
