//! `cargo xtask docs`: what the documents say of files, tests and settings, checked.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Where the settings are read.
const SETTINGS: &str = "crates/fusion-kit/src/config.rs";

/// Where every setting must stand.
const SETTINGS_TOLD: [&str; 2] = ["docs/commands.md", ".env.example"];

/// Names with this many `_` are taken for names of tests.
const WORDS_OF_A_TEST: usize = 3;

/// A text file of the repository.
struct Text {
    /// From the root of the repository.
    path: PathBuf,
    text: String,
}

/// Everything that is not true any more, a sentence each. Empty when all is well.
///
/// # Errors
/// When a file can't be read.
pub(crate) fn faults(root: &Path) -> Result<Vec<String>> {
    let documents = texts(root, "md")?;
    let functions = functions(&texts(root, "rs")?);
    let mut faults = Vec::new();
    for document in &documents {
        let told = |fault: String| format!("{}: {fault}", document.path.display());
        faults.extend(dead_links(root, document).map(told));
        faults.extend(dead_names(root, &document.text, &functions).map(told));
        faults.extend(old_copies(root, &document.text)?.into_iter().map(told));
    }
    faults.extend(untold_examples(root, &documents)?);
    faults.extend(untold_settings(root)?);
    Ok(faults)
}

/// All files with this ending, without build output, hidden folders and what npm brought.
fn texts(root: &Path, ending: &str) -> Result<Vec<Text>> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for name in names_in(&root.join(&folder))? {
            let path = folder.join(&name);
            let is_ours = !name.starts_with('.') && name != "target" && name != "node_modules";
            if is_ours && root.join(&path).is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == ending) {
                let text = read(root, &path)?;
                found.push(Text { path, text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn names_in(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("could not list {}", folder.display()))?;
    let name = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    Ok(entries.iter().map(name).collect())
}

fn read(root: &Path, path: &Path) -> Result<String> {
    fs::read_to_string(root.join(path))
        .with_context(|| format!("could not read {}", path.display()))
}

/// Links to files of the repository that are not there.
fn dead_links<'a>(root: &'a Path, document: &'a Text) -> impl Iterator<Item = String> + 'a {
    let folder = document.path.parent().unwrap_or_else(|| Path::new(""));
    prose(&document.text)
        .flat_map(|line| line.split("](").skip(1))
        .filter_map(|rest| rest.split([')', '#']).next())
        .filter(|target| !target.is_empty() && !target.contains(':'))
        .filter(move |target| !root.join(folder).join(target).exists())
        .map(|target| format!("the link to {target} leads nowhere"))
}

/// Source files and tests that are named in `code` and are not there.
fn dead_names<'a>(
    root: &'a Path,
    text: &'a str,
    functions: &'a BTreeSet<String>,
) -> impl Iterator<Item = String> + 'a {
    let spans = prose(text).flat_map(|line| line.split('`').skip(1).step_by(2));
    spans.filter_map(move |span| {
        let (file, name) = span.rsplit_once("::").unwrap_or((span, span));
        if file.contains('/') && file.ends_with(".rs") && !is_there(root, file) {
            return Some(format!("there is no file {file}"));
        }
        let is_test = name.matches('_').count() >= WORDS_OF_A_TEST
            && name
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        (is_test && !functions.contains(name)).then(|| format!("there is no test {name}"))
    })
}

/// Source files are named from the root, or from `crates/`.
fn is_there(root: &Path, file: &str) -> bool {
    root.join(file).exists() || root.join("crates").join(file).exists()
}

/// Blocks after `<!-- embedded: FILE -->` that are not what the file holds.
fn old_copies(root: &Path, text: &str) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    for rest in text.split("<!-- embedded: ").skip(1) {
        let (file, rest) = rest.split_once(" -->\n```").unwrap_or((rest, ""));
        let block = rest
            .split_once('\n')
            .and_then(|(_, rest)| rest.split_once("```"));
        let source = read(root, Path::new(file))?;
        if block.is_none_or(|(copy, _)| copy != source) {
            faults.push(format!("the copy of {file} differs from the file"));
        }
    }
    Ok(faults)
}

fn untold_examples(root: &Path, documents: &[Text]) -> Result<Vec<String>> {
    let mut names = names_in(&root.join("examples"))?;
    names.sort();
    let is_told = |name: &str| {
        let path = format!("examples/{name}");
        documents
            .iter()
            .any(|document| document.text.contains(&path))
    };
    names.retain(|name| !is_told(name));
    let told = |name| format!("examples/{name} is named in no document");
    Ok(names.into_iter().map(told).collect())
}

fn untold_settings(root: &Path) -> Result<Vec<String>> {
    let source = read(root, Path::new(SETTINGS))?;
    let settings: BTreeSet<&str> = source
        .split("get(\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    let mut faults = Vec::new();
    for file in SETTINGS_TOLD {
        let text = read(root, Path::new(file))?;
        let untold = settings.iter().filter(|name| !text.contains(**name));
        faults.extend(untold.map(|name| format!("{file}: {name} is missing")));
    }
    Ok(faults)
}

/// The names of all functions, tests among them.
fn functions(sources: &[Text]) -> BTreeSet<String> {
    let lines = sources.iter().flat_map(|source| source.text.lines());
    lines
        .filter_map(|line| line.split_once("fn ")?.1.split(['(', '<']).next())
        .map(str::to_owned)
        .collect()
}

/// The lines outside of code blocks.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let blocks = text.split("\n```");
    blocks.step_by(2).flat_map(str::lines)
}

#[cfg(test)]
mod tests;
