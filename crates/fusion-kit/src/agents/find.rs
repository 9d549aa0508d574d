//! Finds the agent or the project that a command means.

use std::fmt::Display;
use std::str::FromStr;

use fusion_api::agent_views::summary;
use fusion_api_types::{AgentSummary, Problem, ProblemKind};
use fusion_cli::Leaving;
use fusion_core::{Agent, AgentId, AgentState, Project, ProjectId, nearest};
use fusion_persistence::{AgentFilter, Page, ProjectFilter, Reader, Repository};

use super::{living, read};
use crate::data_dir::DataDir;

/// Agents that a prefix or a name is compared with: the newest ones.
const SEARCHED: u32 = 10_000;

/// Ids that a refusal lists.
const LISTED: usize = 5;

/// Where agents are looked for, for a person who names one that is not there.
pub(crate) struct Searched {
    /// The data directory or the server.
    pub(crate) place: String,
    /// The command that lists them.
    pub(crate) list: String,
}

impl Searched {
    fn of(data_dir: &DataDir) -> Self {
        Self {
            place: data_dir.path().display().to_string(),
            list: data_dir.command("agent list"),
        }
    }
}

/// An agent by its id, its name, or the unique beginning of its id. Of several with the name a
/// standing one that lives is meant, else one that lives, else the newest.
pub(crate) async fn find_agent(
    store: &dyn Reader,
    data_dir: &DataDir,
    text: &str,
) -> Result<Agent, Problem> {
    let searched = || Searched::of(data_dir);
    if let Ok(id) = text.parse::<AgentId>() {
        let found: Option<Agent> = store.find(id).await.map_err(read)?;
        return found.ok_or_else(|| no_such_agent(&searched(), text, &[]));
    }
    let filter = AgentFilter {
        name: Some(text.to_owned()),
        ..AgentFilter::default()
    };
    let named = list(store, &filter).await?;
    if let Some(id) = meant(&named, text)? {
        return store.get(parsed::<AgentId>(&id)?).await.map_err(read);
    }
    let all = list(store, &AgentFilter::default()).await?;
    let id = begins(&all, text, &searched())?;
    store.get(parsed::<AgentId>(&id)?).await.map_err(read)
}

async fn list(store: &dyn Reader, filter: &AgentFilter) -> Result<Vec<AgentSummary>, Problem> {
    let found = store.list(filter, Page::first(SEARCHED)).await;
    Ok(found.map_err(read)?.iter().map(summary).collect())
}

/// An id that came from a row.
pub(crate) fn parsed<T: FromStr<Err: Display>>(id: &str) -> Result<T, Problem> {
    id.parse().map_err(|error: T::Err| {
        Problem::new(
            ProblemKind::Internal,
            format!("an id can't be read: {error}"),
        )
    })
}

/// The id of the agent of this name that is meant; `None` when none has it.
pub(crate) fn meant(named: &[AgentSummary], name: &str) -> Result<Option<String>, Problem> {
    let living: Vec<&AgentSummary> = named.iter().filter(|agent| lives(agent)).collect();
    let standing: Vec<&AgentSummary> = living
        .iter()
        .copied()
        .filter(|agent| agent.run.is_none())
        .collect();
    match (standing.as_slice(), living.as_slice()) {
        ([only], _) | ([], [only]) => Ok(Some(only.id.clone())),
        ([], []) => Ok(named.first().map(|agent| agent.id.clone())),
        ([], several) | (several, _) => Err(ambiguous(several, "are named", name)),
    }
}

/// The id of the only agent whose id begins so.
pub(crate) fn begins(
    all: &[AgentSummary],
    text: &str,
    searched: &Searched,
) -> Result<String, Problem> {
    let beginning = text.to_lowercase();
    let begins = |agent: &&AgentSummary| agent.id.starts_with(&beginning);
    let matching: Vec<&AgentSummary> = all.iter().filter(begins).collect();
    match matching.as_slice() {
        [] => Err(no_such_agent(searched, text, all)),
        [only] => Ok(only.id.clone()),
        several => Err(ambiguous(several, "begin with", text)),
    }
}

fn lives(agent: &AgentSummary) -> bool {
    agent.state != AgentState::Terminated.as_str()
}

fn ambiguous(agents: &[&AgentSummary], how: &str, text: &str) -> Problem {
    let ids: Vec<&str> = agents
        .iter()
        .take(LISTED)
        .map(|it| it.id.as_str())
        .collect();
    let message = format!("several agents {how} '{text}'");
    Problem::new(ProblemKind::InvalidInput, message)
        .with_help(format!("name one by its id, such as: {}", ids.join(", ")))
}

pub(crate) fn no_such_agent(searched: &Searched, text: &str, known: &[AgentSummary]) -> Problem {
    let Searched { place, list } = searched;
    let message = format!("there is no agent '{text}' in {place}");
    let living = known.iter().filter(|agent| lives(agent));
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
    let names = projects.iter().map(|project| project.name.as_str());
    found.ok_or_else(|| no_such_project(text, names))
}

pub(crate) fn no_such_project<'a>(text: &str, known: impl Iterator<Item = &'a str>) -> Problem {
    let problem = Problem::new(
        ProblemKind::NotFound,
        format!("there is no project '{text}'"),
    );
    match nearest(text, known) {
        Some(near) => problem.with_help(format!("did you mean '{near}'?")),
        None => problem,
    }
}

/// Standing agents that `terminate --all` ends in one go.
const AT_ONCE: u32 = 10_000;

/// The agents that are to end.
pub(crate) async fn leavers(
    store: &dyn Reader,
    data_dir: &DataDir,
    leaving: &Leaving,
) -> Result<Vec<Agent>, Problem> {
    let mut agents = Vec::new();
    match leaving {
        Leaving::Named(names) => {
            for name in names {
                agents.push(find_agent(store, data_dir, name).await?);
            }
        }
        Leaving::Standing(_) => {
            agents = standing(store).await?;
            agents.retain(|agent| leaving.has_state(agent.state.as_str()));
        }
    }
    Ok(agents)
}

/// Every standing agent that has not ended, the newest first.
async fn standing(store: &dyn Reader) -> Result<Vec<Agent>, Problem> {
    let filter = AgentFilter {
        states: living(),
        standing: true,
        ..AgentFilter::default()
    };
    let all = store.list(&filter, Page::first(AT_ONCE)).await;
    all.map_err(read)
}
