//! `mock`: a server that answers like a model, for measurements.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use fusion_benches::mock::{Behaviour, serve};
use tokio::net::TcpListener;

/// Answers chat completions like a model would.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:9000")]
    listen: SocketAddr,
    /// How long each answer takes, in milliseconds.
    #[arg(long, default_value_t = 0)]
    delay: u64,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let listener = TcpListener::bind(arguments.listen).await?;
    let behaviour = Behaviour {
        delay: Duration::from_millis(arguments.delay),
        ..Behaviour::default()
    };
    serve(listener, behaviour).await?;
    Ok(())
}
