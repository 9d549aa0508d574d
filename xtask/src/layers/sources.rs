//! How long source files are.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// No file has more lines than this, its tests included.
const MOST_LINES: usize = 500;

/// A sentence for each `.rs` file under `folder` that is too long, in order of path. Build output
/// (`target`) and hidden folders are left out.
///
/// # Errors
/// When a folder or a file can't be read.
pub(super) fn oversized(folder: &Path) -> Result<Vec<String>> {
    let mut entries = fs::read_dir(folder)
        .and_then(|entries| entries.collect::<Result<Vec<_>, _>>())
        .with_context(|| format!("could not list {}", folder.display()))?;
    entries.sort_by_key(fs::DirEntry::path);
    let mut faults = Vec::new();
    for entry in entries {
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let kind = entry
            .file_type()
            .with_context(|| format!("could not look at {}", path.display()))?;
        if kind.is_dir() && name != "target" && !name.starts_with('.') {
            faults.extend(oversized(&path)?);
        } else if kind.is_file() && name.ends_with(".rs") {
            faults.extend(fault(&path)?);
        }
    }
    Ok(faults)
}

fn fault(file: &Path) -> Result<Option<String>> {
    let text =
        fs::read_to_string(file).with_context(|| format!("could not read {}", file.display()))?;
    let lines = text.lines().count();
    Ok((lines > MOST_LINES).then(|| {
        format!(
            "{} has {lines} lines: {MOST_LINES} are the most, split it by what it is about",
            file.display()
        )
    }))
}
