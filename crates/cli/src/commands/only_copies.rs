//! What is nowhere else goes only when a person, or `--yes`, says so.

use fusion_api_types::Problem;

use crate::backend::DiscardRequest;
use crate::session::Session;
use crate::terminal::Question;
use crate::text::clean_line;

/// The same request with what is nowhere else, once a person has said that it may go; the problem where
/// nobody can be asked, or where `--yes` is no way out of it.
pub(super) fn may_go(
    problem: Problem,
    request: DiscardRequest,
    session: &Session<'_>,
) -> Result<DiscardRequest, Problem> {
    let names_yes = |help: &String| help.contains("--yes");
    let may_be_asked =
        !request.only_copies && !request.dry_run && problem.help.as_ref().is_some_and(names_yes);
    if !may_be_asked {
        return Err(problem);
    }
    let question = format!("{}: delete them? [y/N] ", clean_line(&problem.message));
    let said = session.ask(&question, Question::Open).unwrap_or_default();
    if !matches!(said.trim().to_lowercase().as_str(), "y" | "yes") {
        return Err(problem);
    }
    Ok(DiscardRequest {
        only_copies: true,
        ..request
    })
}
