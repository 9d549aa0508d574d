//! `top`: everything at a glance, for as long as somebody looks.

use fusion_api_types::{Problem, ProblemKind};

use crate::backend::Backend;
use crate::exit::Exit;
use crate::session::Session;
use crate::top;

/// `top`.
pub(crate) async fn top(backend: &dyn Backend, session: &Session<'_>) -> Result<Exit, Problem> {
    let terminal = session.terminal;
    if session.is_machine() {
        return Err(refused("top is for people: it has no form for programs"));
    }
    if terminal.stdout.size().is_none() || !terminal.input.is_person() {
        return Err(refused(
            "top needs a terminal to draw on and to take keys from",
        ));
    }
    top::show(backend, session).await
}

fn refused(text: &str) -> Problem {
    Problem::new(ProblemKind::InvalidInput, text).with_help(
        "elsewhere use: fusion-kit agent list --watch, fusion-kit events tail --follow --json",
    )
}
