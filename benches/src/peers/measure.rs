//! One round of a row in one program.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::Deserialize;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::environment::Environment;
use super::rows::Row;
use super::table::Measured;
use super::tree::{self, Books};
use crate::mock::Mock;

/// A program that says nothing for so long has failed.
const LIMIT: Duration = Duration::from_secs(240);

/// The row whose units are starts of the program.
const STARTS: &str = "W6";

/// The row whose units are agents that wait.
const IDLE: &str = "W5";

/// What a row needs.
#[derive(Debug, Clone, Copy)]
pub struct Needs<'a> {
    /// The server that answers, where the row asks one.
    pub mock: Option<&'a Mock>,
    /// A server of PostgreSQL that this process started, where the row keeps things there.
    pub postgres: Option<&'a str>,
}

/// The last line of the floor and of `fusion-kit bench`.
#[derive(Debug, Deserialize)]
struct Report {
    units: u64,
    wall: f64,
    cpu: f64,
    cpu_total: Option<f64>,
    maxrss_mb: f64,
    write_bytes: Option<u64>,
    bytes_per_agent: Option<u64>,
}

/// The last line of a peer.
#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Did {
    units: u64,
    steps: u64,
}

/// The floor of a row that has one.
///
/// # Errors
/// The program can't be started or fails.
pub async fn floor(program: &Path, row: &Row, needs: Needs<'_>) -> Result<Measured> {
    let mut command = command(program);
    command.arg(row.row).args(numbers(row));
    if row.store != "memory" {
        command.arg("--durable");
    }
    if let Some(mock) = needs.mock {
        command.args(["--url", &mock.url()]);
    }
    Ok(measured("floor", row, &last_line(command).await?))
}

/// `fusion-kit bench`.
///
/// # Errors
/// The program can't be started or fails.
pub async fn ours(program: &Path, row: &Row, needs: Needs<'_>) -> Result<Measured> {
    let mut command = command(program);
    command
        .args(["bench", row.row, "--store", row.store])
        .args(numbers(row));
    surroundings(&mut command, needs);
    command.args(["--llm", model(needs)]);
    Ok(measured("fusion-kit", row, &last_line(command).await?))
}

/// The program of a peer, whose units, steps and calls must be those of the row.
///
/// # Errors
/// The program can't be started, fails, says nothing for long, or did other work than was asked for.
pub async fn peer(environment: &Environment, row: &Row, needs: Needs<'_>) -> Result<Measured> {
    let title = environment.peer.title;
    if row.row != STARTS {
        return once(environment, row, row.of_peers, needs).await;
    }
    let mut sum = once(environment, row, 1, needs).await?;
    for _ in 1..row.of_peers {
        let one = once(environment, row, 1, needs).await?;
        sum = Measured {
            program: title.to_owned(),
            row: row.name,
            units: sum.units + one.units,
            wall: sum.wall + one.wall,
            cpu: sum.cpu + one.cpu,
            maxrss_mb: sum.maxrss_mb.max(one.maxrss_mb),
            write_bytes: sum
                .write_bytes
                .zip(one.write_bytes)
                .map(|(sum, one)| sum + one),
            bytes_per_agent: None,
        };
    }
    Ok(sum)
}

async fn once(
    environment: &Environment,
    row: &Row,
    number: u64,
    needs: Needs<'_>,
) -> Result<Measured> {
    let folder = tempfile::tempdir()?;
    let begun = Instant::now();
    let mut program = Program::start(environment, row, number, needs, &folder)?;
    program.line(|line| line == "ready").await?;
    // What a start costs is all that there was until its answer.
    let (begun, before) = if row.row == STARTS {
        (begun, Taken::default())
    } else {
        (Instant::now(), program.taken(needs))
    };
    let calls = needs.mock.map(Mock::calls).unwrap_or_default();
    program.go_on().await?;
    let line = program.line(|line| line.starts_with('{')).await?;
    let (wall, after) = (begun.elapsed(), program.taken(needs));
    let calls = needs.mock.map(Mock::calls).unwrap_or_default() - calls;
    let did: Did = serde_json::from_str(&line)?;
    let asked = Did {
        units: number,
        steps: number * row.steps,
    };
    ensure!(did == asked, "it did {did:?} instead of {asked:?}");
    let expected = number * row.calls;
    ensure!(calls == expected, "{calls} calls instead of {expected}");
    program.go_on().await?;
    program.end().await?;
    let grown = after.own.resident.saturating_sub(before.own.resident);
    let bytes = after.own.written.saturating_sub(before.own.written);
    let cpu = after.own.cpu + after.postgres - before.own.cpu - before.postgres;
    Ok(Measured {
        program: environment.peer.title.to_owned(),
        row: row.name,
        units: did.units,
        wall: wall.as_secs_f64(),
        cpu: cpu.as_secs_f64(),
        maxrss_mb: megabytes(after.own.most),
        write_bytes: is_in_files(row).then_some(bytes),
        bytes_per_agent: (row.row == IDLE).then_some(grown / number),
    })
}

/// The books of a peer and of PostgreSQL.
#[derive(Debug, Default)]
struct Taken {
    own: Books,
    postgres: Duration,
}

/// A peer that was started, gone with all that it started when this is dropped.
struct Program {
    child: Child,
    group: Option<u32>,
    input: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
    errors: PathBuf,
}

impl Program {
    fn start(
        environment: &Environment,
        row: &Row,
        number: u64,
        needs: Needs<'_>,
        folder: &TempDir,
    ) -> Result<Self> {
        let errors = folder.path().join("errors");
        let mut command = command(&environment.interpreter);
        command
            .arg(&environment.program)
            .arg(row.row)
            .args([number.to_string(), row.at_once.to_string()])
            .args([row.store_of_peers(), model(needs)])
            .envs([
                ("DO_NOT_TRACK", "1"),
                ("LANGSMITH_TRACING", "false"),
                ("NODE_ENV", "production"),
                ("RESTATE_LOGGING", "ERROR"),
            ])
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&errors)?)
            .process_group(0);
        surroundings(&mut command, needs);
        let mut child = command.spawn().with_context(|| format!("{command:?}"))?;
        let output = child.stdout.take().context("no output")?;
        Ok(Self {
            group: child.id(),
            input: child.stdin.take(),
            lines: BufReader::new(output).lines(),
            child,
            errors,
        })
    }

    /// The next line that is meant.
    async fn line(&mut self, is_meant: impl Fn(&str) -> bool) -> Result<String> {
        loop {
            let next = timeout(LIMIT, self.lines.next_line()).await;
            match next.context("it says nothing any more")?? {
                Some(line) if is_meant(&line) => return Ok(line),
                Some(_) => {}
                None => bail!("it broke off: {}", self.last_words()),
            }
        }
    }

    async fn go_on(&mut self) -> Result<()> {
        let input = self.input.as_mut().context("no input")?;
        input.write_all(b"go\n").await?;
        Ok(())
    }

    async fn end(mut self) -> Result<()> {
        drop(self.input.take());
        let status: ExitStatus = timeout(LIMIT, self.child.wait())
            .await
            .context("it does not end")??;
        ensure!(status.success(), "{status}: {}", self.last_words());
        Ok(())
    }

    fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.errors).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(5).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("; ")
    }

    fn taken(&self, needs: Needs<'_>) -> Taken {
        let postgres = needs
            .postgres
            .map(|_| tree::named(std::process::id(), "postgres").cpu);
        Taken {
            own: self.group.map(tree::of).unwrap_or_default(),
            postgres: postgres.unwrap_or_default(),
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let group = self.group.and_then(|group| i32::try_from(group).ok());
        if let Some(group) = group {
            // Nobody may be left.
            killpg(Pid::from_raw(group), Signal::SIGKILL).ok();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "it starts what is measured")]
fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.kill_on_drop(true);
    command
}

fn surroundings(command: &mut Command, needs: Needs<'_>) {
    if let Some(mock) = needs.mock {
        command.env("MOCK_URL", mock.url());
    }
    if let Some(postgres) = needs.postgres {
        command.env("PG_URL", postgres);
    }
}

fn model(needs: Needs<'_>) -> &'static str {
    if needs.mock.is_some() { "raw" } else { "none" }
}

fn numbers(row: &Row) -> [String; 4] {
    let (number, at_once) = (row.number.to_string(), row.at_once.to_string());
    ["--n".to_owned(), number, "--conc".to_owned(), at_once]
}

fn is_in_files(row: &Row) -> bool {
    row.store == "sqlite-full"
}

async fn last_line(mut command: Command) -> Result<Report> {
    let output = timeout(LIMIT, command.output()).await;
    let output = output
        .context("it does not end")?
        .with_context(|| format!("{command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let text = String::from_utf8(output.stdout)?;
    let line = text.lines().last().context("no output")?;
    Ok(serde_json::from_str(line)?)
}

fn measured(program: &str, row: &Row, report: &Report) -> Measured {
    Measured {
        program: program.to_owned(),
        row: row.name,
        units: report.units,
        wall: report.wall,
        cpu: report.cpu_total.unwrap_or(report.cpu),
        maxrss_mb: report.maxrss_mb,
        write_bytes: report.write_bytes.filter(|_| is_in_files(row)),
        bytes_per_agent: report.bytes_per_agent,
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
