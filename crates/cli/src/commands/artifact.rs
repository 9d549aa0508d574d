//! `artifact`: the kept files of steps.

use fusion_api_types::{ArtifactSaved, Problem};

use super::db::answer;
use crate::args::ArtifactCommand;
use crate::backend::Backend;
use crate::exit::Exit;
use crate::session::Session;
use crate::text::{clean_line, count};

/// Every command below `artifact`.
pub(crate) async fn artifact(
    command: &ArtifactCommand,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    match command {
        ArtifactCommand::Get(get) => {
            let saved = backend.save_artifact(&get.sha256, &get.file).await?;
            answer(&saved, told, session)
        }
    }
}

fn told(saved: &ArtifactSaved, _: &Session<'_>) -> String {
    let bytes = count(saved.bytes, "byte");
    format!("wrote {bytes} to {}\n", clean_line(&saved.path))
}
