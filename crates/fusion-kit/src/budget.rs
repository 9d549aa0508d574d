//! Budgets that a person gives a run when it is started or resumed.

use fusion_api_types::{Problem, ProblemKind};
use fusion_cli::ResumeRequest;
use fusion_coordination::Raised;
use fusion_core::{Budget, Cost, WorkflowDefinition, nearest};

/// What `--max-cost` says.
pub(crate) fn limit(max_cost: Option<&str>) -> Result<Budget, Problem> {
    Ok(Budget {
        usd: max_cost.map(dollars("--max-cost")).transpose()?,
        tokens: None,
    })
}

/// What `agent update --max-cost` says.
pub(crate) fn of_life(max_cost: &str) -> Result<Budget, Problem> {
    Budget::read_usd(max_cost).map_err(told("--max-cost", max_cost))
}

fn dollars(flag: &'static str) -> impl Fn(&str) -> Result<Cost, Problem> {
    move |text| Cost::read_limit(text).map_err(told(flag, text))
}

fn told(flag: &'static str, text: &str) -> impl Fn(String) -> Problem {
    move |why| {
        let text = format!("{flag} is '{text}': {why}");
        Problem::new(ProblemKind::InvalidInput, text)
    }
}

/// The budgets that a person gives a run for now.
pub(crate) fn raised(request: &ResumeRequest) -> Result<Raised, Problem> {
    let usd = request.budget_usd.as_deref();
    let usd = usd.map(dollars("--budget-usd"));
    let budget = Budget {
        usd: usd.transpose()?,
        tokens: request.budget_tokens,
    };
    Ok(match &request.budget_of {
        Some(_) if budget.is_empty() => {
            return Err(Problem::new(
                ProblemKind::InvalidInput,
                "--budget-of is given and no budget",
            )
            .with_help("add --budget-usd or --budget-tokens"));
        }
        Some(name) => Raised::of(name, budget),
        None => Raised {
            run: budget,
            ..Raised::default()
        },
    })
}

/// Refuses a budget of an agent, a step or a workflow that the run does not have.
pub(crate) fn check(raised: &Raised, definition: &WorkflowDefinition) -> Result<(), Problem> {
    let Some((unknown, known)) = raised.unknown_in(definition) else {
        return Ok(());
    };
    let all = format!("it has {}", known.join(", "));
    let help = match nearest(&unknown, known.iter().map(String::as_str)) {
        Some(name) => format!("did you mean '{name}'? {all}"),
        None => all,
    };
    let kind = match (&raised.workflow, raised.steps.is_empty()) {
        (Some(_), _) => "workflow",
        (None, true) => "agent",
        (None, false) => "step",
    };
    let message = format!("--budget-of: the run has no {kind} '{unknown}'");
    Err(Problem::new(ProblemKind::InvalidInput, message).with_help(help))
}
