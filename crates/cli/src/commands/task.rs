//! `task`: tasks of their own, and the steps of runs.

use fusion_api_types::api::Task;
use fusion_api_types::{Problem, ProblemKind};
use serde::Serialize;

use super::db::answer;
use super::dry_run::tell;
use super::log::Shown;
use crate::args::{
    TaskCommand, TaskCreateArgs, TaskListArgs, TaskRetryArgs, TaskUpdateArgs, TaskWaitArgs,
};
use crate::backend::{Backend, Content, Operation, TaskQuery, TaskRequest, TaskUpdate};
use crate::exit::Exit;
use crate::progress::{Begun, Display};
use crate::report::task as report;
use crate::session::Session;

/// Tasks as they are printed as JSON.
#[derive(Serialize)]
struct TaskList<'a> {
    tasks: &'a [Task],
}

/// Every command below `task`.
pub(crate) async fn task(
    command: &TaskCommand,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    match command {
        TaskCommand::Create(create) => self::create(create, backend, session).await,
        TaskCommand::List(list) => self::list(list, backend, session).await,
        TaskCommand::Get(which) => {
            let shown = backend.show_task(&which.task).await?;
            if session.is_machine() {
                session.print_json(&shown)?;
            } else {
                let names = backend
                    .agent_names(std::slice::from_ref(&shown.task))
                    .await?;
                session.print(&report::one(&shown, &names, session))?;
            }
            Ok(Exit::Done)
        }
        TaskCommand::Cancel(which) if which.dry_run => {
            tell(
                Operation::CancelTask(which.what.task.clone()),
                backend,
                session,
            )
            .await
        }
        TaskCommand::Cancel(which) => {
            let cancelled = backend
                .cancel_task(&which.what.task, which.what.reason.as_deref())
                .await?;
            answer(&cancelled, report::cancelled, session)
        }
        TaskCommand::Update(update) => self::update(update, backend, session).await,
        TaskCommand::Retry(again) => retry(again, backend, session).await,
        TaskCommand::Logs(logs) => {
            let mut shown = Shown::new(logs.follow, session);
            backend
                .task_logs(&logs.task, logs.limit, logs.follow, &mut shown)
                .await?;
            shown.finish()
        }
        TaskCommand::Wait(wait) => self::wait(wait, backend, session).await,
        TaskCommand::Deps(which) => {
            let tree = backend.task_tree(&which.task).await?;
            answer(&tree, report::tree, session)
        }
    }
}

async fn create(
    create: &TaskCreateArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let inputs = create.inputs.iter();
    let request = TaskRequest {
        description: match (&create.file, &create.description) {
            (Some(file), _) => Content::of_file(file),
            (None, Some(text)) => Content::Text(text.clone()),
            (None, None) => Content::Text(create.what.join(" ")),
        },
        name: create.name.clone(),
        capabilities: filled(&create.capabilities),
        agent: create.agent.clone().or_else(|| create.prefer.clone()),
        demanded: create.agent.is_some(),
        priority: create.priority,
        needs: filled(&create.needs),
        inputs: inputs
            .map(|input| (input.name.clone(), input.value.clone()))
            .collect(),
        project: create.project.clone(),
        delay: create.delay,
        after: create.after,
        timeout: create.timeout,
        max_attempts: create
            .max_attempts
            .or_else(|| create.retries.map(|more| more + 1)),
        max_cost: create.max_cost.clone(),
    };
    let made = backend.create_task(&request).await?;
    if !create.wait {
        return answer(&made, report::created, session);
    }
    session.tell(&report::created(&made, session));
    let args = TaskWaitArgs {
        tasks: vec![made.task.id],
        timeout: None,
    };
    wait(&args, backend, session).await
}

async fn update(
    args: &TaskUpdateArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let update = match (args.priority, &args.max_cost) {
        (Some(priority), _) => TaskUpdate::Priority(priority),
        (None, Some(cost)) => TaskUpdate::MaxCost(cost.clone()),
        (None, None) => {
            let text = "nothing is to be changed";
            return Err(Problem::new(ProblemKind::InvalidInput, text)
                .with_help("say what with --priority or --max-cost"));
        }
    };
    let updated = backend.update_task(&args.task, &update).await?;
    answer(&updated, report::updated, session)
}

async fn retry(
    again: &TaskRetryArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let instead = match (&again.description, &again.file) {
        (Some(text), _) => Some(Content::Text(text.clone())),
        (None, Some(file)) => Some(Content::of_file(file)),
        (None, None) if again.edit => return edited(&again.task, backend, session).await,
        (None, None) => None,
    };
    let made = backend.retry_task(&again.task, instead.as_ref()).await?;
    answer(&made, report::retried, session)
}

/// Has a person change what a task was to do, and asks for that. One that can't be asked for again need not
/// be written for nothing.
async fn edited(task: &str, backend: &dyn Backend, session: &Session<'_>) -> Result<Exit, Problem> {
    if !session.can_edit() {
        let text = "an editor needs a terminal";
        return Err(Problem::new(ProblemKind::Conflict, text)
            .with_help("say what is asked with: --description TEXT, or --file FILE"));
    }
    let task = backend.show_task(task).await?.task;
    if !matches!(task.state.as_str(), "failed" | "cancelled") {
        let refused = backend.retry_task(&task.id, None).await?;
        return answer(&refused, report::retried, session);
    }
    let made = backend.retry_edited(&task.id, &task.description).await?;
    answer(&made, report::retried, session)
}

/// An empty value names nothing.
fn filled(names: &[String]) -> Vec<String> {
    let names = names.iter().filter(|name| !name.is_empty());
    names.cloned().collect()
}

async fn list(
    list: &TaskListArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let query = TaskQuery {
        states: list.state.iter().map(|state| state.as_str()).collect(),
        agent: list.agent.clone(),
        workflow: list.workflow.clone(),
        run: list.run.clone(),
        project: list.project.clone(),
        limit: list.limit,
    };
    let tasks = backend.list_tasks(&query).await?;
    if session.is_machine() {
        session.print_rows(&TaskList { tasks: &tasks }, &tasks)?;
    } else if tasks.is_empty() {
        let create = session.command("task create WHAT");
        session.tell(&format!("no such tasks; ask for one with: {create}\n"));
    } else {
        let names = backend.agent_names(&tasks).await?;
        session.print(&report::list(&tasks, &names, session))?;
    }
    Ok(Exit::Done)
}

async fn wait(
    wait: &TaskWaitArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let mut display = Display::new(session, Begun::Now);
    let waited = backend
        .wait_for_tasks(&wait.tasks, wait.timeout, &mut display)
        .await;
    display.finish();
    let tasks = waited?;
    if session.is_machine() {
        session.print_rows(&TaskList { tasks: &tasks }, &tasks)?;
    } else {
        session.print(&report::ended(&tasks, session))?;
    }
    let is_final =
        |task: &&Task| matches!(task.state.as_str(), "completed" | "failed" | "cancelled");
    Ok(if tasks.iter().filter(is_final).count() < tasks.len() {
        Exit::Interrupted
    } else if tasks.iter().all(|task| task.state == "completed") {
        Exit::Done
    } else {
        Exit::WorkFailed
    })
}
