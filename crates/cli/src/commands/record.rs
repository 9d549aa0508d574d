//! `project`, `capability` and `token`: what people keep.

use chrono::{DateTime, TimeDelta, Utc};
use fusion_api_types::{Problem, ProblemKind, api};
use serde::Serialize;
use serde_json::json;

use super::db::answer;
use super::dry_run::tell;
use crate::args::{
    BudgetArgs, CapabilityCommand, ProjectCommand, ProjectListArgs, RecordName, TokenCommand,
    TokenCreateArgs, Tried,
};
use crate::backend::{Backend, NewProject, Operation, ProjectBudgets, ProjectUpdate};
use crate::exit::Exit;
use crate::report::record as report;
use crate::session::Session;

/// Every command below `project`.
pub(crate) async fn project(
    command: &ProjectCommand,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    match command {
        ProjectCommand::Create(create) => {
            let new = NewProject {
                name: create.name.clone(),
                description: create.description.clone().unwrap_or_default(),
                provider: create.provider.clone(),
                budgets: budgets(&create.budgets),
            };
            let made = backend.create_project(&new).await?;
            answer(
                &made,
                |made, _| report::made("project", &made.name),
                session,
            )
        }
        ProjectCommand::List(list) => list_projects(list, backend, session).await,
        ProjectCommand::Get(which) => {
            let shown = backend.show_project(&which.name).await?;
            answer(&shown, report::project_detail, session)
        }
        ProjectCommand::Update(update) => {
            let update = ProjectUpdate {
                project: update.name.clone(),
                description: update.description.clone(),
                budgets: budgets(&update.budgets),
            };
            if update.description.is_none() && update.budgets == ProjectBudgets::default() {
                let text = "nothing is to change: give --description or a budget";
                return Err(Problem::new(ProblemKind::InvalidInput, text));
            }
            let changed = backend.update_project(&update).await?;
            answer(&changed, report::project, session)
        }
        ProjectCommand::Use(which) => {
            let name = Some(which.name.as_str()).filter(|name| *name != "none");
            let kept = backend.use_project(name).await?;
            answer(&kept, report::used_project, session)
        }
        ProjectCommand::Archive(which) => archive_project(which, backend, session).await,
        ProjectCommand::Unarchive(which) => {
            let open = backend.archive_project(&which.name, false).await?;
            answer(&open, report::archived, session)
        }
        ProjectCommand::Delete(which) => delete_project(which, backend, session).await,
    }
}

async fn list_projects(
    which: &ProjectListArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let archived = if which.all {
        None
    } else {
        Some(which.archived)
    };
    let rows = backend.list_projects(archived, which.list.limit).await?;
    let is_told_empty = rows.is_empty() && !session.is_machine();
    if is_told_empty && which.archived {
        session.tell("no project is archived\n");
        return Ok(Exit::Done);
    }
    if is_told_empty && !which.all && !backend.list_projects(Some(true), 1).await?.is_empty() {
        let see = session.command("project list --archived");
        session.tell(&format!(
            "every project is archived; see them with: {see}\n"
        ));
        return Ok(Exit::Done);
    }
    let make = "project create NAME";
    list("projects", &rows, report::projects, make, session)
}

fn budgets(args: &BudgetArgs) -> ProjectBudgets {
    ProjectBudgets {
        usd: args.budget.clone(),
        tokens: args.budget_tokens.clone(),
        usd_per_day: args.budget_per_day.clone(),
        tokens_per_day: args.budget_tokens_per_day.clone(),
    }
}

/// Every command below `capability`.
pub(crate) async fn capability(
    command: &CapabilityCommand,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    match command {
        CapabilityCommand::Create(create) => {
            let new = api::NewCapability {
                name: create.name.clone(),
                description: create.description.clone().unwrap_or_default(),
                category: create.category.clone().unwrap_or_default(),
                metadata: None,
            };
            let made = backend.create_capability(&new).await?;
            answer(
                &made,
                |made, _| report::made("capability", &made.name),
                session,
            )
        }
        CapabilityCommand::List(list) => {
            let rows = backend.list_capabilities(list.limit).await?;
            let make = "capability create NAME";
            self::list("capabilities", &rows, report::capabilities, make, session)
        }
        CapabilityCommand::Get(which) => {
            let shown = backend.show_capability(&which.name).await?;
            answer(&shown, report::capability, session)
        }
        CapabilityCommand::Delete(which) if which.dry_run => {
            tell(
                Operation::DeleteCapability(which.what.name.clone()),
                backend,
                session,
            )
            .await
        }
        CapabilityCommand::Delete(which) => {
            let gone = backend.delete_capability(&which.what.name).await?;
            answer(
                &gone,
                |gone, _| report::gone("capability", &gone.name),
                session,
            )
        }
    }
}

/// Every command below `token`.
pub(crate) async fn token(
    command: &TokenCommand,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    match command {
        TokenCommand::Create(create) => {
            let made = backend.create_token(&new_token(create, session)?).await?;
            answer(&made, report::token_made, session)
        }
        TokenCommand::List(list) => {
            let rows = backend.list_tokens(list.limit).await?;
            let make = "token create NAME --scope read";
            self::list("tokens", &rows, report::tokens, make, session)
        }
        TokenCommand::Revoke(which) if which.dry_run => {
            tell(
                Operation::RevokeToken(which.what.name.clone()),
                backend,
                session,
            )
            .await
        }
        TokenCommand::Revoke(which) => {
            let gone = backend.revoke_token(&which.what.name).await?;
            answer(&gone, |gone, _| report::gone("token", &gone.name), session)
        }
    }
}

fn new_token(create: &TokenCreateArgs, session: &Session<'_>) -> Result<api::NewToken, Problem> {
    let now: DateTime<Utc> = (session.terminal.now)().to_utc();
    let end = |time| now.checked_add_signed(TimeDelta::from_std(time).ok()?);
    let expires_at = match create.expires {
        Some(time) => Some(end(time).ok_or_else(|| {
            Problem::new(ProblemKind::InvalidInput, "that is after the end of time")
        })?),
        None => None,
    };
    Ok(api::NewToken {
        name: create.name.clone(),
        scope: create.scope.as_str().to_owned(),
        expires_at,
    })
}

/// Prints a list under its name; `make` is the command for the first of it.
fn list<T: Serialize>(
    name: &str,
    rows: &[T],
    table: impl Fn(&[T], &Session<'_>) -> String,
    make: &str,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    if session.is_machine() {
        session.print_rows(&json!({ name: rows }), rows)?;
    } else if rows.is_empty() {
        let make = session.command(make);
        session.tell(&format!("no {name} yet; make one with: {make}\n"));
    } else {
        session.print(&table(rows, session))?;
    }
    Ok(Exit::Done)
}

async fn archive_project(
    which: &Tried<RecordName>,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let name = &which.what.name;
    if which.dry_run {
        return tell(Operation::ArchiveProject(name.clone()), backend, session).await;
    }
    let archived = backend.archive_project(name, true).await?;
    answer(&archived, report::archived, session)
}

async fn delete_project(
    which: &Tried<RecordName>,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let name = &which.what.name;
    if which.dry_run {
        return tell(Operation::DeleteProject(name.clone()), backend, session).await;
    }
    let gone = backend.delete_project(name).await?;
    answer(
        &gone,
        |gone, _| report::gone("project", &gone.name),
        session,
    )
}
