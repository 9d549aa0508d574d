//! What the launcher, its helper and the command's first process say to each other. All are
//! always of the same build.

use std::collections::BTreeMap;
use std::io::{self, IoSlice, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};

use crate::sandbox::{Policy, Resource, SandboxReport};
use crate::tree::Spent;

/// No request is longer, in bytes; the kernel's own limit on arguments is below it.
const REQUEST_LIMIT: u32 = 16 * 1024 * 1024;
/// What carries the descriptors of a command's streams.
const MARK: [u8; 1] = [0];
/// A command has stdin, stdout and stderr.
const STREAMS: usize = 3;

/// What the helper shall start. The working directory is inherited.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Request {
    /// The program and its arguments.
    pub(crate) argv: Vec<String>,
    /// Nothing is started; the sandbox is tried out on this file, which every user may write.
    pub(crate) canary: Option<PathBuf>,
    /// The whole environment.
    pub(crate) env: BTreeMap<String, String>,
    /// What the command reads, where it has no streams of its own.
    pub(crate) stdin: String,
    /// The user and group to become; `None` means to stay the same user, who is not root.
    pub(crate) uid: Option<u32>,
    /// Where the working directory is.
    pub(crate) workspace: PathBuf,
    /// What no command may see, wherever it is.
    pub(crate) hidden: Vec<PathBuf>,
    /// What holds the command; `None` where the operator switched the sandbox off.
    pub(crate) policy: Option<Policy>,
}

/// What the helper says at its end.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// What held the command.
    pub(crate) sandbox: SandboxReport,
    /// What became of it.
    pub(crate) report: Report,
    /// What it used, with everything that came of it.
    pub(crate) spent: Spent,
}

impl Answer {
    /// What was used is put in at the end.
    pub(crate) fn new(sandbox: SandboxReport, report: Report) -> Self {
        Self {
            sandbox,
            report,
            spent: Spent::default(),
        }
    }
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Report {
    /// It ended by itself.
    Exited {
        /// Its exit code.
        code: i32,
    },
    /// A signal ended it.
    Signalled {
        /// The signal's number.
        signal: i32,
    },
    /// It never ran.
    NotStarted {
        /// What the system said, as a number.
        errno: Option<i32>,
        /// What the system said.
        message: String,
    },
    /// It never ran: a promised layer can't be had.
    Refused,
    /// It never ran, and can without namespaces.
    NoNamespaces {
        /// What they failed at.
        why: String,
    },
    /// It was killed because it used too much.
    OverLimit {
        /// Of what.
        resource: Resource,
    },
    /// It was killed because the life line ended.
    Stopped,
}

/// What the command's first process says, a line each.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Word {
    /// What holds the command; the last word when it becomes the command itself.
    Sandbox(SandboxReport),
    /// What became of the command.
    End(Report),
}

/// A request behind its length (four bytes, lowest first).
pub(crate) fn encode(request: &Request) -> io::Result<Vec<u8>> {
    let body = serde_json::to_vec(request)?;
    let length = u32::try_from(body.len())
        .ok()
        .filter(|length| *length <= REQUEST_LIMIT)
        .ok_or(io::ErrorKind::ArgumentListTooLong)?;
    let mut message = length.to_le_bytes().to_vec();
    message.extend(body);
    Ok(message)
}

/// Reads exactly one request.
pub(crate) fn decode(from: &mut impl Read) -> io::Result<Request> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length);
    if length > REQUEST_LIMIT {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut body = Vec::new();
    from.take(length.into()).read_to_end(&mut body)?;
    Ok(serde_json::from_slice(&body)?)
}

/// Hands the streams of a command over a socket, before the request.
pub(crate) fn send_streams(to: impl AsFd, streams: [BorrowedFd<'_>; STREAMS]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(STREAMS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&streams));
    sendmsg(to, &[IoSlice::new(&MARK)], &mut control, SendFlags::empty())?;
    Ok(())
}

/// Takes the streams of a command; `None` when requests come over a pipe, which carries none.
pub(crate) fn receive_streams(from: impl AsFd) -> io::Result<Option<[OwnedFd; STREAMS]>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(STREAMS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut mark = MARK;
    let mut mark = [IoSliceMut::new(&mut mark)];
    match recvmsg(from, &mut mark, &mut control, RecvFlags::CMSG_CLOEXEC) {
        Ok(_) => {}
        Err(Errno::NOTSOCK) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    let mut streams = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            streams.extend(descriptors);
        }
    }
    let streams = streams.try_into();
    Ok(Some(streams.map_err(|_| io::ErrorKind::InvalidData)?))
}
