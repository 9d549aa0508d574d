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

/// Commands at once that work or wait.
const AT_ONCE: usize = 8;

/// Commands at once beside them that are done in a moment; more wait for their turn.
const QUICK_AT_ONCE: usize = 4;

/// How long such a one may take: an expression of jq may have no end.
const QUICK: Duration = Duration::from_mins(1);

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
    quick: Semaphore,
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
            quick: Semaphore::new(QUICK_AT_ONCE),
        })
    }

    /// Runs a command to its end, or interrupts it when the client gives up.
    pub(super) async fn call(
        &self,
        line: &[String],
        given_up: &CancellationToken,
    ) -> CallToolResult {
        match self.slots.try_acquire() {
            Ok(_slot) => answer(self.run(line, given_up).await),
            Err(_) => refused(format!(
                "{AT_ONCE} calls that work or wait are under way: let one of them end, or give one up"
            )),
        }
    }

    /// The same for a command that is done in a moment, so that there is room for it at all times.
    pub(super) async fn call_quick(
        &self,
        line: &[String],
        given_up: &CancellationToken,
    ) -> CallToolResult {
        let given_up = given_up.child_token();
        let work = async {
            // It is never closed.
            let _slot = self.quick.acquire().await;
            self.run(line, &given_up).await
        };
        tokio::pin!(work);
        tokio::select! {
            ran = &mut work => answer(ran),
            () = tokio::time::sleep(QUICK) => {
                given_up.cancel();
                answer(work.await)
            }
        }
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

fn answer(ran: std::io::Result<Option<Ran>>) -> CallToolResult {
    match ran {
        Ok(Some(ran)) => ran.told(),
        Ok(None) => refused("the call was given up, or took too long".to_owned()),
        Err(error) => refused(format!("the command can't be run: {error}")),
    }
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
