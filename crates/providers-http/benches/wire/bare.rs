//! The yardstick: the same request with nothing around it.

use serde_json::json;

/// A `reqwest` client and an address.
pub(crate) struct Bare {
    client: reqwest::Client,
    url: String,
}

impl Bare {
    pub(crate) fn new(base_url: &str) -> Self {
        Self {
            client: reqwest::Client::builder()
                .no_proxy()
                .tls_certs_only([])
                .build()
                .unwrap(),
            url: format!("{base_url}/chat/completions"),
        }
    }

    /// Sends and receives everything; reads nothing of it.
    pub(crate) async fn ask(&self, model: &str) {
        let body = json!({
            "model": model,
            "messages": [
                {"role": "system", "content": "Be short."},
                {"role": "user", "content": "Hello"}
            ],
            "stream": true,
            "stream_options": {"include_usage": true}
        });
        let mut response = self
            .client
            .post(&self.url)
            .json(&body)
            .send()
            .await
            .unwrap();
        while response.chunk().await.unwrap().is_some() {}
    }
}
