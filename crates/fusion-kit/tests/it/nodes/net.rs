//! A network of a node's own, from which it reaches its servers over a link that can be cut.
//!
//! The node lives in a network namespace with one end of a pair of links; the other end is here, and so
//! are the ways to the servers, which listen on 127.0.0.1 only. A cut link loses what is sent without a
//! word to anybody, as a cable does. A mute way loses the answers alone: what the node asked for is done.

use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::support::{is_root, program};

/// Networks of one process of tests.
const MOST: u32 = 16;

/// The network of one node. It goes when this is dropped.
#[derive(Debug)]
pub(crate) struct Net {
    name: String,
    here: Ipv4Addr,
    there: Ipv4Addr,
    mute: watch::Sender<bool>,
    ways: JoinSet<()>,
    urls: Vec<(&'static str, String)>,
}

impl Net {
    /// Makes one; `None`, and a word about it, for those who may not. Each of a test has another number
    /// below 16.
    pub(crate) async fn new(number: u32) -> Option<Self> {
        if !is_root() {
            eprintln!("no links are cut: only root makes networks");
            return None;
        }
        assert!(number < MOST);
        // Other tests have networks too: four addresses for each, in 10.128.0.0/10.
        let place = (std::process::id() % 0x1_0000) * MOST + number;
        let first = u32::from(Ipv4Addr::new(10, 128, 0, 0)) + place * 4;
        let net = Self {
            name: format!("fk{place:x}"),
            here: Ipv4Addr::from(first + 1),
            there: Ipv4Addr::from(first + 2),
            mute: watch::Sender::new(false),
            ways: JoinSet::new(),
            urls: Vec::new(),
        };
        let Self {
            name, here, there, ..
        } = &net;
        let script = format!(
            "ip netns add {name} &&
             ip link add {name}a type veth peer name {name}b netns {name} &&
             ip addr add {here}/30 dev {name}a && ip link set {name}a up &&
             ip -n {name} addr add {there}/30 dev {name}b && ip -n {name} link set {name}b up &&
             ip -n {name} link set lo up"
        );
        order(&script).await;
        Some(net)
    }

    /// What runs a program in this network: itself and its arguments come behind.
    pub(crate) fn entry(&self) -> [String; 2] {
        [
            "nsenter".to_owned(),
            format!("--net=/run/netns/{}", self.name),
        ]
    }

    /// Where the node can listen.
    pub(crate) const fn there(&self) -> Ipv4Addr {
        self.there
    }

    /// The URLs of servers as the node has them, by the names of its settings.
    pub(crate) fn urls(&self) -> &[(&'static str, String)] {
        &self.urls
    }

    /// Makes a way to the server on 127.0.0.1 whose URL a setting names.
    pub(crate) async fn lead_to(&mut self, setting: &'static str, url: &str) {
        const LOCAL: &str = "127.0.0.1:";
        let (_, rest) = url.split_once(LOCAL).unwrap();
        let port = rest.split('/').next().unwrap();
        let listener = TcpListener::bind((self.here, 0)).await.unwrap();
        let way = listener.local_addr().unwrap().to_string();
        let server = port.parse().unwrap();
        self.ways
            .spawn(accept(listener, server, self.mute.subscribe()));
        let url = url.replace(&format!("{LOCAL}{port}"), &way);
        self.urls.push((setting, url));
    }

    /// Nothing comes through in either direction.
    pub(crate) async fn cut(&self) {
        order(&format!("ip link set {}a down", self.name)).await;
    }

    /// Questions come through, answers do not.
    pub(crate) fn mute(&self) {
        self.mute.send_replace(true);
    }

    /// Everything comes through again, also what was held up.
    pub(crate) async fn heal(&self) {
        self.mute.send_replace(false);
        order(&format!("ip link set {}a up", self.name)).await;
    }
}

async fn order(script: &str) {
    let ordered = program("sh").args(["-c", script]).output().await.unwrap();
    assert!(ordered.status.success(), "{script}: {ordered:?}");
}

impl Drop for Net {
    fn drop(&mut self) {
        let script = format!("ip link del {0}a; ip netns del {0}", self.name);
        let mut last = program("sh");
        // It goes on alone.
        let started = last.kill_on_drop(false).args(["-c", &script]).spawn();
        drop(started);
    }
}

async fn accept(listener: TcpListener, server: u16, mute: watch::Receiver<bool>) {
    // Dropped with this task, and all connections with it.
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        // A server that is down: the client finds its connection closed.
        let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else {
            continue;
        };
        let (mut questions, to_client) = client.into_split();
        let (from_server, mut to_server) = server.into_split();
        connections.spawn(async move {
            copy(&mut questions, &mut to_server).await.ok();
        });
        connections.spawn(answer(from_server, to_client, mute.clone()));
    }
}

async fn answer(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut mute: watch::Receiver<bool>) {
    let mut buffer = vec![0; 64 * 1_024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let is_open = mute.wait_for(|is_mute| !is_mute).await.is_ok();
        if !is_open || to.write_all(&buffer[..count]).await.is_err() {
            break;
        }
    }
}
