//! Looks for model servers on this machine.

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use serde::Deserialize;

use crate::vendor::{COMPATIBLE, Vendor, vendor, vendors};

/// Where a server listens beside the vendors' own ports: the usual places of a second one.
const MORE_PORTS: [u16; 1] = [18_434];

/// A server of this machine answers at once, or nobody is there.
const CONNECT: Duration = Duration::from_millis(500);
const WHOLE: Duration = Duration::from_secs(3);

/// Far above the list of any server on one machine.
const MAX_BODY: usize = 1024 * 1024;

/// A model server that answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalServer {
    /// What a provider is set up with.
    pub base_url: String,
    /// Which server it is, as far as it tells; else `openai-compatible`.
    pub vendor: &'static Vendor,
    /// The ids of its models; empty when it wants a key first.
    pub models: Vec<String>,
    /// It tells nothing without a key.
    pub needs_key: bool,
}

#[derive(Deserialize)]
struct List {
    data: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    id: String,
    #[serde(default)]
    owned_by: Option<String>,
}

/// The ports where servers listen unless told otherwise.
#[must_use]
pub fn usual_ports() -> Vec<u16> {
    let ports = vendors().iter().filter_map(|vendor| vendor.local_port);
    ports.chain(MORE_PORTS).collect()
}

/// Asks a port of this machine, on the loopback interface only, for the list of models; `None` when
/// nobody answers like a model server. Sends no key and follows no redirect.
pub async fn local_server(port: u16) -> Option<LocalServer> {
    let client = Client::builder()
        .user_agent(concat!("fusion-kit/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .no_proxy()
        .tls_certs_only([])
        .connect_timeout(CONNECT)
        .timeout(WHOLE)
        .build()
        .ok()?;
    let base_url = format!("http://127.0.0.1:{port}/v1");
    let response = client.get(format!("{base_url}/models")).send().await.ok()?;
    let header = response.headers().get(reqwest::header::SERVER);
    let header = header.and_then(|it| it.to_str().ok()).map(str::to_owned);
    let status = response.status();
    let needs_key = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
    if !needs_key && !status.is_success() {
        return None;
    }
    let body = body(response).await?;
    let entries = if needs_key {
        // Any server may want a login; one of models says why in JSON.
        serde_json::from_slice::<serde_json::Value>(&body).ok()?;
        Vec::new()
    } else {
        serde_json::from_slice::<List>(&body).ok()?.data
    };
    let owner = entries.first().and_then(|entry| entry.owned_by.as_deref());
    Some(LocalServer {
        base_url,
        vendor: which(owner, header.as_deref(), needs_key.then_some(port)),
        models: entries.into_iter().map(|entry| entry.id).collect(),
        needs_key,
    })
}

/// Which server it is, by what its list says of the owner, by its header, or, where it says nothing
/// yet, by its port.
fn which(owner: Option<&str>, header: Option<&str>, port: Option<u16>) -> &'static Vendor {
    let by_owner = match owner {
        Some("library") => vendor("ollama"),
        Some("llamacpp") => vendor("llama.cpp"),
        Some("vllm") => vendor("vllm"),
        Some("organization_owner") => vendor("lm-studio"),
        Some(_) | None => None,
    };
    let by_header = || header.and_then(vendor);
    let by_port = || {
        let mut known = vendors().iter();
        known.find(|vendor| port.is_some() && vendor.local_port == port)
    };
    by_owner
        .or_else(by_header)
        .or_else(by_port)
        .unwrap_or(&COMPATIBLE)
}

async fn body(mut response: Response) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.ok()? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_BODY {
            return None;
        }
    }
    Some(body)
}

#[cfg(test)]
mod tests {
    use super::{usual_ports, which};

    #[test]
    fn a_server_is_known_by_its_owner_then_its_header_then_its_port() {
        let named = |owner, header, port| which(owner, header, port).name;
        assert_eq!(named(Some("library"), None, None), "ollama");
        assert_eq!(named(Some("me"), Some("llama.cpp"), None), "llama.cpp");
        assert_eq!(named(None, None, Some(8000)), "vllm");
        assert_eq!(named(Some("me"), Some("nginx"), None), "openai-compatible");
        assert_eq!(named(None, None, None), "openai-compatible");
    }

    #[test]
    fn the_usual_ports_are_those_of_the_vendors_and_of_a_second_server() {
        assert_eq!(usual_ports(), [11_434, 8000, 8080, 1234, 18_434]);
    }
}
