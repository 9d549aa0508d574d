//! Model servers of this machine, and which of them are stored already.

use fusion_api_types::{DetectReport, FoundServer};
use fusion_core::ProviderConfig;
use fusion_providers_http::{LocalServer, local_server, usual_ports};
use futures::future::join_all;

/// Looks at these ports, or at the usual ones.
pub(crate) async fn servers(ports: &[u16], stored: &[ProviderConfig]) -> DetectReport {
    let ports = if ports.is_empty() {
        usual_ports()
    } else {
        ports.to_vec()
    };
    let looks = ports.iter().map(|port| async move {
        let server = local_server(*port).await?;
        Some((*port, server))
    });
    let answers = join_all(looks).await;
    let mut taken: Vec<String> = stored.iter().map(|row| row.name.clone()).collect();
    let mut servers = Vec::new();
    for (port, server) in answers.into_iter().flatten() {
        let found = found(port, server, stored, &taken);
        taken.push(found.name.clone());
        servers.push(found);
    }
    DetectReport { ports, servers }
}

fn found(
    port: u16,
    server: LocalServer,
    stored: &[ProviderConfig],
    taken: &[String],
) -> FoundServer {
    let known = stored
        .iter()
        .find(|row| on_loopback(&row.api_endpoint) == on_loopback(&server.base_url));
    let name = match known {
        Some(row) => row.name.clone(),
        None => free_name(server.vendor.name, port, taken),
    };
    FoundServer {
        base_url: server.base_url,
        r#type: server.vendor.name.to_owned(),
        models: server.models,
        needs_key: server.needs_key,
        name,
        added: known.is_some(),
    }
}

/// The vendor's name, with the port behind it when it is taken.
fn free_name(vendor: &str, port: u16, taken: &[String]) -> String {
    let is_free = |name: &String| !taken.contains(name);
    let plain = vendor.to_owned();
    let with_port = format!("{vendor}-{port}");
    [plain, with_port]
        .into_iter()
        .find(is_free)
        .unwrap_or_else(|| format!("{vendor}-{port}-2"))
}

/// The loopback interface has several names.
fn on_loopback(url: &str) -> String {
    url.replace("://localhost:", "://127.0.0.1:")
        .replace("://[::1]:", "://127.0.0.1:")
}

#[cfg(test)]
mod tests {
    use super::{free_name, on_loopback};

    #[test]
    fn a_second_server_of_a_kind_gets_its_port_into_its_name() {
        let name = |taken: &[&str]| {
            let taken: Vec<String> = taken.iter().map(|name| (*name).to_owned()).collect();
            free_name("ollama", 11434, &taken)
        };
        assert_eq!(
            [
                name(&[]),
                name(&["ollama"]),
                name(&["ollama", "ollama-11434"])
            ],
            ["ollama", "ollama-11434", "ollama-11434-2"]
        );
    }

    #[test]
    fn localhost_and_its_addresses_are_one_place() {
        let all = ["localhost", "127.0.0.1", "[::1]"].map(|host| format!("http://{host}:8080/v1"));
        assert!(
            all.iter()
                .all(|url| on_loopback(url) == "http://127.0.0.1:8080/v1")
        );
    }
}
