//! `budget`: what model calls for projects may use.

use fusion_api_types::api::{BudgetUse, ProjectDetail};
use fusion_api_types::{BudgetLine, Problem};
use serde_json::json;

use super::db::answer;
use super::dry_run::tell;
use crate::args::{BudgetClearArgs, BudgetCommand, BudgetSetArgs, Period};
use crate::backend::{Backend, Operation, ProjectBudgets, ProjectUpdate};
use crate::exit::Exit;
use crate::report::record as report;
use crate::session::Session;

/// Takes a limit away.
const NONE: &str = "none";

/// Every command below `budget`.
pub(crate) async fn budget(
    command: &BudgetCommand,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let (project, budgets, dry_run) = match command {
        BudgetCommand::List(list) => return self::list(list.limit, backend, session).await,
        BudgetCommand::Set(set) => (&set.project, limits(set), false),
        BudgetCommand::Clear(clear) => (&clear.project, cleared(clear), clear.dry_run),
    };
    let update = ProjectUpdate {
        project: project.clone(),
        description: None,
        budgets,
    };
    if dry_run {
        return tell(Operation::UpdateProject(update), backend, session).await;
    }
    let changed = backend.update_project(&update).await?;
    answer(&changed, report::project, session)
}

fn limits(set: &BudgetSetArgs) -> ProjectBudgets {
    let (usd, tokens) = (set.usd.clone(), set.tokens.clone());
    match set.per {
        Period::Total => ProjectBudgets {
            usd,
            tokens,
            ..ProjectBudgets::default()
        },
        Period::Day => ProjectBudgets {
            usd_per_day: usd,
            tokens_per_day: tokens,
            ..ProjectBudgets::default()
        },
    }
}

fn cleared(clear: &BudgetClearArgs) -> ProjectBudgets {
    let none_of = |period| (clear.per.is_none_or(|per| per == period)).then(|| NONE.to_owned());
    let (total, day) = (none_of(Period::Total), none_of(Period::Day));
    ProjectBudgets {
        usd: total.clone(),
        tokens: total,
        usd_per_day: day.clone(),
        tokens_per_day: day,
    }
}

async fn list(limit: u32, backend: &dyn Backend, session: &Session<'_>) -> Result<Exit, Problem> {
    let mut budgets = Vec::new();
    for project in backend.list_projects(None, limit).await? {
        budgets.extend(lines(backend.show_project(&project.id).await?));
    }
    if session.is_machine() {
        session.print_rows(&json!({ "budgets": budgets }), &budgets)?;
    } else if budgets.is_empty() {
        let set = session.command("budget set PROJECT USD");
        session.tell(&format!("no budgets yet; set one with: {set}\n"));
    } else {
        session.print(&report::budgets(&budgets, session))?;
    }
    Ok(Exit::Done)
}

/// The budgets of a project that there are.
fn lines(shown: ProjectDetail) -> Vec<BudgetLine> {
    let name = shown.project.name;
    let line = |per: &str, workflow: Option<String>, budget: BudgetUse| BudgetLine {
        name: name.clone(),
        per: per.to_owned(),
        workflow,
        budget,
    };
    let own = [
        line("total", None, shown.budgets.total),
        line("day", None, shown.budgets.today),
    ];
    let is_limit =
        |line: &BudgetLine| line.budget.limit_usd.is_some() || line.budget.limit_tokens.is_some();
    let workflows = shown.budgets.workflows.into_iter();
    let workflows = workflows.map(|one| line("workflow", Some(one.workflow), one.budget));
    own.into_iter().filter(is_limit).chain(workflows).collect()
}
