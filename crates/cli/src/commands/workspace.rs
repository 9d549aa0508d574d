//! `workspace`: what agents have in their workspaces.

use std::path::Path;

use fusion_api_types::{Problem, ProblemKind, WorkspacePath};
use serde_json::json;

use super::{db::answer, only_copies};
use crate::args::{
    MergeStrategy, WorkspaceCommand, WorkspaceDiffArgs, WorkspaceDiscardArgs, WorkspaceFilesArgs,
    WorkspaceGcArgs, WorkspaceMergeArgs, WorkspaceReadArgs,
};
use crate::backend::{Backend, DiscardRequest, MergeRequest};
use crate::exit::Exit;
use crate::report::workspace as report;
use crate::session::Session;
use crate::text::{clean, clean_line, shell_word};

/// Every command below `workspace`.
pub(crate) async fn workspace(
    command: &WorkspaceCommand,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    match command {
        WorkspaceCommand::List(of) => list(of.limit, backend, session).await,
        WorkspaceCommand::Path(of) => path(&of.agent, backend, session).await,
        WorkspaceCommand::Open(of) => open(&of.agent, backend, session).await,
        WorkspaceCommand::Files(of) => files(of, backend, session).await,
        WorkspaceCommand::Read(of) => read(of, backend, session).await,
        WorkspaceCommand::Diff(of) => diff(of, backend, session).await,
        WorkspaceCommand::Export(of) => {
            let made = backend
                .export_workspace(&of.agent, &of.path, &of.to)
                .await?;
            answer(&made, report::exported, session)
        }
        WorkspaceCommand::Merge(of) => merge(of, backend, session).await,
        WorkspaceCommand::Commit(of) => {
            let done = backend.commit_workspace(&of.agent, &of.message).await?;
            answer(&done, report::committed, session)
        }
        WorkspaceCommand::Discard(of) => discard(of, backend, session).await,
        WorkspaceCommand::Gc(of) => gc(of, backend, session).await,
    }
}

async fn list(limit: u32, backend: &dyn Backend, session: &Session<'_>) -> Result<Exit, Problem> {
    let workspaces = backend.list_workspaces(limit).await?;
    if session.is_machine() {
        session.print_rows(&json!({ "workspaces": workspaces }), &workspaces)?;
    } else if workspaces.is_empty() {
        session.tell("there are no workspaces yet: each agent gets one\n");
    } else {
        session.print(&report::list(&workspaces, session))?;
    }
    Ok(Exit::Done)
}

async fn path(agent: &str, backend: &dyn Backend, session: &Session<'_>) -> Result<Exit, Problem> {
    let path = place(agent, backend).await?;
    answer(
        &path,
        |path, _| format!("{}\n", clean_line(&path.path)),
        session,
    )
}

/// Where the workspace of an agent is, as long as it is there.
async fn place(agent: &str, backend: &dyn Backend) -> Result<WorkspacePath, Problem> {
    let shown = backend.show_agent(agent).await?;
    let place = shown.workspace;
    if !place.exists {
        let name = clean_line(&shown.summary.name);
        let problem = Problem::new(
            ProblemKind::NotFound,
            format!("the workspace of '{name}' is not there"),
        );
        return Err(match place.archive {
            Some(file) => problem.with_help(format!("it was packed into {}", clean_line(&file))),
            None => problem,
        });
    }
    Ok(WorkspacePath {
        agent: shown.summary.id,
        path: place.path,
    })
}

async fn open(agent: &str, backend: &dyn Backend, session: &Session<'_>) -> Result<Exit, Problem> {
    if !session.can_edit() {
        let text = "an editor needs a terminal";
        let path = session.command(&format!("workspace path {}", shell_word(agent)));
        return Err(Problem::new(ProblemKind::Conflict, text)
            .with_help(format!("where the workspace is, tells: {path}")));
    }
    let path = place(agent, backend).await?.path;
    if backend.edit_folder(Path::new(&path)).await? {
        return Ok(Exit::Done);
    }
    session.tell("the editor did not end well\n");
    Ok(Exit::Failed)
}

async fn files(
    of: &WorkspaceFilesArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let tree = backend
        .workspace_tree(&of.agent, &of.path, of.limit)
        .await?;
    if session.is_machine() {
        session.print_rows(&tree, &tree.entries)?;
    } else if tree.entries.is_empty() {
        session.tell("there are no files\n");
    } else {
        session.print(&report::tree(&tree, session))?;
    }
    if tree.truncated {
        session.tell("there is more: give a folder, or a higher --limit\n");
    }
    Ok(Exit::Done)
}

async fn read(
    of: &WorkspaceReadArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let file = backend
        .workspace_file(&of.agent, &of.path, of.limit)
        .await?;
    if session.is_machine() {
        session.print_json(&file)?;
        return Ok(Exit::Done);
    }
    // On a terminal it could steer it; elsewhere the file is wanted as it is.
    let text = match session.terminal.stdout.size() {
        Some(_) => clean(&file.text),
        None => file.text,
    };
    session.print(&text)?;
    if file.truncated_bytes > 0 {
        let left = file.truncated_bytes;
        session.tell(&format!("{left} more bytes: give a higher --limit\n"));
    }
    Ok(Exit::Done)
}

async fn diff(
    of: &WorkspaceDiffArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let diff = backend.workspace_diff(&of.agent).await?;
    if session.is_machine() {
        session.print_json(&diff)?;
    } else if diff.files.is_empty() {
        session.tell("nothing has changed, as of the end of its newest step\n");
    } else if of.stat {
        session.print(&report::changes(&diff))?;
    } else if of.name_only {
        session.print(&report::names(&diff))?;
    } else {
        session.print(&report::diff(&diff, session))?;
    }
    Ok(Exit::Done)
}

async fn merge(
    of: &WorkspaceMergeArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    if of.strategy == MergeStrategy::Ff && of.message.is_some() {
        let text = "--strategy ff makes no commit, so there is nothing for --message";
        return Err(Problem::new(ProblemKind::InvalidInput, text));
    }
    let request = MergeRequest {
        agent: of.agent.clone(),
        branch: of.branch.clone(),
        into: of.into.clone(),
        strategy: of.strategy,
        message: of.message.clone(),
    };
    let merged = backend.merge_workspace(&request).await?;
    if !session.global.quiet {
        session.tell(&report::merge_notes(&merged, of.branch.is_some()));
    }
    answer(&merged, report::merged, session)
}

/// Removes a workspace; what is nowhere else only when a person, or `--yes`, says so.
async fn discard(
    of: &WorkspaceDiscardArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let request = DiscardRequest {
        only_copies: of.yes,
        dry_run: of.dry_run,
    };
    let done = match backend.discard_workspace(&of.agent, request).await {
        Err(problem) => {
            let request = only_copies::may_go(problem, request, session)?;
            backend.discard_workspace(&of.agent, request).await?
        }
        Ok(done) => done,
    };
    answer(&done, |done, _| report::removed(done, of.dry_run), session)
}

async fn gc(
    of: &WorkspaceGcArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let request = DiscardRequest {
        only_copies: of.yes,
        dry_run: of.dry_run,
    };
    let done = backend.collect_workspaces(of.older_than, request).await?;
    answer(&done, |done, _| report::collected(done), session)
}
