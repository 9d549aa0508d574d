//! `--dry-run` of the commands that end something or take it away.

use fusion_api_types::Problem;

use crate::backend::{Backend, Operation};
use crate::exit::Exit;
use crate::report::dry_run as report;
use crate::session::Session;

/// Says what an operation would change; nothing is changed and nobody is asked anything.
pub(super) async fn tell(
    operation: Operation,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let tried = backend.dry_run(&operation).await?;
    if session.is_machine() {
        session.print_rows(&tried, &tried.changes)?;
    } else if tried.changes.is_empty() {
        session.tell("nothing would change\n");
    } else {
        session.print(&report::changes(&tried.changes, session))?;
    }
    if tried.left.is_empty() {
        return Ok(Exit::Done);
    }
    session.tell(&report::left(&tried.left, session));
    Ok(Exit::Failed)
}
