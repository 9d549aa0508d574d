//! A Redis server of one's own.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal};

use crate::keeper::{Keeper, Kept};
use crate::server::{DEATH, random_text, signal};

const SCRIPT: &str = include_str!("redis/server.sh");

/// How long a server may take to answer what is asked of it by [`Redis::ask`].
const ANSWER: Duration = Duration::from_secs(30);

/// A Redis server with port and password of its own, on 127.0.0.1 only. It writes nothing to disk:
/// each start is an empty one.
///
/// It belongs to the process that started it: when that ends, in whatever way, or this is dropped,
/// the server is stopped and its files are removed. Under root it runs as the user `redis`, else as
/// `nobody`. All methods block until what they promise holds.
#[derive(Debug)]
pub struct Redis {
    keeper: Keeper,
    password: String,
    port: u16,
    process: Option<Pid>,
}

impl Redis {
    /// Starts a server. `binaries` is the folder that [`redis_binaries`](crate::redis_binaries) finds.
    ///
    /// # Errors
    /// When it can't be started, with the server's log.
    pub fn start(binaries: &Path) -> Result<Self> {
        Self::start_with(binaries, &["port {port}"])
    }

    /// Starts a server with lines of its own in its settings, in which `{port}` is its port. Needs
    /// one that has it listen there.
    ///
    /// # Errors
    /// When it can't be started, with the server's log.
    pub fn start_with(binaries: &Path, lines: &[&str]) -> Result<Self> {
        let password = random_text()?;
        let kept = Kept {
            name: "Redis",
            script: SCRIPT,
            users: &["redis", "nobody"],
            binaries,
        };
        let mut keeper = Keeper::start(&kept, &password)?;
        for line in lines {
            keeper.order(&format!("line {line}"))?;
        }
        let (port, process) = keeper.start_somewhere()?;
        Ok(Self {
            keeper,
            password,
            port,
            process: Some(process),
        })
    }

    /// Its URL, with the password; the same for the whole life of the server.
    #[must_use]
    pub fn url(&self) -> String {
        let Self { password, port, .. } = self;
        format!("redis://:{password}@127.0.0.1:{port}")
    }

    /// Its password.
    #[must_use]
    pub fn password(&self) -> &str {
        &self.password
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Ends the server at once (SIGKILL); everything that it held is gone. Does nothing to a server
    /// that is down.
    ///
    /// # Errors
    /// When it can't be killed, or does not end.
    pub fn kill(&mut self) -> Result<()> {
        match self.process.take() {
            Some(process) => self.keeper.kill(&[process]),
            None => Ok(()),
        }
    }

    /// Starts a server that is down, empty, on its port.
    ///
    /// # Errors
    /// When it runs already or does not start, with its log.
    pub fn start_again(&mut self) -> Result<()> {
        self.process = Some(self.keeper.start_on(self.port)?);
        Ok(())
    }

    /// Pauses the server (SIGSTOP): connections stay open, nothing answers. Does nothing to a server
    /// that is down.
    ///
    /// # Errors
    /// When it can't be paused.
    pub fn pause(&mut self) -> Result<()> {
        signal(self.process.as_slice(), Signal::STOP)?;
        let deadline = Instant::now() + DEATH;
        // Its threads stop one after another.
        while self.process.is_some_and(|process| !is_paused(process)) {
            ensure!(Instant::now() < deadline, "Redis can't be paused");
            std::thread::yield_now();
        }
        Ok(())
    }

    /// Lets a paused server go on.
    ///
    /// # Errors
    /// When it can't be woken.
    pub fn resume(&mut self) -> Result<()> {
        signal(self.process.as_slice(), Signal::CONT)
    }

    /// What the server answers to a command, written as for a terminal (`CONFIG SET maxmemory 1`), in
    /// the form of the wire: `+OK`, `:1`, `*0`. Not for servers that speak TLS.
    ///
    /// # Errors
    /// When it can't be asked, does not answer, or answers with an error.
    pub fn ask(&self, command: &str) -> Result<String> {
        self.ask_as(&self.password, command)
    }

    /// The same with another password.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub fn ask_as(&self, password: &str, command: &str) -> Result<String> {
        let line = command.split_whitespace().next().unwrap_or_default();
        let answer = self
            .exchange(password, command)
            .with_context(|| format!("could not ask Redis to {line}"))?;
        let (welcome, rest) = answer.split_once("\r\n").unwrap_or((&answer, ""));
        ensure!(welcome == "+OK", "Redis did not let in: {welcome}");
        let answer = rest.strip_suffix("+OK\r\n").unwrap_or(rest).trim_end();
        ensure!(!answer.starts_with('-'), "{line}: {answer}");
        Ok(answer.to_owned())
    }

    fn exchange(&self, password: &str, command: &str) -> std::io::Result<String> {
        let mut connection = TcpStream::connect(("127.0.0.1", self.port))?;
        connection.set_read_timeout(Some(ANSWER))?;
        let lines = format!("AUTH {password}\r\n{command}\r\nQUIT\r\n");
        connection.write_all(lines.as_bytes())?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

/// Whether it is stopped, or has ended.
fn is_paused(process: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.as_raw_pid()));
    stat.map_or(true, |line| {
        [") T ", ") Z ", ") X "].iter().any(|it| line.contains(it))
    })
}

#[cfg(test)]
mod tests;
