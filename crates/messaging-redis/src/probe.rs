//! Whether a server does what the bus needs of it.

use std::time::Duration;

use redis::{ConnectionInfo, PushInfo, PushKind};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use crate::link::{ANSWER, connect};
use crate::{Address, Error, Namespace, Result};

/// Publishes a message and hears it: the time between the two. Of a cluster the first node that
/// answers is taken.
///
/// # Errors
/// The fault of the last node that was tried.
pub async fn probe(address: &Address, namespace: &Namespace, id: Uuid) -> Result<Duration> {
    let mut result = Err(Error::Url {
        fault: "a host is missing".to_owned(),
    });
    for (node, place) in address.nodes() {
        result = probe_node(node, &place, &namespace.channel(&format!("verify.{id}"))).await;
        if result.is_ok() {
            break;
        }
    }
    result
}

async fn probe_node(node: &ConnectionInfo, place: &str, channel: &str) -> Result<Duration> {
    let (sender, mut heard) = mpsc::channel(1);
    let hear = move |push: PushInfo| {
        let tells = matches!(push.kind, PushKind::PMessage | PushKind::Disconnection);
        if tells {
            sender.try_send(push.kind)
        } else {
            Ok(())
        }
    };
    let mut connection = connect(node, place, hear, channel).await?;
    let begun = Instant::now();
    let mut publish = redis::cmd("PUBLISH");
    publish.arg(channel).arg("");
    let exchange = async {
        publish.exec_async(&mut connection).await?;
        Ok(heard.recv().await)
    };
    match timeout(ANSWER, exchange).await {
        Ok(Ok(Some(PushKind::PMessage))) => Ok(begun.elapsed()),
        Ok(Ok(_)) => Err(Error::Unreachable {
            place: place.to_owned(),
            fault: "the connection ended".to_owned(),
        }),
        Ok(Err(error)) => Err(Error::of(place, &error)),
        Err(_) => Err(Error::TooSlow {
            place: place.to_owned(),
            seconds: ANSWER.as_secs(),
        }),
    }
}
