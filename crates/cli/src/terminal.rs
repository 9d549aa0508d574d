//! What the commands write on.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, FixedOffset, Local};
use console::Term;

/// The time of day where the user is. Only for showing: nothing is stored with it.
pub type Now = Arc<dyn Fn() -> DateTime<FixedOffset> + Send + Sync>;

/// The streams of a command and the user's clock.
#[derive(Clone)]
pub struct Terminal {
    /// A person who can be asked, or nobody.
    pub input: Input,
    /// Takes results only.
    pub stdout: Output,
    /// Takes progress, notices and errors.
    pub stderr: Output,
    /// `--color auto` writes no colours even on a terminal.
    pub no_color: bool,
    /// The user's clock.
    pub now: Now,
}

/// How an answer is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// What is typed can be seen.
    Open,
    /// What is typed is not shown: a key.
    Hidden,
}

/// Reads one line that a person types.
type ReadLine = Arc<dyn Fn(Question) -> io::Result<String> + Send + Sync>;

/// Where answers to questions come from.
#[derive(Clone, Default)]
pub struct Input(Option<ReadLine>);

/// What the environment says about the terminal; the binary reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hints {
    /// `NO_COLOR` is set and not empty.
    pub no_color: bool,
    /// `TERM` is `dumb`: neither colours nor cursor movement are understood.
    pub dumb: bool,
}

/// Columns and rows of a terminal window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Characters in a line.
    pub columns: u16,
    /// Lines.
    pub rows: u16,
}

/// One output stream: a terminal with a size, or a file.
#[derive(Clone)]
pub struct Output {
    writer: Arc<Mutex<dyn Write + Send>>,
    size: Option<Arc<dyn Fn() -> Size + Send + Sync>>,
}

impl Terminal {
    /// The streams and the clock of this process.
    #[must_use]
    pub fn of_process(hints: Hints) -> Self {
        let output = |writer: Arc<Mutex<dyn Write + Send>>, is_terminal: bool| Output {
            writer,
            size: (is_terminal && !hints.dumb).then(|| Arc::new(window_size) as Arc<_>),
        };
        let has_person = io::stdin().is_terminal() && io::stderr().is_terminal() && !hints.dumb;
        Self {
            input: if has_person {
                Input::person(read_line)
            } else {
                Input::nobody()
            },
            stdout: output(
                Arc::new(Mutex::new(io::stdout())),
                io::stdout().is_terminal(),
            ),
            stderr: output(
                Arc::new(Mutex::new(io::stderr())),
                io::stderr().is_terminal(),
            ),
            no_color: hints.no_color,
            now: Arc::new(|| Local::now().fixed_offset()),
        }
    }
}

impl Input {
    /// Nobody is there: a script, a pipe.
    #[must_use]
    pub const fn nobody() -> Self {
        Self(None)
    }

    /// Somebody who types lines.
    pub fn person(read: impl Fn(Question) -> io::Result<String> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(read)))
    }

    /// Whether there is somebody to ask.
    #[must_use]
    pub const fn is_person(&self) -> bool {
        self.0.is_some()
    }

    /// The line that was typed, without its end; `None` where nobody is there or nothing can be read.
    pub(crate) fn line(&self, question: Question) -> Option<String> {
        self.0.as_ref().and_then(|read| read(question).ok())
    }
}

impl Output {
    /// A file, a pipe or a buffer.
    pub fn file(writer: impl Write + Send + 'static) -> Self {
        Self {
            writer: Arc::new(Mutex::new(writer)),
            size: None,
        }
    }

    /// A terminal window of a size that may change.
    pub fn terminal(
        writer: impl Write + Send + 'static,
        size: impl Fn() -> Size + Send + Sync + 'static,
    ) -> Self {
        Self {
            writer: Arc::new(Mutex::new(writer)),
            size: Some(Arc::new(size)),
        }
    }

    /// Size of the window; `None` when this is no terminal.
    #[must_use]
    pub fn size(&self) -> Option<Size> {
        self.size.as_ref().map(|size| size())
    }

    /// Writes all of `text` and flushes.
    ///
    /// # Errors
    /// The stream refuses it: a full disk, or a reader that went away.
    pub fn write(&self, text: &str) -> io::Result<()> {
        // A writer that panicked half way left bytes, not broken state.
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.write_all(text.as_bytes())?;
        writer.flush()
    }
}

impl fmt::Debug for Terminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terminal")
            .field("input", &self.input)
            .field("stdout", &self.stdout)
            .field("stderr", &self.stderr)
            .field("no_color", &self.no_color)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Input").field(&self.is_person()).finish()
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output")
            .field("size", &self.size())
            .finish_non_exhaustive()
    }
}

fn read_line(question: Question) -> io::Result<String> {
    let terminal = Term::stderr();
    match question {
        Question::Open => terminal.read_line(),
        Question::Hidden => terminal.read_secure_line(),
    }
}

fn window_size() -> Size {
    let (rows, columns) = Term::stderr().size();
    Size { columns, rows }
}
