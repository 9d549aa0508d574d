//! What was spent of the budgets of a project.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Project;

/// A budget, and how far it is used up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BudgetUse {
    /// US dollars that may be spent; `null` means no limit.
    pub limit_usd: Option<String>,
    /// Tokens that may be read and written; `null` means no limit.
    pub limit_tokens: Option<u64>,
    /// US dollars that are known to have been spent.
    pub spent_usd: String,
    /// Tokens that are known to have been read and written.
    pub spent_tokens: u64,
    /// US dollars that lost calls may have cost at most, whose cost nobody knows: of a process that died
    /// while it waited for the answer, say. They count as used beside `spent_usd`, for good.
    pub lost_usd: String,
    /// Tokens that these may have read and written at most, beside `spent_tokens`.
    pub lost_tokens: u64,
    /// US dollars that calls under way could cost at most: room that is held for them.
    pub held_usd: String,
    /// Tokens that they could read and write at most.
    pub held_tokens: u64,
}

/// The budget that all runs of a workflow have together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkflowSpending {
    /// Name of the workflow.
    pub workflow: String,
    /// `total_budget` of its newest version in the project, and what runs of all versions used of it.
    pub budget: BudgetUse,
}

/// What was spent of the budgets of a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProjectSpending {
    /// In all.
    pub total: BudgetUse,
    /// Which day it is, in UTC.
    pub day: NaiveDate,
    /// On that day so far.
    pub today: BudgetUse,
    /// Those of its workflows that have a budget for all their runs, by name; looked for among the
    /// newest 1,000 versions of its workflows.
    pub workflows: Vec<WorkflowSpending>,
}

/// A project with what was spent of its budgets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProjectDetail {
    /// The same fields as in a list, beside the one below.
    #[serde(flatten)]
    pub project: Project,
    /// What was spent.
    pub budgets: ProjectSpending,
}
