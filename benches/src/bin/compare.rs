//! `compare`: fusion-kit beside the floor, in rounds that take turns, so that a noisy machine is noisy
//! for both. Prints the middle of each and their ratio.

#![expect(clippy::print_stdout, reason = "it prints what it measured")]
#![expect(
    clippy::disallowed_methods,
    reason = "it starts the programs that are measured"
)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;
use fusion_benches::gates::{By, ROWS, Row};
use fusion_benches::mock::Mock;
use serde_json::Value;

/// Compares fusion-kit with the floor.
#[derive(Debug, Parser)]
struct Arguments {
    /// Rows, such as W3; all without any.
    rows: Vec<String>,
    /// Rounds, of which the middle one counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// The program; without it the one beside this.
    #[arg(long)]
    program: Option<PathBuf>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let here = std::env::current_exe()?;
    let folder = here.parent().context("no folder")?.to_owned();
    let program = arguments
        .program
        .unwrap_or_else(|| folder.join("fusion-kit"));
    println!(
        "{:<5} {:>12} {:>12} {:>7} {:>7}",
        "row", "floor", "fusion-kit", "ratio", "gate"
    );
    let wanted =
        |row: &&Row| arguments.rows.is_empty() || arguments.rows.iter().any(|it| it == row.name);
    for row in ROWS.iter().filter(wanted) {
        let mock = row.delay.map(Mock::start).transpose()?;
        let mock = mock.as_ref();
        let (mut floor, mut ours) = (Vec::new(), Vec::new());
        for _ in 0..arguments.rounds {
            floor.push(figure(row, &run_floor(&folder, row, mock)?)?);
            ours.push(figure(row, &run_ours(&program, row, mock)?)?);
        }
        let (floor, ours) = (middle(floor), middle(ours));
        let yardstick = match row.by {
            By::Cpu | By::Wall => floor,
            By::Ideal { answers } => f64::from(answers) * milliseconds(row).as_secs_f64(),
        };
        println!(
            "{:<5} {:>10.3} s {:>10.3} s {:>7.2} {:>7.2}",
            row.name,
            yardstick,
            ours,
            ours / yardstick,
            row.gate
        );
    }
    Ok(())
}

fn milliseconds(row: &Row) -> Duration {
    Duration::from_millis(row.delay.unwrap_or_default())
}

fn run_floor(folder: &Path, row: &Row, mock: Option<&Mock>) -> Result<Value> {
    let mut command = Command::new(folder.join("floor"));
    command.arg(row.row).args(numbers(row));
    if row.store != "memory" {
        command.arg("--durable");
    }
    if let Some(mock) = mock {
        command.args(["--url", &mock.url()]);
    }
    last_line(command)
}

fn run_ours(program: &Path, row: &Row, mock: Option<&Mock>) -> Result<Value> {
    let mut command = Command::new(program);
    command
        .args(["bench", row.row, "--store", row.store])
        .args(numbers(row));
    match mock {
        Some(mock) => command.args(["--llm", "raw"]).env("MOCK_URL", mock.url()),
        None => command.args(["--llm", "none"]),
    };
    last_line(command)
}

fn numbers(row: &Row) -> [String; 4] {
    [
        "--n".to_owned(),
        row.number.to_string(),
        "--conc".to_owned(),
        row.at_once.to_string(),
    ]
}

fn last_line(mut command: Command) -> Result<Value> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let text = String::from_utf8(output.stdout)?;
    let line = text.lines().last().context("no output")?;
    Ok(serde_json::from_str(line)?)
}

fn figure(row: &Row, report: &Value) -> Result<f64> {
    let name = match row.by {
        By::Cpu if report.get("cpu_total").is_some() => "cpu_total",
        By::Cpu => "cpu",
        By::Wall | By::Ideal { .. } => "wall",
    };
    report
        .get(name)
        .and_then(Value::as_f64)
        .with_context(|| format!("no {name}"))
}

fn middle(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
