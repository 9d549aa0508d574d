//! The port behind `artifact`.

use std::path::Path;

use async_trait::async_trait;
use fusion_api_types::{ArtifactSaved, Problem};

/// Looks after the kept files of steps.
#[async_trait]
pub trait Artifacts {
    /// Writes the kept file of this hash to a new file.
    ///
    /// # Errors
    /// There is none, it is damaged, or something is there already.
    async fn save_artifact(&self, sha256: &str, to: &Path) -> Result<ArtifactSaved, Problem>;
}
