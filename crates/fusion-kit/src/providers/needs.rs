//! Which unfinished run needs a provider.

use fusion_api_types::{Problem, ProblemKind};
use fusion_core::Run;
use fusion_persistence::{AgentReader, Page, Repository, RunFilter, TaskReader};
use fusion_persistence_sql::SqlStore;

use crate::backend::LocalBackend;
use crate::data_dir::DataDir;
use crate::{problems, wiring};

/// Runs that are read at once.
const AT_ONCE: u32 = 500;

/// A run that is not done with a provider.
#[derive(Debug)]
struct Need {
    run: Run,
    /// Names of its agents that ask the provider.
    agents: Vec<String>,
    /// A process may be at work on it.
    is_at_work: bool,
}

impl LocalBackend {
    /// Refuses when a run needs the provider; with `force` only when somebody works on that run.
    pub(crate) async fn refuse_if_needed(&self, name: &str, force: bool) -> Result<(), Problem> {
        let data_dir = self.data_dir()?;
        let location = wiring::location(self.config(), &data_dir)?;
        let Some(store) = wiring::open_to_read(&location).await? else {
            return Ok(());
        };
        let need = need(&store, name).await;
        store.close().await.ok();
        match need.map_err(|error| problems::of_store(&error))? {
            Some(need) if need.is_at_work || !force => Err(refusal(&need, name, &data_dir)),
            Some(_) | None => Ok(()),
        }
    }
}

/// The newest such run; one that is at work comes first.
async fn need(store: &SqlStore, provider: &str) -> fusion_persistence::Result<Option<Need>> {
    let mut left = None;
    let mut after = None;
    loop {
        let page = Page {
            after,
            limit: AT_ONCE,
        };
        let runs = store.list(&RunFilter::unfinished(), page).await?;
        let Some(last) = runs.last() else {
            return Ok(left);
        };
        after = Some(last.id);
        for run in runs {
            let agents = store.agents_of_run(run.id).await?.into_iter();
            let agents: Vec<String> = agents
                .filter(|(agent, _)| agent.provider == provider)
                .map(|(agent, _)| agent.name)
                .collect();
            if agents.is_empty() {
                continue;
            }
            let is_at_work = store.is_worked_on(run.id).await?;
            let need = Need {
                run,
                agents,
                is_at_work,
            };
            if is_at_work {
                return Ok(Some(need));
            }
            left.get_or_insert(need);
        }
    }
}

fn refusal(need: &Need, name: &str, data_dir: &DataDir) -> Problem {
    let run = need.run.id;
    let agents = need.agents.join("', '");
    let (why, help) = if need.is_at_work {
        (
            format!("a process works on run {run}"),
            "wait until the run is done, or stop it".to_owned(),
        )
    } else {
        let resume = data_dir.command(&format!("resume {run}"));
        let remove = data_dir.command(&format!("provider remove {name} --force"));
        (
            format!("run {run} was interrupted and needs it"),
            format!("end the run with: {resume}; or give it up with: {remove}"),
        )
    };
    let message = format!("the provider '{name}' is in use: {why} (agent '{agents}')");
    Problem::new(ProblemKind::Conflict, message).with_help(help)
}
