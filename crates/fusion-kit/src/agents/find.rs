//! Finds the agent or the project that a command means.

use fusion_api_types::{Problem, ProblemKind};
use fusion_core::{Agent, AgentId, AgentState, Project, ProjectId, nearest};
use fusion_persistence::{AgentFilter, Page, ProjectFilter, Reader, Repository};

use super::read;
use crate::data_dir::DataDir;

/// Agents that a prefix or a name is compared with: the newest ones.
const SEARCHED: u32 = 10_000;

/// Ids that a refusal lists.
const LISTED: usize = 5;

/// An agent by its id, its name, or the unique beginning of its id. Of several with the name a
/// standing one that lives is meant, else one that lives, else the newest.
pub(crate) async fn find_agent(
    store: &dyn Reader,
    data_dir: &DataDir,
    text: &str,
) -> Result<Agent, Problem> {
    if let Ok(id) = text.parse::<AgentId>() {
        let found: Option<Agent> = store.find(id).await.map_err(read)?;
        return found.ok_or_else(|| no_such_agent(data_dir, text, &[]));
    }
    let filter = AgentFilter {
        name: Some(text.to_owned()),
        ..AgentFilter::default()
    };
    let named = store.list(&filter, Page::first(SEARCHED)).await;
    if let Some(agent) = meant(named.map_err(read)?, text)? {
        return Ok(agent);
    }
    let all = store
        .list(&AgentFilter::default(), Page::first(SEARCHED))
        .await;
    let all = all.map_err(read)?;
    let beginning = text.to_lowercase();
    let begins = |agent: &&Agent| agent.id.to_string().starts_with(&beginning);
    let matching: Vec<&Agent> = all.iter().filter(begins).collect();
    match matching.as_slice() {
        [] => Err(no_such_agent(data_dir, text, &all)),
        [only] => Ok((*only).clone()),
        several => Err(ambiguous(several, "begin with", text)),
    }
}

/// Which of the agents of one name is meant.
fn meant(named: Vec<Agent>, name: &str) -> Result<Option<Agent>, Problem> {
    let lives = |agent: &&Agent| agent.state != AgentState::Terminated;
    let standing: Vec<&Agent> = named
        .iter()
        .filter(lives)
        .filter(|it| it.is_standing())
        .collect();
    let living: Vec<&Agent> = named.iter().filter(lives).collect();
    match (standing.as_slice(), living.as_slice()) {
        ([only], _) | ([], [only]) => Ok(Some((*only).clone())),
        ([], []) => Ok(named.into_iter().next()),
        ([], several) | (several, _) => Err(ambiguous(several, "are named", name)),
    }
}

fn ambiguous(agents: &[&Agent], how: &str, text: &str) -> Problem {
    let ids: Vec<String> = agents
        .iter()
        .take(LISTED)
        .map(|it| it.id.to_string())
        .collect();
    let message = format!("several agents {how} '{text}'");
    Problem::new(ProblemKind::InvalidInput, message)
        .with_help(format!("name one by its id, such as: {}", ids.join(", ")))
}

fn no_such_agent(data_dir: &DataDir, text: &str, known: &[Agent]) -> Problem {
    let place = data_dir.path().display();
    let message = format!("there is no agent '{text}' in {place}");
    let list = data_dir.command("agent list");
    let living = known.iter().filter(|it| it.state != AgentState::Terminated);
    let help = match nearest(text, living.map(|agent| agent.name.as_str())) {
        Some(near) => format!("did you mean '{near}'? see all with: {list}"),
        None => format!("see all with: {list}"),
    };
    Problem::new(ProblemKind::NotFound, message).with_help(help)
}

/// There is nothing at all yet.
pub(crate) fn no_agents() -> Problem {
    Problem::new(ProblemKind::NotFound, "there are no agents yet").with_help(
        "make one with: fusion-kit agent spawn --name NAME --provider PROVIDER --model MODEL",
    )
}

/// A project by its name or its id.
pub(crate) async fn find_project(store: &dyn Reader, text: &str) -> Result<Project, Problem> {
    let projects = store
        .list(&ProjectFilter::default(), Page::first(SEARCHED))
        .await;
    let projects: Vec<Project> = projects.map_err(read)?;
    let id = text.parse::<ProjectId>().ok();
    let is_meant = |project: &&Project| project.name == text || Some(project.id) == id;
    let found = projects.iter().find(is_meant).cloned();
    found.ok_or_else(|| no_such_project(text, &projects))
}

pub(super) fn no_such_project(text: &str, known: &[Project]) -> Problem {
    let problem = Problem::new(
        ProblemKind::NotFound,
        format!("there is no project '{text}'"),
    );
    match nearest(text, known.iter().map(|project| project.name.as_str())) {
        Some(near) => problem.with_help(format!("did you mean '{near}'?")),
        None => problem,
    }
}
