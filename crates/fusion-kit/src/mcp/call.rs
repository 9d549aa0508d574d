//! One call: a command of this program in a process of its own.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use fusion_api_types::{Problem, ProblemKind};
use rmcp::model::{CallToolResult, ContentBlock};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::system::CHILD;

/// Commands at once; more wait for their turn.
const AT_ONCE: usize = 8;

/// The most bytes of an answer.
const LONGEST: u64 = 1024 * 1024;

/// How long a command that is not wanted any more may take to end by itself.
const FAREWELL: Duration = Duration::from_secs(5);

/// What exit codes say about work that was waited for: the command itself did what it should.
const WORK_FAILED: i32 = 6;
const TIME_IS_UP: i32 = 8;

/// Runs commands.
pub(super) struct Commands {
    program: PathBuf,
    /// The global options of each.
    place: Vec<String>,
    slots: Semaphore,
}

impl Commands {
    pub(super) fn of_this_program(place: Vec<String>) -> Result<Self, Problem> {
        let program = std::env::current_exe().map_err(|error| {
            let why = format!("the file of this program can't be found: {error}");
            Problem::new(ProblemKind::Unavailable, why)
        })?;
        Ok(Self {
            program,
            place,
            slots: Semaphore::new(AT_ONCE),
        })
    }

    /// Runs a command to its end, or interrupts it when the client gives up.
    pub(super) async fn call(
        &self,
        line: &[String],
        given_up: &CancellationToken,
    ) -> CallToolResult {
        let ran = tokio::select! {
            biased;
            () = given_up.cancelled() => return interrupted(),
            slot = self.slots.acquire() => {
                let ran = self.run(line, given_up).await;
                drop(slot);
                ran
            }
        };
        ran.map_or_else(
            |error| refused(format!("the command can't be run: {error}")),
            |ran| ran.map_or_else(interrupted, Ran::told),
        )
    }

    async fn run(
        &self,
        line: &[String],
        given_up: &CancellationToken,
    ) -> std::io::Result<Option<Ran>> {
        let mut child = program(&self.program)
            .arg(CHILD)
            .arg(std::process::id().to_string())
            .args(&self.place)
            .args(line)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let work = async { tokio::join!(read(out), read(err), child.wait()) };
        let ended = tokio::select! {
            biased;
            () = given_up.cancelled() => None,
            ended = work => Some(ended),
        };
        let Some((out, err, status)) = ended else {
            interrupt(&mut child).await;
            return Ok(None);
        };
        Ok(Some(Ran {
            out: out?,
            err: err?,
            status: status?,
        }))
    }
}

/// This program; the only one that is started here.
fn program(path: &Path) -> Command {
    #[expect(
        clippy::disallowed_methods,
        reason = "what is started here is this program, and no command of an agent"
    )]
    Command::new(path)
}

/// Reads a stream of a command, but for what is beyond the limit: then nobody reads on, which ends the
/// command.
async fn read(stream: Option<impl AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        stream.take(LONGEST + 1).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

/// As Ctrl-C does; one that stays is killed.
async fn interrupt(child: &mut Child) {
    let pid = child.id().and_then(|id| i32::try_from(id).ok());
    if let Some(pid) = pid.and_then(Pid::from_raw) {
        // One that has ended has nothing to be told.
        kill_process(pid, Signal::INT).ok();
    }
    if tokio::time::timeout(FAREWELL, child.wait()).await.is_err() {
        child.kill().await.ok();
    }
}

/// What came of a command.
struct Ran {
    out: Vec<u8>,
    err: Vec<u8>,
    status: ExitStatus,
}

impl Ran {
    fn told(self) -> CallToolResult {
        if u64::try_from(self.out.len()).is_ok_and(|len| len > LONGEST) {
            return refused(format!(
                "the answer has more than {LONGEST} bytes: ask for less, with `limit` where there is one or \
                 with `jq`"
            ));
        }
        let out = String::from_utf8_lossy(&self.out).trim_end().to_owned();
        let err = String::from_utf8_lossy(&self.err).trim_end().to_owned();
        let code = self.status.code();
        let is_answer =
            code.is_some_and(|code| code == 0 || (WORK_FAILED..=TIME_IS_UP).contains(&code));
        let structured = serde_json::from_str::<Value>(&out).ok();
        let structured = structured.filter(|value| is_answer && value.is_object());
        let mut said = vec![out];
        if code != Some(0) {
            said.extend([err, self.ended()]);
        }
        said.retain(|text| !text.is_empty());
        let said = said.into_iter().map(ContentBlock::text).collect();
        if !is_answer {
            return CallToolResult::error(said);
        }
        let mut result = CallToolResult::success(said);
        result.structured_content = structured;
        result
    }

    /// How it ended that did not end well.
    fn ended(&self) -> String {
        match self.status.code() {
            Some(6) => "the work failed or was cancelled (exit code 6)".to_owned(),
            Some(7) => "the work is held until a person says go on (exit code 7)".to_owned(),
            Some(8) => "the work goes on: the time was up (exit code 8)".to_owned(),
            Some(code) => format!("exit code {code}"),
            None => self.status.to_string(),
        }
    }
}

fn refused(told: String) -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text(told)])
}

fn interrupted() -> CallToolResult {
    refused("the call was given up".to_owned())
}
