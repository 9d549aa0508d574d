//! `verify`.

use fusion_api_types::{Problem, VerifyReport};

use crate::args::VerifyArgs;
use crate::backend::{Backend, Depth};
use crate::exit::Exit;
use crate::report::database;
use crate::session::Session;

/// `verify`: the report is the result, whatever it says.
pub(crate) async fn verify(
    verify: &VerifyArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let depth = match (verify.deep, verify.online) {
        (true, _) => Depth::Deep,
        (false, true) => Depth::Online,
        (false, false) => Depth::Shallow,
    };
    let mended = if verify.fix {
        backend.mend().await?
    } else {
        Vec::new()
    };
    let report = VerifyReport {
        mended,
        ..backend.verify(depth).await?
    };
    if session.is_machine() {
        session.print_json(&report)?;
    } else {
        session.print(&database::verification(&report, session))?;
    }
    Ok(if report.ok { Exit::Done } else { Exit::Failed })
}
