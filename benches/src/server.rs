//! A server of fusion-kit that is measured, and the floor beside it: processes that end with their values.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// The program that was chosen, else `fusion-kit` as it was built beside this one.
///
/// # Errors
/// The program is not there, or this one is in no folder.
pub fn program(chosen: Option<&Path>) -> Result<PathBuf> {
    if let Some(chosen) = chosen {
        // Whole, for it is started in another folder.
        return std::fs::canonicalize(chosen).with_context(|| chosen.display().to_string());
    }
    let here = std::env::current_exe()?;
    Ok(here.parent().context("no folder")?.join("fusion-kit"))
}

/// A server of fusion-kit.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it listens.
    pub url: String,
    /// Its first token.
    pub token: String,
    /// Its database, a file.
    pub database: PathBuf,
    /// From the start of its process to the line that says where it listens.
    pub ready: Duration,
}

impl Server {
    /// Starts the program on a free port, with its data below a folder.
    ///
    /// # Errors
    /// The program can't be started, or does not say where it listens.
    #[expect(
        clippy::disallowed_methods,
        reason = "it starts the program that is measured"
    )]
    pub fn start(program: &Path, place: &Path) -> Result<Self> {
        let began = Instant::now();
        let mut child = Command::new(program)
            .args(["serve", "--json", "--port", "0"])
            .current_dir(place)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("can't start {}", program.display()))?;
        let line = first_line(&mut child)?;
        let ready = began.elapsed();
        let told: Value = serde_json::from_str(&line).context("it is not ready")?;
        let text = |name: &str| {
            let found = told.get(name).and_then(Value::as_str);
            found.unwrap_or_default().to_owned()
        };
        let token = std::fs::read_to_string(text("token_file"))?;
        Ok(Self {
            child,
            url: text("url"),
            token: token.trim().to_owned(),
            database: place.join(".fusion-kit/fusion.db"),
            ready,
        })
    }

    /// Its resident memory in MiB.
    ///
    /// # Errors
    /// It has ended.
    pub fn memory(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().nth(1));
        let kib: f64 = kib.context("no VmRSS")?.parse()?;
        ensure!(kib > 0.0, "the server has ended");
        Ok(kib / 1024.0)
    }

    /// The processor time that it has used.
    ///
    /// # Errors
    /// It has ended.
    pub fn worked(&self) -> Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name in brackets may hold anything; what follows it is the third field.
        let (_, fields) = stat.rsplit_once(')').context("no stat")?;
        let ticks = |number: usize| -> Result<u32> {
            let field = fields.split_whitespace().nth(number - 3);
            Ok(field.context("no time in stat")?.parse()?)
        };
        // 100 ticks a second, whatever the kernel counts by (proc(5), times(2)).
        Ok(Duration::from_millis(10) * (ticks(14)? + ticks(15)?))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// The floor: a program of ours that says where it listens.
#[derive(Debug)]
pub struct Bare {
    child: Child,
    /// Where it listens.
    pub url: String,
}

impl Bare {
    /// Starts a program with `--bare FILE`.
    ///
    /// # Errors
    /// It can't be started.
    #[expect(
        clippy::disallowed_methods,
        reason = "the floor is a process of its own, as the server is"
    )]
    pub fn start(program: &Path, file: &Path) -> Result<Self> {
        let mut child = Command::new(program)
            .arg("--bare")
            .arg(file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let url = first_line(&mut child)?.trim().to_owned();
        Ok(Self { child, url })
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

fn first_line(child: &mut Child) -> Result<String> {
    let stdout = child.stdout.take().context("no stdout")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    Ok(line)
}

fn end(child: &mut Child) {
    child.kill().ok();
    child.wait().ok();
}
