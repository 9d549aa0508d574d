//! The arguments of `serve`.

use clap::{Args, ValueEnum};

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

Examples:
  fusion-kit serve
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
}
