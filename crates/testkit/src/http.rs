//! An HTTP server that answers with bytes, and may do anything with them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The longest request that is read.
const MAX_REQUEST: usize = 16 * 1024 * 1024;

/// One thing that the server does with the connection of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Sends these bytes.
    Send(Vec<u8>),
    /// Sends these bytes again and again, with this wait after each, until the client leaves.
    Repeat(Vec<u8>, Duration),
    /// Does nothing for so long.
    Wait(Duration),
    /// Does nothing until the client leaves.
    Hang,
    /// Ends the connection in good order.
    Close,
    /// Breaks the connection off (RST): what the client has not read yet may be lost.
    Reset,
}

/// A request as it came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HttpRequest {
    /// `GET`, `POST`.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// All of the body.
    pub body: Vec<u8>,
}

impl HttpRequest {
    /// The value of a header, by its name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(known, _)| known == name)?;
        Some(value)
    }
}

/// A server on 127.0.0.1 that does what it is told, each connection on its own, until it is dropped.
/// It reads HTTP/1.1 with a content length; what it answers need not be HTTP at all.
#[derive(Debug)]
pub struct MisbehavingHttp {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<HttpRequest>>>,
    departures: watch::Receiver<usize>,
    connections: Arc<AtomicUsize>,
    _serving: JoinSet<()>,
}

/// What to do about a request.
type Script = Box<dyn Fn(&HttpRequest) -> Vec<Act> + Send + Sync>;

/// What all connections share.
struct Shared {
    script: Script,
    requests: Arc<Mutex<Vec<HttpRequest>>>,
    departures: watch::Sender<usize>,
    connections: Arc<AtomicUsize>,
}

impl MisbehavingHttp {
    /// Starts it. `script` says what to do about a request; after the last act the connection waits
    /// for its next request.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(
        script: impl Fn(&HttpRequest) -> Vec<Act> + Send + Sync + 'static,
    ) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .context("no port on 127.0.0.1 can be had")?;
        let address = listener.local_addr()?;
        let requests = Arc::<Mutex<Vec<HttpRequest>>>::default();
        let (departures, departed) = watch::channel(0);
        let connections = Arc::<AtomicUsize>::default();
        let shared = Arc::new(Shared {
            script: Box::new(script),
            requests: Arc::clone(&requests),
            departures,
            connections: Arc::clone(&connections),
        });
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, shared));
        Ok(Self {
            address,
            requests,
            departures: departed,
            connections,
            _serving: serving,
        })
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What was asked so far, in the order of arrival.
    #[must_use]
    pub fn requests(&self) -> Vec<HttpRequest> {
        let requests = self.requests.lock();
        requests.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many connections were made so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Waits until so many clients in all have left while the server was at [`Act::Repeat`] or
    /// [`Act::Hang`].
    pub async fn clients_left(&self, count: usize) {
        let mut departures = self.departures.clone();
        // The sender lives as long as this.
        departures.wait_for(|left| *left >= count).await.ok();
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    // Dropped with this task, and all connections with it.
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        // Pieces are to arrive as they were sent.
        socket.set_nodelay(true).ok();
        shared.connections.fetch_add(1, Ordering::Relaxed);
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            // A client may leave at any point: that is its right.
            converse(socket, &shared).await.ok();
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn converse(mut socket: TcpStream, shared: &Shared) -> Result<()> {
    let mut unread = Vec::new();
    while let Some(request) = read_request(&mut socket, &mut unread).await? {
        let acts = (shared.script)(&request);
        shared
            .requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(request);
        for act in acts {
            match act {
                Act::Send(bytes) => socket.write_all(&bytes).await?,
                Act::Repeat(bytes, wait) => {
                    while socket.write_all(&bytes).await.is_ok() {
                        if !wait.is_zero() {
                            tokio::time::sleep(wait).await;
                        }
                    }
                    shared.departures.send_modify(|left| *left += 1);
                    return Ok(());
                }
                Act::Wait(wait) => tokio::time::sleep(wait).await,
                Act::Hang => {
                    let mut rest = [0; 64];
                    while !matches!(socket.read(&mut rest).await, Ok(0) | Err(_)) {}
                    shared.departures.send_modify(|left| *left += 1);
                    return Ok(());
                }
                Act::Close => return Ok(()),
                Act::Reset => {
                    socket.set_zero_linger()?;
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

/// The next request; `None` when the client closed the connection between two.
async fn read_request(socket: &mut TcpStream, unread: &mut Vec<u8>) -> Result<Option<HttpRequest>> {
    loop {
        if let Some((request, length)) = parse(unread)? {
            unread.drain(..length);
            return Ok(Some(request));
        }
        if socket.read_buf(unread).await? == 0 {
            return Ok(None);
        }
    }
}

/// The request that these bytes begin with, and its length, when all of it is there.
fn parse(bytes: &[u8]) -> Result<Option<(HttpRequest, usize)>> {
    if bytes.len() > MAX_REQUEST {
        bail!("a request of more than {MAX_REQUEST} bytes");
    }
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let (head, rest) = bytes.split_at(end);
    let body = rest.get(4..).unwrap_or_default();
    let head = std::str::from_utf8(head).context("a request's head is not text")?;
    let mut lines = head.lines();
    let mut words = lines
        .next()
        .unwrap_or_default()
        .split(' ')
        .map(str::to_owned);
    let mut request = HttpRequest {
        method: words.next().unwrap_or_default(),
        path: words.next().unwrap_or_default(),
        headers: lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
            .collect(),
        body: Vec::new(),
    };
    let length = match request.header("content-length") {
        Some(length) => length.parse().context("a content length is not a number")?,
        None => 0,
    };
    let Some(body) = body.get(..length) else {
        return Ok(None);
    };
    request.body = body.to_vec();
    Ok(Some((request, end + 4 + length)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::time::timeout;

    use super::{Act, HttpRequest, MisbehavingHttp};

    const LIMIT: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn a_server_does_what_its_script_says_and_keeps_what_was_asked() {
        let server = MisbehavingHttp::start(|request| match request.path.as_str() {
            "/ok?a=1" => vec![Act::Send(b"one".to_vec()), Act::Send(b"two".to_vec())],
            "/close" => vec![Act::Send(b"x".to_vec()), Act::Close],
            _ => vec![Act::Repeat(b"y".to_vec(), Duration::ZERO)],
        })
        .await
        .unwrap();
        let address = server.url().replace("http://", "");
        let mut socket = TcpStream::connect(&address).await.unwrap();
        let mut answer = [0; 6];
        let asked = b"POST /ok?a=1 HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody";
        socket.write_all(asked).await.unwrap();
        socket.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"onetwo");
        socket
            .write_all(b"GET /close HTTP/1.1\r\n\r\n")
            .await
            .unwrap();
        let mut rest = Vec::new();
        let end = timeout(LIMIT, socket.read_to_end(&mut rest)).await.unwrap();
        assert_eq!((end.unwrap(), rest), (1, b"x".to_vec()));
        let expected = [
            HttpRequest {
                method: "POST".into(),
                path: "/ok?a=1".into(),
                headers: vec![("content-length".into(), "4".into())],
                body: b"body".to_vec(),
            },
            HttpRequest {
                method: "GET".into(),
                path: "/close".into(),
                ..HttpRequest::default()
            },
        ];
        assert_eq!(server.requests(), expected);
    }

    #[tokio::test]
    async fn a_client_that_leaves_is_noticed_and_a_reset_breaks_off() {
        let server = MisbehavingHttp::start(|request| match request.path.as_str() {
            "/reset" => vec![Act::Reset],
            "/hang" => vec![Act::Hang],
            _ => vec![Act::Repeat(b"y".to_vec(), Duration::from_millis(1))],
        })
        .await
        .unwrap();
        let address = server.url().replace("http://", "");
        for path in ["/hang", "/repeat"] {
            let mut socket = TcpStream::connect(&address).await.unwrap();
            let asked = format!("GET {path} HTTP/1.1\r\n\r\n");
            socket.write_all(asked.as_bytes()).await.unwrap();
        }
        timeout(LIMIT, server.clients_left(2)).await.unwrap();
        let mut socket = TcpStream::connect(&address).await.unwrap();
        socket
            .write_all(b"GET /reset HTTP/1.1\r\n\r\n")
            .await
            .unwrap();
        let end = timeout(LIMIT, socket.read(&mut [0; 8])).await.unwrap();
        assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    }
}
