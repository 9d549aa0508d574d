//! Asks a fusion-kit server. What the server refuses comes back as the problem that it is, so that
//! commands say the same with a server as without.

mod download;
mod live;
mod receiver;

use std::fs::File;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use fusion_api_types::api::{Health, ProblemBody};
use fusion_api_types::{DryRun, Problem, ProblemKind};
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Body, Method, RequestBuilder, Response, StatusCode, Url, redirect};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::OnceCell;

/// How long an answer may take: above the longest `wait` of the server.
const ANSWER: Duration = Duration::from_secs(75);

/// How long a live stream may go on.
const LIVE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How long a download may go on; each piece has the time of an answer.
const LONG: Duration = Duration::from_secs(60 * 60);

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);

/// The longest answer that is read.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

pub use download::Download;
pub use live::Live;
pub use receiver::{Parcel, Receiver, Refusal};

/// A server and the right to ask it.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    token: SecretString,
    /// Filled once the server has said that it knows dry runs.
    dry_runs: Arc<OnceCell<()>>,
}

/// Nothing is changed.
const DRY_RUN: [(&str, bool); 1] = [("dry_run", true)];

impl Client {
    /// A client of the server at a URL such as `http://127.0.0.1:8000`. No request is made.
    ///
    /// # Errors
    /// It is no such URL, or the token would travel unencrypted to another machine.
    pub fn new(url: &str, token: SecretString) -> Result<Self, Problem> {
        let base = base(url)?;
        Ok(Self {
            http: http(&base, ANSWER)?,
            base,
            token,
            dry_runs: Arc::default(),
        })
    }

    /// Where the server is.
    #[must_use]
    pub fn url(&self) -> &str {
        self.base.as_str()
    }

    /// Reads what is at a path below `/api/v1`, such as `/runs`.
    ///
    /// # Errors
    /// The server can't be reached, or refuses.
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<T, Problem> {
        self.send(self.request(Method::GET, path)?.query(query))
            .await
    }

    /// Follows the live stream of events. The server says something every few seconds at least.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn live(&self, query: &[(&str, String)]) -> Result<Live, Problem> {
        let request = self.request(Method::GET, "/events/stream")?.query(query);
        let response = self.sent(request.timeout(LIVE)).await?;
        Ok(Live::new(response, self.clone()))
    }

    /// Reads a long answer, a piece at a time.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn download(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<Download, Problem> {
        let request = self.request(Method::GET, path)?.query(query);
        let response = self.sent(request.timeout(LONG)).await?;
        Ok(Download {
            client: self.clone(),
            response,
        })
    }

    /// Sends a body with POST.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<T, Problem> {
        self.send(self.request(Method::POST, path)?.json(body))
            .await
    }

    /// Sends a file with POST, a piece at a time. What the server does with it may take as long as a
    /// download.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn upload<T: DeserializeOwned>(&self, path: &str, file: File) -> Result<T, Problem> {
        let length = file.metadata().map(|metadata| metadata.len());
        let length = length.map_err(|error| {
            let text = format!("the file can't be read: {error}");
            Problem::new(ProblemKind::InvalidInput, text)
        })?;
        let body = Body::from(tokio::fs::File::from_std(file));
        // The other client gives up when it hears nothing for a while, and nothing is heard while one sends.
        let patient = Self {
            http: http(&self.base, LONG)?,
            ..self.clone()
        };
        let request = patient.request(Method::POST, path)?;
        let request = request.header(CONTENT_TYPE, "application/octet-stream");
        self.send(request.header(CONTENT_LENGTH, length).body(body))
            .await
    }

    /// Sends a body with PATCH.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn patch<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<T, Problem> {
        self.send(self.request(Method::PATCH, path)?.json(body))
            .await
    }

    /// Sends a body with PUT.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn put<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<T, Problem> {
        self.send(self.request(Method::PUT, path)?.json(body)).await
    }

    /// Takes away what is at a path.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn delete(&self, path: &str, query: &[(&str, String)]) -> Result<(), Problem> {
        self.answer(self.request(Method::DELETE, path)?.query(query))
            .await
            .map(|_| ())
    }

    /// Takes away what is at a path, and gives what is answered.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn delete_for<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<T, Problem> {
        self.send(self.request(Method::DELETE, path)?.query(query))
            .await
    }

    /// Asks what taking away what is at a path would change; nothing is. A server that knows no dry runs is
    /// not asked: it would do it.
    ///
    /// # Errors
    /// As [`get`](Self::get); also those that taking it away would meet, and `Unavailable` where the server
    /// knows no dry runs.
    pub async fn try_delete(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<DryRun, Problem> {
        let request = self.request(Method::DELETE, path)?.query(query);
        self.only_try(request).await
    }

    /// Asks what a body sent with POST would change; nothing is.
    ///
    /// # Errors
    /// As [`try_delete`](Self::try_delete).
    pub async fn try_post(
        &self,
        path: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<DryRun, Problem> {
        let request = self.request(Method::POST, path)?.json(body);
        self.only_try(request).await
    }

    /// Asks what a body sent with PATCH would change; nothing is.
    ///
    /// # Errors
    /// As [`try_delete`](Self::try_delete).
    pub async fn try_patch(
        &self,
        path: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<DryRun, Problem> {
        let request = self.request(Method::PATCH, path)?.json(body);
        self.only_try(request).await
    }

    async fn only_try(&self, request: RequestBuilder) -> Result<DryRun, Problem> {
        self.dry_runs
            .get_or_try_init(|| self.expect_dry_runs())
            .await?;
        self.send(request.query(&DRY_RUN)).await
    }

    /// An older server may take no notice of the parameter.
    async fn expect_dry_runs(&self) -> Result<(), Problem> {
        self.expect(Health::DRY_RUN, "no dry runs: it would do it")
            .await
    }

    /// Refuses a server that does not say of itself that it knows something, and would take no notice of it.
    ///
    /// # Errors
    /// As [`get`](Self::get), and `Unavailable` where it does not: it knows `what`, say "no dry runs".
    pub async fn expect(&self, known: &str, what: &str) -> Result<(), Problem> {
        let health: Health = self.get("/health", &[]).await?;
        if health.knows.iter().any(|one| one == known) {
            return Ok(());
        }
        let text = format!(
            "the server at {} has version {} and knows {what}",
            self.base, health.version
        );
        Err(Problem::new(ProblemKind::Unavailable, text)
            .with_help("update the server; nothing was asked of it"))
    }

    fn request(&self, method: Method, path: &str) -> Result<RequestBuilder, Problem> {
        let mut url = self.base.clone();
        let segments = path.split('/').filter(|part| !part.is_empty());
        match url.path_segments_mut() {
            // Each part is encoded: what a user typed can't lead to another path.
            Ok(mut parts) => parts.pop_if_empty().extend(["api", "v1"]).extend(segments),
            Err(()) => return Err(no_server(self.base.as_str())),
        };
        Ok(self
            .http
            .request(method, url)
            .bearer_auth(self.token.expose_secret()))
    }

    async fn send<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Problem> {
        let body = self.answer(request).await?;
        serde_json::from_slice(&body).map_err(|error| {
            let text = format!("the answer of {} can't be read: {error}", self.base);
            Problem::new(ProblemKind::Internal, text)
                .with_help("is it a fusion-kit server of another version?")
        })
    }

    async fn answer(&self, request: RequestBuilder) -> Result<Vec<u8>, Problem> {
        let response = self.sent(request).await?;
        self.body(response).await
    }

    /// The beginning of an answer that is no refusal.
    async fn sent(&self, request: RequestBuilder) -> Result<Response, Problem> {
        let response = request
            .send()
            .await
            .map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let wait = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|wait| wait.to_str().ok());
        let wait = wait
            .and_then(|wait| wait.parse().ok())
            .map(Duration::from_secs);
        let body = self.body(response).await?;
        let told = serde_json::from_slice::<ProblemBody>(&body).ok();
        let problem = refusal(status, told, &self.base);
        Err(match wait {
            Some(wait) => problem.retry_after(wait),
            None => problem,
        })
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, Problem> {
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| self.unreachable(&error))?
        {
            if body.len() + chunk.len() > MAX_ANSWER {
                let text = format!("the answer of {} is longer than any of ours", self.base);
                return Err(Problem::new(ProblemKind::Internal, text));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn unreachable(&self, error: &reqwest::Error) -> Problem {
        let kind = if error.is_timeout() && !error.is_connect() {
            ProblemKind::Timeout
        } else {
            ProblemKind::Unavailable
        };
        Problem::new(kind, format!("the server at {} does not answer", self.base))
            .with_help("does it run? start one with: fusion-kit serve")
    }
}

/// What asks; it gives up on a server that says nothing for so long.
fn http(base: &Url, patience: Duration) -> Result<reqwest::Client, Problem> {
    let http = reqwest::Client::builder()
        .connect_timeout(CONNECT)
        .timeout(patience)
        .read_timeout(patience)
        // A redirect could carry the token elsewhere.
        .redirect(redirect::Policy::none());
    let http = if is_loopback(base) {
        http.no_proxy()
    } else {
        http
    };
    // To read the machine's certificates takes longer than all else that a short command does.
    let http = if base.scheme() == "http" {
        http.tls_certs_only([])
    } else {
        http
    };
    http.build().map_err(|error| {
        let text = format!("no client of {base} can be made: {error}");
        Problem::new(ProblemKind::Internal, text)
    })
}

/// What every path begins with.
fn base(url: &str) -> Result<Url, Problem> {
    let base = Url::parse(url).map_err(|_| no_server(url))?;
    let is_plain = match base.scheme() {
        "https" => false,
        "http" => true,
        _ => return Err(no_server(url)),
    };
    if !base.username().is_empty() || base.password().is_some() || base.query().is_some() {
        return Err(no_server(url));
    }
    if is_plain && !is_loopback(&base) {
        let text = format!("the token would travel unencrypted to {base}");
        return Err(Problem::new(ProblemKind::InvalidInput, text)
            .with_help("use https://, or a tunnel to an address of this machine"));
    }
    Ok(base)
}

/// Whether a server at this URL is asked over an address that never leaves the machine; it may still be the
/// end of a tunnel.
#[must_use]
pub fn is_of_this_machine(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| is_loopback(&url))
}

fn is_loopback(base: &Url) -> bool {
    let host = base.host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn no_server(url: &str) -> Problem {
    let shown: String = url.chars().take(200).collect();
    Problem::new(
        ProblemKind::InvalidInput,
        format!("'{shown}' is no URL of a server"),
    )
    .with_help("give one such as http://127.0.0.1:8000")
}

/// What a refusal means here.
fn refusal(status: StatusCode, told: Option<ProblemBody>, base: &Url) -> Problem {
    let name = told.as_ref().map_or("", |told| told.error.as_str());
    let kind = match status.as_u16() {
        409 if name == "denied" => ProblemKind::Denied,
        409 if name == "over_budget" => ProblemKind::OverBudget,
        409 if name == "held" => ProblemKind::Held,
        503 if name == "timeout" => ProblemKind::Timeout,
        400 | 413 | 415 => ProblemKind::InvalidInput,
        401 | 403 => ProblemKind::Denied,
        404 | 410 => ProblemKind::NotFound,
        409 | 412 => ProblemKind::Conflict,
        429 => ProblemKind::Limited,
        503 => ProblemKind::Unavailable,
        _ => ProblemKind::Internal,
    };
    match told {
        Some(told) => {
            let text = if kind == ProblemKind::Internal {
                format!("{} (trace {})", told.detail, told.trace_id)
            } else {
                told.detail
            };
            let problem = Problem::new(kind, text);
            match told.hint {
                Some(hint) => problem.with_help(hint),
                None => problem,
            }
        }
        None => Problem::new(kind, format!("{base} answered with {status}"))
            .with_help("is it a fusion-kit server?"),
    }
}

#[cfg(test)]
mod tests {
    use super::base;

    #[test]
    fn a_token_goes_unencrypted_to_this_machine_only() {
        let allowed = [
            "http://127.0.0.1:8000",
            "http://localhost:8000/",
            "http://[::1]:8000",
            "https://fusion.example/behind",
        ];
        let refused = [
            "http://10.0.0.1:8000",
            "http://localhost.evil.example",
            "ftp://127.0.0.1",
            "127.0.0.1:8000",
            "https://me:secret@fusion.example",
            "https://fusion.example?server=1",
            "",
        ];
        assert_eq!(allowed.map(|url| base(url).is_ok()), [true; 4]);
        assert_eq!(refused.map(|url| base(url).is_ok()), [false; 7]);
    }
}
