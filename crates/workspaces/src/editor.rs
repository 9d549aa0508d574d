//! A person's editor on a folder or a file.

use std::path::Path;

use crate::{Error, Result};

/// Runs the editor of a person, a command as the shell reads it, on a folder or a file and waits for its
/// end; says whether it ended well. It runs as whoever calls, with this process's terminal and environment, and
/// outside of any sandbox.
///
/// # Errors
/// No shell can be started.
#[expect(
    clippy::disallowed_methods,
    reason = "this crate is what starts processes"
)]
pub async fn edit(editor: &str, folder: &Path) -> Result<bool> {
    let mut shell = tokio::process::Command::new("sh");
    // The folder is an argument of its own: nothing in its name is read by the shell.
    let line = format!("{editor} \"$@\"");
    shell.args(["-c", &line, editor]).arg(folder);
    let ended = shell.status().await;
    let ended = ended.map_err(|source| Error::NotStarted {
        program: editor.to_owned(),
        source,
    })?;
    Ok(ended.success())
}
