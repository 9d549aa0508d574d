//! A running helper: its pipes, its answer, its end.

use std::future::Future;
use std::io;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio_util::sync::CancellationToken;

use super::Exit;
use super::output::Output;
use super::wire::Answer;

/// How long the helper may take to kill everything.
const KILL_LIMIT: Duration = Duration::from_secs(5);
/// No report is longer, in bytes.
const REPORT_LIMIT: u64 = 64 * 1024;
/// How long output is still read after the helper is gone. Only a descriptor that the command
/// handed to a process of another command can keep the stream open that long.
const DRAIN_LIMIT: Duration = Duration::from_secs(1);

/// How holding a helper ended.
pub(super) enum Ended {
    /// By itself, with its report if it left one.
    Reported(Option<Answer>),
    /// We stopped it, and everything is dead.
    Stopped(Exit),
    /// We stopped it, and it did not end.
    Stuck,
}

/// The request goes in here; closing it ends everything.
pub(super) enum Lifeline {
    Pipe(ChildStdin),
    /// Has carried the streams of the command before.
    Socket(UnixStream),
}

impl Lifeline {
    /// Hands the request over; the line stays open with what is given back.
    async fn send(self, request: Vec<u8>) -> io::Result<Self> {
        match self {
            Self::Pipe(mut pipe) => {
                pipe.write_all(&request).await?;
                Ok(Self::Pipe(pipe))
            }
            Self::Socket(mut socket) => tokio::task::spawn_blocking(move || {
                io::Write::write_all(&mut socket, &request)?;
                Ok(Self::Socket(socket))
            })
            .await
            .map_err(io::Error::other)?,
        }
    }
}

/// A running helper and the three pipes to it.
pub(super) struct Helper {
    pub(super) child: Child,
    pub(super) lifeline: Lifeline,
    /// The report comes from here. The command does not have it.
    pub(super) control: ChildStdout,
    /// What the command writes.
    pub(super) stream: ChildStderr,
}

impl Helper {
    pub(super) async fn hold(
        self,
        request: Vec<u8>,
        stop: impl Future<Output = Exit>,
        output: &mut Output,
    ) -> Ended {
        let Self {
            child,
            lifeline,
            control,
            stream,
        } = self;
        let gone = CancellationToken::new();
        let read = async {
            tokio::select! {
                biased;
                () = output.fill(stream) => {}
                () = async { gone.cancelled().await; tokio::time::sleep(DRAIN_LIMIT).await } => {}
            }
        };
        let attend = async {
            // Whichever is first; the life line goes with `talk`.
            let ended = tokio::select! {
                biased;
                report = talk(lifeline, control, request) => Ended::Reported(report),
                exit = stop => Ended::Stopped(exit),
            };
            let ended = bury(child, ended).await;
            gone.cancel();
            ended
        };
        let ((), ended) = tokio::join!(read, attend);
        ended
    }
}

/// Gives the helper its request and waits for its answer. The life line is closed at the end.
async fn talk(lifeline: Lifeline, control: ChildStdout, request: Vec<u8>) -> Option<Answer> {
    let _lifeline = lifeline.send(request).await.ok()?;
    let mut answer = Vec::new();
    let read = control.take(REPORT_LIMIT).read_to_end(&mut answer).await;
    read.ok()?;
    serde_json::from_slice(&answer).ok()
}

/// Waits until the helper is gone; it goes only after everything it held.
async fn bury(mut child: Child, ended: Ended) -> Ended {
    if tokio::time::timeout(KILL_LIMIT, child.wait()).await.is_ok() {
        return ended;
    }
    let killed = kill_group(&child);
    if let Err(error) = child.start_kill().and(killed) {
        tracing::warn!(%error, "can't kill a helper process");
    }
    Ended::Stuck
}

/// Kills the helper's process group, which the helper leads. It is not reaped yet, so its id is
/// still its own.
fn kill_group(child: &Child) -> io::Result<()> {
    let leader = child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(Pid::from_raw);
    leader.map_or(Ok(()), |group| Ok(kill_process_group(group, Signal::KILL)?))
}
