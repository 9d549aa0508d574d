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
use crate::tree::Spent;

/// How long the helper may take to kill everything.
const KILL_LIMIT: Duration = Duration::from_secs(5);
/// How long it is waited for what a stopped helper says; then only for its end.
const WORD_LIMIT: Duration = Duration::from_secs(2);
/// No report is longer, in bytes.
const REPORT_LIMIT: u64 = 64 * 1024;
/// How long output is still read after the helper is gone. Only a descriptor that the command
/// handed to a process of another command can keep the stream open that long.
const DRAIN_LIMIT: Duration = Duration::from_secs(1);

/// How holding a helper ended.
pub(super) enum Ended {
    /// By itself, with its report if it left one.
    Reported(Option<Answer>),
    /// We stopped it, and everything is dead; with what it used, if its helper said so.
    Stopped(Exit, Option<Spent>),
    /// We stopped it, and it did not end.
    Stuck,
}

impl Ended {
    /// What the command used, where that was said.
    pub(super) fn spent(&self) -> Option<Spent> {
        match self {
            Self::Reported(answer) => answer.as_ref().map(|answer| answer.spent),
            Self::Stopped(_, spent) => *spent,
            Self::Stuck => None,
        }
    }
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
            let ended = bury(child, talk(lifeline, control, request, stop).await).await;
            gone.cancel();
            ended
        };
        let ((), ended) = tokio::join!(read, attend);
        ended
    }
}

/// Gives the helper its request and waits for its answer, or until it is to be stopped: that ends
/// the life line.
async fn talk(
    lifeline: Lifeline,
    control: ChildStdout,
    request: Vec<u8>,
    stop: impl Future<Output = Exit>,
) -> Ended {
    tokio::pin!(stop);
    let sent = tokio::select! {
        biased;
        sent = lifeline.send(request) => sent,
        exit = &mut stop => return Ended::Stopped(exit, None),
    };
    let Ok(lifeline) = sent else {
        return Ended::Reported(None);
    };
    let answer = answer(control);
    tokio::pin!(answer);
    let exit = tokio::select! {
        biased;
        answer = &mut answer => return Ended::Reported(answer),
        exit = &mut stop => exit,
    };
    drop(lifeline);
    // It says what was used when it has killed everything.
    let answer = tokio::time::timeout(WORD_LIMIT, answer).await;
    Ended::Stopped(exit, answer.ok().flatten().map(|answer| answer.spent))
}

async fn answer(control: ChildStdout) -> Option<Answer> {
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
