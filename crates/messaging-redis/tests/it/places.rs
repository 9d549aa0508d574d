//! Where the server is, who we are to it, and what is left there.

use fusion_messaging::Bus;
use fusion_messaging_redis::{Error, Namespace, Settings, probe};
use fusion_testkit::{Redis, redis_binaries};
use uuid::Uuid;

use crate::support::{Pair, bus, bus_at, heard, listen, say, server, settings, until, until_back};

async fn probed(url: &str) -> Result<(), Error> {
    let id = Uuid::from_u128(7);
    let address = url.parse().unwrap();
    let probed = probe(&address, &Namespace::default(), id).await;
    probed.map(drop)
}

#[tokio::test]
async fn no_key_is_left_behind() {
    let pair = Pair::new(Default::default());
    let mut reader = listen(&pair, "*").await;
    say(&pair, "task.done.1", "x");
    heard(&mut reader).await;
    probed(&pair.server.url()).await.unwrap();
    // Asked while the connections are there, and after them.
    assert_eq!(pair.server.ask("KEYS *").unwrap(), "*0");
    let Pair {
        speaker,
        listener,
        server,
    } = pair;
    drop((speaker, listener));
    assert_eq!(server.ask("DBSIZE").unwrap(), ":0");
    until("the subscriptions end", async || {
        server.ask("PUBSUB NUMPAT").unwrap() == ":0"
    })
    .await;
}

#[tokio::test]
async fn name_spaces_keep_those_apart_who_share_a_server() {
    let server = server();
    let within = |namespace: &str, origin| {
        let settings = Settings {
            namespace: namespace.parse().unwrap(),
            ..settings()
        };
        bus_at(&server.url(), settings, origin)
    };
    let (ours, also_ours, theirs) = (within("a:", 1), within("a:", 2), within("ab:", 3));
    let mut reader = listen(&also_ours, "*").await;
    say(&theirs, "task.done", "theirs");
    theirs.flush().await;
    say(&ours, "task.done", "ours");
    assert_eq!(heard(&mut reader).await, ("ours".to_owned(), 0));
}

#[tokio::test]
async fn what_was_said_last_leaves_a_process_that_ends() {
    let server = server();
    let (leaves, stays) = (bus(&server, 1), bus(&server, 2));
    let mut reader = listen(&stays, "*").await;
    for number in 0..2_000 {
        say(&leaves, "task.done", &number.to_string());
        if number % 500 == 0 {
            // Within the queue of the reader.
            leaves.flush().await;
        }
    }
    leaves.flush().await;
    drop(leaves);
    let mut accounted = 0;
    while accounted < 2_000 {
        let (text, lost) = heard(&mut reader).await;
        accounted += lost + 1;
        assert_eq!(text, (accounted - 1).to_string());
    }
}

#[tokio::test]
async fn who_is_not_let_in_is_told_so_and_works_alone() {
    let server = server();
    let url = server.url().replace(server.password(), "canary");
    let bus = bus_at(&url, settings(), 1);
    let fault = bus.fault().await.unwrap();
    assert!(matches!(fault, Error::LetsNotIn { .. }), "{fault:?}");
    assert_eq!(probed(&url).await, Err(fault.clone()));
    let without = format!("redis://127.0.0.1:{}", server.port());
    let asked = probed(&without).await.unwrap_err();
    assert!(matches!(asked, Error::LetsNotIn { .. }), "{asked:?}");
    assert!(!format!("{fault} {fault:?} {bus:?}").contains("canary"));

    let mut reader = listen(&bus, "*").await;
    say(&bus, "task.done", "alone");
    assert_eq!(heard(&mut reader).await, ("alone".to_owned(), 0));
}

#[tokio::test]
async fn a_server_that_forbids_publishing_is_named_and_costs_the_others_only() {
    let server = server();
    server
        .ask("ACL SETUSER mute on >word ~* &* +@all -publish")
        .unwrap();
    let url = format!("redis://mute:word@127.0.0.1:{}", server.port());
    let refused = probed(&url).await.unwrap_err();
    assert!(matches!(refused, Error::Refuses { .. }), "{refused:?}");

    let (mute, other) = (bus_at(&url, settings(), 1), bus(&server, 2));
    let mut near = listen(&mute, "*").await;
    let mut far = listen(&other, "*").await;
    say(&mute, "task.done", "not sent");
    mute.flush().await;
    assert_eq!(heard(&mut near).await, ("not sent".to_owned(), 0));
    // It hears all the same, and may speak as soon as it is allowed to.
    say(&other, "task.done", "said");
    assert_eq!(heard(&mut near).await, ("said".to_owned(), 0));
    assert_eq!(heard(&mut far).await, ("said".to_owned(), 0));
    server.ask("ACL SETUSER mute +publish").unwrap();
    say(&mute, "task.done", "sent");
    assert_eq!(heard(&mut far).await, ("sent".to_owned(), 0));
}

/// The line of docs/bus.md.
const LEAST: &str = "ACL SETUSER fusion on >PASSWORD resetchannels &fusion:* -@all \
                     +hello +ping +publish +psubscribe";

#[tokio::test]
async fn the_user_of_the_documents_may_do_all_that_is_needed() {
    let documents = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/bus.md");
    assert!(std::fs::read_to_string(documents).unwrap().contains(LEAST));
    let server = server();
    server.ask(LEAST).unwrap();
    let url = format!("redis://fusion:PASSWORD@127.0.0.1:{}", server.port());
    probed(&url).await.unwrap();
    let (least, other) = (bus_at(&url, settings(), 1), bus(&server, 2));
    let (mut near, mut far) = (listen(&least, "*").await, listen(&other, "*").await);
    say(&least, "task.done", "there");
    assert_eq!(heard(&mut far).await, ("there".to_owned(), 0));
    assert_eq!(heard(&mut near).await, ("there".to_owned(), 0));
    say(&other, "task.done", "and back");
    assert_eq!(heard(&mut near).await, ("and back".to_owned(), 0));
}

#[tokio::test]
async fn any_node_of_a_cluster_will_do() {
    let binaries = redis_binaries().unwrap();
    let node = || Redis::start_with(&binaries, &["port {port}", "cluster-enabled yes"]).unwrap();
    let (first, mut second) = (node(), node());
    let port = second.port();
    first
        .ask(&format!("CLUSTER MEET 127.0.0.1 {port}"))
        .unwrap();
    let knows_two = |node: &Redis| {
        let info = node.ask("CLUSTER INFO").unwrap();
        info.contains("cluster_known_nodes:2")
    };
    until("the nodes meet", async || {
        knows_two(&first) && knows_two(&second)
    })
    .await;
    let links = |node: &Redis| node.ask("CLUSTER NODES").unwrap();
    until("they are connected", async || {
        !links(&first).contains("handshake") && links(&first).matches("connected").count() == 2
    })
    .await;

    // Each node has a password of its own here; what is shared is the cluster.
    let url = |node: &Redis, dead: u16| {
        let (password, port) = (node.password(), node.port());
        format!("redis+cluster://:{password}@127.0.0.1:{dead},127.0.0.1:{port}")
    };
    let speaker = bus_at(&url(&first, 1), settings(), 1);
    let listener = bus_at(&url(&second, 1), settings(), 2);
    until_back(&speaker).await;
    until_back(&listener).await;
    let mut reader = listen(&listener, "task.*").await;
    until("the nodes pass on what is said", async || {
        say(&speaker, "task.done", "through the cluster");
        let heard = tokio::time::timeout(std::time::Duration::from_millis(100), reader.recv());
        heard.await.is_ok()
    })
    .await;
    probed(&url(&first, 1)).await.unwrap();
    second.kill().unwrap();
    let dead = probed(&url(&second, 1)).await.unwrap_err();
    assert!(matches!(dead, Error::Unreachable { .. }), "{dead:?}");
}
