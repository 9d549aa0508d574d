//! What is typed, or stands in a file.

use std::fs::File;
use std::io::{self, Read};

use fusion_api_types::{Problem, ProblemKind};
use fusion_cli::Content;

/// What it is, or one byte more than `most` of it, so that who checks it can tell the limit and memory is not
/// filled.
pub(crate) fn bytes_of(content: &Content, most: usize) -> Result<Vec<u8>, Problem> {
    match content {
        Content::Text(text) => Ok(text.clone().into_bytes()),
        Content::File(path) => File::open(path)
            .and_then(|file| bounded(file, most))
            .map_err(|error| unreadable(&format!("the file '{}'", path.display()), &error)),
        Content::Stdin => {
            bounded(io::stdin(), most).map_err(|error| unreadable("standard input", &error))
        }
    }
}

/// The same as text, without white space at its end.
pub(crate) fn text_of(content: &Content, most: usize) -> Result<String, Problem> {
    let bytes = bytes_of(content, most)?;
    if bytes.len() > most {
        // Cut within a character it is too long, not wrong.
        return Ok(String::from_utf8_lossy(&bytes).into_owned());
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| Problem::new(ProblemKind::InvalidInput, "the file is not text in UTF-8"))?;
    Ok(text.trim_end().to_owned())
}

fn bounded(from: impl Read, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let most = u64::try_from(most).unwrap_or(u64::MAX);
    from.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn unreadable(what: &str, error: &io::Error) -> Problem {
    Problem::new(
        ProblemKind::InvalidInput,
        format!("can't read {what}: {error}"),
    )
}
