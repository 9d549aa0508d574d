//! A way to the server on which connections break at a chosen moment.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

/// What happens to bytes on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// They arrive.
    Open,
    /// The next COMMIT does not arrive: its connection breaks, and the way is as given after it.
    CutBeforeCommit(After),
    /// The next COMMIT arrives and its answer does not, and so on.
    CutAfterCommit(After),
    /// The next look for what became of a COMMIT is carried out and its answer does not arrive: its
    /// connection breaks, and the way is open after it.
    CutLook,
    /// The BEGIN of a transaction waits here until the way is another.
    Held,
    /// All connections break, and no new one comes about.
    Closed,
    /// Nothing arrives any more on the connections there are, and they do not break. New ones work.
    Mute,
}

/// How the way is after a cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    Open,
    Closed,
    CutLook,
}

impl From<After> for Way {
    fn from(after: After) -> Self {
        match after {
            After::Open => Self::Open,
            After::Closed => Self::Closed,
            After::CutLook => Self::CutLook,
        }
    }
}

const COMMIT: &[u8] = b"COMMIT\0";

/// What a group of jobs begins with: other words, such as the ping after the group before, arrive.
const BEGIN: &[u8] = b"BEGIN\0";

/// Of the statement that settles a COMMIT, when it is prepared: it is carried out by what is sent next.
const LOOK: &[u8] = b"last_commit < $2";

/// Listens on a port of its own as long as it lives.
pub(super) struct Proxy {
    way: Arc<watch::Sender<Way>>,
    /// Whether something waits here.
    is_holding: Arc<watch::Sender<bool>>,
    /// Connections that were broken off because the way was closed.
    turned_away: Arc<watch::Sender<u32>>,
    port: u16,
}

impl Proxy {
    /// To the server of a URL.
    pub(super) async fn before(url: &str) -> Self {
        let (_, place) = url.rsplit_once('@').unwrap();
        let (server, _) = place.split_once('/').unwrap();
        let server = server.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let way = Arc::new(watch::Sender::new(Way::Open));
        let ways = Arc::clone(&way);
        let is_holding = Arc::new(watch::Sender::new(false));
        let holding = Arc::clone(&is_holding);
        let turned_away = Arc::new(watch::Sender::new(0));
        let turned = Arc::clone(&turned_away);
        let tracker = TaskTracker::new();
        tracker.clone().spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                if *ways.borrow() == Way::Closed {
                    turned.send_modify(|count| *count += 1);
                    continue;
                }
                let server = TcpStream::connect(&server).await.unwrap();
                let (ways, holding) = (Arc::clone(&ways), Arc::clone(&holding));
                tracker.spawn(carry(client, server, ways, holding));
            }
        });
        Self {
            way,
            is_holding,
            turned_away,
            port,
        }
    }

    /// The URL of the same database by way of this.
    pub(super) fn url(&self, url: &str) -> String {
        let (user, place) = url.rsplit_once('@').unwrap();
        let (_, database) = place.split_once('/').unwrap();
        format!("{user}@127.0.0.1:{}/{database}", self.port)
    }

    pub(super) fn set(&self, way: Way) {
        self.way.send_replace(way);
    }

    /// Until something waits here.
    pub(super) async fn held(&self) {
        let mut holding = self.is_holding.subscribe();
        holding.wait_for(|is_holding| *is_holding).await.unwrap();
    }

    /// Until so many connections were broken off.
    pub(super) async fn turned_away(&self, connections: u32) {
        let mut turned = self.turned_away.subscribe();
        turned
            .wait_for(|count| *count >= connections)
            .await
            .unwrap();
    }

    /// Until a cut that was asked for has been made.
    pub(super) async fn cut(&self) {
        let is_made = |way: &Way| matches!(way, Way::Open | Way::CutLook | Way::Closed);
        self.way.subscribe().wait_for(is_made).await.unwrap();
    }
}

/// What to do with what a client sent.
enum Fate {
    Forward,
    CutNow,
    CutWhenAnswered,
}

fn contains(bytes: &[u8], words: &[u8]) -> bool {
    bytes.windows(words.len()).any(|some| some == words)
}

/// Whether these bytes are the ones that were waited for; the way is then as it was to be after.
fn fate(ways: &watch::Sender<Way>, is_looking: &mut bool, bytes: &[u8]) -> Fate {
    let mut fate = Fate::Forward;
    if *is_looking {
        ways.send_replace(Way::Open);
        return Fate::CutWhenAnswered;
    }
    *is_looking = *ways.borrow() == Way::CutLook && contains(bytes, LOOK);
    if contains(bytes, COMMIT) {
        ways.send_if_modified(|way| {
            let after = match *way {
                Way::CutBeforeCommit(after) => {
                    fate = Fate::CutNow;
                    after
                }
                Way::CutAfterCommit(after) => {
                    fate = Fate::CutWhenAnswered;
                    after
                }
                Way::Open | Way::CutLook | Way::Held | Way::Closed | Way::Mute => return false,
            };
            *way = after.into();
            true
        });
    }
    fate
}

/// Waits while the way is held for such bytes.
async fn pass_on(bytes: &[u8], changes: &mut watch::Receiver<Way>, holding: &watch::Sender<bool>) {
    if *changes.borrow() == Way::Held && contains(bytes, BEGIN) {
        holding.send_replace(true);
        changes.wait_for(|way| *way != Way::Held).await.unwrap();
        holding.send_replace(false);
    }
}

async fn carry(
    mut client: TcpStream,
    mut server: TcpStream,
    ways: Arc<watch::Sender<Way>>,
    holding: Arc<watch::Sender<bool>>,
) {
    let mut changes = ways.subscribe();
    let mut is_looking = false;
    // A connection made on a mute way is a new one.
    let mut from_client = vec![0; 65_536];
    let mut from_server = vec![0; 65_536];
    loop {
        tokio::select! {
            changed = changes.changed() => {
                if changed.is_err() || *changes.borrow_and_update() == Way::Closed {
                    return;
                }
                if *changes.borrow() == Way::Mute {
                    std::future::pending::<()>().await;
                }
            }
            read = client.read(&mut from_client) => {
                let Ok(length @ 1..) = read else { return };
                let bytes = &from_client[..length];
                pass_on(bytes, &mut changes, &holding).await;
                match fate(&ways, &mut is_looking, bytes) {
                    Fate::Forward => {}
                    Fate::CutNow => return,
                    Fate::CutWhenAnswered => {
                        server.write_all(bytes).await.unwrap();
                        assert!(server.read(&mut from_server).await.unwrap() > 0);
                        return;
                    }
                }
                if server.write_all(bytes).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut from_server) => {
                let Ok(length @ 1..) = read else { return };
                if client.write_all(&from_server[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}
