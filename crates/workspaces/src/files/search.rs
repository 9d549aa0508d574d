//! Searches the text of a workspace's files, with the parts that ripgrep is made of.

use std::io;
use std::ops::ControlFlow;

use grep_matcher::LineTerminator;
use grep_regex::{RegexMatcher, RegexMatcherBuilder};
use grep_searcher::{
    BinaryDetection, Searcher, SearcherBuilder, Sink, SinkContext, SinkFinish, SinkMatch,
};

use super::guard::RelativePath;
use super::{EntryKind, FileEntry, LIST_LIMIT, SEARCH_LIMIT, glob_set, walk};
use crate::{Error, Result, WorkspaceDir};

/// The most bytes of files that one search reads.
const BYTES_LIMIT: u64 = 256 * 1024 * 1024;
/// What one compiled expression takes, in bytes, and as much again for its speed.
const EXPRESSION_LIMIT: usize = 10 * 1024 * 1024;
/// A file with a line that is longer, in bytes, is not searched to its end.
const LINE_LIMIT: usize = 1024 * 1024;
/// How much of a line is given, in bytes.
const LINE_SHOWN: usize = 400;

/// What is searched, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextQuery {
    /// A regular expression as the `regex` crate has them; it matches inside of one line.
    pub pattern: String,
    /// The pattern is a text and no expression.
    pub literal: bool,
    /// Case makes no difference.
    pub ignore_case: bool,
    /// A folder or a file; `.` is the workspace.
    pub path: String,
    /// Only files whose path from the workspace's root fits: `*` stays in a folder, `**` does not.
    pub glob: Option<String>,
    /// Lines before and after each match.
    pub context: usize,
    /// Matching lines to find at most.
    pub limit: usize,
}

/// What a search found, by file, sorted by path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Matches {
    /// Files with a match.
    pub files: Vec<FileMatches>,
    /// There may be more: the limit of matches, files or bytes was reached.
    pub cut: bool,
    /// Files that were not searched to their end: not readable through the guard, or not text.
    pub skipped: usize,
}

/// The matches in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileMatches {
    /// From the workspace's root.
    pub path: String,
    /// Matching lines and the lines around them, in order.
    pub lines: Vec<MatchedLine>,
}

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatchedLine {
    /// From 1.
    pub number: u64,
    /// Without its end; the beginning of a very long one.
    pub text: String,
    /// `false` for a line that is there as context.
    pub is_match: bool,
}

impl WorkspaceDir {
    /// Finds lines of text. Binary files and what is in `.agent` and in a `.git` folder are left
    /// out, links are not followed.
    ///
    /// # Errors
    /// The pattern or the glob can't be read, or the path is refused or leads out.
    pub fn search_text(&self, query: &TextQuery) -> Result<Matches> {
        let matcher = matcher(query)?;
        let mut searcher = searcher(query.context);
        let mut matches = Matches::default();
        let mut bytes = BYTES_LIMIT;
        let mut left = query.limit;
        let (paths, complete) = self.candidates(query)?;
        matches.cut = !complete;
        for entry in paths {
            if entry.size > bytes {
                matches.cut = true;
                break;
            }
            bytes -= entry.size;
            let mut sink = Lines {
                left,
                lines: Vec::new(),
                binary: false,
            };
            let searched = RelativePath::parse(&entry.path)
                .and_then(|path| self.open_file(&path))
                .is_ok_and(|file| searcher.search_file(&matcher, &file, &mut sink).is_ok());
            if !searched || sink.binary {
                matches.skipped += 1;
            }
            left = sink.left;
            if !sink.lines.is_empty() && !sink.binary {
                matches.files.push(FileMatches {
                    path: entry.path,
                    lines: sink.lines,
                });
            }
            if left == 0 {
                matches.cut = true;
                break;
            }
        }
        Ok(matches)
    }

    /// The files to look into, sorted by path, and whether these are all.
    fn candidates(&self, query: &TextQuery) -> Result<(Vec<FileEntry>, bool)> {
        let start = RelativePath::parse(&query.path)?;
        let globs = query.glob.as_ref().map(std::slice::from_ref);
        let globs = globs.map(glob_set).transpose()?;
        if let Ok(file) = self.open_file(&start) {
            let size = file.metadata().map_err(start.failed("read"))?.len();
            let entry = FileEntry {
                path: start.as_str().to_owned(),
                kind: EntryKind::File,
                size,
            };
            return Ok((vec![entry], true));
        }
        let (mut seen, mut files) = (0, Vec::new());
        walk::walk(self.dir(), start.as_str(), &mut |entry| {
            seen += 1;
            let fits = globs.as_ref().is_none_or(|set| set.is_match(&entry.path));
            if entry.kind == EntryKind::File && fits {
                files.push(entry);
            }
            if seen == SEARCH_LIMIT || files.len() == LIST_LIMIT {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })
        .map_err(start.failed("search"))?;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let complete = seen < SEARCH_LIMIT && files.len() < LIST_LIMIT;
        Ok((files, complete))
    }
}

fn matcher(query: &TextQuery) -> Result<RegexMatcher> {
    let mut builder = RegexMatcherBuilder::new();
    builder
        .fixed_strings(query.literal)
        .case_insensitive(query.ignore_case)
        .size_limit(EXPRESSION_LIMIT)
        .dfa_size_limit(EXPRESSION_LIMIT)
        .line_terminator(Some(b'\n'));
    builder
        .build(&query.pattern)
        .map_err(|error| Error::Expression {
            pattern: query.pattern.clone(),
            fault: error.to_string(),
        })
}

fn searcher(context: usize) -> Searcher {
    SearcherBuilder::new()
        .line_terminator(LineTerminator::byte(b'\n'))
        .before_context(context)
        .after_context(context)
        .binary_detection(BinaryDetection::quit(0))
        // A file that becomes shorter while it is mapped would end the program.
        .memory_map(grep_searcher::MmapChoice::never())
        .heap_limit(Some(LINE_LIMIT))
        .build()
}

/// Takes the lines of one file.
struct Lines {
    /// Matches that may still be taken.
    left: usize,
    lines: Vec<MatchedLine>,
    binary: bool,
}

impl Lines {
    fn push(&mut self, number: Option<u64>, bytes: &[u8], is_match: bool) {
        let text = String::from_utf8_lossy(bytes);
        let line = text.trim_end_matches(['\n', '\r']);
        let end = line.floor_char_boundary(LINE_SHOWN);
        let mut text = line.get(..end).unwrap_or_default().to_owned();
        if end < line.len() {
            text.push_str(" [...]");
        }
        self.lines.push(MatchedLine {
            number: number.unwrap_or_default(),
            text,
            is_match,
        });
    }
}

impl Sink for Lines {
    type Error = io::Error;

    fn matched(&mut self, _: &Searcher, found: &SinkMatch<'_>) -> io::Result<bool> {
        self.push(found.line_number(), found.bytes(), true);
        self.left = self.left.saturating_sub(1);
        Ok(self.left > 0)
    }

    fn context(&mut self, _: &Searcher, found: &SinkContext<'_>) -> io::Result<bool> {
        self.push(found.line_number(), found.bytes(), false);
        Ok(true)
    }

    fn finish(&mut self, _: &Searcher, end: &SinkFinish) -> io::Result<()> {
        self.binary = end.binary_byte_offset().is_some();
        Ok(())
    }
}
