//! `floor`: the calls and the writes of a row, without a framework. Its last line is one JSON object.

#![expect(clippy::print_stdout, reason = "it prints what it measured")]

use anyhow::Result;
use clap::Parser;
use fusion_benches::floor::{Plan, measure};

/// Does what a row does, without a framework.
#[derive(Debug, Parser)]
struct Arguments {
    /// W1, W1d, W2, W3, W4 or W7.
    row: String,
    /// Units.
    #[arg(long = "n")]
    number: u64,
    /// Units at once.
    #[arg(long = "conc", default_value_t = 1)]
    at_once: u32,
    /// Write each step to a SQLite file, `synchronous=FULL`.
    #[arg(long)]
    durable: bool,
    /// The server that answers; without it nothing is asked.
    #[arg(long)]
    url: Option<String>,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    // Fails only when one is installed already.
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    let folder = tempfile::tempdir()?;
    let plan = Plan {
        row: arguments.row,
        number: arguments.number,
        at_once: arguments.at_once,
        is_durable: arguments.durable,
        url: arguments.url,
    };
    let report = measure(&plan, folder.path()).await?;
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}
