//! Where a server may listen.

use std::io::{Error, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;

use fusion_api::Origins;
use fusion_api_types::{Problem, ProblemKind};
use fusion_cli::ServeRequest;

use crate::config::Config;
use crate::messages::bounded_number;

/// Used when neither `--port` nor `API_PORT` is given.
const DEFAULT_PORT: u16 = 8000;

/// The address of the request, else that of the settings, else one of this machine alone.
pub(super) fn of(request: &ServeRequest, config: &Config) -> Result<SocketAddr, Problem> {
    let host = request.host.as_deref().or(config.api_host.as_deref());
    let ip = match host {
        None => IpAddr::V4(Ipv4Addr::LOCALHOST),
        Some("localhost") => IpAddr::V4(Ipv4Addr::LOCALHOST),
        Some(host) => host.trim_matches(['[', ']']).parse().map_err(|_| {
            wrong(format!("'{host}' is no address to listen at"))
                .with_help("give an IP address: 127.0.0.1 for this machine alone, 0.0.0.0 for all")
        })?,
    };
    let port = match (request.port, &config.api_port) {
        (Some(port), _) => port,
        (None, None) => DEFAULT_PORT,
        (None, Some(text)) => text.trim().parse().map_err(|_| {
            wrong(format!("API_PORT is '{text}'")).with_help("write a number from 0 to 65535")
        })?,
    };
    if !ip.is_loopback() && !request.allow_plain_http {
        let text = format!("other machines would reach {ip}, and tokens would travel unencrypted");
        return Err(wrong(text).with_help(
            "listen at 127.0.0.1 behind a proxy that ends TLS; or, where something else protects \
             the network, add --allow-plain-http",
        ));
    }
    Ok(SocketAddr::new(ip, port))
}

/// How many requests of each token are answered in a minute, where that is limited.
pub(super) fn requests_per_minute(config: &Config) -> Result<Option<NonZeroU32>, Problem> {
    let number = bounded_number(
        "API_REQUESTS_PER_MINUTE",
        config.api_requests_per_minute.as_deref(),
        1..=1_000_000,
    )?;
    Ok(number.and_then(NonZeroU32::new))
}

/// Whose pages may call the server besides its own.
pub(super) fn origins(config: &Config) -> Result<Origins, Problem> {
    Origins::new(config.api_origins()).map_err(|text| {
        wrong(format!("API_CORS_ORIGINS has '{text}', which is no origin")).with_help(
            "write each site as browsers do: https://ops.example or http://localhost:3000, \
             without a path; there is no wildcard",
        )
    })
}

/// Why an address can't be had.
pub(super) fn taken(address: SocketAddr, error: &Error) -> Problem {
    let text = format!("can't listen at {address}: {error}");
    let problem = Problem::new(ProblemKind::Unavailable, text);
    if error.kind() == ErrorKind::AddrInUse {
        problem.with_help(
            "something listens there already; choose another with --port, 0 for a free one",
        )
    } else {
        problem.with_help("choose an address of this machine with --host, another port with --port")
    }
}

fn wrong(message: String) -> Problem {
    Problem::new(ProblemKind::InvalidInput, message)
}
