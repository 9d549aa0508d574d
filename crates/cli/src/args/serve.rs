//! The arguments of `serve`.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::message::duration;

/// What a process does among those that share a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum NodeRoleArg {
    /// Answers requests.
    Api,
    /// Drives runs.
    Worker,
}

/// `serve`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
The server works on every open run of the data directory and answers HTTP below /api/v1. Clients
show a token; the first one is made at the first start and kept in the file `token` of the data
directory, readable by you alone. Ctrl-C or SIGTERM ends it cleanly: runs are left where they are
and are taken up at the next start.

Other machines reach it only with --allow-plain-http: tokens travel unencrypted then, which is
right behind a proxy that ends TLS, or in a container.

With --detach the command ends when the server is ready, and `down` ends the server; what it logs is
in the file `server.log` of the data directory. Exits with 5 when a server works there already.

Examples:
  fusion-kit serve
  fusion-kit up --open
  fusion-kit serve --detach --json | jq -r .url
  fusion-kit serve --port 8080
  curl -H \"Authorization: Bearer $(cat .fusion-kit/token)\" http://127.0.0.1:8000/api/v1/runs")]
pub struct ServeArgs {
    /// The address to listen at; without it that of `API_HOST`, else 127.0.0.1.
    #[arg(long, value_name = "ADDRESS")]
    pub host: Option<String>,
    /// The port to listen at, 0 for a free one; without it that of `API_PORT`, else 8000.
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,
    /// What this process does, where several share one database: answer requests (`api`), drive runs
    /// (`worker`), or both.
    #[arg(
        long,
        value_name = "ROLES",
        value_enum,
        value_delimiter = ',',
        default_values = ["api", "worker"]
    )]
    pub roles: Vec<NodeRoleArg>,
    /// How many runs it drives at once; the share that it takes of them grows with it.
    #[arg(long, value_name = "RUNS", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub capacity: u32,
    /// Listen at an address that other machines reach, although nothing is encrypted.
    #[arg(long)]
    pub allow_plain_http: bool,
    /// Sign the browser of this machine in, once the server is ready: the command of `BROWSER`, else
    /// `xdg-open` or `open`. Where none opens it is told, and the server goes on.
    #[arg(long)]
    pub open: bool,
    /// Let the server go on in the background, and say where it listens.
    #[arg(long)]
    pub detach: bool,
}

/// `down`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
What is under way gets the time that `serve` gives it, also when `down` is called again; runs are
left where they are and are taken up at the next start. A server of another machine is ended there.
Exits with 3 when there is none, 8 when it had not ended in time: it ends later.

Examples:
  fusion-kit down
  fusion-kit down --timeout 10s
  fusion-kit down --now")]
pub struct DownArgs {
    /// How long to wait for its end.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "1m")]
    pub timeout: Duration,
    /// Cut off what is under way; the next start takes the runs up from what was stored.
    #[arg(long)]
    pub now: bool,
}
