//! `verify`.

use fusion_api_types::Problem;

use crate::args::VerifyArgs;
use crate::backend::Backend;
use crate::exit::Exit;
use crate::report::database;
use crate::session::Session;

/// `verify`: the report is the result, whatever it says.
pub(crate) async fn verify(
    verify: &VerifyArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let report = backend.verify(verify.online).await?;
    if session.is_machine() {
        session.print_json(&report)?;
    } else {
        session.print(&database::verification(&report, session))?;
    }
    Ok(if report.ok { Exit::Done } else { Exit::Failed })
}
