//! Budgets that a person gives a run when it is resumed.

use fusion_api_types::{Problem, ProblemKind};
use fusion_cli::ResumeRequest;
use fusion_coordination::Raised;
use fusion_core::{Budget, Cost, WorkflowDefinition, nearest};

/// The budgets that a person gives a run for now.
pub(crate) fn raised(request: &ResumeRequest) -> Result<Raised, Problem> {
    let usd = request.budget_usd.as_deref().map(|text| {
        text.parse::<Cost>().map_err(|error| {
            Problem::new(
                ProblemKind::InvalidInput,
                format!("--budget-usd is '{text}': {error}"),
            )
        })
    });
    let budget = Budget {
        usd: usd.transpose()?,
        tokens: request.budget_tokens,
    };
    Ok(match &request.budget_of {
        Some(_) if budget.is_empty() => {
            return Err(Problem::new(
                ProblemKind::InvalidInput,
                "--budget-of names an agent and no budget is given",
            )
            .with_help("add --budget-usd or --budget-tokens"));
        }
        Some(agent) => Raised {
            agents: [(agent.clone(), budget)].into(),
            ..Raised::default()
        },
        None => Raised {
            run: budget,
            ..Raised::default()
        },
    })
}

/// Refuses a budget of an agent that the run does not have.
pub(crate) fn check(raised: &Raised, definition: &WorkflowDefinition) -> Result<(), Problem> {
    let names = || definition.agents.keys().map(String::as_str);
    let Some(unknown) = raised
        .agents
        .keys()
        .find(|name| !definition.agents.contains_key(*name))
    else {
        return Ok(());
    };
    let known: Vec<&str> = names().collect();
    let known = format!("its agents are {}", known.join(", "));
    let help = match nearest(unknown, names()) {
        Some(name) => format!("did you mean '{name}'? {known}"),
        None => known,
    };
    let message = format!("--budget-of: the run has no agent '{unknown}'");
    Err(Problem::new(ProblemKind::InvalidInput, message).with_help(help))
}
