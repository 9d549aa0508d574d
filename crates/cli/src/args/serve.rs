//! The arguments of `serve`.

use clap::Args;

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
    /// Listen at an address that other machines reach, although nothing is encrypted.
    #[arg(long)]
    pub allow_plain_http: bool,
}
