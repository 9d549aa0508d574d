//! What was spent of the budgets of a project, as the API and the command line show it.

use std::collections::BTreeMap;

use fusion_api_types::api::{BudgetUse, ProjectDetail, ProjectSpending, WorkflowSpending};
use fusion_core::{Account, Budget, Project, Timestamp};
use fusion_persistence::{Page, Reader, Repository, Result, WorkflowFilter};

use crate::views;

/// Versions of workflows that are looked at; the wire type tells this number.
const VERSIONS: u32 = 1_000;

/// What was spent of each budget of a project until now.
///
/// # Errors
/// The store fails.
pub async fn spending(
    store: &dyn Reader,
    project: &Project,
    now: Timestamp,
) -> Result<ProjectSpending> {
    let day = Account::day_of(now);
    let of_day = Account::Day(project.id, day);
    let mut workflows = Vec::new();
    for (workflow, total) in with_budget(store, project).await? {
        let budget = used(store, Account::Workflow(workflow.clone()), total).await?;
        workflows.push(WorkflowSpending { workflow, budget });
    }
    Ok(ProjectSpending {
        total: used(store, Account::Project(project.id), project.budget).await?,
        day,
        today: used(store, of_day, project.budget_per_day).await?,
        workflows,
    })
}

/// A project with what was spent of its budgets.
///
/// # Errors
/// The store fails.
pub async fn detail(store: &dyn Reader, project: Project, now: Timestamp) -> Result<ProjectDetail> {
    let budgets = spending(store, &project, now).await?;
    Ok(ProjectDetail {
        project: views::project(project),
        budgets,
    })
}

/// The workflows of a project that have a budget for all their runs: that of their newest version.
async fn with_budget(store: &dyn Reader, project: &Project) -> Result<BTreeMap<String, Budget>> {
    let filter = WorkflowFilter {
        project: Some(project.id),
        ..WorkflowFilter::default()
    };
    let mut newest = BTreeMap::new();
    for row in store.list(&filter, Page::first(VERSIONS)).await? {
        let total = row.definition.total_budget;
        newest.entry(row.name).or_insert(total);
    }
    newest.retain(|_, total| !total.is_empty());
    Ok(newest)
}

/// How far a budget is used up.
pub(crate) async fn used(store: &dyn Reader, account: Account, limit: Budget) -> Result<BudgetUse> {
    let account = [account];
    let spent = store.spent(&account).await?.pop().unwrap_or_default();
    let held = store.held(&account).await?.pop().unwrap_or_default();
    Ok(BudgetUse {
        limit_usd: limit.usd.map(|usd| usd.to_string()),
        limit_tokens: limit.tokens,
        spent_usd: spent.cost.to_string(),
        spent_tokens: spent.tokens,
        lost_usd: spent.lost.cost.to_string(),
        lost_tokens: spent.lost.tokens,
        held_usd: held.cost.to_string(),
        held_tokens: held.tokens,
    })
}
